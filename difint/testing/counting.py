"""Counts that do not depend on the machine: calls of ``f``, traces, memory."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from inspect import getattr_static
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, final


def code_of(f: Any) -> CodeType | None:
    """Find the Python code that runs when ``f`` is called; ``None`` if there is none."""
    while isinstance(f, partial | MethodType):
        f = f.func if isinstance(f, partial) else f.__func__
    if not isinstance(f, FunctionType):
        f = getattr_static(type(f), "__call__", None)
    return f.__code__ if isinstance(f, FunctionType) else None


@final
@dataclass(slots=True)
class Calls:
    """How often a function was called.

    Attributes:
        count: the calls; ``None`` for a function without Python code, which leaves no trace, and
            where another profiler is at work.
    """

    count: int | None = None


@contextmanager
def counted_calls(f: Any) -> Iterator[Calls]:
    """Count the calls of ``f`` in this thread, from its frames: ``f`` itself is not wrapped.

    Compiled code that never enters ``f`` counts nothing, and a call from within ``f`` belongs to
    the outer one.
    """
    code = code_of(f)
    calls = Calls(None if code is None or sys.getprofile() is not None else 0)
    depth = 0

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal depth
        if frame.f_code is not code:
            return
        if event == "call":
            calls.count = (calls.count or 0) + (depth == 0)
            depth += 1
        elif event == "return":
            depth -= 1

    if calls.count is None:
        yield calls
        return
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@final
@dataclass(frozen=True, slots=True)
class Memory:
    """What a call does to Python's memory, NumPy's included.

    Attributes:
        peak: the most that is held at a time during the call, beyond what was before, in bytes.
        kept: what the call's result holds, in bytes.
        blocks: in how many blocks.
    """

    peak: int
    kept: int
    blocks: int


def memory_of(call: Callable[[], Any]) -> Memory:
    """Measure one call. Memory that a library allocates past Python and NumPy is not seen."""
    call()
    with _traced():
        call()
        _live()  # what counting caches is there before it counts
        tracemalloc.reset_peak()
        start, _ = tracemalloc.get_traced_memory()
        result = call()
        _, peak = tracemalloc.get_traced_memory()
        held = _live()
        del result
        gone = _live()
    bytes_kept, blocks = (max(a - b, 0) for a, b in zip(held, gone, strict=True))
    return Memory(max(peak - start, 0), bytes_kept, blocks)


def _live() -> tuple[int, int]:
    """Count what is alive, in bytes and in blocks, but for what counting itself needs."""
    gc.collect()
    mine = [tracemalloc.Filter(False, file) for file in (tracemalloc.__file__, __file__)]
    seen = tracemalloc.take_snapshot().filter_traces(mine).statistics("filename")
    return sum(one.size for one in seen), sum(one.count for one in seen)


# Python's own free lists fill up once; a leak grows in every round.
_ROUNDS = 4


def growth(call: Callable[[], Any], calls: int, noise: int) -> int:
    """Measure what many calls leave behind when their results are gone, in bytes.

    Of several rounds the least counts; there are no more once it is within ``noise``.
    """
    least = sys.maxsize
    with _traced():
        call()
        for _ in range(_ROUNDS):
            gc.collect()
            start, _ = tracemalloc.get_traced_memory()
            for _ in range(calls):
                call()
            gc.collect()
            least = min(least, tracemalloc.get_traced_memory()[0] - start)
            if least <= noise:
                break
    return least


@contextmanager
def _traced() -> Iterator[None]:
    """Trace memory, and collect garbage when asked for alone, of what is new alone."""
    mine, collecting = not tracemalloc.is_tracing(), gc.isenabled()
    gc.disable()
    gc.freeze()
    if mine:
        tracemalloc.start()
    try:
        yield
    finally:
        if mine:
            tracemalloc.stop()
        gc.unfreeze()
        if collecting:
            gc.enable()
