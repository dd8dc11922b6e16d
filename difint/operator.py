"""Operator: what one operator requires and returns, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from difint.engine import Engine
from difint.plan import Plan
from difint.problem import Problem

Lower = Callable[..., tuple[Callable[..., Any], str]]
"""``(engine, problem, *, value[, reuse]) -> (kernel or at, route)``."""


@final
@dataclass(frozen=True, slots=True)
class Operator:
    """One operator, as its file declares it.

    Attributes:
        name: its public name; ``prepare_`` stands before it.
        plan: the class of its plans.
        lower: builds it from an engine's primitives. An operator with a tangent yields the
            staged form ``at(x, *contexts) -> apply``, one without a kernel
            ``(x, *contexts) -> (lower orders..., result)``; without ``value``, ``-> result``.
        variant: the name of its variant with the lower orders, as a function and as a method.
        parts: the form of each part of its result, lower orders first: ``"x"``, ``"y"``, or
            a matrix ``"y,x"`` or ``"x,x"``.
        tangent: what ``t`` is like, ``"x"`` or ``"y"``; ``None`` if there is no tangent.
        order: the order of differentiation, 1 or 2.
        x: what ``x`` may be: ``"any"`` (trees too), ``"array"`` or ``"scalar"``.
        y: what ``f(x)`` may be, likewise.
        instead: names the operator to use where ``x`` or ``y`` is something else.
    """

    name: str
    plan: type[Plan]
    lower: Lower
    variant: str
    parts: tuple[str, ...]
    tangent: str | None = None
    order: int = 1
    x: str = "any"
    y: str = "any"
    instead: str = ""

    def build(
        self, engine: Engine, problem: Problem, **how: bool
    ) -> tuple[Callable[..., Any], str]:
        """Lower to the engine: its native operator where it brings one, else the derived route."""
        native = engine.native.get(self.name)
        if native is not None:
            return native(engine.arrays, problem, **how), "native"
        return self.lower(engine, problem, **how)
