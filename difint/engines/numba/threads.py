"""Threads: what Numba's threading layers allow when several threads call parallel code."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from numba import threading_layer

_LOCK = Lock()


def in_turn(call: Callable[..., Any]) -> Callable[..., Any]:
    """Let one thread at a time call parallel code, if the layer ends the process otherwise.

    Of Numba's layers, ``workqueue`` does; it is used where neither TBB nor OpenMP is there.
    """
    if threading_layer() != "workqueue":
        return call

    def locked(*args: Any) -> Any:
        with _LOCK:
            return call(*args)

    return locked
