"""Sweeps: for each operator a function that Numba compiles, which calls Enzyme's derivatives.

A sweep is ``sweep(x, t, leaves, out, lower, first, last)`` on vectors, as those of duals are, for
the chunks from ``first`` to ``last``. The last chunk begins where it is as long as the others, so
that it computes some rows again: it needs no code of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from difint.engines.numba.buffers import scratch_of

NO_STATUS = "difint: Enzyme's code says that f raised, but f does not; prepare again"


@final
@dataclass(frozen=True, slots=True)
class Sizes:
    """What a sweep is compiled for.

    Attributes:
        n: the number of entries of ``x``.
        m: the number of entries of ``y``.
        x: the dtype of ``x``.
        y: the dtype of ``y``.
        batch: the number of tangents; 1 where there is none, or one.
        width: how many tangents go through at once.
        chunks: how often that takes.
    """

    n: int
    m: int
    x: Any
    y: Any
    batch: int
    width: int
    chunks: int


def nothing(sizes: Sizes, value: Any, again: Any) -> Callable[..., Any]:
    """Fill results where ``x`` or ``y`` is empty: zeros, and the value of ``f``."""
    m = sizes.m

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        out[:] = 0
        wanted = lower[0].size > 0 and lower[0].size == m
        if wanted and value((x, lower[0]), leaves) != 0:
            again(x, leaves)

    return sweep


def columns(sizes: Sizes, push: Any, again: Any) -> Callable[..., Any]:
    """Push a basis of ``x`` forward: the Jacobian, column by column."""
    n, m, width, x_dtype, y_dtype = sizes.n, sizes.m, sizes.width, sizes.x, sizes.y
    seeds_of = scratch_of(width * n, x_dtype)
    made_of = scratch_of(width * m, y_dtype)
    y_of = scratch_of(m, y_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        seeds, made = seeds_of(), made_of()
        seeds[:] = 0
        y = y_of()
        for c in range(first, last):
            start = min(c * width, n - width)
            for k in range(width):
                seeds[k * n + start + k] = 1
            made[:] = 0
            if push((x, seeds, y, made), leaves) != 0:
                again(x, leaves)
            for k in range(width):
                seeds[k * n + start + k] = 0
                for i in range(m):
                    out[i * n + start + k] = made[k * m + i]
        if lower[0].size > 0:
            lower[0][:] = y

    return sweep


def rows(sizes: Sizes, slip: Any, pull: Any, again: Any) -> Callable[..., Any]:
    """Pull a basis of ``y`` back: the Jacobian, row by row, where it is wanted.

    Its entries have the precision of ``y``, and Enzyme's those of ``x``.
    """
    n, m, width, same = sizes.n, sizes.m, sizes.width, sizes.x == sizes.y
    seeds_of, y_of = scratch_of(width * m, sizes.y), scratch_of(m, sizes.y)
    made_of = scratch_of(0 if same else width * n, sizes.x)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        seeds, y, made = seeds_of(), y_of(), made_of()
        for c in range(first, last):
            start = min(c * width, m - width)
            seeds[:] = 0
            for k in range(width):
                seeds[k * m + start + k] = 1
            block = out[start * n : (start + width) * n]
            rows = block if same else made
            rows[:] = 0
            if lower[0].size > 0:
                status = pull((x, rows, lower[0], seeds), leaves)
            else:
                status = slip((x, rows, y, seeds), leaves)
            if status != 0:
                again(x, leaves)
            if not same:
                block[:] = made

    return sweep


def tangents(sizes: Sizes, push: Any, again: Any) -> Callable[..., Any]:
    """Push tangents forward."""
    n, m, width, batch, y_dtype = sizes.n, sizes.m, sizes.width, sizes.batch, sizes.y
    y_of = scratch_of(m, y_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        y = y_of()
        for c in range(first, last):
            start = min(c * width, batch - width)
            block = out[start * m : (start + width) * m]
            block[:] = 0
            if push((x, t[start * n : (start + width) * n], y, block), leaves) != 0:
                again(x, leaves)
        if lower[0].size > 0:
            lower[0][:] = y

    return sweep


def cotangents(sizes: Sizes, slip: Any, pull: Any, again: Any) -> Callable[..., Any]:
    """Pull cotangents back; Enzyme uses up its own copy of them."""
    n, m, width, batch, y_dtype = sizes.n, sizes.m, sizes.width, sizes.batch, sizes.y
    seeds_of = scratch_of(width * m, y_dtype)
    y_of = scratch_of(m, y_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        seeds, y = seeds_of(), y_of()
        for c in range(first, last):
            start = min(c * width, batch - width)
            seeds[:] = t[start * m : (start + width) * m]
            block = out[start * n : (start + width) * n]
            block[:] = 0
            if lower[0].size > 0:
                status = pull((x, block, lower[0], seeds), leaves)
            else:
                status = slip((x, block, y, seeds), leaves)
            if status != 0:
                again(x, leaves)

    return sweep


def pushed(sizes: Sizes, slip: Any, pull: Any, again: Any) -> Callable[..., Any]:
    """Contract each row of the Jacobian with the tangents."""
    n, m, width, batch = sizes.n, sizes.m, sizes.width, sizes.batch
    x_dtype, y_dtype = sizes.x, sizes.y
    seeds_of = scratch_of(width * m, y_dtype)
    y_of = scratch_of(m, y_dtype)
    block_of = scratch_of(width * n, x_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        seeds, y = seeds_of(), y_of()
        block = block_of()
        for c in range(first, last):
            start = min(c * width, m - width)
            seeds[:] = 0
            block[:] = 0
            for k in range(width):
                seeds[k * m + start + k] = 1
            if lower[0].size > 0:
                status = pull((x, block, lower[0], seeds), leaves)
            else:
                status = slip((x, block, y, seeds), leaves)
            if status != 0:
                again(x, leaves)
            for b in range(batch):
                for k in range(width):
                    total = 0.0
                    for j in range(n):
                        total += block[k * n + j] * t[b * n + j]
                    out[b * m + start + k] = total

    return sweep


def pulled(sizes: Sizes, push: Any, again: Any) -> Callable[..., Any]:
    """Contract each column of the Jacobian with the cotangents."""
    n, m, width, batch = sizes.n, sizes.m, sizes.width, sizes.batch
    x_dtype, y_dtype = sizes.x, sizes.y
    seeds_of = scratch_of(width * n, x_dtype)
    made_of = scratch_of(width * m, y_dtype)
    y_of = scratch_of(m, y_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        seeds, made = seeds_of(), made_of()
        seeds[:] = 0
        y = y_of()
        for c in range(first, last):
            start = min(c * width, n - width)
            for k in range(width):
                seeds[k * n + start + k] = 1
            made[:] = 0
            if push((x, seeds, y, made), leaves) != 0:
                again(x, leaves)
            for k in range(width):
                seeds[k * n + start + k] = 0
            for b in range(batch):
                for k in range(width):
                    total = 0.0
                    for i in range(m):
                        total += made[k * m + i] * t[b * m + i]
                    out[b * n + start + k] = total
        if lower[0].size > 0:
            lower[0][:] = y

    return sweep


def slope(sizes: Sizes, slip: Any, pull: Any, again: Any) -> Callable[..., Any]:
    """Pull one back: the gradient, where it is wanted."""
    y_dtype = sizes.y
    y_of = scratch_of(1, y_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        y, seed = y_of(), y_of()
        seed[:] = 1
        out[:] = 0
        if lower[0].size > 0:
            status = pull((x, out, lower[0], seed), leaves)
        else:
            status = slip((x, out, y, seed), leaves)
        if status != 0:
            again(x, leaves)

    return sweep


def second(sizes: Sizes, twice: Any, again: Any) -> Callable[..., Any]:
    """Push the unit tangent of a scalar forward twice."""
    m, x_dtype, y_dtype = sizes.m, sizes.x, sizes.y
    one_of = scratch_of(1, x_dtype)
    y_of = scratch_of(m, y_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        one, y, dy = one_of(), y_of(), y_of()
        one[:] = 1
        dy[:] = 0
        other = y_of()
        other[:] = 0
        out[:] = 0
        if twice((x, one, one, y, other, dy, out), leaves) != 0:
            again(x, leaves)
        if lower[0].size > 0:
            lower[0][:] = y
            lower[1][:] = dy

    return sweep


def products(sizes: Sizes, bend: Any, again: Any) -> Callable[..., Any]:
    """Push tangents through the gradient, which is computed in reverse."""
    n, width, batch, x_dtype, y_dtype = sizes.n, sizes.width, sizes.batch, sizes.x, sizes.y
    y_of = scratch_of(1, y_dtype)
    g_of = scratch_of(n, x_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        y, g = y_of(), g_of()
        for c in range(first, last):
            start = min(c * width, batch - width)
            block = out[start * n : (start + width) * n]
            block[:] = 0
            g[:] = 0
            if bend((x, t[start * n : (start + width) * n], g, block, y), leaves) != 0:
                again(x, leaves)
        if lower[0].size > 0:
            lower[0][:] = g

    return sweep


def blocks(sizes: Sizes, bend: Any, value: Any, again: Any) -> Callable[..., Any]:
    """Push a basis of ``x`` through the gradient: rows of the Hessian, where they are wanted."""
    n, width, x_dtype, y_dtype = sizes.n, sizes.width, sizes.x, sizes.y
    seeds_of = scratch_of(width * n, x_dtype)
    y_of = scratch_of(1, y_dtype)
    g_of = scratch_of(n, x_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        seeds = seeds_of()
        seeds[:] = 0
        y, g = y_of(), g_of()
        for c in range(first, last):
            start = min(c * width, n - width)
            for k in range(width):
                seeds[k * n + start + k] = 1
            block = out[start * n : (start + width) * n]
            block[:] = 0
            g[:] = 0
            if bend((x, seeds, g, block, y), leaves) != 0:
                again(x, leaves)
            for k in range(width):
                seeds[k * n + start + k] = 0
        if lower[0].size > 0 and value((x, lower[0]), leaves) != 0:
            again(x, leaves)
        if lower[1].size > 0:
            lower[1][:] = g

    return sweep


def twofold(sizes: Sizes, twice: Any, again: Any) -> Callable[..., Any]:
    """Push each tangent forward, and a basis of ``x`` through that: rows of ``H t``."""
    n, width, batch, x_dtype, y_dtype = sizes.n, sizes.width, sizes.batch, sizes.x, sizes.y
    seeds_of = scratch_of(width * n, x_dtype)
    y_of = scratch_of(1, y_dtype)
    slopes_of = scratch_of(width, y_dtype)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        seeds, y, dy = seeds_of(), y_of(), y_of()
        seeds[:] = 0
        slopes, bends = slopes_of(), slopes_of()
        for c in range(first, last):
            start = min(c * width, n - width)
            for k in range(width):
                seeds[k * n + start + k] = 1
            for b in range(batch):
                slopes[:] = 0
                bends[:] = 0
                dy[:] = 0
                tangent = t[b * n : (b + 1) * n]
                if twice((x, tangent, seeds, y, slopes, dy, bends), leaves) != 0:
                    again(x, leaves)
                for k in range(width):
                    out[b * n + start + k] = bends[k]
                    if lower[0].size > 0:
                        lower[0][start + k] = slopes[k]
            for k in range(width):
                seeds[k * n + start + k] = 0

    return sweep


def twofold_blocks(sizes: Sizes, twice: Any, again: Any) -> Callable[..., Any]:
    """Compute the Hessian likewise, row by row."""
    n, width = sizes.n, sizes.width
    seeds_of, units_of = scratch_of(width * n, sizes.x), scratch_of(n, sizes.x)
    y_of, few_of = scratch_of(1, sizes.y), scratch_of(width, sizes.y)

    def sweep(x: Any, t: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        seeds, unit, y, dy = seeds_of(), units_of(), y_of(), y_of()
        slopes, bends = few_of(), few_of()
        seeds[:] = 0
        unit[:] = 0
        for c in range(first, last):
            start = min(c * width, n - width)
            for k in range(width):
                seeds[k * n + start + k] = 1
            for j in range(n):
                slopes[:] = 0
                bends[:] = 0
                dy[:] = 0
                unit[j] = 1
                if twice((x, unit, seeds, y, slopes, dy, bends), leaves) != 0:
                    again(x, leaves)
                unit[j] = 0
                for k in range(width):
                    out[j * n + start + k] = bends[k]
            for k in range(width):
                seeds[k * n + start + k] = 0
                if lower[1].size > 0:
                    lower[1][start + k] = slopes[k]
        if lower[0].size > 0:
            lower[0][0] = y[0]

    return sweep
