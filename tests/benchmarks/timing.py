"""Medians of times measured side by side: absolute times of a shared machine mean little."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from difint.testing.timing import time_together

SECONDS = 0.8


def times(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Time calls together; return medians in seconds.

    Results of asynchronous libraries must be waited for inside the call.
    """
    timings = time_together(list(calls.values()), SECONDS)
    return {name: one.median for name, one in zip(calls, timings, strict=True)}


@dataclass(frozen=True)
class Line:
    """``ours`` against ``rival``: at most ``bound`` times its time."""

    name: str
    ours: Callable[[], Any]
    rival: Callable[[], Any]
    rival_name: str
    bound: float | None
