"""Steadiness: a function that gives other values each time tells nothing about a backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.testing.checks.case import Case
from difint.testing.code import reproduce
from difint.testing.compare import Tolerance, scale_of
from difint.testing.values import leaves_of


def check(case: Case) -> None:
    """Call ``f`` twice with the same arguments."""
    try:
        first, second = _values(case), _values(case)
    except Exception:  # f may take nothing but what a backend hands it
        return
    near = Tolerance(rtol=1e-6, atol=0.0)
    if all(near.allows(a, b, scale_of(b)).all() for a, b in zip(first, second, strict=True)):
        return
    values = "s.x, *[context.value for context in s.contexts]"
    code = reproduce(case.subject, f"print(s.f({values}), s.f({values}))")
    problem = "f gives other values for the same arguments: that tells nothing about a backend"
    case.stop("function", problem, code)


def _values(case: Case) -> list[Any]:
    scenario = case.scenario
    contexts = [context.value for context in scenario.contexts]
    if scenario.y is None:
        y = scenario.f(scenario.x, *contexts)
    else:
        y = case.poisoned(scenario.y)
        scenario.f(y, scenario.x, *contexts)
    return [np.asarray(leaf).copy() for leaf in leaves_of(y, case.subject.trees)]
