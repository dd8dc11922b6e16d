"""What ``f`` reads besides its arguments: a graph keeps the values that it had at prepare."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from difint.engines.torch.arrays import flatten
from difint.modules import ModuleLoss

_NUMBERS = (bool, int, float, complex, np.ndarray, np.generic, torch.Tensor)


def frozen_in(f: Callable[..., Any]) -> tuple[str, ...]:
    """List the names of the numbers, arrays, tensors and modules that a function reads."""
    return tuple(dict.fromkeys(_names(f)))


def _names(f: Any) -> Iterator[str]:
    if isinstance(f, ModuleLoss):
        yield from f.frozen
    elif isinstance(f, partial):
        yield from _names(f.func)
        held = {**{f"argument {i}": one for i, one in enumerate(f.args)}, **f.keywords}
        yield from (name for name, value in held.items() if _holds(value))
    elif isinstance(f, torch.nn.Module):
        yield f"the parameters and buffers of {type(f).__name__}"
    elif inspect.ismethod(f):
        yield from _names(f.__func__)
        yield from _attributes(f.__self__)
    elif inspect.isfunction(f):
        read = inspect.getclosurevars(f)
        given = [one for one in inspect.signature(f).parameters.values()]
        defaults = {one.name: one.default for one in given}
        held = {**read.globals, **read.nonlocals, **defaults}
        yield from (name for name, value in held.items() if _holds(value))
    else:
        yield from _attributes(f)


def _attributes(owner: Any) -> Iterator[str]:
    """List the numbers and tensors that an object holds."""
    held = getattr(owner, "__dict__", {})
    yield from (f"self.{name}" for name, value in held.items() if _holds(value))


def _holds(value: Any) -> bool:
    """Tell whether a value holds numbers."""
    leaves = flatten(value)[0] if isinstance(value, list | tuple | dict) else [value]
    return any(isinstance(leaf, (*_NUMBERS, torch.nn.Module)) for leaf in leaves)
