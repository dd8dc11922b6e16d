"""Times measured side by side: on a shared machine, only what ran together compares."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from timeit import Timer
from typing import Any, final

# A sample is long beside the clock's resolution and short beside the machine's disturbances.
_SHORTEST_SAMPLE, _LONGEST_SAMPLE = 5e-5, 2e-2
_SAMPLES = 25
_FEWEST_SAMPLES = 3


@final
@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured of one call.

    Attributes:
        samples: seconds an evaluation, one number a round.
        evaluations: how many evaluations one sample took.
    """

    samples: tuple[float, ...]
    evaluations: int

    @property
    def median(self) -> float:
        """The median of the samples, in seconds."""
        return median(self.samples)

    @property
    def minimum(self) -> float:
        """The least of the samples, in seconds."""
        return min(self.samples)

    @property
    def spread(self) -> float:
        """The range of the middle half of the samples, in seconds."""
        first, _, third = quantiles(self.samples, n=4, method="inclusive")
        return third - first


def time_together(
    calls: Sequence[Callable[[], Any]], seconds: float, fewest: int = _FEWEST_SAMPLES
) -> list[Timing]:
    """Time calls in rounds, in another order each round, so that disturbances meet all alike.

    Args:
        calls: what to time. One whose result is computed later must wait for it.
        seconds: how long to spend on each call.
        fewest: how many samples to take at least, however long that takes.

    Returns:
        A timing for each call; their samples of one round belong together.
    """
    numbers = [_evaluations(call, seconds) for call in calls]
    timers = [Timer(call) for call in calls]
    seen: list[list[float]] = [[] for _ in calls]
    order, rng = list(range(len(calls))), random.Random(0)
    spent, rounds = 0.0, 0
    while calls and (rounds < fewest or spent < seconds * len(calls)):
        rng.shuffle(order)
        for i in order:
            total = timers[i].timeit(numbers[i])
            seen[i].append(total / numbers[i])
            spent += total
        rounds += 1
    pairs = zip(seen, numbers, strict=True)
    return [Timing(tuple(samples), number) for samples, number in pairs]


def _evaluations(call: Callable[[], Any], seconds: float) -> int:
    """Choose how often a sample evaluates; the first call, which may be slow, does not count."""
    call()
    timer, number = Timer(call), 1
    sample = min(max(seconds / _SAMPLES, _SHORTEST_SAMPLE), _LONGEST_SAMPLE)
    while (total := timer.timeit(number)) < sample / 4:
        number *= 4
    return max(1, round(number * sample / total))


def ratio_range(one: Timing, other: Timing) -> tuple[float, float]:
    """Get a 95 % range for the ratio of the median times of two calls timed together.

    The samples of a round are compared with each other, and the range is that of the median of
    their ratios by order statistics (Conover, Practical Nonparametric Statistics, 1999,
    section 3.2): no distribution is assumed. It takes six samples at least.
    """
    ratios = sorted(a / b for a, b in zip(one.samples, other.samples, strict=True))
    count = len(ratios)
    margin = 1.96 * count**0.5 / 2
    low = max(int(count / 2 - margin), 0)
    high = min(int(count / 2 + margin) + 1, count) - 1
    return ratios[low], ratios[high]
