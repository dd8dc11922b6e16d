"""Reshaping without a copy, in row order, as Numba asks its C library for it: in plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core.extending import register_jitable


@register_jitable
def _within(axis: Any, count: Any, dims: Any) -> Any:
    """Return the dimension of an axis, 1 where there is no such axis."""
    return dims[axis] if axis < count else 1


@register_jitable
def _steps(count: Any, dims: Any, size: Any) -> Any:
    """Return the strides of a contiguous array of at most four axes."""
    third = size * _within(3, count, dims)
    second = third * _within(2, count, dims)
    first = second * _within(1, count, dims)
    return first, second, third, size


@register_jitable
def _is_packed(count: Any, strides: Any, steps: Any) -> Any:
    """Tell whether strides are those of a contiguous array. No loop: LLVM is to see the answer."""
    packed = count < 1 or strides[0] == steps[0]
    packed &= count < 2 or strides[1] == steps[1]
    packed &= count < 3 or strides[2] == steps[2]
    packed &= count < 4 or strides[3] == steps[3]
    return packed


@register_jitable
def _write(count: Any, strides: Any, steps: Any) -> None:
    """Write strides, of as many axes as there are."""
    if count > 0:
        strides[0] = steps[0]
    if count > 1:
        strides[1] = steps[1]
    if count > 2:
        strides[2] = steps[2]
    if count > 3:
        strides[3] = steps[3]


@register_jitable
def _total(count: Any, dims: Any) -> Any:
    """Return how many elements there are."""
    first, _, _, last = _steps(count, dims, 1)
    total = first * last * _within(0, count, dims)
    for axis in range(4, count):
        total *= dims[axis]
    return total


@register_jitable
def _next(axis: Any, count: Any, dims: Any) -> Any:
    """Find the next axis that is not of length 1: those have no meaning."""
    while axis < count and dims[axis] == 1:
        axis += 1
    return axis


@register_jitable
def _group(old: Any, dims: Any, strides: Any, count: Any, new: Any, new_dims: Any) -> Any:
    """Find as few axes as hold as many elements as new ones do: the last of both, or none."""
    there, wanted = dims[old], new_dims[new]
    while there != wanted:
        if wanted < there:
            new += 1
            wanted *= new_dims[new]
        else:
            following = _next(old + 1, count, dims)
            if strides[old] != dims[following] * strides[following]:
                return -1, -1
            old = following
            there *= dims[old]
    return old, new


@register_jitable
def _match(
    count: Any, dims: Any, strides: Any, new_count: Any, new_dims: Any, new_strides: Any, size: Any
) -> Any:
    """Divide old and new axes into groups of as many elements; each must be contiguous."""
    new, stride = 0, size
    old = _next(0, count, dims)
    while new < new_count and old < count:
        last, last_new = _group(old, dims, strides, count, new, new_dims)
        if last < 0:
            return np.int32(0)
        stride = strides[last]
        for axis in range(last_new, new - 1, -1):
            new_strides[axis] = stride
            stride *= new_dims[axis]
        stride = strides[last]
        old, new = _next(last + 1, count, dims), last_new + 1
    for axis in range(new, new_count):
        new_strides[axis] = stride
    return np.int32(1)


def attempt_reshape(
    count: Any, dims: Any, strides: Any, new_count: Any, new_dims: Any, new_strides: Any, size: Any
) -> Any:
    """Compute the strides of a reshaped array; return 0 where it would have to be copied."""
    total = _total(count, dims)
    if total != _total(new_count, new_dims):
        return np.int32(0)
    if count <= 4 and new_count <= 4 and _is_packed(count, strides, _steps(count, dims, size)):
        _write(new_count, new_strides, _steps(new_count, new_dims, size))
        return np.int32(1)
    if total == 0:
        for axis in range(new_count):
            new_strides[axis] = size
        return np.int32(1)
    return _match(count, dims, strides, new_count, new_dims, new_strides, size)
