"""All the ways to call an operator: one table for checks and for benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from types import FunctionType
from typing import Any, Literal, final

import difint
from difint.backends import Backend, check_backend
from difint.engine import Engine
from difint.plan import Plan
from difint.primitives import inner_engine
from difint.testing.counting import code_of
from difint.testing.scenario import Scenario
from difint.testing.values import MEMORIES, leaves_of
from difint.trees import Trees

Stage = Literal["plan", "bind", "same point", "one shot"]


@final
class Subject:
    """A scenario on a backend.

    Attributes:
        scenario: what is computed.
        backend: how.
    """

    def __init__(self, scenario: Scenario, backend: Backend) -> None:
        check_backend("difint.testing", backend)
        self.scenario = scenario
        self.backend = backend

    def __str__(self) -> str:
        return f"{self.scenario.name}, {self.backend!r}"

    @cached_property
    def engine(self) -> Engine:
        """The engine that the operator uses."""
        engine = self.backend.engine()
        return engine if self.scenario.record.order == 2 else inner_engine(engine)

    @property
    def trees(self) -> Trees:
        """How the engine takes trees apart."""
        return self.engine.arrays.trees

    def prepare(self, args: tuple[Any, ...]) -> Plan:
        """Prepare at these arguments."""
        return self._prepared("", args)

    def prepare_anew(self) -> Plan:
        """Prepare as a user does who comes with a new function: nothing is cached for it."""
        scenario = self.scenario
        anew = Subject(scenario.replace(f=renewed(scenario.f)), self.backend)
        return anew.prepare(scenario.args)

    def prepare_same_point(self) -> Plan:
        """Prepare at the scenario's point, for tangents like another than the scenario's."""
        scenario = self.scenario
        return self._prepared(
            "_same_point", (scenario.x, scenario.prepare_args[1], *scenario.contexts)
        )

    def _prepared(self, suffix: str, args: tuple[Any, ...]) -> Plan:
        prepare = getattr(difint, f"prepare_{self.scenario.operator}{suffix}")
        plan: Plan = prepare(self.scenario.f, self.backend, *args, y=self.scenario.y)
        return plan


def renewed(f: Any) -> Any:
    """Copy a Python function: a library that caches by identity takes it for another one.

    A partial function, a method or an object that is called gets a new function around it. What is
    compiled already is returned as it is, with all that it caches.
    """
    if isinstance(f, FunctionType):
        code = f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__
        copy = FunctionType(*code)
        copy.__kwdefaults__ = f.__kwdefaults__
        copy.__dict__.update(f.__dict__)
        return copy
    return f if code_of(f) is None else lambda *args: f(*args)


@final
@dataclass(frozen=True, slots=True)
class Call:
    """One way to call an operator.

    Attributes:
        stage: ``"plan"``, ``"bind"``, ``"same point"`` or ``"one shot"``.
        full: with the lower orders.
        out: into memory that is given.
        y: a plan's in-place ``f`` also fills ``y=``.
    """

    stage: Stage
    full: bool = False
    out: bool = False
    y: bool = False

    def method(self, scenario: Scenario) -> str:
        """Name what is called."""
        if self.full:
            return scenario.record.variant
        return scenario.operator if self.stage == "one shot" else "execute"

    def args(self, scenario: Scenario) -> tuple[Any, ...]:
        """Get the arguments of the call."""
        return (scenario.t,) if self.stage == "same point" else scenario.args

    def thunk(
        self,
        subject: Subject,
        plan: Plan | None,
        args: tuple[Any, ...],
        out: Any = None,
        y: Any = None,
    ) -> Callable[[], Any]:
        """Get the call without arguments; ``plan`` is ``None`` for one shot."""
        targets = {"out": out} if self.out else {}
        targets |= {"y": y} if self.y else {}
        name = self.method(subject.scenario)
        if plan is None:
            function = getattr(difint, name)
            return partial(function, subject.scenario.f, subject.backend, *args, **targets)
        if self.stage == "bind":
            return plan.bind(*args, **targets)
        return partial(getattr(plan, name), *args, **targets)

    def label(self, scenario: Scenario) -> str:
        """Say in a few words what is called."""
        method = self.method(scenario)
        stages = {"bind": "bind", "same point": f"same point {method}"}
        stages["one shot"] = f"one shot {method}"
        targets = (" out=" if self.out else "") + (" y=" if self.y else "")
        return stages.get(self.stage, method) + targets

    def code(self, subject: Subject) -> str:
        """Write the call as code in which ``s`` is the scenario."""
        targets = (", out=out" if self.out else "") + (", y=y" if self.y else "")
        if self.stage == "one shot":
            head = f"di.{self.method(subject.scenario)}(s.f, {subject.backend!r}, *s.args"
            return f"{head}{targets})"
        if self.stage == "bind":
            return f"plan.bind(*s.args{targets})()"
        args = "s.t" if self.stage == "same point" else "*s.args"
        return f"plan.{self.method(subject.scenario)}({args}{targets})"


def calls_of(scenario: Scenario, *stages: Stage) -> list[Call]:
    """List the ways to call a scenario's operator in these stages."""
    fill = scenario.place.operator == "in" and scenario.result is not None
    y = scenario.place.function == "in"
    tables: dict[Stage, list[Call]] = {
        "plan": [
            Call("plan"),
            Call("plan", full=True),
            *([Call("plan", out=True), Call("plan", full=True, out=True)] if fill else []),
            *([Call("plan", y=True), Call("plan", full=True, out=fill, y=True)] if y else []),
        ],
        "bind": _bound(scenario, fill),
        "same point": _same_point(scenario, fill),
        "one shot": [
            Call("one shot", y=y),
            Call("one shot", full=True, y=y),
            *([Call("one shot", out=True, y=y)] if fill else []),
            *([Call("one shot", full=True, out=True, y=y)] if fill else []),
        ],
    }
    return [call for stage in stages for call in tables[stage]]


def _bound(scenario: Scenario, fill: bool) -> list[Call]:
    """List the ways to bind: what is re-read must be memory that can change."""
    if not any(map(_has_memory, leaves_of(scenario.x))):
        return []
    return [Call("bind"), *([Call("bind", out=True)] if fill else [])]


def _has_memory(leaf: Any) -> bool:
    return MEMORIES.of(leaf) is not None


def _same_point(scenario: Scenario, fill: bool) -> list[Call]:
    if scenario.record.tangent is None:
        return []
    filling = [Call("same point", out=True), Call("same point", full=True, out=True)]
    return [Call("same point"), Call("same point", full=True), *(filling if fill else [])]
