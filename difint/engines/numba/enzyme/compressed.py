"""Compressed evaluation: the entries of a sparse Jacobian or Hessian, a color a tangent.

Seeds are laid down once, for all calls and threads: Enzyme only reads them. A call pushes as many
colors at once as fit, and gathers entries through indices that were computed at prepare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, final

import numpy as np
from numba import njit
from numba.core import types
from numba.np.numpy_support import as_dtype, from_dtype

from difint.engine import Arrays, Compiled, Compression
from difint.engines.numba.buffers import scratch_of
from difint.engines.numba.compiling import callable_of
from difint.engines.numba.entries import Door, Place, input_place, lower_place, result_place
from difint.engines.numba.enzyme.compiling import (
    derivative_of,
    function_of,
    opened,
    raising,
    wide,
)
from difint.engines.numba.enzyme.derivatives import caller
from difint.engines.numba.enzyme.lowering import EnzymeFunction
from difint.engines.numba.memory import binder
from difint.engines.numba.memory_views import vector_at
from difint.engines.numba.pipeline import PART
from difint.engines.numba.workspace import COLORS, ENTRIES, FLAT, SEEDS, STARTS, State, slot
from difint.problem import Problem

_STATE = Place("state", types.intp, None)

_MOST = 32
"""Colors that go through at once, where nobody says how many."""


@final
@dataclass(frozen=True, slots=True)
class _Plan:
    """What the sweep is compiled for.

    Attributes:
        operator: ``"jacobian"`` or ``"hessian"``.
        n: the number of entries of ``x``.
        rows: the number of entries of a product.
        x: the dtype of ``x``.
        y: the dtype of ``y``.
        width: how many colors go through at once.
        chunks: how often that takes.
        lean: seeds are laid down in each call, for one chunk at a time.
    """

    operator: Literal["jacobian", "hessian"]
    n: int
    rows: int
    x: Any
    y: Any
    width: int
    chunks: int
    lean: bool


def entries(
    operator: Literal["jacobian", "hessian"], arrays: Arrays, problem: Problem, job: Compression
) -> Compiled:
    """Compile the entries of a matrix."""
    function = function_of(problem)
    count = max(job.count, 1)
    most = job.chunk or function.backend.width or wide(count, _MOST, function)
    chunks = -(-count // min(most, count))
    width = -(-count // chunks)
    rows = problem.y.size if operator == "jacobian" else problem.x.size
    dtypes = from_dtype(problem.x.dtype), from_dtype(problem.y.dtype)
    plan = _Plan(operator, problem.x.size, rows, *dtypes, width, chunks, job.lean and chunks > 1)
    size = int(job.passes.size)
    key = "compressed", plan, size
    if key not in function.kernels:
        function.kernels[key] = _compiled(problem, function, plan, size)
    door, calls = function.kernels[key]
    state = _state(plan, job)
    product = None if plan.lean else partial(_product, plan, door, calls[1])
    how = "forward" if operator == "jacobian" else "forward over reverse"
    route = f"Enzyme {how} × {chunks}"
    return callable_of(door, calls, function, None, route, state, product, exported=operator)


def _compiled(problem: Problem, function: EnzymeFunction, plan: _Plan, size: int) -> Any:
    kind: Literal["push", "bend"] = "push" if plan.operator == "jacobian" else "bend"
    calls = [caller(derivative_of(function, kind, plan.width))]
    calls += [caller(derivative_of(function, "value", 1))] if kind == "bend" else []
    make: Callable[..., Any] = _jacobian if plan.operator == "jacobian" else _hessian
    products = njit(**PART)(make(plan, *calls, raising(function)))
    core = njit(**PART)(_sweep(plan, products))
    x, y = problem.x, problem.y
    inputs = (input_place("x", np.empty(x.shape, x.dtype)),)
    lower = [lower_place("lower0", y.shape, y.dtype)]
    lower += [] if plan.operator == "jacobian" else [lower_place("lower1", x.shape, x.dtype)]
    shown = (y.shape, x.shape)[: len(lower)]
    out = result_place("out", (size,), y.dtype if plan.operator == "jacobian" else x.dtype)
    told = ("enzyme compressed", plan, size, y.shape, y.dtype)
    key = function.digest.shared(*told)
    sizes = core, plan.chunks, inputs, function.leaves, out, tuple(lower)
    door = Door(*sizes, key, (_STATE,), shown)
    return door, opened(problem, function, door, None)


def _jacobian(plan: _Plan, push: Any, again: Any) -> Callable[..., Any]:
    """Make ``products(x, seeds, leaves, made, lower)``."""
    y_of = scratch_of(plan.rows, plan.y)

    def products(x: Any, seeds: Any, leaves: Any, made: Any, lower: Any) -> None:
        y = y_of()
        if push((x, seeds, y, made), leaves) != 0:
            again(x, leaves)
        if lower[0].size > 0:
            lower[0][:] = y

    return products


def _hessian(plan: _Plan, bend: Any, value: Any, again: Any) -> Callable[..., Any]:
    """Make the same for products with a Hessian."""
    y_of, g_of = scratch_of(1, plan.y), scratch_of(plan.n, plan.x)

    def products(x: Any, seeds: Any, leaves: Any, made: Any, lower: Any) -> None:
        y, g = y_of(), g_of()
        g[:] = 0
        if bend((x, seeds, g, made, y), leaves) != 0:
            again(x, leaves)
        if lower[0].size > 0 and value((x, lower[0]), leaves) != 0:
            again(x, leaves)
        if lower[1].size > 0:
            lower[1][:] = g

    return products


def _sweep(plan: _Plan, products: Any) -> Callable[..., Any]:
    """Make ``sweep(x, state, leaves, out, lower, first, last)``."""
    n, rows, width, chunks, lean = plan.n, plan.rows, plan.width, plan.chunks, plan.lean
    made_of = scratch_of(width * rows, plan.y if plan.operator == "jacobian" else plan.x)
    seeds_at, block = vector_at(plan.x), n * width * plan.x.bitwidth // 8
    indices_at, starts_at = vector_at(types.uint32), vector_at(types.int64)
    colors_at, own_of = vector_at(types.int32), scratch_of(n * width if lean else 0, plan.x)

    def sweep(x: Any, state: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        starts = starts_at(slot(state, STARTS), chunks + 1)
        flat = indices_at(slot(state, FLAT), starts[chunks])
        places = indices_at(slot(state, ENTRIES), starts[chunks])
        made, seeds = made_of(), own_of()
        for c in range(first, last):
            if lean:
                colors = colors_at(slot(state, COLORS), n)
                seeds[:] = 0
                for j in range(n):
                    k = colors[j] - c * width
                    if 0 <= k < width:
                        seeds[k * n + j] = 1
            else:
                seeds = seeds_at(slot(state, SEEDS) + c * block, n * width)
            made[:] = 0
            products(x, seeds, leaves, made, lower)
            for e in range(starts[c], starts[c + 1]):
                out[places[e]] = made[flat[e]]

    return sweep


def _state(plan: _Plan, job: Compression) -> State:
    """Lay down seeds, and the places of entries, chunk after chunk."""
    chunk_of, within = np.divmod(job.passes, plan.width)
    order = np.argsort(chunk_of, kind="stable")
    starts = np.searchsorted(chunk_of[order], np.arange(plan.chunks + 1)).astype(np.int64)
    flat = within * plan.rows + job.rows.astype(np.int64)
    places = flat[order].astype(np.uint32), order.astype(np.uint32), starts
    seeds = _seeds(plan, job.colors, np.ones(plan.n))
    return State(*places, np.array(job.colors, np.int32), seeds, 0)


def _seeds(plan: _Plan, colors: Any, weights: Any) -> Any:
    held = 0 if plan.lean else plan.chunks
    seeds = np.zeros((held * plan.width, plan.n), as_dtype(plan.x))
    columns = np.flatnonzero((colors >= 0) & (colors < held * plan.width))
    seeds[colors[columns], columns] = weights[columns]
    return seeds


def _product(plan: _Plan, door: Door, at: Any, args: tuple[Any, ...], t: Any) -> Any:
    """Multiply with any tangent through the same code: it is the first seed."""
    starts = np.full(plan.chunks + 1, plan.rows, np.int64)
    starts[0] = 0
    all_rows, one_color = np.arange(plan.rows, dtype=np.uint32), np.zeros(plan.n, np.int32)
    seeds = _seeds(plan, one_color, np.ravel(t))
    state = State(all_rows, all_rows, starts, one_color, seeds, 0)
    # The code was compiled for a vector of entries, which may be shorter than a product.
    out = np.zeros(max(plan.rows, door.out.shape[0]), as_dtype(door.out.ty.dtype))
    inputs = [np.ascontiguousarray(args[0], as_dtype(door.inputs[0].ty.dtype))]
    step = binder(door, at, (state.address,), state)((*inputs, *args[1:]), out)
    assert step is not None, "the arguments were laid out for it"
    return step()[: plan.rows]
