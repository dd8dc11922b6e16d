"""Compiling difint's own algorithms with Numba, which is imported when the first one is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile an algorithm when it is first run, once a machine: Numba keeps it on disk if it can.

    Where it finds no place to write to, each process compiles anew.
    """
    from numba import njit

    how = {"nogil": True, "error_model": "numpy"}
    made: Callable[..., Any]
    try:
        made = njit(cache=True, **how)(function)
    except RuntimeError:
        made = njit(**how)(function)
    return made


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a small function be a part of what calls it."""
    from numba import njit

    made: Callable[..., Any] = njit(inline="always", error_model="numpy")(function)
    return made
