"""Detection: how a backend learns the pattern of a Jacobian or Hessian."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np

from difint.backends import check_choice, check_size
from difint.checks import refuse_traced
from difint.engine import Arrays, Engine, Occasion
from difint.errors import SparsityError, UnsupportedError, message
from difint.kinds import describe
from difint.operators.gradient import GRADIENT
from difint.operators.hessian import HESSIAN
from difint.operators.jacobian import JACOBIAN
from difint.primitives import inner_engine
from difint.problem import Problem
from difint.sparse.pattern import Pattern

if TYPE_CHECKING:
    from difint.dependence.sets import Rows


class SparsityDetector(abc.ABC):
    """Base class of the ways to find a pattern, as plain data.

    Derive a frozen dataclass. A pattern may hold entries that are always zero; one that lacks an
    entry makes others wrong.
    """

    __slots__ = ()

    @property
    def is_local(self) -> bool:
        """Whether patterns hold near the example alone."""
        return False

    @property
    def traces(self) -> bool:
        """Whether patterns come from tracing ``f``, with the contexts of the example."""
        return False

    @abc.abstractmethod
    def jacobian(self, engine: Engine, problem: Problem, occasion: Occasion) -> Pattern:
        """Find the pattern of the Jacobian, of shape ``(y.size, x.size)``.

        Args:
            engine: the dense engine.
            problem: the function, in the engine's own values.
            occasion: the example arguments.
        """

    @abc.abstractmethod
    def hessian(self, engine: Engine, problem: Problem, occasion: Occasion) -> Pattern:
        """Find the pattern of the Hessian, of shape ``(x.size, x.size)``; arguments likewise."""


@final
@dataclass(frozen=True, slots=True)
class TracerSparsityDetector(SparsityDetector):
    """Trace which entries of ``x`` each number in ``f`` depends on.

    ``f`` is run, or what was traced of it is, on index sets in the place of numbers: sums unite
    them, products and other nonlinear functions pair them, for a Hessian. The pattern holds for
    every ``x`` and every value of the contexts, with all branches that ``f`` may take; it may hold
    entries that are always zero. What ``f`` has captured is known, and zeros in it are too.

    Args:
        local: follow the values at the example ``x`` and contexts, where ``f`` branches on values
            or computes indices from them: fewer entries, or any where a compiled branch can be
            followed one way alone; the pattern holds near the example.

    >>> import numpy as np, difint as di
    >>> backend = di.AutoSparse(di.AutoFiniteDiff(), TracerSparsityDetector())
    >>> di.prepare_jacobian(np.diff, backend, np.ones(3)).pattern.toarray().astype(int)
    array([[1, 1, 0],
           [0, 1, 1]])
    """

    local: bool = False

    def __post_init__(self) -> None:
        check_choice("TracerSparsityDetector", "local", self.local, (True, False))

    @property
    def is_local(self) -> bool:
        """Whether values at the example are followed."""
        return self.local

    @property
    def traces(self) -> bool:
        """Whether patterns come from tracing ``f``: they do."""
        return True

    def jacobian(self, engine: Engine, problem: Problem, occasion: Occasion) -> Pattern:
        """Trace ``f`` with the gradient of each number."""
        rows = self._rows("jacobian", engine, problem, occasion)
        return Pattern.of_rows(rows.indptr, rows.columns, problem.x_form.size)

    def hessian(self, engine: Engine, problem: Problem, occasion: Occasion) -> Pattern:
        """Trace ``f`` with the gradient and the second derivatives of each number."""
        rows = self._rows("hessian", engine, problem, occasion)
        return Pattern.of_rows(rows.indptr, rows.columns, problem.x_form.size)

    def _rows(self, operator: str, engine: Engine, problem: Problem, occasion: Occasion) -> Rows:
        trace = engine.arrays.dependence
        if trace is None:
            text = message(
                operator,
                f"index sets cannot be traced through functions of {engine.arrays.name} arrays",
                remedy="Use KnownSparsityDetector(pattern), or DenseSparsityDetector().",
            )
            raise UnsupportedError(text)
        return trace(problem, occasion, curved=operator == "hessian", local=self.local)


@final
@dataclass(frozen=True, slots=True)
class KnownSparsityDetector(SparsityDetector):
    """Use a pattern that is known.

    Args:
        pattern: a ``scipy.sparse`` array, of which every stored entry counts; a dense array, of
            which the entries count that are not zero; a ``Pattern``; or ``(rows, columns)``, two
            arrays of indices, both raveled in C order.

    Raises:
        ArgumentError: it is none of these.

    >>> KnownSparsityDetector(([0, 1, 1], [0, 0, 1])).pattern.toarray().astype(int)
    array([[1, 0],
           [1, 1]])
    """

    pattern: Any
    _exact: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        listed = isinstance(self.pattern, tuple)
        shape = _shape_of_indices(self.pattern) if listed else None
        object.__setattr__(self, "pattern", Pattern.of(self.pattern, shape))
        object.__setattr__(self, "_exact", not listed)

    def jacobian(self, engine: Engine, problem: Problem, occasion: Occasion) -> Pattern:
        """Return the pattern, which must have the shape of the Jacobian."""
        return self._of_shape("jacobian", (problem.y_form.size, problem.x_form.size))

    def hessian(self, engine: Engine, problem: Problem, occasion: Occasion) -> Pattern:
        """Return the pattern, which must be that of a symmetric matrix."""
        size = problem.x_form.size
        found = self._of_shape("hessian", (size, size))
        if not found.is_symmetric:
            text = message(
                "hessian",
                "the pattern of a Hessian is symmetric, and this one is not",
                got=repr(found),
                remedy="Pass pattern + pattern.T.",
            )
            raise SparsityError(text)
        return found

    def _of_shape(self, operator: str, shape: tuple[int, int]) -> Pattern:
        pattern: Pattern = self.pattern
        if not self._exact:
            pattern = pattern.widened(shape)
        if pattern.shape != shape:
            text = message(
                operator,
                "the pattern does not fit f",
                expected=f"shape {shape}: the sizes of f(x) and of x",
                got=f"shape {pattern.shape}",
                remedy="Rows count the entries of f(x), columns those of x, both in C order.",
            )
            raise SparsityError(text)
        return pattern

    def __repr__(self) -> str:
        return f"KnownSparsityDetector({self.pattern!r})"


def _shape_of_indices(pattern: tuple[Any, ...]) -> tuple[int, int] | None:
    """Get the least shape that holds these entries; ``None`` if they are no indices."""
    try:
        rows, columns = (int(np.max(one, initial=-1)) + 1 for one in pattern)
    except (TypeError, ValueError):
        return None
    return rows, columns


@final
@dataclass(frozen=True, slots=True)
class DenseSparsityDetector(SparsityDetector):
    """Look where the matrix is not zero, at a few points.

    The pattern is local: it may lack entries that are zero at all of the points, and hold for no
    others. ``f`` is called as often as for a dense matrix at each point.

    Args:
        method: ``"jacobian"`` computes the dense matrix; ``"nan"`` sets one entry of ``x`` after
            the other to NaN, and sees where ``f`` (for a Hessian, its gradient) becomes NaN: more
            than needed, above all where a gradient comes from forward mode, for ``0 * NaN`` is NaN.
        samples: the number of points: ``x``, and others up to half as large again.
        seed: of the other points.

    Raises:
        ArgumentError: an unknown method, or no positive number of samples.

    >>> import numpy as np, difint as di
    >>> backend = di.AutoSparse(di.AutoFiniteDiff(), DenseSparsityDetector("nan"))
    >>> di.prepare_jacobian(np.diff, backend, np.ones(3)).pattern.toarray().astype(int)
    array([[1, 1, 0],
           [0, 1, 1]])
    """

    method: Literal["jacobian", "nan"] = "jacobian"
    samples: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("DenseSparsityDetector", "method", self.method, ("jacobian", "nan"))
        check_size("DenseSparsityDetector", self.samples, "three", name="samples")

    @property
    def is_local(self) -> bool:
        """Whether patterns hold near the example alone: they do."""
        return True

    def jacobian(self, engine: Engine, problem: Problem, occasion: Occasion) -> Pattern:
        """Look at the Jacobian, or at ``f``."""
        if self.method == "nan":
            return self._by_nan(engine, problem, occasion, problem.call, problem.y_form.size)
        kernel, _ = JACOBIAN.build(engine, problem, value=False)
        return self._nonzero(engine, problem, occasion, kernel)

    def hessian(self, engine: Engine, problem: Problem, occasion: Occasion) -> Pattern:
        """Look at the Hessian, or at the gradient; keep both triangles."""
        if self.method == "nan":
            kernel, _ = GRADIENT.build(inner_engine(engine), problem, value=False)
            found = self._by_nan(engine, problem, occasion, kernel, problem.x_form.size)
        else:
            kernel, _ = HESSIAN.build(engine, problem, value=False)
            found = self._nonzero(engine, problem, occasion, kernel)
        return found.joined(found.transposed())

    def _points(self, engine: Engine, problem: Problem, occasion: Occasion) -> Iterator[Any]:
        x = np.array(engine.arrays.host(occasion.args[0]), dtype=None)
        rng = np.random.default_rng(self.seed)
        yield x
        for _ in range(self.samples - 1):
            moved = x * (1 + rng.uniform(-0.5, 0.5, x.shape)) + (x == 0) * rng.uniform(0, 0.1)
            yield moved.astype(x.dtype)

    def _nonzero(
        self, engine: Engine, problem: Problem, occasion: Occasion, kernel: Callable[..., Any]
    ) -> Pattern:
        arrays = engine.arrays
        run = arrays.compile(kernel, None if occasion.once else occasion.args)
        found: Pattern | None = None
        for point in self._points(engine, problem, occasion):
            matrix = run(arrays.constant(point, problem.x), *occasion.args[1:])
            here = Pattern.of(np.asarray(arrays.host(matrix)) != 0)
            found = here if found is None else found.joined(here)
        assert found is not None, "there is a sample"
        return found

    def _by_nan(
        self,
        engine: Engine,
        problem: Problem,
        occasion: Occasion,
        function: Callable[..., Any],
        rows: int,
    ) -> Pattern:
        arrays = engine.arrays
        run = arrays.compile(function, None if occasion.once else occasion.args)
        entries: list[tuple[Any, Any]] = []
        size = problem.x_form.size
        for point in self._points(engine, problem, occasion):
            for j in range(size):
                moved = point.copy()
                moved.reshape(-1)[j] = np.nan
                y = arrays.host(run(arrays.constant(moved, problem.x), *occasion.args[1:]))
                hit = np.flatnonzero(np.isnan(y))
                entries.append((hit, np.full(hit.size, j)))
        parts = zip(*entries, strict=True) if entries else ([np.empty(0, int)],) * 2
        indices = tuple(np.concatenate(list(one)) for one in parts)
        return Pattern.of(indices, (rows, size))


def check_concrete(problem: Problem, arrays: Arrays, occasion: Occasion) -> None:
    """Refuse values that a transformation traces: a pattern would be made of them."""
    leaves = arrays.trees.flatten(list(occasion.args))[0]
    if any(describe(leaf, arrays.kinds).traced for leaf in leaves):
        refuse_traced(problem.source.operator)
