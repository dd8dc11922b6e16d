"""Checks that serve every operator: each case is one scenario on one backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

import difint as di
from tests.backends import ROWS, Row
from tests.scenarios import SCENARIOS, Scenario

FULL = {
    "pushforward": "value_and_pushforward",
    "pullback": "value_and_pullback",
    "derivative": "value_and_derivative",
    "gradient": "value_and_gradient",
    "jacobian": "value_and_jacobian",
    "second_derivative": "value_derivative_and_second_derivative",
    "hvp": "gradient_and_hvp",
    "hessian": "value_gradient_and_hessian",
}
ORDER = {"second_derivative": 2, "hvp": 2, "hessian": 2}


def takes(operator: str, scenario: Scenario) -> bool:
    scalar_x, scalar_y = np.ndim(scenario.x) == 0, scenario.y.ndim == 0
    if operator in ("derivative", "second_derivative"):
        return scalar_x and (operator == "derivative" or scenario.second is not None)
    if operator == "gradient":
        return scalar_y
    if operator in ("hvp", "hessian"):
        return scalar_y and scenario.second is not None and (operator == "hvp" or not scalar_x)
    return operator != "jacobian" or not scalar_x


def tangent(like: Any, seed: int = 3) -> Any:
    """Make a tangent like a value, with all entries different."""
    array = np.asarray(like)
    t = np.random.default_rng(seed).uniform(0.5, 1.5, array.shape).astype(array.dtype)
    return float(t) if isinstance(like, float) else t


def answers(operator: str, scenario: Scenario, x: Any, t: Any) -> tuple[Any, ...]:
    """Get the right lower orders and result, from the analytic matrices."""
    y = np.asarray(scenario.f(x))
    first = scenario.jacobian(x)
    second = None if scenario.second is None else scenario.second(x)
    shape = np.shape(x)
    flat = None if t is None else np.asarray(t, float).ravel()
    gradient = first.reshape(shape) if y.ndim == 0 else None
    return {
        "pushforward": lambda: (y, (first @ flat).reshape(y.shape)),
        "pullback": lambda: (y, (flat @ first).reshape(shape)),
        "derivative": lambda: (y, first.reshape(y.shape)),
        "gradient": lambda: (y, gradient),
        "jacobian": lambda: (y, first),
        "second_derivative": lambda: (y, first.reshape(y.shape), second.reshape(y.shape)),
        "hvp": lambda: (gradient, (second @ flat).reshape(shape)),
        "hessian": lambda: (y, gradient, second),
    }[operator]()


@dataclass(frozen=True)
class Case:
    """One operator on one scenario and one backend."""

    operator: str
    scenario: Scenario
    row: Row

    def __str__(self) -> str:
        return f"{self.scenario}-{self.row}"

    @property
    def f(self) -> Callable[[Any], Any]:
        return self.scenario.make(self.row.space)

    def like(self, x: Any) -> Any:
        return {"pullback": self.scenario.f(x), "pushforward": x, "hvp": x}.get(self.operator)

    def args(self, x: Any) -> tuple[Any, ...]:
        like = self.like(x)
        if like is None:
            return (x,)
        scalar = isinstance(x, float) and np.ndim(like) == 0
        return (x, tangent(float(like) if scalar else np.asarray(like)))

    def prepare(self, f: Any, *args: Any, **options: Any) -> Any:
        return getattr(di, f"prepare_{self.operator}")(f, self.row.backend, *args, **options)

    def check(self, got: Any, expected: Any, order: int, dtype: str = "float64") -> None:
        rtol = self.row.tolerance(order, dtype)
        expected = np.asarray(expected)
        scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
        assert np.shape(got) == expected.shape
        np.testing.assert_allclose(np.asarray(got), expected, rtol=rtol, atol=rtol * scale)

    def check_all(self, got: tuple[Any, ...], expected: tuple[Any, ...], dtype: str) -> None:
        orders = {"hvp": (1, 2), "hessian": (0, 1, 2), "second_derivative": (0, 1, 2)}
        for one, right, order in zip(got, expected, orders.get(self.operator, (0, 1)), strict=True):
            self.check(one, right, order or 1, dtype)


def cases(operator: str) -> list[Case]:
    return [
        Case(operator, scenario, row)
        for scenario in SCENARIOS
        if takes(operator, scenario)
        for row in ROWS
        if ORDER.get(operator) == 2 or not isinstance(row.backend, di.SecondOrder)
    ]


def moved(x: Any) -> Any:
    """Get another point than the prepared one."""
    return x * 1.25 if isinstance(x, float) else x * np.float64(1.25) + 0.125


def check_operator(case: Case) -> None:
    """Check all ways to call an operator, at the prepared point and at another."""
    plan = case.prepare(case.f, *case.args(case.scenario.x))
    for x in (case.scenario.x, moved(case.scenario.x)):
        args = case.args(x)
        kept = [np.array(arg) for arg in args]
        right = answers(case.operator, case.scenario, x, args[1] if len(args) > 1 else None)
        order = ORDER.get(case.operator, 1)
        case.check(plan.execute(*args), right[-1], order)
        case.check(plan(*args), right[-1], order)
        parts = getattr(plan, FULL[case.operator])(*args)
        case.check_all(parts, right, "float64")
        out = np.full(right[-1].shape, np.nan)
        assert plan.execute(*args, out=out) is out
        case.check(out, right[-1], order)
        out = np.full(right[-1].shape, np.nan)
        assert getattr(plan, FULL[case.operator])(*args, out=out)[-1] is out
        case.check(out, right[-1], order)
        for arg, before in zip(args, kept, strict=True):
            np.testing.assert_array_equal(arg, before)


def check_one_shot(case: Case) -> None:
    args = case.args(case.scenario.x)
    right = answers(case.operator, case.scenario, *(*args, None)[:2])
    f, backend = case.f, case.row.backend
    order = ORDER.get(case.operator, 1)
    case.check(getattr(di, case.operator)(f, backend, *args), right[-1], order)
    case.check_all(getattr(di, FULL[case.operator])(f, backend, *args), right, "float64")
    out = np.full(right[-1].shape, np.nan)
    assert getattr(di, case.operator)(f, backend, *args, out=out) is out
    case.check(out, right[-1], order)


def check_in_place(case: Case) -> None:
    """Check ``f(y, x)``; without ``y=`` at execute, with it, and with ``out=``."""
    inner = case.f

    def f(y: Any, x: Any) -> None:
        y[...] = inner(x)

    args = case.args(case.scenario.x)
    right = answers(case.operator, case.scenario, *(*args, None)[:2])
    value = case.scenario.y
    plan = case.prepare(f, *args, y=np.empty_like(value))
    order = ORDER.get(case.operator, 1)
    case.check(plan.execute(*args), right[-1], order)
    y, out = np.full_like(value, np.nan), np.full(right[-1].shape, np.nan)
    assert plan.execute(*args, y=y, out=out) is out
    np.testing.assert_allclose(y, value, rtol=1e-14)
    case.check(out, right[-1], order)
    y[...] = np.nan
    case.check_all(getattr(plan, FULL[case.operator])(*args, y=y), right, "float64")
    np.testing.assert_allclose(y, value, rtol=1e-14)
    one_shot = getattr(di, case.operator)(f, case.row.backend, *args, y=y)
    case.check(one_shot, right[-1], order)


def check_contexts(case: Case) -> None:
    """Check that constants are arguments and caches scratch: another value, another result."""
    inner, jax = case.f, case.row.space is jnp

    def f(x: Any, factor: Any, cache: Any, both: Any) -> Any:
        scaled = inner(x) * factor * both["a"]
        if jax or np.ndim(scaled) == 0:
            return scaled
        cache[...] = scaled
        both["scratch"][...] = cache
        return both["scratch"].copy()

    args, shape = case.args(case.scenario.x), case.scenario.y.shape
    cache = di.Cache(np.full(shape, np.nan))
    both = di.ConstantOrCache({"a": np.array(2.0), "scratch": np.full(shape, np.nan)})
    plan = case.prepare(f, *args, di.Constant(3.0), cache, both)
    right = answers(case.operator, case.scenario, *(*args, None)[:2])
    order = ORDER.get(case.operator, 1)
    for factor in (3.0, -0.5):
        got = plan.execute(*args, di.Constant(factor), cache, both)
        case.check(got, 2 * factor * right[-1], order)


def check_float32(case: Case) -> None:
    """Check that float32 stays float32, to its own accuracy."""
    x = np.asarray(case.scenario.x, np.float32)
    like = case.like(x)
    t = () if like is None else (tangent(np.asarray(like, np.float32)),)
    plan = case.prepare(case.f, x, *t)
    got = plan.execute(x, *t)
    right = answers(case.operator, case.scenario, np.float64(x), t[0] if t else None)
    assert got.dtype == np.float32
    case.check(got, right[-1], ORDER.get(case.operator, 1), "float32")


class OperatorTests:
    """The table of one operator: ``tests/conftest.py`` gives every test its cases."""

    operator: str

    def test_all_calls(self, case: Case) -> None:
        check_operator(case)

    def test_one_shot(self, case: Case) -> None:
        check_one_shot(case)

    def test_contexts(self, case: Case) -> None:
        check_contexts(case)

    def test_float32(self, case: Case) -> None:
        check_float32(case)

    def test_in_place(self, case: Case) -> None:
        check_in_place(case)


def cases_of(operator: str, test: str) -> list[Case]:
    listed = cases(operator)
    if test != "test_in_place":
        return listed
    return [case for case in listed if di.check_inplace(case.row.backend)]
