"""Sweeps: the only loop over seeds."""

from __future__ import annotations

from typing import Any

from difint.engine import Apply, Arrays


def count(arrays: Arrays, like: Any) -> int:
    """Count the entries of a template: the seeds of a full sweep."""
    return sum(leaf.size for leaf in arrays.trees.flatten(like)[0])


def sweep(arrays: Arrays, apply: Apply, like: Any) -> tuple[Any, Any]:
    """Feed every unit tangent of ``like`` to ``apply``.

    Args:
        arrays: the engine's array operations.
        apply: ``t -> (y, result)``.
        like: a template of the tangents, with ``n`` entries over all.

    Returns:
        ``(y, rows)``: row ``i`` of the matrix holds the raveled result for entry ``i``.
    """
    total = count(arrays, like)
    if total == 0:
        y, rows = arrays.batch(apply, _no_seed(arrays, like))
        return y, rows[:0]
    step = arrays.chunk or total
    starts = range(0, total, step)
    parts = [arrays.batch(apply, arrays.basis(like, i, min(i + step, total))) for i in starts]
    if len(parts) == 1:
        return parts[0]
    return parts[0][0], arrays.concatenate([rows for _, rows in parts])


def _no_seed(arrays: Arrays, like: Any) -> Any:
    """Make one seed without entries: it tells ``y`` and the size of a result."""
    return arrays.basis(like, 0, 1)
