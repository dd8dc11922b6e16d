"""Intact: inputs are as they were after every call, and results are nobody else's memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from difint.testing.calls import Call, calls_of
from difint.testing.checks.case import Case
from difint.testing.checks.outcome import PLANS, code_of, outcome_of
from difint.testing.code import reproduce, targets_code
from difint.testing.compare import Tolerance, scale_of
from difint.testing.values import (
    can_be_written,
    leaves_of,
    like,
    same,
    share_memory,
    values_of,
)


def check(case: Case) -> None:
    """Call in every way; what ``f`` only reads must not change."""
    wrong: dict[str, list[Call]] = {}
    for call in calls_of(case.scenario, "plan", "bind", "same point", "one shot"):
        for position in outcome_of(case, call).changed:
            wrong.setdefault(_held(case, call, position), []).append(call)
    for held, calls in wrong.items():
        labels = ", ".join(call.label(case.scenario) for call in calls)
        lines = ("import copy", f"before = copy.deepcopy({held})", calls[0].code(case.subject))
        code = reproduce(
            case.subject,
            *targets_code(calls[0], case),
            *lines,
            f"print(before, {held})",
            plan=PLANS.get(calls[0].stage, ""),
        )
        case.stop("intact", f"{labels} changed {_name(case, held)}", code)


def _held(case: Case, call: Call, position: int) -> str:
    if position == len(call.args(case.scenario)):
        return "s.y"
    return "s.t" if call.stage == "same point" else f"s.args[{position}]"


def _name(case: Case, held: str) -> str:
    lead = ["x"] if case.scenario.record.tangent is None else ["x", "t"]
    names = lead + [f"context {i}" for i in range(len(case.scenario.contexts))]
    if held in ("s.t", "s.y"):
        return f"{held[2:]}, {held}" if held == "s.t" else "the y of prepare, s.y"
    return f"{names[int(held[7:-1])]}, {held}"


def check_aliasing(case: Case) -> None:
    """Keep results of earlier calls, and write to them: neither may show in later ones."""
    for call in calls_of(case.scenario, "plan", "bind", "same point"):
        if call.out or call.y:
            continue
        with case.guarded("aliasing", call.label(case.scenario), code_of(case, call)):
            _check_fresh(case, call)


def _check_fresh(case: Case, call: Call) -> None:
    """Call at the scenario's point, elsewhere, and again, and look at what the first became."""
    run = _runner(case, call)
    kept = _flat(case, run(call.args(case.scenario)))
    copies = [np.asarray(leaf).copy() for leaf in kept]
    run(_elsewhere(case, call))
    if not all(map(same, kept, copies)):
        _fail(case, call, "a later call changed the result of an earlier one", *_later(call))
        return
    if _shared(kept, _inputs(case)):
        shared = "print([np.shares_memory(a, b) for a in leaves(first) for b in leaves(s.args)])"
        lines = "from optree import tree_leaves as leaves", shared
        _fail(case, call, "a result and an argument share memory", *lines)
        return
    with _overwritten(kept, copies):
        again = _flat(case, run(call.args(case.scenario)))
        copies_of_again = [np.asarray(leaf).copy() for leaf in again]
    got = call.code(case.subject)
    if not all(map(_equal, copies_of_again, copies)):
        problem = "writing to a result changes what a later call returns"
        write = "for leaf in optree.tree_leaves(first):\n    np.copyto(np.asarray(leaf), np.nan)"
        _fail(case, call, problem, "import optree", write, f"print({got})")
    elif _shared(kept, again):
        lines = (
            "from optree import tree_leaves as leaves",
            f"pairs = zip(leaves(first), leaves({got}))",
        )
        shared = "print([np.shares_memory(a, b) for a, b in pairs])"
        _fail(case, call, "two results share memory", *lines, shared)


def _fail(case: Case, call: Call, problem: str, *lines: str) -> None:
    first = f"first = {call.code(case.subject)}"
    code = reproduce(case.subject, first, *lines, plan=PLANS[call.stage])
    case.fail("aliasing", f"{call.label(case.scenario)}: {problem}", code)


@contextmanager
def _overwritten(leaves: list[Any], copies: list[Any]) -> Iterator[None]:
    """Fill results with NaN, and give them their numbers back: the memory may be ``f``'s own."""
    mine = list(map(can_be_written, leaves))
    for leaf, writeable in zip(leaves, mine, strict=True):
        if writeable:
            leaf[...] = np.nan
    yield
    for leaf, copy, writeable in zip(leaves, copies, mine, strict=True):
        if writeable:
            leaf[...] = like(copy, leaf)


def _runner(case: Case, call: Call) -> Any:
    plan = case.plan_for(call)
    if call.stage != "bind":
        return lambda args: call.thunk(case.subject, plan, args)()
    step = call.thunk(case.subject, plan, case.scenario.args)
    return lambda args: step()


def _elsewhere(case: Case, call: Call) -> tuple[Any, ...]:
    prepared = case.scenario.prepare_args
    return (prepared[1],) if call.stage == "same point" else prepared


def _later(call: Call) -> tuple[str, ...]:
    args = "s.prepare_args[1]" if call.stage == "same point" else "*s.prepare_args"
    later = "plan.bind(*s.prepare_args)()" if call.stage == "bind" else f"plan.execute({args})"
    return "import copy", "before = copy.deepcopy(first)", later, "print(before, first)"


def _flat(case: Case, returned: Any) -> list[Any]:
    """List the arrays of a result; of a sparse one its values, for indices may be shared."""
    return [values_of(leaf) for leaf in leaves_of(returned, case.subject.trees)]


def _inputs(case: Case) -> list[Any]:
    return [leaf for arg in case.scenario.args for leaf in leaves_of(arg, case.subject.trees)]


def _equal(one: Any, other: Any) -> bool:
    """Compare two runs of the same computation, which may add up in another order."""
    near = Tolerance(rtol=1e-3, atol=0.0).allows(one, other, scale_of(other))
    return bool(near.all())


def _shared(mine: list[Any], theirs: list[Any]) -> bool:
    """Tell whether writeable memory is shared: immutable memory may be."""
    pairs = itertools.product(*(filter(can_be_written, leaves) for leaves in (mine, theirs)))
    return any(share_memory(a, b) for a, b in pairs)
