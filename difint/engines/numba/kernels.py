"""Kernels: for each operator a sweep over chunks of seeds, as a function that Numba compiles.

A sweep is ``sweep(x, t, leaves, out, lower, first, last)`` on vectors, for the chunks from
``first`` to ``last``: ``t`` holds the tangents one after the other, ``leaves`` those of the
contexts, and ``lower`` a vector for each part of the result before the last. An empty vector is
not filled; the place of a number that is not wanted may be there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from numba import config, njit, prange

from difint.engines.numba.access import primal, value
from difint.engines.numba.buffers import (
    buffer_of,
    lifted,
    partial_at,
    seeded,
    store_partials,
    unit_at,
    with_partial,
    zero_of,
)
from difint.engines.numba.dual import Dual
from difint.engines.numba.pipeline import PART

_FEW = 32
"""Entries of ``x`` that are all seeded again for each chunk: LLVM then knows the seeds, unrolls
the loops, and keeps the duals in registers. With more of them only those that change are."""


ANOTHER_SIZE = "difint: f returns another number of entries than at prepare; prepare again"


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


def _buffers(shape: Shape) -> tuple[Any, Any]:
    """Make the buffers of ``x``, and of ``y`` where ``f`` fills it."""
    filled = shape.m if shape.in_place else 0
    return buffer_of(shape.n, shape.dual), buffer_of(filled, shape.y_dual)


def columns(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Sweep a basis of ``x``: the Jacobian, row by row."""
    n, m, chunk, zero, few = (
        shape.n,
        shape.m,
        shape.chunk,
        zero_of(shape.dual),
        shape.n <= _FEW,
    )
    x_buffer, y_buffer = _buffers(shape)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        duals, y, arguments = x_buffer(), y_buffer(), fresh(leaves)
        for c in range(first, last):
            start, whole = c * chunk, few or c == first
            width = min(chunk, n - start)
            for i in range(0 if whole else start - chunk, n if whole else start + width):
                duals[i] = unit_at(lifted(x[i], zero()), i - start)
            row = call(duals, y, arguments)
            if len(row) != m:
                raise ValueError(ANOTHER_SIZE)
            for i in range(m):
                store_partials(row[i], out, i * n + start, width)
            if c == 0 and lower[0].size > 0:
                for i in range(m):
                    lower[0][i] = primal(row[i])

    return sweep


def tangents(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Push tangents forward, a chunk of them at once."""
    n, m, chunk, batch, zero = (
        shape.n,
        shape.m,
        shape.chunk,
        shape.batch,
        zero_of(shape.dual),
    )
    x_buffer, y_buffer = _buffers(shape)

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
            row = call(duals, y, arguments)
            if len(row) != m:
                raise ValueError(ANOTHER_SIZE)
            for i in range(m):
                for k in range(width):
                    out[(start + k) * m + i] = partial_at(row[i], k)
            if c == 0 and lower[0].size > 0:
                for i in range(m):
                    lower[0][i] = primal(row[i])

    return sweep


def contractions(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Sweep a basis of ``x``, and contract each column of the Jacobian with the cotangents."""
    n, m, chunk, zero, few = (
        shape.n,
        shape.m,
        shape.chunk,
        zero_of(shape.dual),
        shape.n <= _FEW,
    )
    batch, (x_buffer, y_buffer) = shape.batch, _buffers(shape)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        duals, y, arguments = x_buffer(), y_buffer(), fresh(leaves)
        for c in range(first, last):
            start, whole = c * chunk, few or c == first
            width = min(chunk, n - start)
            for i in range(0 if whole else start - chunk, n if whole else start + width):
                duals[i] = unit_at(lifted(x[i], zero()), i - start)
            row = call(duals, y, arguments)
            if len(row) != m:
                raise ValueError(ANOTHER_SIZE)
            for b in range(batch):
                for k in range(width):
                    total = 0.0
                    for i in range(m):
                        total += t[b * m + i] * partial_at(row[i], k)
                    out[b * n + start + k] = total
            if c == 0 and lower[0].size > 0:
                for i in range(m):
                    lower[0][i] = primal(row[i])

    return sweep


def second(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Push the unit tangent of a scalar through the derivative: value, slope and curvature."""
    m, zero, inner = shape.m, zero_of(shape.dual), zero_of(shape.dual.base)
    x_buffer, y_buffer = _buffers(shape)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        duals, y, arguments = x_buffer(), y_buffer(), fresh(leaves)
        slope = seeded(lifted(x[0], inner()), 0)
        duals[0] = seeded(lifted(slope, zero()), 0)
        row = call(duals, y, arguments)
        if len(row) != m:
            raise ValueError(ANOTHER_SIZE)
        for i in range(m):
            out[i] = partial_at(partial_at(row[i], 0), 0)
        if lower[0].size > 0:
            for i in range(m):
                lower[0][i] = primal(row[i])
                lower[1][i] = partial_at(value(row[i]), 0)

    return sweep


def products(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Push each tangent through the gradient, a chunk of whose entries goes through at once."""
    n, chunk = shape.n, shape.chunk
    zero, inner = zero_of(shape.dual), zero_of(shape.dual.base)
    x_buffer, y_buffer = _buffers(shape)
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
            row = call(duals, y, arguments)
            if len(row) != 1:
                raise ValueError(ANOTHER_SIZE)
            for k in range(width):
                out[b * n + start + k] = partial_at(partial_at(row[0], 0), k)
            if b == 0 and lower[0].size > 0:
                for k in range(width):
                    lower[0][start + k] = partial_at(value(row[0]), k)

    return sweep


def blocks(shape: Shape, call: Any, fresh: Any) -> Callable[..., Any]:
    """Compute blocks of the Hessian, those above the diagonal, and mirror them."""
    n, chunk, zero, inner = (
        shape.n,
        shape.chunk,
        zero_of(shape.dual),
        zero_of(shape.dual.base),
    )
    x_buffer, y_buffer = _buffers(shape)
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
                row = call(duals, y, arguments)
                if len(row) != 1:
                    raise ValueError(ANOTHER_SIZE)
                for p in range(height):
                    entries = partial_at(row[0], p)
                    for q in range(width):
                        entry = partial_at(entries, q)
                        out[(above + p) * n + left + q] = entry
                        out[(left + q) * n + above + p] = entry
                if a == 0 and lower[0].size > 0:
                    lower[0][0] = primal(row[0])
                if a == 0 and lower[1].size > 0:
                    for q in range(width):
                        lower[1][left + q] = partial_at(value(row[0]), q)

    return sweep


def core(sweep: Callable[..., Any], chunks: int, *, parallel: bool, fastmath: Any) -> Any:
    """Compile a function of ``(x, t, leaves, out, lower, 0, chunks)``: in one thread or several."""
    run = njit(**PART, fastmath=fastmath)(sweep)
    if not parallel or chunks == 1:
        return run

    # Not get_num_threads(), whose address is one of this process: code with it cannot be kept.
    parts = min(config.NUMBA_NUM_THREADS, chunks)

    def shared(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        for p in prange(parts):
            run(x, t, leaves, out, lower, p * last // parts, (p + 1) * last // parts)

    how = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
    return njit(parallel=True, **how)(shared)
