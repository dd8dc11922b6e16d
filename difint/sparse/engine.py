"""An engine over an engine: its Jacobians and Hessians, by passes of colors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from difint.engine import Apply, Arrays, At, Compiled, Compression, Engine, Occasion
from difint.kinds import Leaf
from difint.operators.hvp import HVP
from difint.primitives import inner_engine
from difint.problem import Form, Problem
from difint.sparse import choosing
from difint.sparse.choosing import Choice
from difint.sparse.decompression import Program, program_of, substitute
from difint.sparse.detection import check_concrete
from difint.sparse.evaluation import Direction, Passes
from difint.sparse.holding import holding
from difint.sparse.matrices import Layout, layout_of
from difint.sparse.pattern import Pattern
from difint.sparse.sparsity import PlanSparsity

if TYPE_CHECKING:
    from difint.sparse.backend import AutoSparse


def engine(backend: AutoSparse) -> Engine:
    """Make the dense engine's record with sparse matrices in the place of dense ones."""
    dense = backend.dense.engine()
    first = inner_engine(dense)
    jacobian = partial(_jacobian, backend, first)
    hessian = partial(_hessian, backend, dense)
    inner = dense.inner
    if inner is not None:
        inner = replace(inner, compiled={**inner.compiled, "jacobian": jacobian})
    sparse: dict[str, Callable[..., Compiled]]
    sparse = {**dense.compiled, "jacobian": jacobian, "hessian": hessian}
    return replace(dense, compiled=sparse, inner=inner)


class _Matrix(NamedTuple):
    """A matrix to compute: what is known before any code is made."""

    operator: str
    pattern: Pattern
    choice: Choice
    layout: Layout
    program: Program
    like: Any


def _jacobian(
    backend: AutoSparse, dense: Engine, arrays: Arrays, problem: Problem, occasion: Occasion
) -> Compiled:
    """Prepare a sparse Jacobian."""
    check_concrete(problem, arrays, occasion)
    pattern = backend.sparsity_detector.jacobian(dense, problem, occasion)
    choice = choosing.for_jacobian(dense, pattern, backend.coloring_algorithm)
    choice = _told(backend, choice)
    matrix = _matrix(backend, "jacobian", pattern, choice, problem.y_form, problem.y)
    directions = partial(_first_order, dense, problem, choice)
    return _prepared(backend, dense, problem, occasion, matrix, directions)


def _hessian(
    backend: AutoSparse, dense: Engine, arrays: Arrays, problem: Problem, occasion: Occasion
) -> Compiled:
    """Prepare a sparse Hessian."""
    check_concrete(problem, arrays, occasion)
    pattern = backend.sparsity_detector.hessian(dense, problem, occasion)
    choice = _told(backend, choosing.for_hessian(pattern, backend.coloring_algorithm))
    matrix = _matrix(backend, "hessian", pattern, choice, problem.x_form, problem.x)
    directions = partial(_second_order, dense, problem, choice)
    return _prepared(backend, dense, problem, occasion, matrix, directions)


def _told(backend: AutoSparse, choice: Choice) -> Choice:
    """Say beside the colors that the pattern holds near the example alone."""
    if not backend.sparsity_detector.is_local:
        return choice
    return replace(choice, reason=f"{choice.reason}; pattern local to the example")


def _numpy_dtype(form: Form) -> Any:
    """Get the type of entries: SciPy's sparse arrays hold none shorter than 32 bits."""
    dtype = form.leaves[0].numpy_dtype
    plain = isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize >= 4
    return dtype if plain else np.dtype(np.float32)


def _matrix(
    backend: AutoSparse, operator: str, pattern: Pattern, choice: Choice, form: Form, like: Any
) -> _Matrix:
    """Lay a result out; its entries have the type of ``like``, a value of this form."""
    rows, columns = choice.colors
    format = backend.format or ("csr" if columns is None else "csc")
    triangle = backend.triangle if choice.symmetric else None
    layout = layout_of(pattern, format, triangle, _numpy_dtype(form))
    how = {"symmetric": choice.symmetric, "direct": choice.direct}
    program = program_of(pattern, layout.entries, columns, rows, **how)
    return _Matrix(operator, pattern, choice, layout, program, like)


def _first_order(dense: Engine, problem: Problem, choice: Choice, *, value: bool) -> Any:
    """List the passes of a Jacobian."""
    (rows, columns), counts, found = choice.colors, choice.counts, []
    n, m = problem.x_form.size, problem.y_form.size
    if columns is not None:
        assert dense.pushforward is not None, "the choice has found one"
        at = dense.pushforward(dense.arrays, problem, value=value)
        found.append(Direction(at, problem.x, columns, counts.columns, m, forward=True))
    if rows is not None:
        assert dense.pullback is not None, "the choice has found one"
        at = dense.pullback(dense.arrays, problem, value=value and not found)
        found.append(Direction(at, problem.y, rows, counts.rows, n, forward=False))
    return found


