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
        self._free: list[Any] = []

    def take(self, x: Any) -> Any:
        """Get a contiguous copy of ``x``, complex if that was asked for."""
        try:
            work = self._free.pop()
        except IndexError:
            work = None
        if work is None or work.shape != x.shape:
            dtype = np.result_type(x.dtype, np.complex64) if self._complex else x.dtype
            work = np.empty(x.shape, dtype)
        work[...] = x
        return work

    def give(self, work: Any) -> None:
        """Give it back for another call."""
        self._free.append(work)
