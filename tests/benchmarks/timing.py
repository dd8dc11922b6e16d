"""Ratios of times, measured side by side: absolute times of a shared machine mean little."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from statistics import median
from timeit import Timer
from typing import Any

ROUNDS = 41
SECONDS = 0.02


def times(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Time each call in rounds, in another order each round; return medians in seconds.

    Results of asynchronous libraries must be waited for inside the call.
    """
    number = {name: _number(call) for name, call in calls.items()}
    seen: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for _ in range(ROUNDS):
        random.shuffle(names)
        for name in names:
            seconds = Timer(calls[name]).timeit(number[name])
            seen[name].append(seconds / number[name])
    return {name: median(values) for name, values in seen.items()}


def _number(call: Callable[[], Any]) -> int:
    call()
    once = Timer(call).timeit(5) / 5
    return max(1, int(SECONDS / once))
