"""Every rule of the table, in first and in second order, against mpmath."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numba import njit

import difint as di
from difint.engines.numba.functions import names_of
from difint.rules import RULES, arguments

mpmath.mp.dps = 60

_MPMATH: dict[str, Callable[..., Any]] = {
    "positive": lambda x: x,
    "negative": lambda x: -x,
    "absolute": abs,
    "fabs": abs,
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x, 2),
    "log1p": lambda x: mpmath.log(1 + x),
    "expm1": mpmath.expm1,
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
    "arcsinh": mpmath.asinh,
    "arccosh": mpmath.acosh,
    "arctanh": mpmath.atanh,
    "deg2rad": mpmath.radians,
    "rad2deg": mpmath.degrees,
    "lgamma": mpmath.loggamma,
    "trunc": lambda x: mpmath.floor(x) if x > 0 else mpmath.ceil(x),
    "rint": mpmath.nint,
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "floor_divide": lambda a, b: mpmath.floor(a / b),
    "remainder": lambda a, b: a - b * mpmath.floor(a / b),
    "fmod": lambda a, b: a - b * (mpmath.floor(a / b) if a / b > 0 else mpmath.ceil(a / b)),
    "power": mpmath.power,
    "arctan2": mpmath.atan2,
    "maximum": lambda a, b: max(a, b),
    "minimum": lambda a, b: min(a, b),
    "copysign": lambda a, b: abs(a) * (1 if b > 0 else -1),
    "logaddexp": lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
}

_ANYWHERE = (-20.3, -1.7, -0.4, 1e-6, 0.3, 1.1, 2.6, 17.2)
_POSITIVE = (1e-8, 0.3, 1.0, 2.6, 1e5)
_INSIDE = (-0.99999, -0.4, 1e-6, 0.3, 0.9999)
_POINTS = {
    **dict.fromkeys(("sqrt", "log", "log2", "log10", "gamma", "cbrt"), _POSITIVE),
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), _INSIDE),
    "lgamma": (*_POSITIVE, 40.5),
    "arccosh": (1.00001, 1.3, 7.7, 1e5),
    "log1p": (-0.9999, -0.4, 1e-9, 0.3, 1e5),
    "gamma": (-1.7, 0.3, 1.1, 4.6, 17.2),
    "exp2": (-20.3, 0.0, 17.2),
    "erf": (-2.5, -0.4, 1e-6, 1.3, 4.0),
    "erfc": (-2.5, -0.4, 1e-6, 1.3, 4.0),
}
_PAIRS = ((-1.7, 0.4), (0.3, -2.6), (2.6, 1.1), (1e-3, 5.5), (17.2, -0.3))
_PAIR_POINTS = {"power": ((0.3, 2.6), (2.6, -1.5), (1e-3, 0.4), (5.5, 3.0))}


def exact(name: str, order: int, at: tuple[float, ...], by: int) -> float:
    function = _MPMATH.get(name) or getattr(mpmath, name)
    parts = [mpmath.mpf(one) for one in at]

    def along(x: Any) -> Any:
        return function(*(x if i == by else one for i, one in enumerate(parts)))

    # Functions with jumps and kinks are linear in between: a small step crosses none.
    return float(
        mpmath.diff(along, parts[by], order, h=mpmath.mpf(10) ** -20 * abs(parts[by] or 1))
    )


def close(got: float, expected: float, name: str) -> bool:
    """Compare to 1e-13, relative: some units in the last place of every operation."""
    slack = 1e-10 if name in ("gamma", "lgamma", "erfc") else 2e-13
    return math.isclose(got, expected, rel_tol=slack, abs_tol=1e-15)


UNARY = [name for name in RULES if len(RULES[name]) == 1]
BINARY = [name for name in RULES if len(RULES[name]) == 2]


@pytest.mark.parametrize("name", UNARY)
def test_rule_of_one_argument(name: str) -> None:
    f = names_of(name)[0]
    plan = di.prepare_second_derivative(lambda x: f(x), di.AutoNumba(), 0.5)
    for x in _POINTS.get(name, _ANYWHERE):
        _, first, second = plan.value_derivative_and_second_derivative(x)
        assert close(first, exact(name, 1, (x,), 0), name), (x, first)
        assert close(second, exact(name, 2, (x,), 0), name), (x, second)


@pytest.mark.parametrize("name", BINARY)
def test_rule_of_two_arguments(name: str) -> None:
    """Both variable, and the one or the other a number."""
    f = names_of(name)[0]
    both = di.prepare_hessian(lambda x: f(x[0], x[1]), di.AutoNumba(), np.ones(2))
    first = di.prepare_second_derivative(
        lambda a, b: f(a, b), di.AutoNumba(), 1.0, di.Constant(1.0)
    )
    second = di.prepare_second_derivative(
        lambda b, a: f(a, b), di.AutoNumba(), 1.0, di.Constant(1.0)
    )
    for a, b in _PAIR_POINTS.get(name, _PAIRS):
        _, gradient, hessian = both.value_gradient_and_hessian(np.array([a, b]))
        alone = first.value_derivative_and_second_derivative(a, di.Constant(b))[1:]
        other = second.value_derivative_and_second_derivative(b, di.Constant(a))[1:]
        for by, got in enumerate((alone, other)):
            for order in (1, 2):
                expected = exact(name, order, (a, b), by)
                together = gradient[by] if order == 1 else hessian[by, by]
                assert close(together, expected, name), (a, b, by, order)
                assert close(got[order - 1], expected, name), (a, b, by, order)
        assert hessian[0, 1] == hessian[1, 0]


@pytest.mark.parametrize("name", RULES)
def test_all_names_of_a_function_have_its_rule(name: str) -> None:
    """NumPy's, math's, the operator."""
    at = (0.5,) if arguments(name) == ("x",) else (0.5, 1.25)
    at = (1.5,) if name == "arccosh" else at

    def of(function: Callable[..., Any]) -> Any:
        if len(at) == 1:
            return di.gradient(lambda x: function(x[0]), di.AutoNumba(), np.array(at))
        return di.gradient(lambda x: function(x[0], x[1]), di.AutoNumba(), np.array(at))

    first, *others = [of(function) for function in names_of(name)]
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-14)


KINKS = [
    (np.abs, 0.0, 1.0),
    (np.abs, -0.0, 1.0),
    (lambda x: np.maximum(x, 0.0), 0.0, 0.5),
    (lambda x: np.minimum(x, 0.0), 0.0, 0.5),
    (np.sign, 0.0, 0.0),
    (np.floor, 1.0, 0.0),
    (np.sqrt, 0.0, np.inf),
    (lambda x: x**0, 0.0, 0.0),
    (lambda x: x**1, 0.0, 1.0),
    (lambda x: x**2.0, 0.0, 0.0),
    (lambda x: np.power(0.0, x), 2.0, 0.0),
    (lambda x: np.where(x > 0.0, x, 0.0), 0.0, 0.0),
    (np.log, 0.0, np.inf),
    (np.exp, 1000.0, np.inf),
    (lambda x: np.clip(x, 0.0, 1.0), 0.0, 0.5),
]


@pytest.mark.parametrize(("f", "x", "expected"), KINKS)
def test_kinks_and_poles(f: Any, x: float, expected: float) -> None:
    assert di.derivative(f, di.AutoNumba(), x) == expected


@pytest.mark.parametrize("name", ["abs", "sign", "floor", "sqrt", "log", "exp"])
def test_kinks_and_poles_are_those_of_jax(name: str) -> None:
    at = 1000.0 if name == "exp" else 0.0
    with jax.enable_x64(True):
        expected = jax.grad(getattr(jnp, name))(at)
    assert di.derivative(getattr(np, name), di.AutoNumba(), at) == expected


def test_nan_spreads_as_in_the_forward_mode_of_jax() -> None:
    """Zero times NaN is NaN: a seed of zero does not keep NaN out of its column."""
    x = np.array([np.nan, 0.0])
    with jax.enable_x64(True):
        expected = jax.jacfwd(jnp.exp)(x)
    np.testing.assert_array_equal(di.jacobian(np.exp, di.AutoNumba(), x), expected)


def test_rules_reach_helpers_that_are_compiled() -> None:
    @njit
    def helper(v: Any) -> Any:
        return math.sin(v) * v

    got = di.derivative(lambda x: helper(x) + 1, di.AutoNumba(), 0.5)
    assert math.isclose(got, math.cos(0.5) * 0.5 + math.sin(0.5), rel_tol=1e-15)
