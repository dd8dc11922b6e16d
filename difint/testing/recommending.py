"""``recommend``: the backends that suit a function, measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any, final

from difint.backends import Backend
from difint.contexts import Context
from difint.errors import ArgumentError, message
from difint.plan import Plan
from difint.testing.accuracy import epsilon
from difint.testing.calls import Call, Subject
from difint.testing.check import backend_list
from difint.testing.comparing import (
    Answer,
    all_candidates,
    ask,
    consensus,
    deviation,
    disagreement,
    scenario_for,
)
from difint.testing.timing import Timing, ratio_range, time_together
from difint.testing.values import waited
from difint.text import duration, table

# Two plans of one kernel were seen to differ by this factor, from one process to the next.
_INDISTINCT = 1.05


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend that can differentiate the function.

    Attributes:
        backend: the backend.
        seconds: the median time of an ``execute``.
        spread: the range of the middle half of its times, in seconds.
        prepare_seconds: what preparing took.
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
        text = None if one.scenario is None else disagreement(one, reference)
        if text is not None:
            rejected.append((one.backend, f"disagrees with {reference.backend!r}: {text}"))
        elif one.scenario is not None:
            agreeing.append(one)
    return Recommendation(tuple(_ranked(agreeing, reference, seconds)), tuple(rejected))


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
    plan: Plan
    timing: Timing

    @property
    def prepare_seconds(self) -> float:
        """What preparing took."""
        return self.plan.info.prepare_seconds


def _ranked(answers: Sequence[Answer], reference: Answer, seconds: float) -> list[Candidate]:
    plans = [one.subject.prepare_anew() for one in answers]
    thunks = [_execute(one.subject, plan) for one, plan in zip(answers, plans, strict=True)]
    timings = time_together(thunks, seconds)
    measured = [*map(_Measured, answers, plans, timings)]
    measured.sort(key=lambda one: one.timing.median)
    return [_candidate(one, measured[0], reference) for one in measured]


def _execute(subject: Subject, plan: Plan) -> Callable[[], Any]:
    return waited(Call("plan").thunk(subject, plan, subject.scenario.args), subject.trees)


def _candidate(one: _Measured, first: _Measured, reference: Answer) -> Candidate:
    tied, reasons = _reasons(one, first)
    if one.answer.promise < 1:
        digits = one.answer.promise * log10(epsilon(one.answer.subject.scenario))
        reasons.append(f"accurate to about 1e{digits:.0f} by its method")
    return Candidate(
        backend=one.answer.backend,
        seconds=one.timing.median,
        spread=one.timing.spread,
        prepare_seconds=one.prepare_seconds,
        deviation=deviation(one.answer, reference),
        route=one.plan.route,
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
        reasons.append(f"cheaper in all up to about {calls:.0f} calls: it prepares faster")
    return False, reasons
