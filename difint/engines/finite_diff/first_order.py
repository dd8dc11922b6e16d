"""First differences: along a tangent, and entry by entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from difint.engine import Apply, Arrays, At, Kernel
from difint.engines.finite_diff.complex_step import complexified
from difint.engines.finite_diff.steps import Steps
from difint.engines.finite_diff.workspace import Workspace
from difint.problem import Problem


def pushforward(
    steps: Steps, arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False
) -> At:
    """Build the difference along a tangent, in any array library.

    The tangent is scaled to the step that fits it best, entry by entry: for a unit tangent this
    is that entry's own step (Brown and Saad 1990, eq. 2.8, with steps for typical values).
    """
    problem = complexified(steps, problem)
    sizes, along = steps.sizes(problem), _ALONG[steps.scheme]
    based = value or steps.scheme == "forward"

    def at(x: Any, *contexts: Any) -> Apply:
        point = arrays.ravel(x)
        widths = sizes(point)
        y = arrays.copy(problem.call(x, *contexts)) if based else None
        base = None if y is None else arrays.ravel(y)

        def line(moved: Any) -> Any:
            return arrays.ravel(problem.call(arrays.unravel(moved, problem.x), *contexts))

        def apply(t: Any) -> tuple[Any, Any]:
            unit, scale = _normalized(arrays.ravel(t))
            h = _length(widths, unit)
            difference = arrays.unravel(along(line, point, unit, h, base) * scale, problem.y)
            kept = arrays.copy(y) if value and reuse else y
            return kept, arrays.cast(difference, problem.y)

        return apply

    return at


def _normalized(t: Any) -> tuple[Any, Any]:
    """Scale a tangent to a largest entry of 1, so that its square cannot under- or overflow."""
    space = t.__array_namespace__()
    scale = space.max(space.abs(t), initial=0)
    scale = space.where((scale > 0) & space.isfinite(scale), scale, 1)
    return t / scale, scale


def _length(widths: Any, unit: Any) -> Any:
    """Get the length that moves each entry by its own step, in the least squares sense."""
    space = unit.__array_namespace__()
    square = space.sum(unit * unit)
    length = space.sum(widths * space.abs(unit))
    return space.where(square > 0, length / space.where(square > 0, square, 1), 1)


def _central(line: Callable[[Any], Any], point: Any, unit: Any, h: Any, base: Any) -> Any:
    # f may return one buffer again and again: the first value must be safe from the second.
    space = point.__array_namespace__()
    ahead = space.asarray(line(point + h * unit), copy=True)
    return (ahead - line(point - h * unit)) / (2 * h)


def _forward(line: Callable[[Any], Any], point: Any, unit: Any, h: Any, base: Any) -> Any:
    return (line(point + h * unit) - base) / h


def _complex(line: Callable[[Any], Any], point: Any, unit: Any, h: Any, base: Any) -> Any:
    return line(point + 1j * (h * unit)).imag / h


_ALONG = {"central": _central, "forward": _forward, "complex_step": _complex}


def jacobian(steps: Steps, arrays: Arrays, problem: Problem, *, value: bool) -> Kernel:
    """Build the Jacobian, a column for each entry of ``x``, in a workspace that is kept."""
    problem = complexified(steps, problem)
    sizes, fill = steps.sizes(problem), _FILL[steps.scheme]
    based = value or steps.scheme == "forward"
    call, rows, dtype = problem.call, problem.y.size, problem.y.dtype
    workspace = Workspace(complex_entries=steps.scheme == "complex_step")

    def kernel(x: Any, *contexts: Any) -> tuple[Any, Any]:
        y = np.array(call(x, *contexts)) if based else None
        matrix = np.empty((rows, x.size), dtype)
        work = workspace.take(x)
        vector = x.reshape(-1)
        fill(matrix, lambda: call(work, *contexts).reshape(-1), work, vector, sizes(vector), y)
        workspace.give(work)
        return y, matrix

    return kernel


def _fill_central(matrix: Any, f: Callable[[], Any], work: Any, x: Any, sizes: Any, y: Any) -> None:
    ahead, behind = x + sizes, x - sizes
    entries = work.reshape(-1)
    for j in range(x.size):
        column = matrix[:, j]
        entries[j] = ahead[j]
        column[:] = f()
        entries[j] = behind[j]
        column -= f()
        entries[j] = x[j]
    # The widths as they were rounded, not as they were asked for.
    matrix /= ahead - behind


def _fill_forward(matrix: Any, f: Callable[[], Any], work: Any, x: Any, sizes: Any, y: Any) -> None:
    ahead = x + sizes
    entries, base = work.reshape(-1), y.reshape(-1)
    for j in range(x.size):
        entries[j] = ahead[j]
        np.subtract(f(), base, out=matrix[:, j], casting="same_kind")
        entries[j] = x[j]
    matrix /= ahead - x


def _fill_complex(matrix: Any, f: Callable[[], Any], work: Any, x: Any, sizes: Any, y: Any) -> None:
    ahead = x + 1j * sizes
    entries = work.reshape(-1)
    for j in range(x.size):
        entries[j] = ahead[j]
        matrix[:, j] = f().imag
        entries[j] = x[j]
    matrix /= sizes


_FILL = {"central": _fill_central, "forward": _fill_forward, "complex_step": _fill_complex}


def gradient(steps: Steps, arrays: Arrays, problem: Problem, *, value: bool) -> Kernel:
    """Build the gradient: the only row of the Jacobian."""
    one_row = jacobian(steps, arrays, problem, value=value)

    def kernel(x: Any, *contexts: Any) -> tuple[Any, Any]:
        y, matrix = one_row(x, *contexts)
        return y, matrix.reshape(x.shape).astype(x.dtype, copy=False)

    return kernel


def derivative(steps: Steps, arrays: Arrays, problem: Problem, *, value: bool) -> Kernel:
    """Build the derivative: the only column of the Jacobian."""
    one_column = jacobian(steps, arrays, problem, value=value)

    def kernel(x: Any, *contexts: Any) -> tuple[Any, Any]:
        y, matrix = one_column(x, *contexts)
        return y, matrix.reshape(problem.y.shape)

    return kernel
