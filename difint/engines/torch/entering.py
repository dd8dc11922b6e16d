"""Entering: the user's arguments as tensors, NumPy's memory shared where it can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from difint.engines.torch.arrays import mapped


def from_numpy(array: Any) -> torch.Tensor:
    """Make a tensor on a NumPy array's memory; on a copy's where PyTorch cannot have it."""
    if type(array) is np.ndarray and array.flags.writeable:
        try:
            return torch.from_numpy(array)
        except ValueError:  # a negative stride, or one that is no multiple of the item's size
            pass
    return torch.from_numpy(np.array(array))


_NUMBERS = {bool: np.dtype(bool), complex: np.dtype(complex)}


def _from_number(number: Any) -> Callable[[Any], torch.Tensor]:
    """Get what makes a tensor of a Python number, at twice the speed of PyTorch's own functions.

    It is a double, which an integer's quotient is too: beside tensors that have axes it widens
    nothing.
    """
    dtype = _NUMBERS.get(type(number), np.dtype(float))
    return lambda number: torch.from_numpy(np.array(number, dtype))


def _contiguous(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().resolve_neg()


def converter(leaf: Any) -> Callable[[Any], torch.Tensor]:
    """Get what turns values like ``leaf`` into contiguous tensors."""
    if isinstance(leaf, torch.Tensor):
        return _contiguous
    if isinstance(leaf, np.ndarray):
        return lambda value: from_numpy(value).contiguous()
    if isinstance(leaf, np.generic):
        return from_numpy
    return _from_number(leaf)


def private(value: Any) -> Any:
    """Turn every array into a tensor of its own memory; numbers stay numbers."""

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            return leaf.detach().clone()
        if isinstance(leaf, np.ndarray | np.generic):
            return torch.from_numpy(np.array(leaf))
        return leaf

    return mapped(convert, value)


def shared(value: Any) -> Any:
    """Turn every array into a tensor, of the same memory where that can be; numbers stay."""

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            plain = leaf.detach()
            # What was made in inference mode cannot be kept for a derivative.
            return plain.clone() if plain.is_inference() else plain
        return from_numpy(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf

    return mapped(convert, value)


def as_tensors(value: Any) -> Any:
    """Turn every leaf, numbers too, into a contiguous tensor."""
    return mapped(lambda leaf: converter(leaf)(leaf), value)
