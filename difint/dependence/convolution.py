"""Convolutions of index sets: the windows of the one operand as rows, the other as a matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, final

import numpy as np

from difint.dependence.arrays import Dependent, reduced, settled, unknown
from difint.dependence.contractions import contracted
from difint.dependence.sets import UNKNOWN, Sets

_MOST_PRODUCTS = 20_000_000
"""How many products are looked at one by one for factors that are zero; of more, none are."""


@final
@dataclass(frozen=True, slots=True)
class Windows:
    """How windows lie on an array, axis by axis; the window itself is not turned.

    Attributes:
        strides: how far apart windows are.
        padding: how many zeros stand before and behind; negative where entries are left out.
        lhs_dilation: how far apart the array's entries are, with zeros between them.
        rhs_dilation: how far apart the entries of a window are.
    """

    strides: Sequence[int]
    padding: Sequence[tuple[int, int]]
    lhs_dilation: Sequence[int]
    rhs_dilation: Sequence[int]

    def places(self, sizes: Sequence[int], window: Sequence[int]) -> tuple[Any, tuple[int, ...]]:
        """Get the place of each window's entries in the array, ``(windows, entries)``.

        Places in the padding are the size of the array. The shape of the windows comes along.
        """
        axes = range(len(sizes))
        return places_in([self._along(axis, sizes[axis], window[axis]) for axis in axes], sizes)

    def _along(self, axis: int, size: int, window: int) -> Any:
        """Get the place of each window's entries on one axis; -1 where there is none."""
        (low, high), apart = self.padding[axis], self.lhs_dilation[axis]
        whole = (size - 1) * apart + 1 if size else 0
        wide = (window - 1) * self.rhs_dilation[axis] + 1 if window else 0
        count = max(0, (whole + low + high - wide) // self.strides[axis] + 1)
        first = np.arange(count)[:, None] * self.strides[axis] - low
        place = first + np.arange(window) * self.rhs_dilation[axis]
        inside = (place >= 0) & (place < whole) & (place % apart == 0)
        return np.where(inside, place // apart, -1)


def places_in(along: Sequence[Any], sizes: Sequence[int]) -> tuple[Any, tuple[int, ...]]:
    """Get the places in an array of the entries of windows: ``(windows, entries)``.

    Args:
        along: for each axis the windows' places on it, ``(windows, entries)``; -1 for none.
        sizes: the shape of the array, whose size stands for places outside of it.

    Returns:
        The places, and the shape of the windows.
    """
    rank = len(sizes)
    flat = np.zeros((1,) * (2 * rank), np.int64)
    inside = np.ones_like(flat, bool)
    for axis, place in enumerate(along):
        wide = [1] * (2 * rank)
        wide[axis], wide[rank + axis] = place.shape
        place = place.reshape(wide)
        flat = flat * sizes[axis] + place
        inside = inside & (place >= 0)
    flat = np.where(inside, flat, prod(sizes))
    shape = flat.shape
    return flat.reshape(prod(shape[:rank]), prod(shape[rank:])), shape[:rank]


def gathered(array: Any, index: Any, outside: Any = 0) -> Any:
    """Read entries of the last axis, and what is ``outside`` behind its end."""
    end = np.full((*array.shape[:-1], 1), outside, array.dtype)
    return np.concatenate([array, end], -1)[..., index]


def convolved(
    sets: Sets,
    lhs: Dependent,
    rhs: Dependent,
    windows: Windows,
    groups: int = 1,
    compute: Callable[[], Any] | None = None,
) -> Dependent:
    """Convolve ``(N, C, *sizes)`` with ``(O, C / groups, *window)`` to ``(N, O, *windows)``.

    Args:
        sets: where the nodes are.
        lhs: the array.
        rhs: the windows' weights.
        windows: how windows lie on the array.
        groups: how many groups of features are convolved each for itself.
        compute: gets the values of the result, or returns ``None``.
    """
    if lhs.nodes is None and rhs.nodes is None and compute is not None:
        return settled(sets, None, None, compute)
    index, shape = windows.places(lhs.shape[2:], rhs.shape[2:])
    count, features = lhs.shape[0], rhs.shape[0]
    if not rhs.depends and rhs.zeros is None:
        lhs, rhs = _channels_united(sets, lhs, groups), unknown((features, 1, *rhs.shape[2:]))
    exact = index.size * count * prod(rhs.shape[:2]) <= _MOST_PRODUCTS
    a = _each(_telling(lhs, exact), lambda array: _rows(array, index, groups))
    b = _each(_telling(rhs, exact), lambda array: _weights(array, groups))
    found = contracted(sets, a, b, None)

    def laid_out(array: Any) -> Any:
        parts = array.reshape(groups, count, index.shape[0], features // groups)
        return parts.transpose(1, 0, 3, 2).reshape(count, features, *shape)

    bends = None if found.bends is None else laid_out(found.bends)
    return settled(sets, np.maximum(laid_out(found.full), UNKNOWN), bends, compute)


def _channels_united(sets: Sets, a: Dependent, groups: int) -> Dependent:
    """Unite the channels of each group: every feature reads all of them."""
    count, channels, *sizes = a.shape
    shape = (count, groups, channels // max(groups, 1), *sizes)
    return reduced(sets, "linear", _each(a, lambda array: array.reshape(shape)), [2], None)


def _each(a: Dependent, function: Callable[[Any], Any]) -> Dependent:
    """Apply a function to the nodes, the pairs and the values of an array."""
    parts = (a.nodes, a.bends, a.value)
    return Dependent(*(None if one is None else function(one) for one in parts))


def _telling(a: Dependent, exact: bool) -> Dependent:
    """Give an array values that tell where the zeros of the padding are, or take them all away."""
    if not exact:
        return Dependent(a.full, a.bends)
    # Values of what is not known: nobody looks at them.
    value = np.ones(a.shape, np.int8) if a.value is None else a.value
    return Dependent(a.full, a.bends, value)


def _rows(array: Any, index: Any, groups: int) -> Any:
    count, channels, *sizes = array.shape
    taken = gathered(array.reshape(count, channels, prod(sizes)), index)
    parts = taken.reshape(count, groups, channels // groups, *index.shape)
    rows = parts.transpose(1, 0, 3, 2, 4)
    wide = channels // groups * index.shape[1]
    return np.ascontiguousarray(rows).reshape(groups, count * index.shape[0], wide)


def _weights(array: Any, groups: int) -> Any:
    """Write weights as matrices: ``(groups, C / groups * entries, O / groups)``."""
    features, channels, *window = array.shape
    parts = array.reshape(groups, features // groups, channels * prod(window))
    return np.ascontiguousarray(parts.transpose(0, 2, 1))
