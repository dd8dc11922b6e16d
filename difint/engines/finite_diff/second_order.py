"""Second differences, with steps wide enough for a difference of differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from difint.engine import Apply, Arrays, At, Kernel
from difint.engines.finite_diff.complex_step import complexified
from difint.engines.finite_diff.first_order import derivative, gradient, pushforward
from difint.engines.finite_diff.steps import Steps, second_order
from difint.engines.finite_diff.workspace import Workspace
from difint.problem import Problem


def hvp(steps: Steps, arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False) -> At:
    """Build the difference of gradients along a tangent, beside a gradient of full accuracy."""
    outer, inner = second_order(steps)
    wide = gradient(inner, arrays, problem, value=False)
    at = pushforward(outer, arrays, replace(problem, call=wide, y=problem.x), value=False)
    exact = gradient(steps, arrays, problem, value=False)

    def staged(x: Any, *contexts: Any) -> Apply:
        basic = at(x, *contexts)
        first = exact(x, *contexts) if value else None

        def apply(t: Any) -> tuple[Any, Any]:
            kept = first.copy() if first is not None and reuse else first
            return kept, basic(t)[-1]

        return apply

    return staged


def second_derivative(steps: Steps, arrays: Arrays, problem: Problem, *, value: bool) -> Kernel:
    """Build the difference of derivatives, beside a derivative of full accuracy."""
    outer, inner = second_order(steps)
    wide = derivative(inner, arrays, problem, value=False)
    second = derivative(outer, arrays, replace(problem, call=wide), value=False)
    if not value:
        return second
    first = derivative(steps, arrays, problem, value=True)
    return lambda x, *contexts: (*first(x, *contexts), second(x, *contexts))


def hessian(steps: Steps, arrays: Arrays, problem: Problem, *, value: bool) -> Kernel:
    """Build the Hessian: differences of partial derivatives, one triangle, mirrored."""
    outer, inner = second_order(steps)
    complex_problem = complexified(inner, problem)
    spans = inner.sizes(arrays, problem)
    partials = _PARTIALS[inner.scheme]
    complex_entries = inner.scheme == "complex_step"
    workspace = Workspace(*outer.relative(problem), complex_entries=complex_entries)

    def kernel(x: Any, *contexts: Any) -> Any:
        work, entries, rel, least, *_ = scratch = workspace.take(x)
        vector = x.reshape(-1)
        matrix = np.zeros((x.size, x.size), x.dtype)

        def f() -> Any:
            return complex_problem.call(work, *contexts)

        def partial_row(row: Any) -> None:
            partials(row, f, entries, spans(vector))

        widths = np.maximum(rel * abs(vector), least)
        _fill(matrix, partial_row, entries, vector, widths, outer.scheme)
        workspace.give(scratch)
        return matrix

    if not value:
        return kernel
    first = gradient(steps, arrays, problem, value=True)
    return lambda x, *contexts: (*first(x, *contexts), kernel(x, *contexts))


def _fill(
    matrix: Any, partial_row: Callable[[Any], None], entries: Any, x: Any, widths: Any, scheme: str
) -> None:
    """Fill row ``i`` up to the diagonal with the difference of partials along entry ``i``."""
    ahead = x + widths
    behind = x if scheme == "forward" else x - widths
    base, other = np.empty_like(x), np.empty_like(x)
    if scheme == "forward":
        partial_row(base)
    for i in range(x.size):
        row = matrix[i, : i + 1]
        entries[i] = ahead[i]
        partial_row(row)
        if scheme == "forward":
            row -= base[: i + 1]
        else:
            entries[i] = behind[i]
            partial_row(other[: i + 1])
            row -= other[: i + 1]
        row /= ahead[i] - behind[i]
        entries[i] = x[i]
        matrix[:i, i] = row[:i]


def _central_partials(row: Any, f: Callable[[], Any], entries: Any, sizes: Any) -> None:
    for j in range(row.size):
        now = entries[j]
        ahead, behind = now + sizes[j], now - sizes[j]
        entries[j] = ahead
        row[j] = f()
        entries[j] = behind
        row[j] -= f()
        row[j] /= ahead - behind
        entries[j] = now


def _forward_partials(row: Any, f: Callable[[], Any], entries: Any, sizes: Any) -> None:
    base = np.array(f())
    for j in range(row.size):
        now = entries[j]
        ahead = now + sizes[j]
        entries[j] = ahead
        row[j] = (f() - base) / (ahead - now)
        entries[j] = now


def _complex_partials(row: Any, f: Callable[[], Any], entries: Any, sizes: Any) -> None:
    for j in range(row.size):
        now = entries[j]
        entries[j] = now + 1j * sizes[j]
        row[j] = f().imag / sizes[j]
        entries[j] = now


_PARTIALS = {
    "central": _central_partials,
    "forward": _forward_partials,
    "complex_step": _complex_partials,
}
