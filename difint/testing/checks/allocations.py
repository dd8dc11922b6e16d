"""Allocations: what calls leave behind once their results are gone."""

from __future__ import annotations

from difint.testing.calls import Call, Stage, calls_of
from difint.testing.checks.case import Case
from difint.testing.checks.outcome import PLANS
from difint.testing.code import reproduce, targets_code
from difint.testing.counting import growth

_CALLS = 64
# A call: less than the smallest array has, and of functions that prepare less than a plan has.
_BYTES: dict[Stage, int] = {"plan": 32, "bind": 32, "same point": 32, "one shot": 512}


def check_prepared(case: Case) -> None:
    """Call plans many times; they must not grow."""
    _check(case, "plan", "bind", "same point")


def check_full(case: Case) -> None:
    """Call one-shot functions many times too."""
    _check(case, "plan", "bind", "same point", "one shot")


def _check(case: Case, *stages: Stage) -> None:
    for call in calls_of(case.scenario, *stages):
        code = _code(case, call)
        with case.guarded("allocations", call.label(case.scenario), code):
            args, targets = call.args(case.scenario), case.targets(call)
            thunk = call.thunk(case.subject, case.plan_for(call), args, *targets)
            noise = _CALLS * _BYTES[call.stage]
            kept = growth(thunk, _CALLS, noise)
            if kept > noise:
                label = call.label(case.scenario)
                problem = f"{label}: {_CALLS} calls left {kept} bytes behind"
                case.fail("allocations", problem, code)


def _code(case: Case, call: Call) -> str:
    lines = targets_code(call, case)
    loop = f"for _ in range({_CALLS}):\n    {call.code(case.subject)}"
    return reproduce(case.subject, *lines, loop, plan=PLANS.get(call.stage, ""))
