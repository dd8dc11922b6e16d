"""Compressed evaluation: the entries of a sparse Jacobian from duals with a partial a color.

Seeds are laid down once; a call writes the values of ``x`` between them, runs ``f``, and gathers
entries from the partials of what it returns, through indices that were computed at prepare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
from numba import config, njit, prange
from numba.core import types
from numba.np.numpy_support import as_dtype, from_dtype

from difint.engine import Arrays, Compiled, Compression
from difint.engines.numba.access import primal
from difint.engines.numba.buffers import lifted, unit_at, zero_of
from difint.engines.numba.chunks import lanes
from difint.engines.numba.compiling import callable_of, function_of, in_turns
from difint.engines.numba.dual import Dual
from difint.engines.numba.entries import Door, Place, input_place, result_place
from difint.engines.numba.glue import as_vector, freshener
from difint.engines.numba.kernels import ANOTHER_SIZE, Shape
from difint.engines.numba.lowering import DualFunction
from difint.engines.numba.memory import binder
from difint.engines.numba.memory_views import as_floats, set_value, vector_at
from difint.engines.numba.pipeline import PART
from difint.engines.numba.workspace import (
    COLORS,
    ENTRIES,
    FLAT,
    STARTS,
    State,
    slot,
    within_workspace,
)
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
    plan = _Plan(shape, chunks, function.backend.parallel and chunks > 1, job.lean and chunks > 1)
    key = "compressed", plan, size, problem.y.dtype
    if key not in function.kernels:
        function.kernels[key] = _compiled(problem, function, plan, size)
    door, entry, at = function.kernels[key]
    state = _state(plan, job)
    # Seeds that a call lays down itself are ones.
    product = None if plan.held < chunks else partial(_product, plan, door, at)
    route = f"duals × {chunks}"
    return callable_of(
        door, (entry, at), function, None, route, state, product, exported="jacobian"
    )


@final
@dataclass(frozen=True, slots=True)
class _Plan:
    """What the sweep is compiled for.

    Attributes:
        shape: sizes and types.
        chunks: how many chunks of colors there are.
        parallel: they go through in several threads.
        lean: they take turns in the memory of one.
    """

    shape: Shape
    chunks: int
    parallel: bool
    lean: bool

    @property
    def x_bytes(self) -> int:
        """The bytes of the duals of ``x`` in a chunk."""
        dual = self.shape.dual
        return self.shape.n * dual.width * int(dual.float.bitwidth) // 8

    @property
    def y_bytes(self) -> int:
        """The bytes of the duals of ``y`` in a chunk, where ``f`` fills them."""
        dual = self.shape.y_dual
        return self.shape.m * dual.width * int(dual.float.bitwidth) // 8 * self.shape.in_place

    @property
    def held(self) -> int:
        """How many chunks have duals of ``x`` of their own."""
        return 1 if self.lean and not self.parallel else self.chunks

    @property
    def rest(self) -> int:
        """The bytes of a workspace besides the duals of ``x``."""
        return self.y_bytes * (self.chunks if self.parallel else 1)


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
    problem: Problem, function: DualFunction, plan: _Plan, size: int
) -> tuple[Door, Any, Any]:
    fresh = freshener(function.contexts, zero_of(plan.shape.dual))
    sweep = _sweep(plan, function.call, fresh)
    core = _core(sweep, plan, fastmath=function.backend.fastmath)
    key = function.digest.shared("compressed", plan, size, problem.y.dtype)
    x, y = problem.x, problem.y
    inputs = (input_place("x", np.empty(x.shape, x.dtype)),)
    out, lower = result_place("out", (size,), y.dtype), result_place("lower0", y.shape, y.dtype)
    door = Door(core, plan.chunks, inputs, function.leaves, out, (lower,), key, (_STATE,))
    return (
        door,
        in_turns(door, function, door.for_python()),
        in_turns(door, function, door.for_memory()),
    )


def _sweep(plan: _Plan, call: Any, fresh: Any) -> Any:
    """Make ``sweep(x, state, leaves, out, lower, first, last, work)``."""
    shape, chunks = plan.shape, plan.chunks
    n, m, filled = shape.n, shape.m, shape.m if shape.in_place else 0
    lean, chunk, zero = plan.held < chunks, shape.chunk, zero_of(shape.dual)
    x_step = 0 if lean else plan.x_bytes
    y_step = plan.y_bytes if plan.parallel else 0
    behind = plan.held * plan.x_bytes
    duals_at, y_at = vector_at(shape.dual), vector_at(shape.y_dual)
    indices_at, starts_at = vector_at(types.uint32), vector_at(types.int64)
    colors_at = vector_at(types.int32)

    def sweep(
        x: Any, state: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any, work: Any
    ) -> None:
        arguments, starts = fresh(leaves), starts_at(slot(state, STARTS), chunks + 1)
        flat = indices_at(slot(state, FLAT), starts[chunks])
        entries = indices_at(slot(state, ENTRIES), starts[chunks])
        colors = colors_at(slot(state, COLORS), n)
        for c in range(first, last):
            duals = duals_at(work + c * x_step, n)
            y = y_at(work + behind + c * y_step, filled)
            if lean:
                for i in range(n):
                    duals[i] = unit_at(lifted(x[i], zero()), colors[i] - c * chunk)
            else:
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


def _core(sweep: Callable[..., Any], plan: _Plan, *, fastmath: Any) -> Any:
    """Compile ``core(x, state, leaves, out, lower, 0, chunks)``, in one thread or several."""
    run = njit(**PART, fastmath=fastmath)(sweep)
    if plan.parallel:
        parts, one = min(config.NUMBA_NUM_THREADS, plan.chunks), run

        def shared(
            x: Any, state: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any, work: Any
        ) -> None:
            for p in prange(parts):
                one(x, state, leaves, out, lower, p * last // parts, (p + 1) * last // parts, work)

        how = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
        run = njit(parallel=True, **how)(shared)
    guarded = within_workspace(run)

    def core(x: Any, state: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        guarded(x, state, leaves, out, lower, first, last)

    return njit(**PART)(core)


def _state(plan: _Plan, job: Compression) -> State:
    """Lay down seeds, and the places of entries, chunk after chunk."""
    chunk = plan.shape.chunk
    chunk_of, within = np.divmod(job.passes, chunk)
    order = np.argsort(chunk_of, kind="stable")
    starts = np.searchsorted(chunk_of[order], np.arange(plan.chunks + 1)).astype(np.int64)
    flat = job.rows.astype(np.int64) * (chunk + 1) + 1 + within
    seeds = _seeds(plan, job.colors, np.ones(plan.shape.n))
    colors = np.array(job.colors, np.int32)
    places = (flat[order].astype(np.uint32), order.astype(np.uint32), starts, colors)
    return State(*places, seeds, plan.rest)


def _seeds(plan: _Plan, colors: Any, weights: Any) -> Any:
    shape = plan.shape
    seeds = np.zeros((plan.held, shape.n, shape.chunk + 1), as_dtype(shape.dual.float))
    columns = np.flatnonzero((colors >= 0) & (colors < plan.held * shape.chunk))
    chunk, within = np.divmod(colors[columns], shape.chunk)
    seeds[chunk, columns, 1 + within] = weights[columns]
    return seeds


def _product(plan: _Plan, door: Door, at: Any, args: tuple[Any, ...], t: Any) -> Any:
    """Multiply with any tangent through the same code: it is the seed of the first partial."""
    shape = plan.shape
    flat = np.arange(shape.m, dtype=np.uint32) * np.uint32(shape.chunk + 1) + np.uint32(1)
    starts = np.full(plan.chunks + 1, shape.m, np.int64)
    starts[0] = 0
    one_color = np.zeros(shape.n, np.int32)
    places = (flat, np.arange(shape.m, dtype=np.uint32), starts, one_color)
    state = State(*places, _seeds(plan, one_color, t), plan.rest)
    out = np.zeros(shape.m, as_dtype(door.out.ty.dtype))
    inputs = [np.ascontiguousarray(args[0], as_dtype(door.inputs[0].ty.dtype))]
    step = binder(door, at, (state.address,), state)((*inputs, *args[1:]), out)
    assert step is not None, "the arguments were laid out for it"
    return step()
