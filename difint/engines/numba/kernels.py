"""Kernels: for each operator a sweep over chunks of seeds, as a function that Numba compiles.

A sweep is ``sweep(x, t, leaves, out, lower, first, last)`` on vectors, for the chunks from
``first`` to ``last``: ``t`` holds the tangents one after the other, ``leaves`` those of the
contexts, and ``lower`` a vector for each part of the result before the last. An empty vector is
not filled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numba import get_num_threads, njit, prange

from difint.engines.numba.access import dtype_of, primal, value
from difint.engines.numba.adoption import options
from difint.engines.numba.buffers import (
    lifted,
    on_stack,
    partial_at,
    seeded,
    store_partials,
    with_partial,
    zero_of,
)
from difint.engines.numba.dual import Dual
from difint.engines.numba.glue import as_row

_STACK = 8192
"""Bytes of a buffer up to which it lives on the stack: an allocation costs as much as Robertson."""


@final
@dataclass(frozen=True, slots=True)
class Shape:
    """What a sweep is compiled for.

    Attributes:
        dual: the type of the duals that ``f`` is called with.
        y_dual: the type of those that it fills; the same where it returns them.
        n: the number of entries of ``x``.
        m: the number of entries of ``y``.
        batch: the number of tangents; 1 where there is none, or one.
        chunk: how many seeds go through at once.
        in_place: ``f`` fills ``y``.
    """

    dual: Dual
    y_dual: Dual
    n: int
    m: int
    batch: int
    chunk: int
    in_place: bool


def _inlined(function: Callable[..., Any]) -> Any:
    """Compile as a part of the caller: its stack is the caller's."""
    return njit(inline="always")(function)


def _buffer(count: int, dual: Dual) -> Any:
    zero = zero_of(dual)
    if count == 0:
        return _inlined(lambda: on_stack(1, zero())[:0])
    if count * dual.width * dual.float.bitwidth // 8 <= _STACK:
        return _inlined(lambda: on_stack(count, zero()))
    return _inlined(lambda: np.empty(count, dtype_of(zero())))


def _evaluation(shape: Shape, call: Any) -> Any:
    """Build ``evaluate(x, y, leaves) -> row``."""
    zero = zero_of(shape.y_dual)
    if shape.in_place:

        def evaluate(x: Any, y: Any, leaves: Any) -> Any:
            call(y, x, leaves)
            return y
    else:

        def evaluate(x: Any, y: Any, leaves: Any) -> Any:
            return as_row(call(x, leaves), zero())

    return _inlined(evaluate)


@njit(inline="always")  # type: ignore[misc]
def _keep_values(row: Any, y: Any) -> None:
    for i in range(y.size):
        y[i] = primal(row[i])


def _storing(shape: Shape) -> Any:
    """Build ``store(dual, out, start, width)``: the first partials, into a vector."""
    whole, chunk = shape.n % shape.chunk == 0, shape.chunk

    def store(dual: Any, out: Any, start: Any, width: Any) -> None:
        if width == chunk:
            store_partials(dual, out, start)
        elif not whole:
            for k in range(width):
                out[start + k] = partial_at(dual, k)

    return _inlined(store)


def _fitting(shape: Shape) -> Callable[..., Any]:
    """Get the functions that all sweeps are made of."""
    return _buffer(shape.n, shape.dual), _buffer(shape.m * shape.in_place, shape.y_dual)


