"""First differences: along a tangent, and entry by entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from difint.engine import Apply, Arrays, At, Kernel
from difint.engines.finite_diff.complex_step import complexified
from difint.engines.finite_diff.steps import Steps
from difint.engines.finite_diff.workspace import Workspace
from difint.host_lowering import taken_apart
from difint.problem import Problem


def pushforward(
    steps: Steps, arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False
) -> At:
    """Build the difference along a tangent, in any array library.

    The tangent is scaled so that no entry moves by more than its own step: a longer one could
    leave the range in which ``f`` is nearly linear, where entries differ in scale.
    """
    problem = complexified(steps, problem)
    sizes, along = steps.sizes(arrays, problem), _ALONG[steps.scheme]
    based = value or steps.scheme == "forward"

    def at(x: Any, *contexts: Any) -> Apply:
        point = arrays.ravel(x)
        widths = sizes(point)
        y = arrays.copy(problem.call(x, *contexts)) if based else None
        base = None if y is None else arrays.ravel(y)

        def line(moved: Any) -> Any:
            y = arrays.ravel(problem.call(arrays.unravel(moved, problem.x), *contexts))
            # f may return one buffer again and again: a value must be safe from the next one.
            return arrays.copy(y)

        def apply(t: Any) -> tuple[Any, Any]:
            flat = arrays.ravel(t)
            space = arrays.space(flat)
            unit, scale = _normalized(space, flat)
            h = _length(space, widths, unit)
            difference = arrays.unravel(along(line, point, unit, h, base) * scale, problem.y)
            kept = arrays.copy(y) if value and reuse else y
            return kept, arrays.cast(difference, problem.y)

        return apply

    return at


def _normalized(space: Any, t: Any) -> tuple[Any, Any]:
    """Scale a tangent to a largest entry of 1, so that no length under- or overflows."""
    scale = space.max(space.abs(t), initial=0)
    scale = space.where((scale > 0) & space.isfinite(scale), scale, 1)
    return t / scale, scale


def _length(space: Any, widths: Any, unit: Any) -> Any:
    """Get the largest length that moves no entry by more than its own step."""
    most = space.max(space.abs(unit) / widths, initial=0)
    return space.where(most == 0, 1, 1 / space.where(most == 0, 1, most))


def _central(line: Callable[[Any], Any], point: Any, unit: Any, h: Any, base: Any) -> Any:
    return (line(point + h * unit) - line(point - h * unit)) / (2 * h)


def _forward(line: Callable[[Any], Any], point: Any, unit: Any, h: Any, base: Any) -> Any:
    return (line(point + h * unit) - base) / h


def _complex(line: Callable[[Any], Any], point: Any, unit: Any, h: Any, base: Any) -> Any:
    return line(point + 1j * (h * unit)).imag / h


_ALONG = {"central": _central, "forward": _forward, "complex_step": _complex}


def columns_of(steps: Steps, problem: Problem, *, value: bool) -> Kernel:
    """Build the derivative by each entry of ``x``, in a workspace that is kept.

    The result has the shape of ``y`` and one axis more, the last, over the entries of ``x``: a
    column has the shape of ``y``, and needs no reshaping.
    """
    return _COLUMNS[steps.scheme](steps, complexified(steps, problem), value)


def _central_columns(steps: Steps, problem: Problem, value: bool) -> Kernel:
    call, dtype, shape = problem.call, problem.y.dtype, problem.y.shape
    f, receive = taken_apart(call)
    workspace = Workspace(*steps.relative(problem))

    def kernel(x: Any, *contexts: Any) -> Any:
        at = f if not contexts else _with_contexts(f, contexts)
        columns, vector = np.empty((*shape, x.size), dtype), x.reshape(-1)
        work, entries, rel, least, *_ = scratch = workspace.take(x)
        sizes = np.maximum(rel * abs(vector), least)
        ahead, behind = vector + sizes, vector - sizes
        lists = ahead.tolist(), behind.tolist(), vector.tolist()
        for j, up, down, now in zip(range(x.size), *lists, strict=False):
            column = columns[..., j]
            entries[j] = up
            y = at(work)
            column[...] = y if type(y) is ndarray and y.shape == shape else receive(y)
            entries[j] = down
            y = at(work)
            column -= y if type(y) is ndarray and y.shape == shape else receive(y)
            entries[j] = now
        workspace.give(scratch)
        # The widths as they were rounded, not as they were asked for.
        columns /= ahead - behind
        return (np.array(call(x, *contexts)), columns) if value else columns

    return kernel


def _forward_columns(steps: Steps, problem: Problem, value: bool) -> Kernel:
    call, dtype, shape = problem.call, problem.y.dtype, problem.y.shape
    workspace = Workspace(*steps.relative(problem))

    def kernel(x: Any, *contexts: Any) -> Any:
        base = np.array(call(x, *contexts))
        columns, vector = np.empty((*shape, x.size), dtype), x.reshape(-1)
        work, entries, rel, least, *_ = scratch = workspace.take(x)
        ahead = vector + np.maximum(rel * abs(vector), least)
        for j, up, now in zip(range(x.size), ahead.tolist(), vector.tolist(), strict=False):
            entries[j] = up
            columns[..., j] = call(work, *contexts)
            entries[j] = now
        workspace.give(scratch)
        columns -= base[..., None]
        columns /= ahead - vector
        return (base, columns) if value else columns

    return kernel


def _complex_columns(steps: Steps, problem: Problem, value: bool) -> Kernel:
    call, dtype, shape = problem.call, problem.y.dtype, problem.y.shape
    workspace = Workspace(*steps.relative(problem), complex_entries=True)

    def kernel(x: Any, *contexts: Any) -> Any:
        columns, vector = np.empty((*shape, x.size), dtype), x.reshape(-1)
        work, entries, rel, least, *_ = scratch = workspace.take(x)
        sizes = np.maximum(rel * abs(vector), least)
        ahead = vector + 1j * sizes
        for j, up, now in zip(range(x.size), ahead.tolist(), vector.tolist(), strict=False):
            entries[j] = up
            columns[..., j] = call(work, *contexts).imag
            entries[j] = now
        workspace.give(scratch)
        columns /= sizes
        return (np.array(call(x, *contexts)), columns) if value else columns

    return kernel


_COLUMNS = {
    "central": _central_columns,
    "forward": _forward_columns,
    "complex_step": _complex_columns,
}


def _with_contexts(f: Callable[..., Any], contexts: tuple[Any, ...]) -> Callable[[Any], Any]:
    return lambda work: f(work, *contexts)


def jacobian(steps: Steps, arrays: Arrays, problem: Problem, *, value: bool) -> Kernel:
    """Build the Jacobian matrix."""
    rows, plain = problem.y.size, problem.y.ndim == 1
    columns = columns_of(steps, problem, value=value)
    finish = None if plain else lambda cube: cube.reshape(rows, cube.shape[-1])
    return _finished(columns, finish, value)


def gradient(steps: Steps, arrays: Arrays, problem: Problem, *, value: bool) -> Kernel:
    """Build the gradient: the Jacobian of one row."""
    shape, dtype = problem.x.shape, problem.x.dtype
    plain = problem.x.ndim == 1 and problem.y.dtype == dtype
    row = columns_of(steps, problem, value=value)
    finish = None if plain else lambda row: row.reshape(shape).astype(dtype, copy=False)
    return _finished(row, finish, value)


def derivative(steps: Steps, arrays: Arrays, problem: Problem, *, value: bool) -> Kernel:
    """Build the derivative: the Jacobian of one column."""
    shape = problem.y.shape
    columns = columns_of(steps, problem, value=value)
    return _finished(columns, lambda column: column.reshape(shape), value)


def _finished(kernel: Kernel, finish: Callable[[Any], Any] | None, value: bool) -> Kernel:
    """Give the last part of a kernel's result its final shape."""
    if finish is None:
        return kernel
    if not value:
        return lambda x, *contexts: finish(kernel(x, *contexts))

    def finished(x: Any, *contexts: Any) -> tuple[Any, Any]:
        y, columns = kernel(x, *contexts)
        return y, finish(columns)

    return finished
