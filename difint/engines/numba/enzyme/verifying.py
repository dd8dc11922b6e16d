"""Verification: a plan at its example, against differences of what it differentiates.

Nothing that Enzyme or LLVM may do wrong then goes unnoticed. Where ``f`` has a kink at the
example, points near it decide; where ``f`` is not finite there, nothing can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from difint.engine import Compiled
from difint.engines.numba.enzyme.lowering import EnzymeFunction
from difint.errors import UnsupportedError, message
from difint.problem import Problem

_STEPS = (1.0, 30.0, 0.02, 1e3)
"""Steps to try, in units of the one that suits a smooth function."""

_NEARBY = 3
"""Points near the example that decide where it may be a kink."""

_Vectors = Callable[[Any], Any]


def verify(
    operator: str, problem: Problem, function: EnzymeFunction, made: Compiled, batch: int | None
) -> None:
    """Compare a plan with differences along one direction; refuse it if they disagree."""
    x = np.asarray((problem.x_form.enter or np.asarray)(problem.source.x), problem.x.dtype)
    if 0 in (x.size, problem.y.size):
        return
    for got, base, along in _pairs(operator, problem, function, made, batch):
        found = [_compared(got, base, x, along)]
        if found[0] is not True:
            random = np.random.default_rng(1)
            points = [x + 1e-3 * _direction(x, random) for _ in range(_NEARBY)]
            found += [_compared(got, base, one.astype(x.dtype), along) for one in points]
        if False in found and True not in found[1:]:
            _refuse(operator)


def _direction(x: Any, random: Any) -> Any:
    """Choose a direction whose entries are as large as those of ``x``."""
    size = np.where(x == 0, np.abs(x).mean() or 1.0, np.abs(x))
    size = np.where(np.isfinite(size), size, 1.0)
    return (random.choice([-1.0, 1.0], x.shape) * random.uniform(0.5, 1.0, x.shape) * size).astype(
        x.dtype
    )


def _pairs(
    operator: str, problem: Problem, function: EnzymeFunction, made: Compiled, batch: int | None
) -> Iterator[tuple[_Vectors, _Vectors, Any]]:
    """List what to compare: a derivative's product with a direction, of what, and along what."""
    contexts = [context.value for context in problem.source.contexts]
    random, n, m = np.random.default_rng(0), problem.x.size, problem.y.size
    x = np.asarray((problem.x_form.enter or np.asarray)(problem.source.x), problem.x.dtype)
    v = _direction(x, random)
    t = random.uniform(0.5, 1.0, problem.y.shape).astype(problem.y.dtype)

    def value(x: Any) -> Any:
        return np.ravel(function(x, *contexts))

    def results(x: Any) -> Any:
        tangent = {"pushforward": [v], "hvp": [v], "pullback": [t]}.get(operator, [])
        tangent = tangent if batch is None or not tangent else [tuple(tangent) * batch]
        *lower, out = made.full(x, *tangent, *contexts)
        return [np.ravel(one) for one in (*lower, out if batch is None else out[-1])]

    def slope(x: Any) -> Any:
        return results(x)[-2]

    if operator == "pushforward":
        yield lambda x: results(x)[-1], value, v
    elif operator == "pullback":
        yield (
            lambda x: np.atleast_1d(results(x)[-1] @ v.ravel()),
            lambda x: np.atleast_1d(t.ravel() @ value(x)),
            v,
        )
    elif operator in ("derivative", "gradient", "jacobian"):
        yield lambda x: results(x)[-1].reshape(m, n) @ v.ravel(), value, v
    elif operator == "second_derivative":
        yield lambda x: slope(x) * v.ravel(), value, v
        yield lambda x: results(x)[-1] * v.ravel(), slope, v
    else:
        yield lambda x: np.atleast_1d(slope(x) @ v.ravel()), value, v
        if operator == "hvp":
            yield lambda x: results(x)[-1], slope, v
        else:
            yield lambda x: results(x)[-1].reshape(n, n) @ v.ravel(), slope, v


def _compared(got: _Vectors, base: _Vectors, x: Any, along: Any) -> bool | None:
    """Tell whether a derivative agrees with differences; ``None`` where ``f`` does not allow it."""
    eps = float(np.finfo(x.dtype).eps)
    told: bool | None = None
    with np.errstate(all="ignore"):
        for steps in _STEPS:
            h = steps * eps ** (1 / 3)
            try:
                right, left, here = base(x + x.dtype.type(h) * along), None, got(x)
                left = base(x - x.dtype.type(h) * along)
            except Exception:  # of f's own: it is not defined there
                continue
            difference = (right - left) / (2 * h)
            if not np.isfinite(difference).all():
                continue
            told = False
            noise = 100 * eps * max(np.abs(right).max(), np.abs(left).max()) / h
            bound = 100 * eps ** (1 / 2) * (np.abs(difference) + np.abs(here)) + noise
            if bool((np.abs(difference - here) <= bound).all()):
                return True
    return told


def _refuse(operator: str) -> None:
    text = message(
        operator,
        "Enzyme's derivative of f disagrees with differences of f at the example",
        expected="the same, as far as differences can tell",
        remedy="Use AutoNumba() or AutoFiniteDiff(); or, if f is rougher than its derivative says, "
        "AutoEnzyme(verify=False).",
    )
    raise UnsupportedError(text)
