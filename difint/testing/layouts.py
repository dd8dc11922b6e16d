"""Layouts: the same numbers, lying in memory in other ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from difint.kinds import TORCH
from difint.testing.values import mapped


def strided(leaf: Any) -> Any:
    """Copy an array to every second place of a larger one."""
    if TORCH.owns(leaf):
        return leaf if not leaf.ndim else _strided_tensor(leaf)
    if not isinstance(leaf, np.ndarray) or not leaf.shape:
        return leaf
    spread = np.full((*leaf.shape[:-1], 2 * leaf.shape[-1]), -1, leaf.dtype)
    spread[..., ::2] = leaf
    return spread[..., ::2]


def _strided_tensor(leaf: Any) -> Any:
    spread = leaf.new_full((*leaf.shape[:-1], 2 * leaf.shape[-1]), -1)
    spread[..., ::2] = leaf
    return spread[..., ::2]


def backward(leaf: Any) -> Any:
    """Copy an array to Fortran order; of NumPy's, the last entries first."""
    if TORCH.owns(leaf):
        order = range(leaf.ndim - 1, -1, -1)
        return leaf.permute(*order).clone().contiguous().permute(*order) if leaf.ndim else leaf
    if not isinstance(leaf, np.ndarray) or not leaf.shape:
        return leaf
    return np.array(leaf[::-1], order="F")[::-1]


LAYOUTS: dict[str, Callable[[Any], Any]] = {"strided": strided, "backward": backward}
"""By name."""


def rearranged(name: str, value: Any) -> Any:
    """Copy the arrays in a value, or in a tuple of arguments, to another layout."""
    if isinstance(value, tuple):
        return tuple(mapped(LAYOUTS[name], one) for one in value)
    return mapped(LAYOUTS[name], value)
