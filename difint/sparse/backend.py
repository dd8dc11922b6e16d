"""``AutoSparse``: sparse Jacobians and Hessians by any other backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, final

from difint.backends import Backend, Mode, check_choice, check_size
from difint.engine import Engine
from difint.errors import ArgumentError, message
from difint.sparse.algorithms import ColoringAlgorithm, GreedyColoring
from difint.sparse.detection import SparsityDetector, TracerSparsityDetector


@final
@dataclass(frozen=True, slots=True, repr=False)
class AutoSparse(Backend):
    """Compute sparse Jacobians and Hessians at a cost that follows the number of colors.

    Columns that share no row go through one pushforward, rows that share no column through one
    pullback. ``jacobian`` and ``hessian`` return ``scipy.sparse`` arrays of a fixed pattern, in
    NumPy's memory whatever ``x`` is; all other operators are those of ``dense``. Gebremedhin,
    Manne and Pothen, "What color is your Jacobian?", SIAM Review 47(4), 2005.

    Args:
        dense: the backend of the products.
        sparsity_detector: how the pattern is found: from ``f`` itself, or as
            ``KnownSparsityDetector(pattern)`` and ``DenseSparsityDetector()`` say.
        coloring_algorithm: how it is colored.
        format: ``"csc"`` or ``"csr"`` for a ``scipy.sparse`` array, ``"dense"`` for a dense one;
            ``None`` for CSR where rows alone are colored, and CSC elsewhere.
        triangle: ``"lower"`` or ``"upper"`` for one triangle of a Hessian, with the diagonal;
            ``None`` for all of it.
        chunk_size: how many passes go through at once; ``None`` for all, or what ``dense`` says.
        memory: how many bytes the seeds and results of the passes may take that go through at
            once: another way to bound them.
        verify: compare the product with a random tangent at prepare with that of ``dense``, so
            that a pattern that lacks entries at the example ``x`` is found; see ``plan.verify``.

    Raises:
        ArgumentError: an argument is none of its choices.

    >>> import numpy as np, difint as di
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> di.jacobian(np.square, AutoSparse(di.AutoFiniteDiff()), x).data.round(6)
    array([2., 4., 6.])
    """

    dense: Backend
    sparsity_detector: SparsityDetector = TracerSparsityDetector()
    coloring_algorithm: ColoringAlgorithm = GreedyColoring()
    format: Literal["csc", "csr", "dense"] | None = None
    triangle: Literal["lower", "upper"] | None = None
    chunk_size: int | None = None
    memory: int | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        dense: Any = self.dense
        if not isinstance(dense, Backend):
            remedy = "Pass the backend of the products first, then the detector."
            _refuse("dense", "a backend such as AutoJax()", dense, remedy)
        if isinstance(dense, AutoSparse):
            _refuse("dense", "a backend that is not sparse itself", dense, "Pass its dense.")
        detector: Any = self.sparsity_detector
        if not isinstance(detector, SparsityDetector):
            remedy = "Leave it out, or pass KnownSparsityDetector(pattern)."
            _refuse("sparsity_detector", "a sparsity detector", detector, remedy)
        coloring: Any = self.coloring_algorithm
        if not isinstance(coloring, ColoringAlgorithm):
            remedy = "Leave coloring_algorithm= out, or pass ConstantColoring(colors)."
            _refuse("coloring_algorithm", "a coloring algorithm", coloring, remedy)
        check_choice("AutoSparse", "format", self.format, (None, "csc", "csr", "dense"))
        check_choice("AutoSparse", "triangle", self.triangle, (None, "lower", "upper"))
        check_choice("AutoSparse", "verify", self.verify, (True, False))
        for name in ("chunk_size", "memory"):
            if getattr(self, name) is not None:
                check_size("AutoSparse", getattr(self, name), "all passes at once", name=name)

    def gaps(self) -> Mapping[str, str]:
        """Say what the dense backend cannot differentiate."""
        return self.dense.gaps()

    def counterpart(self, mode: Mode) -> Backend:
        """Return the same with the dense backend in forward or in reverse mode alone."""
        return replace(self, dense=self.dense.counterpart(mode))

    def engine(self) -> Engine:
        """Return the dense engine's record, with Jacobians and Hessians that are sparse."""
        from difint.sparse.engine import engine

        return engine(self)


def _refuse(name: str, expected: str, got: Any, remedy: str) -> None:
    given = "nothing" if got is None else f"a {type(got).__name__}"
    given = f"the class {got.__name__}" if isinstance(got, type) else given
    text = message(
        "AutoSparse", f"{name} does not fit", expected=expected, got=given, remedy=remedy
    )
    raise ArgumentError(text)
