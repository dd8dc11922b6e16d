"""Compressed evaluation: the entries of a sparse Jacobian from duals with a partial a color.

Seeds are laid down once; a call writes the values of ``x`` between them, runs ``f``, and gathers
entries from the partials of what it returns, through indices that were computed at prepare.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import config, njit, prange
from numba.core import types
from numba.np.numpy_support import as_dtype, from_dtype

from difint.engine import Arrays, Compiled, Compression
from difint.engines.numba.access import primal
from difint.engines.numba.buffers import as_floats, set_value, vector_at, zero_of
from difint.engines.numba.chunks import lanes
from difint.engines.numba.compiling import callable_of, function_of, in_turns
from difint.engines.numba.dual import Dual
from difint.engines.numba.entries import Door, Place, input_place, result_place
from difint.engines.numba.glue import as_vector, freshener
from difint.engines.numba.kernels import ANOTHER_SIZE, Shape
from difint.engines.numba.lowering import DualFunction
from difint.engines.numba.memory import binder
from difint.engines.numba.pipeline import PART
from difint.engines.numba.workspace import ENTRIES, FLAT, STARTS, State, slot, within_workspace
from difint.problem import Problem

_STATE = Place("state", types.intp, None)

_MOST = 16
"""Partials of a dual at most, where nobody says how many: with more, they leave the registers."""


def jacobian(arrays: Arrays, problem: Problem, job: Compression) -> Compiled | None:
    """Compile the entries of a Jacobian."""
    function = function_of(problem)
    shape = _shape(problem, function, job)
    chunks = -(-max(job.count, 1) // shape.chunk)
    size = int(job.passes.size)
    key = "compressed", shape, chunks, size, problem.y.dtype
    if key not in function.kernels:
        function.kernels[key] = _compiled(problem, function, shape, chunks, size)
    door, entry, at = function.kernels[key]
    state = _state(shape, chunks, job.colors, job.passes, job.rows, function)
    product = partial(_product, shape, chunks, function, door, at)
    route = f"duals × {chunks}"
    return callable_of(
        door, (entry, at), function, None, route, state, product, exported="jacobian"
    )


def _shape(problem: Problem, function: DualFunction, job: Compression) -> Shape:
    ty, count = from_dtype(problem.x.dtype), max(job.count, 1)
    chosen = function.backend.chunk_size
    most = job.chunk or (chosen if isinstance(chosen, int) else _usual(ty))
    chunk = -(-count // -(-count // min(most, count)))
    dual = Dual(ty, chunk)
    y_dual = dual.with_float(from_dtype(problem.y.dtype)) if function.in_place else dual
    sizes = problem.x.size, problem.y.size
    return Shape(dual, y_dual, *sizes, 1, chunk, function.in_place)


def _usual(ty: Any) -> int:
    return max(_MOST * 64 // ty.bitwidth, lanes(ty.bitwidth))


def _compiled(
    problem: Problem, function: DualFunction, shape: Shape, chunks: int, size: int
) -> tuple[Door, Any, Any]:
    backend = function.backend
    fresh = freshener(function.contexts, zero_of(shape.dual))
    parallel = backend.parallel and chunks > 1
    sweep = _sweep(shape, function.call, fresh, chunks, parallel=parallel)
    core = _core(sweep, chunks, parallel=parallel, fastmath=backend.fastmath)
    key = function.digest.shared("compressed", shape, chunks, size, problem.y.dtype, parallel)
    x, y = problem.x, problem.y
    inputs = (input_place("x", np.empty(x.shape, x.dtype)),)
    out, lower = result_place("out", (size,), y.dtype), result_place("lower0", y.shape, y.dtype)
    door = Door(core, chunks, inputs, function.leaves, out, (lower,), key, (_STATE,))
    return door, in_turns(door, function, door.for_python()), in_turns(
        door, function, door.for_memory()
    )


def _sweep(shape: Shape, call: Any, fresh: Any, chunks: int, *, parallel: bool) -> Any:
    """Make ``sweep(x, state, leaves, out, lower, first, last, work)``."""
    n, m, filled = shape.n, shape.m, shape.m if shape.in_place else 0
    x_size, y_size = _bytes(shape)
    behind = chunks * x_size
    y_step = y_size if parallel else 0
    duals_at, y_at = vector_at(shape.dual), vector_at(shape.y_dual)
    indices_at, starts_at = vector_at(types.uint32), vector_at(types.int64)

    def sweep(
        x: Any, state: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any, work: Any
    ) -> None:
        arguments, starts = fresh(leaves), starts_at(slot(state, STARTS), chunks + 1)
        flat = indices_at(slot(state, FLAT), starts[chunks])
        entries = indices_at(slot(state, ENTRIES), starts[chunks])
        for c in range(first, last):
            duals = duals_at(work + c * x_size, n)
            y = y_at(work + behind + c * y_step, filled)
            for i in range(n):
                set_value(duals, i, x[i])
            row = as_vector(call(duals, y, arguments), duals)
            if len(row) != m:
                raise ValueError(ANOTHER_SIZE)
            floats = as_floats(row)
            if chunks == 1:
                for k in range(starts[1]):
                    out[k] = floats[flat[k]]
            else:
                for k in range(starts[c], starts[c + 1]):
                    out[entries[k]] = floats[flat[k]]
            if c == 0 and lower[0].size > 0:
                for i in range(m):
                    lower[0][i] = primal(row[i])

    return sweep


def _bytes(shape: Shape) -> tuple[int, int]:
    """Get the bytes of the duals of ``x`` in a chunk, and of those of ``y`` that are filled."""
    x = shape.n * shape.dual.width * shape.dual.float.bitwidth // 8
    y = shape.m * shape.y_dual.width * shape.y_dual.float.bitwidth // 8
    return x, y if shape.in_place else 0


def _core(sweep: Callable[..., Any], chunks: int, *, parallel: bool, fastmath: Any) -> Any:
    """Compile ``core(x, state, leaves, out, lower, 0, chunks)``, in one thread or several."""
    run = njit(**PART, fastmath=fastmath)(sweep)
    if parallel:
        parts, one = min(config.NUMBA_NUM_THREADS, chunks), run

        def shared(
            x: Any, state: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any, work: Any
        ) -> None:
            for p in prange(parts):
                one(x, state, leaves, out, lower, p * last // parts, (p + 1) * last // parts, work)

        how = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
        run = njit(parallel=True, **how)(shared)
    guarded = within_workspace(run)

    def core(
        x: Any, state: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any
    ) -> None:
        guarded(x, state, leaves, out, lower, first, last)

    return njit(**PART)(core)


def _state(
    shape: Shape, chunks: int, colors: Any, passes: Any, rows: Any, function: DualFunction
) -> State:
    """Lay down seeds, and the places of entries, chunk after chunk."""
    weights = np.ones(shape.n)
    chunk_of, within = np.divmod(passes, shape.chunk)
    order = np.argsort(chunk_of, kind="stable")
    starts = np.searchsorted(chunk_of[order], np.arange(chunks + 1)).astype(np.int64)
    flat = rows.astype(np.int64) * (shape.chunk + 1) + 1 + within
    seeds = _seeds(shape, chunks, colors, weights)
    places = (flat[order].astype(np.uint32), order.astype(np.uint32), starts)
    return State(*places, seeds, _rest(shape, chunks, function))


def _rest(shape: Shape, chunks: int, function: DualFunction) -> int:
    return _bytes(shape)[1] * (chunks if function.backend.parallel else 1)


def _seeds(shape: Shape, chunks: int, colors: Any, weights: Any) -> Any:
    seeds = np.zeros((chunks, shape.n, shape.chunk + 1), as_dtype(shape.dual.float))
    columns = np.flatnonzero(colors >= 0)
    chunk, within = np.divmod(colors[columns], shape.chunk)
    seeds[chunk, columns, 1 + within] = weights[columns]
    return seeds


def _product(
    shape: Shape,
    chunks: int,
    function: DualFunction,
    door: Door,
    at: Any,
    args: tuple[Any, ...],
    t: Any,
) -> Any:
    """Multiply with any tangent through the same code: it is the seed of the first partial."""
    one_color = np.zeros(shape.n, np.int32)
    flat = np.arange(shape.m, dtype=np.uint32) * np.uint32(shape.chunk + 1) + np.uint32(1)
    starts = np.full(chunks + 1, shape.m, np.int64)
    starts[0] = 0
    seeds = _seeds(shape, chunks, one_color, t)
    entries = np.arange(shape.m, dtype=np.uint32)
    state = State(flat, entries, starts, seeds, _rest(shape, chunks, function))
    out = np.zeros(shape.m, as_dtype(door.out.ty.dtype))
    inputs = [np.ascontiguousarray(args[0], as_dtype(door.inputs[0].ty.dtype))]
    step = binder(door, at, (state.address,), state)((*inputs, *args[1:]), out)
    assert step is not None, "the arguments were laid out for it"
    return step()
