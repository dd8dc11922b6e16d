"""Outcome: what one call did, seen from every side at once, so that checks share the calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.contexts import Cache, ConstantOrCache
from difint.engine import Traces
from difint.testing.calls import Call
from difint.testing.checks.case import Case, Difference
from difint.testing.code import assertion, reproduce, targets_code
from difint.testing.counting import counted_calls
from difint.testing.values import leaves_of, same

PLANS = {"plan": "*s.prepare_args", "bind": "*s.prepare_args", "same point": "same point"}
"""The arguments that the plan of each stage is prepared with, as code."""


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did.

    Attributes:
        call: which call.
        found: how its result was wrong.
        changed: the positions of the arguments that it changed.
        calls: how often it called ``f``; ``None`` if that was not counted.
        work: what it traced and compiled; ``None`` for one shot.
        error: what it raised.
    """

    call: Call
    found: Difference | None = None
    changed: tuple[int, ...] = ()
    calls: int | None = None
    work: Traces | None = None
    error: Exception | None = None


def outcome_of(case: Case, call: Call) -> Outcome:
    """Get what a call did when it was first made; make it, and note an exception, if need be."""
    known: dict[Call, Outcome] = case.outcomes
    if call not in known:
        known[call] = _observe(case, call)
        error = known[call].error
        if error is not None:
            where = call.label(case.scenario)
            case.note_exception("correctness", where, code_of(case, call), error)
    return known[call]


def _observe(case: Case, call: Call) -> Outcome:
    args = call.args(case.scenario)
    before = [[np.array(leaf) for leaf in _read(case, arg)] for arg in args]
    try:
        plan = case.plan_for(call)
        targets = case.targets(call)
        thunk = call.thunk(case.subject, plan, args, *targets)
        if plan is None:  # one-shot functions prepare: nothing of it is counted
            returned, calls, work = thunk(), None, None
        else:
            with case.subject.engine.arrays.watch() as work, counted_calls(case.scenario.f) as seen:
                returned = thunk()
            calls = seen.count
        found = _difference(case, call, returned, targets[0])
    except Exception as error:
        return Outcome(call, error=error)
    changed = tuple(_restored(case, args, before))
    return Outcome(call, found, changed, calls, work)


def _difference(case: Case, call: Call, returned: Any, out: Any) -> Difference | None:
    result = returned[-1] if call.full and isinstance(returned, tuple) else returned
    if call.out and result is not out:
        return Difference(0, "it did not return the out= that it was given", 0.0)
    return case.difference(call, returned)


def _read(case: Case, arg: Any) -> list[Any]:
    """List the leaves that nothing may write to; caches, and trees that hold some, are left out."""
    if isinstance(arg, Cache | ConstantOrCache):
        return []
    return leaves_of(arg, case.subject.trees)


def _restored(case: Case, args: tuple[Any, ...], before: list[list[Any]]) -> list[int]:
    """List the arguments that were changed, and undo that for the calls to come."""
    changed = []
    for position, (arg, copies) in enumerate(zip(args, before, strict=True)):
        leaves = _read(case, arg)
        if all(map(same, leaves, copies)):
            continue
        changed.append(position)
        for leaf, copy in zip(leaves, copies, strict=True):
            if isinstance(leaf, np.ndarray):
                leaf[...] = copy
    return changed


def code_of(case: Case, call: Call, found: Difference | None = None) -> str:
    """Write the code that makes a call; of a wrong result, the assertion that fails."""
    subject, scenario = case.subject, case.scenario
    got, lines = call.code(subject), targets_code(call, scenario)
    plan = PLANS.get(call.stage, "")
    if found is None:
        return reproduce(subject, *lines, got, plan=plan)
    want, value = "s.result", scenario.result
    if call.full and scenario.parts is not None:
        got, want = f"{got}[{found.part}]", f"s.parts[{found.part}]"
        value = scenario.parts[found.part]
    lines.append(assertion(got, want, found.allowed, value))
    return reproduce(subject, *lines, plan=plan)
