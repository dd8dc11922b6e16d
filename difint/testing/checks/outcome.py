"""Outcome: what one call did, seen from every side at once, so that checks share the calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.contexts import Cache, ConstantOrCache, Context
from difint.engine import Traces
from difint.testing.calls import Call
from difint.testing.checks.case import Case, Difference
from difint.testing.code import assertion, empty_code, reproduce, targets_code
from difint.testing.counting import counted_calls
from difint.testing.values import can_be_written, leaves_of, like, own_copy, same

PLANS = {"plan": "*s.prepare_args", "bind": "*s.prepare_args", "same point": "same point"}
"""The arguments that the plan of each stage is prepared with, as code."""


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did.

    Attributes:
        call: which call.
        found: how its result was wrong.
        changed: the positions of the arguments that it changed; one past the last is that of
            the ``y`` of prepare.
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
    try:
        plan = case.plan_for(call)
        targets = case.targets(call)
        if call.stage == "bind":
            args = rebindable(case, case.scenario.prepare_args)
        with case.subject.engine.arrays.watch() as making:
            thunk = call.thunk(case.subject, plan, args, *targets)
        if call.stage == "bind":
            rewrite(case, args, case.scenario.args)
        held = (*args, case.scenario.y)
        before = [[np.asarray(leaf).copy() for leaf in _read(case, arg)] for arg in held]
        if plan is None:  # one-shot functions prepare: nothing of it is counted
            returned, calls, work = thunk(), None, None
        else:
            with case.subject.engine.arrays.watch() as work, counted_calls(case.scenario.f) as seen:
                returned = thunk()
            calls = seen.count
            work = Traces(making.traces + work.traces, making.compilations + work.compilations)
        found = _difference(case, call, returned, *targets)
    except Exception as error:
        return Outcome(call, error=error)
    changed = tuple(_restored(case, held, before))
    return Outcome(call, found, changed, calls, work)


def _difference(case: Case, call: Call, returned: Any, out: Any, y: Any) -> Difference | None:
    result = returned[-1] if call.full and isinstance(returned, tuple) else returned
    if call.out and result is not out:
        return Difference(0, "it did not return the out= that it was given", 0.0)
    found = case.difference(call, returned)
    return case.value_difference(y) if found is None and call.y else found


def rebindable(case: Case, numbers: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make arguments in memory of their own that hold these numbers, to be bound.

    What has no memory that can change, scalars and immutable arrays, is the scenario's.
    """
    trees = case.subject.trees

    def join(one: Any, other: Any) -> Any:
        values = (one.value, other.value) if isinstance(one, Context) else (one, other)
        now, structure = trees.flatten(values[0])
        then = trees.flatten(values[1])[0]
        pairs = zip(now, then, strict=True)
        leaves = [own_copy(b) if can_be_written(a) else a for a, b in pairs]
        joined = trees.unflatten(structure, leaves)
        return type(one)(joined) if isinstance(one, Context) else joined

    return tuple(map(join, case.scenario.args, numbers))


def rewrite(case: Case, args: tuple[Any, ...], numbers: tuple[Any, ...]) -> None:
    """Write other numbers into the memory of arguments that are bound."""
    trees = case.subject.trees
    for into, arg in zip(args, numbers, strict=True):
        for one, other in zip(leaves_of(into, trees), leaves_of(arg, trees), strict=True):
            if can_be_written(one):
                one[...] = other


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
            if can_be_written(leaf):
                leaf[...] = like(copy, leaf)
    return changed


def code_of(case: Case, call: Call, found: Difference | None = None) -> str:
    """Write the code that makes a call; of a wrong result, the assertion that fails."""
    scenario, got = case.scenario, call.code(case.subject)
    lines = targets_code(call, case)
    if call.stage == "bind" and can_be_written(scenario.x):
        lines += [
            "x = s.prepare_args[0] * 1",
            f"step = {got.removesuffix('()').replace('*s.args', 'x, *s.args[1:]')}",
            "x[...] = s.x",
        ]
        got = "step()"
    return _program(case, call, lines, got, found)


def layout_code(case: Case, call: Call, name: str, found: Difference | None = None) -> str:
    """Write the code that makes a call of a plan with arrays in another layout."""
    lines = ["from difint.testing import layouts", *targets_code(call, case)]
    for target in ("out", "y"):
        if getattr(call, target):
            lines.append(f"{target} = layouts.rearranged({name!r}, {target})")
    lines.append(f"args = layouts.rearranged({name!r}, s.args)")
    got = call.code(case.subject).replace("*s.args", "*args")
    return _program(case, call, lines, got, found)


def _program(case: Case, call: Call, lines: list[str], got: str, found: Difference | None) -> str:
    """Write a program that ends in a call, or in the assertion that what it returns is right."""
    scenario, plan = case.scenario, PLANS.get(call.stage, "")
    if found is None:
        return reproduce(case.subject, *lines, got, plan=plan)
    want, value = "s.result", scenario.result
    if found.part is None:
        want, value = "right", scenario.y
        compute = "s.f(right, s.x, *[context.value for context in s.contexts])"
        lines += [got, f"right = {empty_code(scenario.y)}", compute]
        got = "y"
    elif call.full and scenario.parts is not None:
        got, want = f"{got}[{found.part}]", f"s.parts[{found.part}]"
        value = scenario.parts[found.part]
    if "its kind is" in found.text:
        lines.append(f"print(type({got}), type(s.x))")
    else:
        lines.append(assertion(got, want, found.allowed, value))
    return reproduce(case.subject, *lines, plan=plan)
