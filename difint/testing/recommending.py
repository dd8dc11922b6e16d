"""``recommend``: the backends that suit a function, measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log10
from time import perf_counter
from typing import Any, final

from difint.backends import Backend
from difint.contexts import Context
from difint.errors import ArgumentError, message
from difint.testing.accuracy import epsilon
from difint.testing.calls import Call, Subject
from difint.testing.check import backend_list
from difint.testing.comparing import (
    Answer,
    Comparison,
    all_candidates,
    ask,
    compared,
    consensus,
    scenario_for,
    undefined,
)
from difint.testing.timing import Timing, ratio_range, time_together
from difint.testing.values import waited
from difint.text import duration, table

# Two plans of one kernel were seen to differ by this factor, from one process to the next.
_INDISTINCT = 1.05
# The fewest of which a 95 % range of the median can be told.
_SAMPLES = 6


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend that can differentiate the function.

    Attributes:
        backend: the backend.
        seconds: the median time of an ``execute``.
        spread: the range of the middle half of its times, in seconds.
        prepare_seconds: what preparing took, with the first call.
        deviation: the largest difference from the most trusted result, relative to its largest
            entry.
        route: how the plan obtains the operator.
        tied: no slower than the first within the noise of the measurement.
        reasons: why it stands where it stands.
    """

    backend: Backend
    seconds: float
    spread: float
    prepare_seconds: float
    deviation: float
    route: str
    tied: bool
    reasons: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Recommendation:
    """Backends, ranked by what a prepared call costs.

    Attributes:
        ranked: those that can, and agree, the fastest first.
        rejected: those that cannot, or that disagree with the rest, with the reason.
    """

    ranked: tuple[Candidate, ...]
    rejected: tuple[tuple[Backend, str], ...]

    @property
    def best(self) -> Backend:
        """The first."""
        return self.ranked[0].backend

    def __str__(self) -> str:
        head = ["", "backend", "execute", "spread", "prepare", "deviation", "route"]
        rows = [
            [
                f"{place}{'=' if one.tied and place > 1 else ''}",
                repr(one.backend),
                duration(one.seconds),
                duration(one.spread),
                duration(one.prepare_seconds),
                f"{one.deviation:.1e}",
                one.route,
            ]
            for place, one in enumerate(self.ranked, start=1)
        ]
        lines = [f"{one.backend!r}: {'; '.join(one.reasons)}." for one in self.ranked]
        lines += [f"{backend!r} left out: {reason}" for backend, reason in self.rejected]
        return "\n".join([table(head, rows, "><>>>><"), "", *lines])


def recommend(
    f: Callable[..., Any],
    x: Any,
    operator: str,
    backends: Backend | Iterable[Backend] | None = None,
    *,
    contexts: Sequence[Context] = (),
    t: Any = None,
    y: Any = None,
    seconds: float = 0.5,
) -> Recommendation:
    """Find the backends that suit a function, by preparing and measuring them.

    Nothing is kept of the plans that are made for it.

    Args:
        f: the function, ``f(x, *contexts) -> y`` or ``f(y, x, *contexts) -> None``.
        x: a typical input, of the size that matters.
        operator: the operator's name, e.g. ``"jacobian"``.
        backends: which to try; ``None`` for all that are installed, in their usual settings.
        contexts: the contexts, wrapped.
        t: a tangent, for the operators that take one; ``None`` for one made up.
        y: for an in-place ``f``, an array of the output's shape and dtype.
        seconds: how long to measure each backend.

    Returns:
        The backends that can, ranked by the median time of a prepared call, with reasons; and
        those that cannot.

    Raises:
        ArgumentError: no backend can differentiate ``f``, or an argument is wrong.

    >>> import numpy as np, difint as di
    >>> from difint.testing import recommend
    >>> schemes = di.AutoFiniteDiff(), di.AutoFiniteDiff("complex_step")
    >>> found = recommend(lambda x: x**3, np.ones(3), "jacobian", schemes, seconds=0.01)
    >>> sorted(repr(one.backend) for one in found.ranked)
    ['AutoFiniteDiff()', "AutoFiniteDiff(scheme='complex_step')"]
    """
    chosen = list(all_candidates()) if backends is None else backend_list(backends)
    answers = ask(chosen, scenario_for(operator, f, x, contexts, t, y, chosen))
    reference = consensus(answers)
    if reference is None:
        raise ArgumentError(_nobody(operator, answers))
    rejected = [(one.backend, one.refusal) for one in answers if one.scenario is None]
    agreeing = []
    for one in answers:
        if one.scenario is None:
            continue
        comparison = compared(one, reference)
        if comparison.verdict == "no":
            text = f"disagrees with {reference.backend!r}: {comparison.where}"
            rejected.append((one.backend, text))
        else:
            agreeing.append((one, comparison))
    return Recommendation(tuple(_ranked(agreeing, seconds)), tuple(rejected))


