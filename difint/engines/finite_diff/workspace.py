"""Workspace that is kept between calls and never shared between threads."""

from __future__ import annotations

from typing import Any, final

import numpy as np


@final
class Workspace:
    """A stack of scratch copies of ``x``.

    Every call takes one and gives it back: calls that run at once, in threads or because ``f``
    itself executes the plan, never hold the same one. A call that ends in an exception keeps
    its copy, and a new one is made.
    """

    __slots__ = ("_complex", "_free")

    def __init__(self, *, complex_entries: bool = False) -> None:
        self._complex = complex_entries
        self._free: list[tuple[Any, Any]] = []

    def take(self, x: Any) -> tuple[Any, Any]:
        """Get a contiguous copy of ``x``, complex if that was asked for, and its flat view."""
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = self._make(x)
        if scratch[0].shape != x.shape:
            scratch = self._make(x)
        scratch[0][...] = x
        return scratch

    def give(self, scratch: tuple[Any, Any]) -> None:
        """Give it back for another call."""
        self._free.append(scratch)

    def _make(self, x: Any) -> tuple[Any, Any]:
        dtype = np.result_type(x.dtype, np.complex64) if self._complex else x.dtype
        work = np.empty(x.shape, dtype)
        return work, work.reshape(-1)
