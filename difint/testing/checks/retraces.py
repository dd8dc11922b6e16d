"""Retraces: a plan traces and compiles nothing, and calls ``f`` as often every time."""

from __future__ import annotations

from difint.testing.calls import Call, calls_of
from difint.testing.checks.case import Case
from difint.testing.checks.outcome import PLANS, Outcome, outcome_of
from difint.testing.code import reproduce, targets_code
from difint.testing.counting import counted_calls


def check(case: Case) -> None:
    """Call prepared operators again and again, from the first time on."""
    seen: dict[Call, int | None] = {}
    for call in calls_of(case.scenario, "plan", "bind", "same point"):
        first = outcome_of(case, call)
        if first.error is None:
            with case.guarded("retraces", call.label(case.scenario), _code(case, call)):
                seen[call] = _check_call(case, call, first)
    _check_value(case, seen)


def _check_call(case: Case, call: Call, first: Outcome) -> int | None:
    thunk = call.thunk(
        case.subject, case.plan_for(call), call.args(case.scenario), *case.targets(call)
    )
    with case.subject.engine.arrays.watch() as again, counted_calls(case.scenario.f) as calls:
        thunk()
    works = [work for work in (first.work, again) if work is not None]
    traces, compilations = (
        sum(work.traces for work in works),
        sum(work.compilations for work in works),
    )
    label = call.label(case.scenario)
    if traces or compilations:
        problem = (
            f"{label}: two calls of a plan traced {traces} functions and compiled "
            f"{compilations}: all of that belongs into prepare"
        )
        case.fail("retraces", problem, _code(case, call))
    if calls.count != first.calls:
        problem = f"{label}: equal calls of a plan call f {first.calls} times, then {calls.count}"
        case.fail("retraces", problem, _code(case, call))
    return calls.count


def _check_value(case: Case, seen: dict[Call, int | None]) -> None:
    """Allow the variant with the value one call of ``f`` more."""
    record = case.scenario.record
    if record.parts[0] != "y" or record.order > 1:
        return
    alone, full = seen.get(Call("plan")), seen.get(Call("plan", full=True))
    if alone is not None and full is not None and full > alone + 1:
        problem = f"{record.variant} calls f {full} times, {record.name} alone {alone} times"
        case.fail("retraces", problem, _code(case, Call("plan", full=True)))


def _code(case: Case, call: Call) -> str:
    """Write the code that calls a plan again and again."""
    loop = f"for _ in range(2):\n    {call.code(case.subject)}"
    targets = targets_code(call, case)
    return reproduce(case.subject, *targets, loop, plan=PLANS[call.stage])
