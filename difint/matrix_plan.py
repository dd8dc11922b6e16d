"""Plans whose result is a matrix, which may be sparse."""

from __future__ import annotations

from typing import Any

from difint.engine import Sides, Sparsity
from difint.errors import UnsupportedError, message
from difint.plan import Plan


class MatrixPlan(Plan):
    """Base class of the plans of ``jacobian`` and ``hessian``.

    Where the backend is ``AutoSparse``, the result is a ``scipy.sparse`` array of a fixed pattern,
    and the plan tells of the pattern and of its colors.
    """

    __slots__ = ()

    @property
    def pattern(self) -> Any:
        """Get where the result may have entries: a ``difint.sparse.Pattern``.

        Raises:
            UnsupportedError: the plan is dense; so for all that follows.
        """
        return self._sparse("pattern").pattern

    @property
    def colors(self) -> Sides:
        """Get the color of each row and of each column; ``None`` for a side without passes.

        Columns of one color go through one pushforward, or product with the Hessian; rows of one
        color through one pullback. Those of color -1 need none.
        """
        return self._sparse("colors").colors

    @property
    def groups(self) -> Sides:
        """Get the indices that have each color, of the rows and of the columns: tuples of arrays.

        The passes of the plan are these groups.
        """
        return self._sparse("groups").groups

    def verify(self, *args: Any, samples: int = 1, seed: int = 0) -> None:
        """Compare products of the result with those of the dense engine.

        A pattern that lacks an entry makes others wrong. Each sample is a random tangent, and
        costs a pass and an execution; where a derivative happens to be zero at ``x``, an entry that
        is missing is not seen there.

        Args:
            args: ``x`` and the contexts, as for ``execute``.
            samples: how many tangents to try.
            seed: of the random numbers.

        Raises:
            SparsityError: they differ; names the rows.
            PreparationMismatchError: the arguments are not like those of prepare.
        """
        sparsity = self._sparse("verify")
        self._signature.check(args)
        values = self._signature.settle(self._unwrap(args))
        sparsity.verify(tuple(map(self._arrays.settle, values)), samples, seed)

    def spy(self, axes: Any = None) -> Any:
        """Draw the pattern, an entry in the color of its pass, and the compressed matrix.

        Args:
            axes: two axes of matplotlib; ``None`` for a new figure.

        Returns:
            The figure.

        Raises:
            PackageUnavailableError: matplotlib is not installed (the extra ``plot``).
        """
        return self._sparse("spy").spy(axes)

    def _sparse(self, name: str) -> Sparsity:
        if self._sparsity is not None:
            return self._sparsity
        text = message(
            self.info.operator,
            f"a dense plan has no {name}",
            expected="a plan of AutoSparse",
            got=self.info.backend,
            remedy=f"Prepare with AutoSparse({self.info.backend}, ...).",
        )
        raise UnsupportedError(text)
