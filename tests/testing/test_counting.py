"""Counts: calls of f without wrapping it, memory, growth."""

import cProfile
import functools

import numpy as np
import pytest

from difint.testing.counting import code_of, counted_calls, growth, memory_of


def plain(x):
    return x + 1


class Callable:
    def __call__(self, x):
        return x

    def method(self, x):
        return x


def recursive(n):
    return n and recursive(n - 1)


@pytest.mark.parametrize(
    "f",
    [plain, functools.partial(plain), Callable(), Callable().method, functools.partial(Callable())],
)
def test_calls_are_counted_without_wrapping(f):
    with counted_calls(f) as calls:
        f(1)
        f(2)
    assert calls.count == 2
    f(3)
    assert calls.count == 2


def test_calls_from_within_belong_to_the_outer_one():
    with counted_calls(recursive) as calls:
        recursive(5)
    assert calls.count == 1


def test_calls_end_with_exceptions_too():
    def fails():
        raise KeyError

    with counted_calls(fails) as calls:
        for _ in range(3):
            with pytest.raises(KeyError):
                fails()
    assert calls.count == 3


def test_functions_without_python_code_are_not_counted():
    for f in (np.square, len, str.upper):
        assert code_of(f) is None
        with counted_calls(f) as calls:
            pass
        assert calls.count is None


def test_another_profiler_is_left_alone():
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        with counted_calls(plain) as calls:
            plain(1)
    finally:
        profiler.disable()
    assert calls.count is None


def test_memory_of_a_call():
    memory = memory_of(lambda: np.ones(1000) * np.ones(1000).sum())
    assert 8000 <= memory.kept < 9000
    assert 16000 <= memory.peak < 19000
    assert 1 <= memory.blocks <= 3
    out = np.empty(1000)
    into = memory_of(lambda: np.multiply(out, 2.0, out=out))
    assert into.kept < 100 and into.blocks <= 1 and into.peak < 1000


def test_growth():
    kept = []
    assert growth(lambda: kept.append(np.ones(10)), 50, noise=1000) >= 50 * 80
    assert growth(lambda: np.ones(10), 50, noise=1000) <= 1000

    def cycle():
        one = [np.ones(10)]
        one.append(one)

    assert growth(cycle, 50, noise=1000) <= 1000