def _nobody(operator: str, answers: Sequence[Answer]) -> str:
    listed = "\n".join(f"  {one.backend!r}: {one.refusal}" for one in answers)
    return message(
        "recommend",
        f"no backend can do the {operator} of f\n{listed}",
        remedy="Mend what the backends say, or pass backends= that can.",
    )


@final
@dataclass(frozen=True, slots=True)
class _Measured:
    """A backend's answer, with what its plan cost."""

    answer: Answer
    comparison: Comparison
    route: str
    prepare_seconds: float
    timing: Timing


def _ranked(answers: Sequence[tuple[Answer, Comparison]], seconds: float) -> list[Candidate]:
    ready = [_ready(one.subject) for one, _ in answers]
    timings = time_together([thunk for thunk, _, _ in ready], seconds, fewest=_SAMPLES)
    measured = [
        _Measured(answer, comparison, route, prepare_seconds, timing)
        for (answer, comparison), (_, route, prepare_seconds), timing in zip(
            answers, ready, timings, strict=True
        )
    ]
    measured.sort(key=lambda one: one.timing.median)
    return [_candidate(one, measured[0]) for one in measured]


def _ready(subject: Subject) -> tuple[Callable[[], Any], str, float]:
    """Prepare, and execute once: what a plan puts off until then belongs to its preparation."""
    began = perf_counter()
    plan = subject.prepare_anew()
    thunk = waited(Call("plan").thunk(subject, plan, subject.scenario.args), subject.trees)
    return thunk, plan.route, perf_counter() - began


def _candidate(one: _Measured, first: _Measured) -> Candidate:
    tied, reasons = _reasons(one, first)
    if one.comparison.verdict == "roughly":
        reasons.append("less accurate here than its method usually is")
    elif one.answer.promise < 1:
        digits = one.answer.promise * log10(epsilon(one.answer.subject.scenario))
        reasons.append(f"a method that is accurate to about 1e{digits:.0f} at best")
    if undefined(one.answer):
        reasons.append("its result is not finite at this x")
    return Candidate(
        backend=one.answer.backend,
        seconds=one.timing.median,
        spread=one.timing.spread,
        prepare_seconds=one.prepare_seconds,
        deviation=one.comparison.deviation,
        route=one.route,
        tied=tied,
        reasons=tuple(reasons),
    )


def _reasons(one: _Measured, first: _Measured) -> tuple[bool, list[str]]:
    """Say how a candidate compares with the fastest, and what its preparation is worth."""
    if one is first:
        return True, ["the fastest prepared call"]
    low, high = ratio_range(one.timing, first.timing)
    if low <= _INDISTINCT:
        return True, [f"no slower than the first within noise ({low:.2f} to {high:.2f} times)"]
    reasons = [f"{low:.2f} to {high:.2f} times slower than the first"]
    saved = first.prepare_seconds - one.prepare_seconds
    if saved > 0:
        calls = saved / (one.timing.median - first.timing.median)
        count = f"{int(float(f'{calls:.1g}')):,}"
        reasons.append(f"cheaper in all up to about {count} calls: it prepares faster")
    return False, reasons
