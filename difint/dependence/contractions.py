"""Contractions of arrays of index sets: products of stacks of matrices."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from difint.dependence.arrays import Dependent, joined, settled
from difint.dependence.sets import KNOWN, Sets

_MOST_PAIRS = 20_000_000
"""How many products of a contraction are paired one by one; more are paired as blocks."""


def contracted(
    sets: Sets, a: Dependent, b: Dependent, compute: Callable[[], Any] | None
) -> Dependent:
    """Multiply stacks of matrices, ``(..., m, k)`` by ``(..., k, n)``, of equal leading axes."""
    lead, rows, columns = a.shape[:-2], a.shape[-2], b.shape[-1]
    if a.nodes is None and b.nodes is None:
        return settled(sets, None, None, compute, (*lead, rows, columns))
    nodes = _products(sets, a.full, b.full, a.zeros, b.zeros)
    bends = None
    if sets.curved:
        turned = [None if one.bends is None else one.bends for one in (a, b)]
        if any(one is not None for one in turned):
            one, other = (np.zeros_like(w.full) if w.bends is None else w.bends for w in (a, b))
            bends = _products(sets, one, other, a.zeros, b.zeros)
        if a.depends and b.depends:
            bends = joined(sets, bends, _paired(sets, a.full, b.full))
    if compute is None and not sets.local and not nodes.all():
        compute = _product_of_known(a, b)
    shape = (*lead, rows, columns)
    bends = None if bends is None else bends.reshape(shape)
    return settled(sets, nodes.reshape(shape), bends, compute)


def _product_of_known(a: Dependent, b: Dependent) -> Callable[[], Any] | None:
    """Get what multiplies what is known of two matrices: elsewhere one factor is zero."""
    if a.value is None or b.value is None:
        return None
    one, other = (np.where(side.full == KNOWN, side.value, 0) for side in (a, b))
    return lambda: one @ other


def _stacked(array: Any) -> Any:
    return (
        array.reshape(-1, *array.shape[-2:])
        if array.size
        else array.reshape(prod(array.shape[:-2]), *array.shape[-2:])
    )


def _products(sets: Sets, a: Any, b: Any, lacks: Any, misses: Any) -> Any:
    """Unite what a product of matrices sums, without what is zero."""
    if lacks is None and misses is None:
        one, other = sets.unite_axis(a), sets.unite_axis(np.swapaxes(b, -1, -2))
        return sets.unite(one[..., :, None], other[..., None, :])
    lacks = np.zeros(a.shape, bool) if lacks is None else lacks
    misses = np.zeros(b.shape, bool) if misses is None else misses
    stacks = zip(*map(_stacked, (a, b, lacks, misses)), strict=True)
    made = [sets.contract(*map(np.ascontiguousarray, one)) for one in stacks]
    empty = np.zeros((0, a.shape[-2], b.shape[-1]), np.int32)
    return (np.stack(made) if made else empty).reshape(*a.shape[:-1], b.shape[-1])


def _paired(sets: Sets, a: Any, b: Any) -> Any:
    """Pair what a product of matrices multiplies."""
    if a.size * b.shape[-1] > _MOST_PAIRS:
        one, other = sets.unite_axis(a), sets.unite_axis(np.swapaxes(b, -1, -2))
        return sets.pair(one[..., :, None], other[..., None, :])
    stacks = zip(_stacked(a), _stacked(b), strict=True)
    made = [sets.contract_pairs(*one) for one in stacks]
    empty = np.zeros((0, a.shape[-2], b.shape[-1]), np.int32)
    return (np.stack(made) if made else empty).reshape(*a.shape[:-1], b.shape[-1])
