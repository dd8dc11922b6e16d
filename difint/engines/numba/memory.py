"""Binding: calls of a compiled sweep on fixed memory, by the addresses of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.np.numpy_support import as_dtype

from difint.engines.numba.entries import Door, Place
from difint.trees import PYTHON_TREES


def binder(
    door: Door, at: Any, hidden: tuple[Any, ...] = (), kept: Any = None
) -> Callable[..., Any]:
    """Build ``bind(args, out, returned) -> step``; ``None`` where an argument has no such memory.

    ``args`` are unwrapped. The addresses stand in a block that the step owns, and so it does the
    arrays behind them; ``kept`` is what must live as long as the hidden values.
    """

    def bind(args: tuple[Any, ...], out: Any, returned: Any = None) -> Callable[[], Any] | None:
        lead = len(door.inputs)
        leaves = PYTHON_TREES.flatten(list(args[lead:]))[0]
        values = [*hidden, *args[:lead], *leaves, out]
        pairs = list(zip(values, (*door.hidden, *door.places), strict=True))
        if not all(_suits(value, place) for value, place in pairs):
            return None
        block = np.array([_slot(value, place) for value, place in pairs], np.int64)
        return _step(at, block, [*values, kept], out if returned is None else returned)

    return bind


def _step(at: Any, block: Any, values: list[Any], out: Any) -> Callable[[], Any]:
    address = block.ctypes.data

    def step(
        at: Any = at, address: int = address, out: Any = out, _alive: Any = (block, values)
    ) -> Any:
        at(address)
        return out

    return step


def _suits(value: Any, place: Place) -> bool:
    """Tell whether an argument can be read from memory as the sweep is compiled for."""
    if not place.is_array:
        return as_dtype(place.ty).itemsize <= 8
    if type(value) is not np.ndarray or not value.dtype.isnative or not value.flags.aligned:
        return False
    wanted = {"C": "c_contiguous", "F": "f_contiguous"}.get(place.ty.layout)
    return wanted is not None and bool(getattr(value.flags, wanted))


def _slot(value: Any, place: Place) -> int:
    if place.is_array:
        return int(value.ctypes.data)
    bits = np.zeros(1, np.int64)
    bits.view(np.uint8)[: as_dtype(place.ty).itemsize] = np.frombuffer(
        np.asarray(value, as_dtype(place.ty)).tobytes(), np.uint8
    )
    return int(bits[0])
