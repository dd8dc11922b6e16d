"""Revisiting: every plan at a second point too, where nothing of the first may be left."""

from __future__ import annotations

from typing import Any

from difint.testing.calls import Call, calls_of
from difint.testing.checks.case import Case
from difint.testing.checks.outcome import outcome_of, rebindable, rewrite
from difint.testing.code import prepare_code, reproduce
from difint.testing.values import in_numpy


def check(case: Case) -> None:
    """Compare plans where neither was prepared for, and in either order of two points."""
    elsewhere = {full: _elsewhere(case, Call("plan", full=full)) for full in (False, True)}
    wrong: dict[str, list[Call]] = {}
    for call in calls_of(case.scenario, "plan", "bind", "same point"):
        first = outcome_of(case, call)
        if first.found is not None or first.error is not None:
            continue
        label = call.label(case.scenario)
        with case.guarded("correctness", f"{label} at a second point", _code(case, call)):
            got, right = _revisit(case, call, elsewhere[call.full])
            found = None if right is None else case.between(call, got, right)
            if found is not None:
                wrong.setdefault(found.text, []).append(call)
    for text, calls in wrong.items():
        labels = ", ".join(call.label(case.scenario) for call in calls)
        problem = f"{labels}: wrong at a second point: {text}"
        case.fail("correctness", problem, _code(case, calls[0]))


def _elsewhere(case: Case, call: Call) -> tuple[Any, ...] | None:
    """Get the parts at the point of ``prepare_args``, from a plan that meets it first.

    That plan was prepared at the scenario's own point, to which it then goes back.
    """
    scenario, subject = case.scenario, case.subject
    label, back = call.label(scenario), call.code(subject)
    away = back.replace("*s.args", "*s.prepare_args")
    code = reproduce(subject, away, f"print({back}, s.parts)", plan="*s.args")
    kept = None
    with case.guarded("correctness", f"{label} at the prepared point", code):
        there = call.thunk(subject, case.plan_here, scenario.prepare_args)()
        parts = there if call.full else (*(None for _ in scenario.record.parts[1:]), there)
        kept = tuple(None if one is None else in_numpy(one, subject.trees) for one in parts)
        found = case.difference(call, call.thunk(subject, case.plan_here, scenario.args)())
        if found is not None and found != outcome_of(case, call).found:
            problem = f"{label} at the prepared point, after another, is wrong: {found.text}"
            case.fail("correctness", problem, code)
    return kept


_Parts = tuple[Any, ...] | None


def _revisit(case: Case, call: Call, right: _Parts) -> tuple[Any, _Parts]:
    """Make a call again, elsewhere; get what it returns, and what is right there."""
    scenario, subject, targets = case.scenario, case.subject, case.targets(call)
    elsewhere = scenario.prepare_args
    if call.stage == "plan":
        return call.thunk(subject, case.plan, elsewhere, *targets)(), right
    if call.stage == "same point":
        got = call.thunk(subject, case.same_point, (elsewhere[1],), *targets)()
        return got, _parts(case, (scenario.x, elsewhere[1], *scenario.contexts))
    args = rebindable(case, scenario.args)
    step = call.thunk(subject, case.plan, args, *targets)
    step()
    rewrite(case, args, elsewhere)
    return step(), _parts(case, args)  # what has no memory keeps its number


def _parts(case: Case, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Get all parts at some arguments, from a plan that is called in the ordinary way."""
    there = Call("plan", full=True).thunk(case.subject, case.plan, args)()
    return tuple(in_numpy(one, case.subject.trees) for one in there)


def _code(case: Case, call: Call) -> str:
    """Write the code that calls at both points, beside a plan that meets the second one first."""
    subject = case.subject
    name = call.method(case.scenario)
    if call.stage == "same point":
        lines = f"plan.{name}(s.t)", f"print(plan.{name}(s.prepare_args[1]))"
        return reproduce(subject, *lines, plan="same point")
    return reproduce(
        subject,
        f"other = {prepare_code(subject, '*s.args')}",
        f"plan.{name}(*s.args)",
        f"print(plan.{name}(*s.prepare_args), other.{name}(*s.prepare_args))",
        plan="*s.prepare_args",
    )
