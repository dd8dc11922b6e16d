"""Products of arrays, and what is done to each matrix of a stack, on traced arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from difint.dependence.arrays import Dependent
from difint.dependence.contractions import contracted
from difint.dependence.host.traced import Trace, Traced
from difint.dependence.sets import KNOWN, UNKNOWN


def product(trace: Trace, a: Traced, b: Traced, value: Any) -> Traced:
    """Multiply stacks of matrices of equal leading axes; ``value`` has as many entries."""
    value = np.asarray(value)
    made = contracted(trace.sets, a.dependent, b.dependent, lambda: value)
    nodes, bends = (
        None if one is None else one.reshape(value.shape) for one in (made.nodes, made.bends)
    )
    return trace.of(Dependent(nodes, bends, value), value)


def matrix_product(trace: Trace, name: str, a: Traced, b: Traced, value: Any) -> Traced:
    """Apply ``matmul`` or one of its relatives."""
    row = name in ("vecmat", "vecdot") or (name == "matmul" and a.ndim == 1)
    column = name in ("matvec", "vecdot") or (name == "matmul" and b.ndim == 1)
    one = a.like(lambda array: array[..., None, :]) if row else a
    other = b.like(lambda array: array[..., :, None]) if column else b
    lead = np.broadcast_shapes(one.shape[:-2], other.shape[:-2])
    one, other = (
        part.like(lambda array: np.broadcast_to(array, (*lead, *array.shape[-2:])))
        for part in (one, other)
    )
    return product(trace, one, other, value)


def sparse_product(trace: Trace, a: Any, b: Any) -> Traced:
    """Multiply by a sparse matrix: unite along its stored entries."""
    if type(b) is not Traced:
        return _transposed(sparse_product(trace, b.T, _transposed(a)))
    rows = a.tocsr()
    value = np.asarray(rows @ b.value)
    columns = 1 if b.ndim == 1 else b.shape[1]
    count = np.asarray(rows.indptr, np.int64)
    starts = np.concatenate([[0], (count[1:] + count[-1] * np.arange(columns)[:, None]).ravel()])

    def unite(array: Any) -> Any:
        members = array.reshape(b.shape[0], columns)[rows.indices].T
        made = trace.sets.unite_runs(starts, members).reshape(columns, -1)
        return made.T.reshape(value.shape)

    bends = None if b.bends is None else unite(b.bends)
    return trace.of(Dependent(unite(b.nodes), bends), value)


def _transposed(a: Traced) -> Traced:
    return a.like(np.transpose)


def tensordot(trace: Trace, a: Any, b: Any, axes: Any = 2) -> Traced:
    """Sum products over axes of one and axes of the other."""
    a, b, axes = trace.lift(a), trace.lift(b), trace.read(axes)
    value = np.tensordot(a.value, b.value, axes)
    if np.ndim(axes) == 0:
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    summed = [
        [axis % one.ndim for axis in np.atleast_1d(w)] for one, w in zip((a, b), axes, strict=True)
    ]
    kept = [
        [i for i in range(one.ndim) if i not in s] for one, s in zip((a, b), summed, strict=True)
    ]
    one = a.like(lambda array: _matrix(array, kept[0], summed[0]))
    other = b.like(lambda array: _matrix(array, summed[1], kept[1]))
    return product(trace, one, other, value)


def _matrix(array: Any, first: Sequence[int], second: Sequence[int]) -> Any:
    sizes = [prod(array.shape[i] for i in part) for part in (first, second)]
    return array.transpose(*first, *second).reshape(sizes)


def dot(trace: Trace, a: Any, b: Any, out: Any = None) -> Any:
    """Sum products over the last axis of one and the last but one of the other."""
    a, b = trace.lift(a), trace.lift(b)
    if not a.ndim or not b.ndim:
        made = a * b
    else:
        made = tensordot(trace, a, b, ([a.ndim - 1], [max(b.ndim - 2, 0)]))
    if out is None:
        return made
    out[...] = made
    return out


def inner(trace: Trace, a: Any, b: Any) -> Any:
    """Sum products over the last axes."""
    a, b = trace.lift(a), trace.lift(b)
    if not a.ndim or not b.ndim:
        return a * b
    return tensordot(trace, a, b, ([a.ndim - 1], [b.ndim - 1]))


def vdot(trace: Trace, a: Any, b: Any) -> Traced:
    """Sum all products."""
    return tensordot(trace, trace.lift(a).ravel().conj(), trace.lift(b).ravel(), 1)


def convolve(trace: Trace, a: Any, v: Any, mode: Any = "full") -> Any:
    """Sum shifted copies of the longer one."""
    long, short = trace.lift(a), trace.lift(v)
    if len(short) > len(long):
        long, short = short, long
    n, m = len(long), len(short)
    value = np.convolve(long.value, short.value)
    made = trace.filled(np.zeros_like(value), KNOWN)
    for j in range(m):
        made[j : j + n] += short[j] * long
    spans = {"full": (0, n + m - 1), "same": ((m - 1) // 2, n), "valid": (m - 1, n - m + 1)}
    start, size = spans[mode if isinstance(mode, str) else ("valid", "same", "full")[mode]]
    return made[start : start + size]


def correlate(trace: Trace, a: Any, v: Any, mode: Any = "valid") -> Any:
    """Convolve with the other one turned round."""
    a, v = trace.lift(a), trace.lift(v)
    if len(v) > len(a):
        return convolve(trace, v.conj(), a[::-1], mode)[::-1]
    return convolve(trace, a, v[::-1].conj(), mode)


def mixed_cores(
    trace: Trace, ufunc: Any, operands: list[Traced], value: Any, options: dict[str, Any]
) -> Any:
    """Let all entries of a result depend on all entries of operands, for each place of a stack."""
    values = [np.asarray(one) for one in (value if type(value) is tuple else (value,))]
    if any(name in options for name in ("axes", "axis", "keepdims")):
        made = [trace.mixed(operands, one) for one in values]
    else:
        made = _by_stack(trace, ufunc, operands, values)
    return tuple(made) if type(value) is tuple else made[0]


def _by_stack(trace: Trace, ufunc: Any, operands: list[Traced], values: list[Any]) -> list[Traced]:
    cores = [one.ndim - count for one, count in zip(operands, _cores(ufunc), strict=True)]
    lead = np.broadcast_shapes(
        *(one.shape[:core] for one, core in zip(operands, cores, strict=True))
    )
    nodes = _stacked(trace, [one.nodes for one in operands], cores, lead)
    bends = None
    if trace.sets.curved:
        bends = _stacked(trace, [one.bends for one in operands], cores, lead)
        if not (ufunc.__name__.startswith("solve") and not operands[0].nodes.any()):
            bends = trace.sets.unite(bends, trace.sets.pair(nodes, nodes))
    if any(one.nodes.any() for one in operands):
        nodes = np.maximum(nodes, UNKNOWN)

    def wide(array: Any, like: Any) -> Any:
        array = np.minimum(array, UNKNOWN) if like.dtype.kind in "bui" else array
        return array.reshape(*lead, *(1,) * (like.ndim - len(lead)))

    return [
        trace.of(
            Dependent(
                wide(nodes, one),
                None if bends is None or one.dtype.kind in "bui" else wide(bends, one),
            ),
            one,
        )
        for one in values
    ]


def _stacked(trace: Trace, arrays: list[Any], cores: list[int], lead: tuple[int, ...]) -> Any:
    """Unite all that belongs to each place of a stack."""
    parts = []
    for array, core in zip(arrays, cores, strict=True):
        wide = np.broadcast_to(array, (*lead, *array.shape[core:]))
        parts.append(wide.reshape(*lead, prod(array.shape[core:])))
    return trace.sets.unite_axis(np.concatenate(parts, -1))


def _cores(ufunc: Any) -> list[int]:
    """Count the axes of each operand that belong together."""
    operands = ufunc.signature.replace(" ", "").split("->")[0].split("),(")
    return [len(one.strip("()").split(",")) if one.strip("()") else 0 for one in operands]