def columns(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Sweep a basis of ``x``: the Jacobian, row by row."""
    n, m, chunk, zero = shape.n, shape.m, shape.chunk, zero_of(shape.dual)
    (x_buffer, y_buffer), evaluate, store = _fitting(shape), _evaluation(shape, call), _storing(shape)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        duals, y, arguments = x_buffer(), y_buffer(), fresh(leaves)
        for i in range(n):
            duals[i] = lifted(x[i], zero())
        for c in range(first, last):
            start = c * chunk
            width = min(chunk, n - start)
            for k in range(width):
                duals[start + k] = seeded(duals[start + k], k)
            row = evaluate(duals, y, arguments)
            for k in range(width):
                duals[start + k] = lifted(x[start + k], zero())
            for i in range(m):
                store(row[i], out, i * n + start, width)
            if c == 0:
                _keep_values(row, lower[0])

    return sweep


def tangents(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Push tangents forward, a chunk of them at once."""
    n, m, chunk, batch, zero = shape.n, shape.m, shape.chunk, shape.batch, zero_of(shape.dual)
    (x_buffer, y_buffer), evaluate = _fitting(shape), _evaluation(shape, call)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        duals, y, arguments = x_buffer(), y_buffer(), fresh(leaves)
        for c in range(first, last):
            start = c * chunk
            width = min(chunk, batch - start)
            for i in range(n):
                dual = lifted(x[i], zero())
                for k in range(width):
                    dual = with_partial(dual, k, t[(start + k) * n + i])
                duals[i] = dual
            row = evaluate(duals, y, arguments)
            for i in range(m):
                for k in range(width):
                    out[(start + k) * m + i] = partial_at(row[i], k)
            if c == 0:
                _keep_values(row, lower[0])

    return sweep


def contractions(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Sweep a basis of ``x``, and contract each column of the Jacobian with the cotangents."""
    n, m, chunk, batch, zero = shape.n, shape.m, shape.chunk, shape.batch, zero_of(shape.dual)
    (x_buffer, y_buffer), evaluate = _fitting(shape), _evaluation(shape, call)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        duals, y, arguments = x_buffer(), y_buffer(), fresh(leaves)
        for i in range(n):
            duals[i] = lifted(x[i], zero())
        for c in range(first, last):
            start = c * chunk
            width = min(chunk, n - start)
            for k in range(width):
                duals[start + k] = seeded(duals[start + k], k)
            row = evaluate(duals, y, arguments)
            for k in range(width):
                duals[start + k] = lifted(x[start + k], zero())
            for b in range(batch):
                for k in range(width):
                    total = 0.0
                    for i in range(m):
                        total += t[b * m + i] * partial_at(row[i], k)
                    out[b * n + start + k] = total
            if c == 0:
                _keep_values(row, lower[0])

    return sweep


def second(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Push the unit tangent of a scalar through the derivative: value, slope and curvature."""
    m, zero, inner = shape.m, zero_of(shape.dual), zero_of(shape.dual.base)
    (x_buffer, y_buffer), evaluate = _fitting(shape), _evaluation(shape, call)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        duals, y, arguments = x_buffer(), y_buffer(), fresh(leaves)
        slope = seeded(lifted(x[0], inner()), 0)
        duals[0] = seeded(lifted(slope, zero()), 0)
        row = evaluate(duals, y, arguments)
        for i in range(m):
            out[i] = partial_at(partial_at(row[i], 0), 0)
        _keep_values(row, lower[0])
        for i in range(lower[1].size):
            lower[1][i] = partial_at(value(row[i]), 0)

    return sweep


def products(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Push each tangent through the gradient, a chunk of whose entries goes through at once."""
    n, chunk, batch = shape.n, shape.chunk, shape.batch
    zero, inner = zero_of(shape.dual), zero_of(shape.dual.base)
    (x_buffer, y_buffer), evaluate = _fitting(shape), _evaluation(shape, call)
    chunks = max(1, -(-n // chunk))

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        duals, y, arguments = x_buffer(), y_buffer(), fresh(leaves)
        for c in range(first, last):
            b, start = c // chunks, (c % chunks) * chunk
            width = min(chunk, n - start)
            for i in range(n):
                one = lifted(x[i], inner())
                if start <= i < start + width:
                    one = seeded(one, i - start)
                duals[i] = with_partial(lifted(one, zero()), 0, t[b * n + i])
            row = evaluate(duals, y, arguments)
            for k in range(width):
                out[b * n + start + k] = partial_at(partial_at(row[0], 0), k)
            if b == 0 and lower[0].size > 0:
                for k in range(width):
                    lower[0][start + k] = partial_at(value(row[0]), k)

    return sweep


def blocks(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Compute blocks of the Hessian, those above the diagonal, and mirror them."""
    n, chunk, zero, inner = shape.n, shape.chunk, zero_of(shape.dual), zero_of(shape.dual.base)
    (x_buffer, y_buffer), evaluate = _fitting(shape), _evaluation(shape, call)
    chunks = max(1, -(-n // chunk))

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        duals, y, arguments = x_buffer(), y_buffer(), fresh(leaves)
        for a in range(first, last):
            for b in range(a, chunks):
                above, left = a * chunk, b * chunk
                height, width = min(chunk, n - above), min(chunk, n - left)
                for i in range(n):
                    one = lifted(x[i], inner())
                    if left <= i < left + width:
                        one = seeded(one, i - left)
                    dual = lifted(one, zero())
                    if above <= i < above + height:
                        dual = seeded(dual, i - above)
                    duals[i] = dual
                row = evaluate(duals, y, arguments)
                for p in range(height):
                    entries = partial_at(row[0], p)
                    for q in range(width):
                        entry = partial_at(entries, q)
                        out[(above + p) * n + left + q] = entry
                        out[(left + q) * n + above + p] = entry
                if a == 0:
                    for q in range(lower[1].size and width):
                        lower[1][left + q] = partial_at(value(row[0]), q)
                    if b == 0:
                        _keep_values(row, lower[0])

    return sweep


def core(sweep: Callable[..., Any], chunks: int, *, parallel: bool, fastmath: Any) -> Any:
    """Compile ``core(x, t, leaves, out, lower)``: the whole sweep, in one thread or in several."""
    run = njit(**options({}, fastmath))(sweep)
    how = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
    if not parallel:

        def whole(x: Any, t: Any, leaves: Any, out: Any, lower: Any) -> None:
            run(x, t, leaves, out, lower, 0, chunks)

        return njit(**how)(whole)

    def shared(x: Any, t: Any, leaves: Any, out: Any, lower: Any) -> None:
        parts = min(get_num_threads(), chunks)
        for p in prange(parts):
            run(x, t, leaves, out, lower, p * chunks // parts, (p + 1) * chunks // parts)

    return njit(parallel=True, **how)(shared)


