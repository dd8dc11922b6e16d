"""Times: how samples are taken and compared. No test here depends on how fast anything is."""

import numpy as np
import pytest

from difint.testing.timing import Timing, ratio_range, time_together


def test_samples_of_all_calls_belong_to_the_same_rounds():
    seen = []
    timings = time_together([lambda: seen.append("a"), lambda: seen.append("b")], 0.001)
    assert len({len(one.samples) for one in timings}) == 1
    assert len(timings[0].samples) >= 3
    for name, one in zip("ab", timings, strict=True):
        assert seen.count(name) > len(one.samples) * one.evaluations


def test_slow_calls_get_few_samples_of_one_evaluation(monkeypatch):
    class Slow:
        def __init__(self, call):
            self.call = call

        def timeit(self, number):
            self.call()
            return 10.0 * number

    monkeypatch.setattr("difint.testing.timing.Timer", Slow)
    calls = []
    (timing,) = time_together([lambda: calls.append(1)], 0.1)
    assert timing == Timing((10.0, 10.0, 10.0), 1)


def test_evaluations_fill_a_sample(monkeypatch):
    class Fixed:
        def __init__(self, call):
            pass

        def timeit(self, number):
            return 1e-6 * number

    monkeypatch.setattr("difint.testing.timing.Timer", Fixed)
    (timing,) = time_together([lambda: None], 0.1)
    assert timing.evaluations * 1e-6 == pytest.approx(0.1 / 25, rel=0.01)
    assert timing.median == timing.minimum == pytest.approx(1e-6)
    assert 24 <= len(timing.samples) <= 27


def test_nothing_to_time():
    assert time_together([], 1.0) == []


def test_statistics():
    timing = Timing((4.0, 1.0, 3.0, 2.0, 5.0), 1)
    assert (timing.median, timing.minimum, timing.spread) == (3.0, 1.0, 2.0)


def test_ratios_are_of_samples_taken_together():
    rng = np.random.default_rng(0)
    machine = rng.lognormal(0, 0.5, 100)  # what both suffer alike
    slow = Timing(tuple(2.0 * machine * rng.normal(1, 0.05, 100)), 1)
    fast = Timing(tuple(1.0 * machine * rng.normal(1, 0.05, 100)), 1)
    low, high = ratio_range(slow, fast)
    assert 1.9 < low < 2.0 < high < 2.1
    low, high = ratio_range(fast, Timing(tuple(machine * rng.normal(1, 0.05, 100)), 1))
    assert low < 1.0 < high


def test_ratio_of_few_samples_is_their_whole_range():
    low, high = ratio_range(Timing((1.0, 2.0, 3.0), 1), Timing((1.0, 1.0, 1.0), 1))
    assert (low, high) == (1.0, 3.0)


def test_the_range_covers_the_median_as_often_as_it_says():
    rng = np.random.default_rng(1)
    ones, hits = Timing((1.0,) * 40, 1), 0
    for _ in range(400):
        low, high = ratio_range(Timing(tuple(rng.exponential(1.0, 40)), 1), ones)
        hits += low <= np.log(2.0) <= high
    assert 0.92 <= hits / 400 <= 0.99
