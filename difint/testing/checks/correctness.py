"""Correctness: every way to call, at the prepared point and at another, against what is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from difint.contexts import Constant, ConstantOrCache
from difint.testing.calls import Call, calls_of
from difint.testing.checks.case import Case, Difference
from difint.testing.checks.outcome import Outcome, code_of, layout_code, outcome_of
from difint.testing.code import prepare_code, reproduce
from difint.testing.layouts import LAYOUTS
from difint.testing.values import dense, in_numpy, mapped


def check(case: Case) -> None:
    """Call in every way; results must be right, and of the kind of ``x``."""
    wrong: dict[str, list[Outcome]] = {}
    for call in calls_of(case.scenario, "plan", "bind", "same point", "one shot"):
        outcome = outcome_of(case, call)
        if outcome.found is not None:
            wrong.setdefault(_blamed(case, call, outcome.found), []).append(outcome)
    for problem, outcomes in wrong.items():
        labels = ", ".join(one.call.label(case.scenario) for one in outcomes)
        verb = "is" if len(outcomes) == 1 else "are"
        code = code_of(case, outcomes[0].call, outcomes[0].found)
        case.fail("correctness", f"{labels} {verb} wrong: {problem}", code)
    _check_prepared_point(case)
    if wrong:
        return  # in other memory it would be as wrong
    for name, change in LAYOUTS.items():
        _check_layout(case, name, change)


def _check_layout(case: Case, name: str, change: Callable[[Any], Any]) -> None:
    """Execute with arrays that lie in memory in another way."""
    trees = case.subject.trees
    args = tuple(mapped(change, arg, trees) for arg in case.scenario.args)
    for call in calls_of(case.scenario, "plan"):
        out, y = (None if one is None else mapped(change, one, trees) for one in case.targets(call))
        what = f"{call.label(case.scenario)} with arrays in {name} memory"
        with case.guarded("correctness", what, layout_code(case, call, name)):
            found = case.difference(call, call.thunk(case.subject, case.plan, args, out, y)())
            if found is not None:
                code = layout_code(case, call, name, found)
                case.fail("correctness", f"{what} is wrong: {found.text}", code)


def _blamed(case: Case, call: Call, found: Difference) -> str:
    """Say what is wrong with a result, and where it would be right."""
    problem = found.text
    if call.out and "not written" in problem:
        return f"out is not filled: {problem}"
    if call.stage == "bind" and _right_unless_rewritten(case, call):
        return f"what was written into bound arguments is not seen: {problem}"
    if call.out or call.stage not in ("plan", "bind"):
        return problem
    if case.difference(call, _at_point(case, call)) is not None:
        return problem
    if _changed_constants_spoil(case, call):
        return f"the constants of prepare are still in use: {problem}"
    return f"right at the prepared point, wrong at another: {problem}"


def _right_unless_rewritten(case: Case, call: Call) -> bool:
    """Tell whether arguments that are bound as they are give the right result."""
    step = call.thunk(case.subject, case.plan, case.scenario.args, *case.targets(call))
    return case.difference(call, step()) is None


def _at_point(case: Case, call: Call) -> Any:
    args = case.scenario.args
    return call.thunk(case.subject, case.plan_here, args, *case.targets(call))()


def _changed_constants_spoil(case: Case, call: Call) -> bool:
    """Tell whether other constants at prepare, and nothing else, make a result wrong."""
    scenario = case.scenario
    if not any(isinstance(one, Constant | ConstantOrCache) for one in scenario.contexts):
        return False
    lead = len(scenario.args) - len(scenario.contexts)
    plan = case.subject.prepare((*scenario.args[:lead], *scenario.prepare_args[lead:]))
    returned = call.thunk(case.subject, plan, scenario.args, *case.targets(call))()
    return case.difference(call, returned) is not None


def _check_prepared_point(case: Case) -> None:
    """Execute a plan elsewhere, then where it was prepared; hold another plan against the first."""
    call, subject = Call("plan"), case.subject
    got, elsewhere = call.code(subject), "plan.execute(*s.prepare_args)"
    code = reproduce(subject, elsewhere, f"print({got}, s.result)", plan="*s.args")
    with case.guarded("correctness", "execute at the prepared point", code):
        away = call.thunk(subject, case.plan_here, case.scenario.prepare_args)()
        kept = in_numpy(dense(away), subject.trees)
        found = case.difference(call, _at_point(case, call))
        if found is not None and found != outcome_of(case, call).found:
            problem = f"execute at the prepared point, after another, is wrong: {found.text}"
            case.fail("correctness", problem, code)
        _check_agreement(case, call, kept)


def _check_agreement(case: Case, call: Call, there: Any) -> None:
    """Compare two plans where neither was prepared for what it now gets."""
    here = call.thunk(case.subject, case.plan, case.scenario.prepare_args)()
    text = case.disagreement(here, there)
    if text is not None:
        code = reproduce(
            case.subject,
            f"other = {prepare_code(case.subject, '*s.args')}",
            "plan.execute(*s.args)",
            "print(plan.execute(*s.prepare_args), other.execute(*s.prepare_args))",
            plan="*s.prepare_args",
        )
        problem = f"plans prepared at two points disagree at one of them: {text}"
        case.fail("correctness", problem, code)
