"""Verification: a plan at its example, against differences of what it differentiates.

Nothing that Enzyme or LLVM may do wrong then goes unnoticed. Where ``f`` has a kink at the
example, points near it decide; where ``f`` is not finite there, nothing can be told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.engine import Compiled
from difint.engines.numba.adopted import Adopted
from difint.errors import UnsupportedError, message
from difint.problem import Problem

_STEPS = (1.0, 30.0, 0.02, 1e3)
"""Steps to try, in units of the one that suits a smooth function."""

_NEARBY = 3
"""Points near the example that decide where it may be a kink."""

_Vectors = Callable[[Any], Any]


def verify(
    operator: str, problem: Problem, function: Adopted, made: Compiled, batch: int | None
) -> None:
    """Compare a plan with differences along one direction; refuse it if they disagree."""
    x = np.asarray((problem.x_form.enter or np.asarray)(problem.source.x), problem.x.dtype)
    if 0 in (x.size, problem.y.size):
        return
    v = _direction(x, np.random.default_rng(0))
    contexts = tuple(context.value for context in problem.source.contexts)
    example = _Example(operator, problem.y, function, made, batch, contexts, v)
    random = np.random.default_rng(1)
    nearby = [(x + 1e-3 * _direction(x, random)).astype(x.dtype) for _ in range(_NEARBY)]
    eps = max(float(np.finfo(one.dtype).eps) for one in (problem.x, problem.y))
    for got, base in example.pairs():
        found = [_compared(got, base, x, v, eps)]
        if found[0] is not True:
            found += [_compared(got, base, one, v, eps) for one in nearby]
        if False in found and True not in found[1:]:
            _refuse(operator)


def _direction(x: Any, random: Any) -> Any:
    """Choose a direction whose entries are as large as those of ``x``."""
    size = np.where(x == 0, np.abs(x).mean() or 1.0, np.abs(x))
    size = np.where(np.isfinite(size), size, 1.0)
    chosen = random.choice([-1.0, 1.0], x.shape) * random.uniform(0.5, 1.0, x.shape) * size
    return chosen.astype(x.dtype)


@final
@dataclass(frozen=True, slots=True)
class _Example:
    """A plan at its example.

    Attributes:
        operator: its operator.
        y: an array like the value of ``f``.
        function: ``f``.
        made: what computes it.
        batch: the number of tangents in a tuple; ``None`` for one, or none.
        contexts: the values of the contexts.
        v: the direction, and the tangent of operators that push one.
    """

    operator: str
    y: Any
    function: Adopted
    made: Compiled
    batch: int | None
    contexts: tuple[Any, ...]
    v: Any

    def pairs(self) -> list[tuple[_Vectors, _Vectors]]:
        """List what to compare: a derivative's product with the direction, and what it is of."""
        flat, m = self.v.ravel(), self.y.size
        if self.operator == "pushforward":
            return [(self._last, self._value)]
        if self.operator == "pullback":
            weighed = self._cotangent.ravel()
            return [(lambda x: _dot(self._last(x), flat), lambda x: _dot(weighed, self._value(x)))]
        if self.operator in ("derivative", "gradient", "jacobian"):
            return [(lambda x: self._last(x).reshape(m, flat.size) @ flat, self._value)]
        if self.operator == "second_derivative":
            first = (lambda x: self._slope(x) * flat, self._value)
            return [first, (lambda x: self._last(x) * flat, self._slope)]
        first = (lambda x: _dot(self._slope(x), flat), self._value)
        if self.operator == "hvp":
            return [first, (self._last, self._slope)]
        return [first, (lambda x: self._last(x).reshape(flat.size, -1) @ flat, self._slope)]

    @property
    def _cotangent(self) -> Any:
        return np.random.default_rng(2).uniform(0.5, 1.0, self.y.shape).astype(self.y.dtype)

    def _value(self, x: Any) -> Any:
        return np.ravel(self.function(x, *self.contexts))

    def _results(self, x: Any) -> list[Any]:
        given = {"pushforward": [self.v], "hvp": [self.v], "pullback": [self._cotangent]}
        tangent = given.get(self.operator, [])
        if self.batch is not None and tangent:
            tangent = [tuple(tangent) * self.batch]
        *lower, out = self.made.full(x, *tangent, *self.contexts)
        return [*lower, out if self.batch is None else out[-1]]

    def _last(self, x: Any) -> Any:
        return np.ravel(self._results(x)[-1])

    def _slope(self, x: Any) -> Any:
        return np.ravel(self._results(x)[-2])


def _dot(a: Any, b: Any) -> Any:
    return np.atleast_1d(a @ b)


def _compared(got: _Vectors, base: _Vectors, x: Any, along: Any, eps: float) -> bool | None:
    """Tell whether a derivative agrees with differences; ``None`` where ``f`` does not allow it."""
    told: bool | None = None
    with np.errstate(all="ignore"):
        for steps in _STEPS:
            h = steps * eps ** (1 / 3)
            step = x.dtype.type(h) * along
            try:
                here, right, left = got(x), base(x + step), base(x - step)
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
