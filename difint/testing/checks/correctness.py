"""Correctness: every way to call, at the prepared point and at another, against what is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from difint.contexts import Constant, ConstantOrCache
from difint.testing.calls import Call, calls_of
from difint.testing.checks.case import Case, Difference
from difint.testing.checks.outcome import Outcome, code_of, layout_code, outcome_of
from difint.testing.layouts import LAYOUTS
from difint.testing.values import mapped

_FORM = ("its shape", "its structure", "its dtype", "it returned")


def check_form(case: Case) -> None:
    """Execute once; where the very form of the result is wrong there is no use in going on."""
    call = Call("plan")
    found = outcome_of(case, call).found
    if found is not None and found.text.startswith(_FORM):
        problem = f"execute is wrong: {found.text}"
        case.stop("correctness", problem, code_of(case, call, found))


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
    try:
        where = _cause(case, call, found)
    except Exception:  # to look for a cause, broken code is run: that may raise
        where = ""
    return where + found.text


def _cause(case: Case, call: Call, found: Difference) -> str:
    if call.out and "not written" in found.text:
        return "out is not filled: "
    if call.stage == "bind" and _right_unless_rewritten(case, call):
        return "what was written into bound arguments is not seen: "
    if call.out or found.part is None or call.stage not in ("plan", "bind"):
        return ""
    if case.difference(call, _at_point(case, call)) is not None:
        return ""
    if _changed_constants_spoil(case, call):
        return "the constants of prepare are still in use: "
    return "right at the prepared point, wrong at another: "


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