def _second_order(dense: Engine, problem: Problem, choice: Choice, *, value: bool) -> Any:
    """List the passes of a Hessian: products with groups of columns."""
    at, _ = HVP.build(dense, problem, value=value)
    staged = _with_value(dense.arrays, problem, at) if value else at
    size = problem.x_form.size
    counts = choice.counts.columns
    return [Direction(staged, problem.x, choice.colors.columns, counts, size, forward=True)]


def _with_value(arrays: Arrays, problem: Problem, at: At) -> At:
    """Add ``f(x)`` to what a staged product returns beside it."""

    def staged(x: Any, *contexts: Any) -> Apply:
        value = arrays.unravel(arrays.ravel(problem.call(x, *contexts)), problem.y)
        y, basic = arrays.copy(value), at(x, *contexts)

        def apply(t: Any) -> tuple[Any, Any]:
            gradient, product = basic(t)
            return (y, gradient), product

        return apply

    return staged


def _prepared(
    backend: AutoSparse,
    dense: Engine,
    problem: Problem,
    occasion: Occasion,
    matrix: _Matrix,
    directions: Callable[..., Any],
) -> Compiled:
    """Take what the engine compresses itself, or passes through its primitives."""
    build = dense.compressed.get(matrix.operator)
    made = None
    if build is not None:
        made = _compressed(backend, dense, problem, matrix, build, directions)
    if made is None:
        made = _by_passes(backend, dense, problem, occasion, matrix, directions)
    assert made.sparsity is not None, "it was made here"
    if occasion.once:
        return made
    if backend.verify:
        made.sparsity.verify(occasion.args, 1, 0)
    else:
        made.kernel(*occasion.args)  # what is compiled when it is first run is compiled now
    if dense.arrays.holds_integers and backend.sparsity_detector.traces:
        return holding(made, dense.arrays, problem, occasion)
    return made


def _sparsity(
    dense: Engine, matrix: _Matrix, problem: Problem, evaluate: Any, product: Any
) -> PlanSparsity:
    leaves = (*problem.x_form.leaves, *problem.y_form.leaves)
    eps = max(_eps(leaf.numpy_dtype) for leaf in leaves)
    second = matrix.operator == "hessian"
    power = dense.accuracy * inner_engine(dense).accuracy if second else dense.accuracy
    if second and dense.second_accuracy is not None:
        power = dense.second_accuracy
    # A sum of a few terms, each as accurate as a product of the engine's.
    accuracy = min(1e3 * eps**power, 0.05)
    passed = matrix.operator, matrix.pattern, matrix.choice, matrix.layout
    return PlanSparsity(*passed, evaluate, product, accuracy, exact=power == 1.0)


def _eps(dtype: Any) -> float:
    plain = isinstance(dtype, np.dtype) and dtype.kind == "f"
    return float(np.finfo(dtype).eps) if plain else 2.0**-8


def _by_passes(
    backend: AutoSparse,
    dense: Engine,
    problem: Problem,
    occasion: Occasion,
    matrix: _Matrix,
    directions: Callable[..., Any],
) -> Compiled:
    """Compute entries by passes through the engine's primitives."""

    def chunk(direction: Direction) -> int:
        entries = direction.colors.size + direction.size
        return _chunk(backend, dense, direction.count, entries)

    layout = matrix.layout
    how = (matrix.program, chunk, backend.memory is not None, layout.dtype, directions)
    plain, full = Passes(dense, problem, occasion, *how).evaluations()
    finished = _finishing(layout, dense.arrays, matrix.like)

    def kernel(*args: Any) -> Any:
        return finished(plain.fresh(args)[1])

    def full_kernel(*args: Any) -> Any:
        lower, data = full.fresh(args)
        return (*_parts(matrix, lower), finished(data))

    def into(args: tuple[Any, ...], data: Any, whole: bool) -> tuple[Any, ...]:
        if not whole:
            plain.into(args, data)
            return ()
        return _parts(matrix, full.into(args, data))

    evaluate = partial(_second, plain.fresh)
    sparsity = _sparsity(dense, matrix, problem, evaluate, plain.product)
    written = None if layout.template is None else into
    form = layout.form if written else _dense_form(dense.arrays, problem, matrix)
    made = Compiled(kernel, full_kernel, None, None, None, _route(matrix), form)
    return replace(made, into=written, sparsity=sparsity)


def _dense_form(arrays: Arrays, problem: Problem, matrix: _Matrix) -> Form:
    """Make the form of a dense result: of the kind of ``x``, like that of the dense engine."""
    x, y = problem.x_form.leaves[0], problem.y_form.leaves[0]
    dtype = (y if matrix.operator == "jacobian" else x).numpy_dtype
    return arrays.matrix(problem, Leaf(x.kind, matrix.pattern.shape, dtype, x.device))


def _second(function: Callable[..., tuple[Any, Any]], *args: Any) -> Any:
    return function(*args)[1]


