"""What complex steps need: complex caches, and an ``f`` that is analytic."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from difint.engines.finite_diff.steps import Steps
from difint.errors import ArgumentError, message
from difint.host_lowering import taking_complex
from difint.problem import Problem
from difint.trees import PYTHON_TREES

# How far a complex step may be from differences that agree with each other.
_AGREEMENT, _DISAGREEMENT = 1e-2, 1e-1


def complexified(steps: Steps, problem: Problem) -> Problem:
    """Make a problem fit for complex steps; for other schemes return it as it is."""
    if steps.scheme != "complex_step":
        return problem
    fit = _complex_caches(replace(problem, call=taking_complex(problem.call)))
    _check_analytic(fit)
    return fit


def _complex_caches(problem: Problem) -> Problem:
    """Hand ``f`` complex buffers: a real one would drop the step."""
    written = problem.source.written
    if not any(written):
        return problem
    inner = problem.call

    def call(x: Any, *values: Any) -> Any:
        if x.dtype.kind != "c":
            return inner(x, *values)
        pairs = zip(values, written, strict=True)
        return inner(x, *(_complex(value) if mine else value for value, mine in pairs))

    return replace(problem, call=call)


def _complex(value: Any) -> Any:
    leaves, structure = PYTHON_TREES.flatten(value)
    return PYTHON_TREES.unflatten(structure, [_complex_leaf(leaf) for leaf in leaves])


def _complex_leaf(leaf: Any) -> Any:
    if not isinstance(leaf, np.ndarray) or leaf.dtype.kind != "f":
        return leaf
    return leaf.astype(np.result_type(leaf.dtype, np.complex64))


def _check_analytic(problem: Problem) -> None:
    """Refuse an ``f`` that fails on complex numbers, drops the step, or is not analytic.

    The derivative along one direction, near the example ``x``, is held against two differences;
    only where these agree with each other does a deviation count.
    """
    source = problem.source
    one = np.asarray(problem.x_form.enter(source.x) if problem.x_form.enter else source.x)
    values = [context.value for context in source.contexts]
    if one.size == 0 or problem.y.size == 0:
        return
    t = np.random.default_rng(0).uniform(0.5, 1.0, one.shape) * np.maximum(1, abs(one))
    t, near = t.astype(one.dtype), (one + 1e-3 * t).astype(one.dtype)
    eps = float(np.finfo(one.dtype).eps)

    def f(x: Any) -> Any:
        return np.array(problem.call(x, *values))

    complex_y = _call_complex(source.operator, lambda: f(one + 1j * eps**1.5 * t))
    if complex_y.dtype.kind != "c":
        _refuse(source.operator, "f turns complex numbers into real ones, and drops the step")
    with np.errstate(all="ignore"):
        try:
            step = f(near + 1j * eps**1.5 * t).imag / eps**1.5
            differences = [_central(f, near, t, eps**power) for power in (0.3, 0.4)]
        except Exception:  # f may be undefined there: then nothing is known
            return
    _compare(source.operator, step, differences)


def _central(f: Callable[[Any], Any], x: Any, t: Any, h: float) -> Any:
    t = (h * t).astype(x.dtype)
    return (f(x + t) - f(x - t)) / (2 * h)


def _call_complex(operator: str, f: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            return f()
        except (TypeError, ValueError, np.exceptions.ComplexWarning) as error:
            _refuse(operator, f"f does not accept complex numbers ({error})", error)


def _compare(operator: str, step: Any, differences: list[Any]) -> None:
    first, second = differences
    scale = np.maximum(abs(first), abs(second))
    certain = np.isfinite(scale) & (abs(first - second) <= _AGREEMENT * scale)
    if np.any(certain & ~(abs(step - first) <= _DISAGREEMENT * scale)):
        _refuse(operator, "f is not analytic: its complex step disagrees with its differences")


def _refuse(operator: str, problem: str, cause: BaseException | None = None) -> None:
    text = message(
        operator,
        problem,
        expected="an analytic function of complex arrays (no abs, conj, real, casts to float)",
        remedy="Use AutoFiniteDiff(scheme='central').",
    )
    raise ArgumentError(text) from cause
