"""Workspace that is kept between calls and never shared between threads."""

from __future__ import annotations

from typing import Any, NamedTuple, final

import numpy as np


class Scratch(NamedTuple):
    """What one call works in.

    Attributes:
        work: a contiguous copy of ``x``, complex if that was asked for.
        entries: the same memory, flat.
        rel: the relative step, repeated for each entry: NumPy multiplies that faster.
        least: the least step, likewise.
        shape: the shape of ``x`` that it is for.
        dtype: the dtype of ``x``.
    """

    work: Any
    entries: Any
    rel: Any
    least: Any
    shape: tuple[int, ...]
    dtype: Any


@final
class Workspace:
    """A stack of scratch memory.

    Every call takes one and gives it back: calls that run at once, in threads or because ``f``
    itself executes the plan, never hold the same one. A call that ends in an exception keeps
    its own, and a new one is made.
    """

    __slots__ = ("_complex", "_free", "_least", "_rel")

    def __init__(self, rel: float, least: float, *, complex_entries: bool = False) -> None:
        self._rel = rel
        self._least = least
        self._complex = complex_entries
        self._free: list[Scratch] = []

    def take(self, x: Any) -> Scratch:
        """Get scratch memory that holds a copy of ``x``."""
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = self._make(x)
        if scratch.shape != x.shape or scratch.dtype is not x.dtype:
            scratch = self._make(x)
        scratch.work[...] = x
        return scratch

    def give(self, scratch: Scratch) -> None:
        """Give it back for another call."""
        self._free.append(scratch)

    def _make(self, x: Any) -> Scratch:
        dtype = np.result_type(x.dtype, np.complex64) if self._complex else x.dtype
        work = np.empty(x.shape, dtype)
        steps = np.full(x.size, self._rel, x.dtype), np.full(x.size, self._least, x.dtype)
        return Scratch(work, work.reshape(-1), *steps, x.shape, x.dtype)
