"""What AutoNumba refuses, and how; what it checks; recursion."""

from __future__ import annotations

import collections
import math
import os
from typing import Any

import numpy as np
import pytest

import difint as di

NUMBA = di.AutoNumba()
X = np.array([0.5, 2.0, 3.0])


def storing(x: Any) -> Any:
    table = np.zeros(3)
    table[0] = x[0]
    return table


def writing(x: Any, c: Any) -> Any:
    c[0] = 1.0
    return x * c


def adding(x: Any) -> Any:
    y = np.ones(3)
    y *= x
    return y


def importing(x: Any) -> Any:
    import math

    return x * math.pi


class Record:
    rate = 1.0


RECORD, TABLE = Record(), np.zeros(3)


def writing_global(x: Any) -> Any:
    TABLE[0] = 1.0
    return x


REFUSED = [
    (adding, (), "a number that depends on x is stored in an array of floats", "empty_like(x)"),
    (importing, (), "IMPORT_NAME", "Write it with arithmetic"),
    (writing_global, (), "f writes to a Constant or to a global array", "work on a copy"),
    (lambda x: x * RECORD.rate, (), "no type for the global RECORD", "namedtuples instead"),
    (lambda x: os.fspath(x), (), "Numba finds no fspath", "Import the function itself"),
    (storing, (), "a number that depends on x is stored in an array of floats", "empty_like(x)"),
    (writing, (di.Constant(np.ones(3)),), "f writes to a Constant", "in a Cache"),
    (lambda x: np.interp(x, X, X), (), "interp(array(dual", "a loop over the intervals"),
    (lambda x: np.einsum("i->i", x), (), "Numba has no numpy.einsum", "use @"),
    (lambda x: [x[0], x[1]], (), "a list of numbers that depend on x", "numpy.array"),
    (lambda x: x * pytest, (), "pytest", "Write it with arithmetic"),
    (math, (), "f is not callable", "Pass the function first"),
    ("".join, (), "Numba cannot compile f", "Write a function"),
]


@pytest.mark.parametrize(("f", "contexts", "problem", "remedy"), REFUSED)
def test_refusals_name_what_and_what_instead(
    f: Any, contexts: Any, problem: str, remedy: str
) -> None:
    with pytest.raises(di.DifintError) as caught:
        di.prepare_jacobian(f, NUMBA, X, *contexts)
    text = str(caught.value)
    assert problem in text and remedy in text
    assert len(text.splitlines()) <= 4


def test_another_size_of_y_than_at_prepare() -> None:
    """It depends on a context, which may change; here the compiled code looks."""
    n = di.Constant

    def head(x: Any, n: Any) -> Any:
        return x[:n] * 2

    plan = di.prepare_jacobian(head, NUMBA, X, n(3))
    with pytest.raises(ValueError, match="another number of entries than at prepare"):
        plan.execute(X, n(2))
    assert di.jacobian(head, NUMBA, X, n(2)).shape == (2, 3)


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize("f", [lambda x: {"a": x, "b": x[0]}, lambda x: Pair(x, x)])
def test_results_whose_names_would_be_lost(f: Any) -> None:
    with pytest.raises(di.UnsupportedError, match="it returns a dict or a namedtuple"):
        di.pushforward(f, NUMBA, X, X)


def write_outside(y: Any, x: Any) -> None:
    y[5] = x[0]


@pytest.mark.parametrize("f", [write_outside, lambda y, x: x[len(x)] * y])
def test_indices_are_checked_at_prepare(f: Any) -> None:
    """Later they are not, as always with Numba: this would read or write what is not there."""
    with pytest.raises(IndexError):
        di.prepare_jacobian(f, NUMBA, X, y=np.empty(3))


def factorial(x: Any, n: Any) -> Any:
    return x * 1.0 if n == 0 else x * factorial(x, n - 1)


def even(x: Any, n: Any) -> Any:
    if n == 0:
        return x * 1.0
    return odd(x, n - 1) * x


def odd(x: Any, n: Any) -> Any:
    if n == 0:
        return x * 2.0
    return even(x, n - 1) + x


@pytest.mark.parametrize(("f", "slope"), [(lambda x: factorial(x, 3), 32.0), (even, 28.0)])
def test_recursion(f: Any, slope: float) -> None:
    contexts = () if f is not even else (di.Constant(4),)
    assert di.derivative(f, NUMBA, 2.0, *contexts) == slope


def test_nothing_as_a_context() -> None:
    def f(x: Any, c: Any, tree: Any) -> Any:
        if c is None:
            return x * tree["a"]
        return x * c

    tree = di.Constant({"a": 2.0, "b": None})
    np.testing.assert_array_equal(
        di.jacobian(f, NUMBA, X, di.Constant(None), tree), 2.0 * np.eye(3)
    )