def _finishing(layout: Layout, arrays: Arrays, like: Any) -> Callable[[Any], Any]:
    """Get what a result of entries is in the engine's values: of a dense matrix, that matrix."""
    if layout.template is not None:
        return lambda data: data
    pattern = layout.pattern
    shape, rows, columns = pattern.shape, pattern.indices, pattern.columns

    def dense(data: Any) -> Any:
        matrix = np.zeros(shape, data.dtype)
        matrix[rows, columns] = data
        return arrays.constant(matrix, like)

    return dense


def _parts(matrix: _Matrix, lower: Any) -> tuple[Any, ...]:
    return tuple(lower) if matrix.operator == "hessian" else (lower,)


def _route(matrix: _Matrix) -> str:
    rows, columns = matrix.choice.counts
    name = "hvp" if matrix.operator == "hessian" else "pushforward"
    parts = [f"{name} × {columns}"] if matrix.choice.colors.columns is not None else []
    parts += [f"pullback × {rows}"] if matrix.choice.colors.rows is not None else []
    return " + ".join(parts)


def _chunk(backend: AutoSparse, dense: Engine, count: int, entries: int) -> int:
    """Get how many passes may go through at once; each has so many entries in seed and result."""
    most = count
    if backend.chunk_size is not None:
        most = min(most, backend.chunk_size)
    elif dense.arrays.chunk is not None:
        most = min(most, dense.arrays.chunk)
    if backend.memory is not None:
        most = min(most, backend.memory // max(8 * entries, 1))
    return max(1, most)


def _compressed(
    backend: AutoSparse,
    dense: Engine,
    problem: Problem,
    matrix: _Matrix,
    build: Callable[..., Compiled | None],
    directions: Callable[..., Any],
) -> Compiled | None:
    """Let the engine compute entries itself."""
    (rows, columns), program, layout = matrix.choice.colors, matrix.program, matrix.layout
    if rows is not None or layout.template is None:
        return None
    chunk, lean, counts = None, backend.memory is not None, matrix.choice.counts.columns
    if backend.chunk_size or lean:
        chunk = _chunk(backend, dense, counts, sum(matrix.pattern.shape))
    job = Compression(columns, counts, program.passes, program.places, chunk, lean)
    made = build(dense.arrays, problem, job)
    if made is None:
        return None
    made = made if program.is_direct else _substituting(program, made)
    return _sparse_result(dense, matrix, problem, made, directions)


def _substituting(program: Program, made: Compiled) -> Compiled:
    """Let entries that compiled code has read be subtracted from each other."""
    finish = partial(substitute, program.subtracted, program.mirrored)
    read, bind, read_fresh, read_full = made.into, made.bind, made.kernel, made.full
    assert read is not None and bind is not None, "what fills entries has both"

    def into(args: tuple[Any, ...], data: Any, whole: bool) -> tuple[Any, ...]:
        lower = read(args, data, whole)
        finish(data)
        return lower

    def full(*args: Any) -> Any:
        *lower, data = read_full(*args)
        finish(data)
        return (*lower, data)

    def kernel(*args: Any) -> Any:
        data = read_fresh(*args)
        finish(data)
        return data

    def bound(args: tuple[Any, ...], data: Any, returned: Any = None) -> Callable[[], Any] | None:
        step = bind(args, data)
        if step is None:
            return None

        def finished() -> Any:
            step()
            finish(data)
            return data if returned is None else returned

        return finished

    without = replace(made, fill=None, export=None)
    return replace(without, kernel=kernel, full=full, into=into, bind=bound)


def _pushed(problem: Problem, directions: Callable[..., Any], args: tuple[Any, ...], t: Any) -> Any:
    """Multiply with a tangent by the primitive, or by products with the Hessian."""
    x, *contexts = args
    at = directions(value=False)[0].at
    return at(x, *contexts)(t.astype(problem.x.dtype).reshape(problem.x.shape))[1]


def _sparse_result(
    dense: Engine,
    matrix: _Matrix,
    problem: Problem,
    made: Compiled,
    directions: Callable[..., Any],
) -> Compiled:
    """Let compiled code that fills entries fill those of a matrix."""
    layout, fill, bind = matrix.layout, made.fill, made.bind
    assert bind is not None, "what fills entries binds their memory"
    product = made.product or partial(_pushed, problem, directions)

    def filled(*args: Any) -> bool:
        *given, out = args
        assert fill is not None, "it is used only where there is one"
        return bool(fill(*given, *layout.entries_of(out)))

    def bound(args: tuple[Any, ...], out: Any) -> Callable[[], Any] | None:
        if out is None:
            return None
        step: Callable[[], Any] | None = bind(args, *layout.entries_of(out), out)
        return step

    def evaluate(args: tuple[Any, ...]) -> Any:
        return made.kernel(*args)

    sparsity = _sparsity(dense, matrix, problem, evaluate, lambda args, t: (product(args, t), t))
    return replace(
        made,
        fill=None if fill is None else filled,
        bind=bound,
        form=layout.form,
        sparsity=sparsity,
    )
