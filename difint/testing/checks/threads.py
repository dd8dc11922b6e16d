"""Threads: many calls at once on one plan, each with values of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from difint.testing.calls import Call, calls_of
from difint.testing.checks.case import Case
from difint.testing.checks.outcome import PLANS
from difint.testing.code import reproduce, targets_code
from difint.testing.values import in_numpy

_THREADS = 4
_CALLS = 12


def check(case: Case) -> None:
    """Call one plan from several threads at two points; results must be those of one thread."""
    for call in calls_of(case.scenario, "plan", "same point"):
        label = call.label(case.scenario)
        with case.guarded("threads", label, _code(case, call)):
            wrong = _seen(case, call)
            if wrong:
                problem = f"{label}: {_THREADS} threads on one plan disagree with one thread"
                case.fail("threads", f"{problem}: {wrong[0]}", _code(case, call))


def _seen(case: Case, call: Call) -> list[str]:
    """Run the threads; list what was wrong."""
    plan, wrong = case.plan_for(call), list[str]()
    points = call.args(case.scenario), _elsewhere(case, call)

    def run(i: int) -> Any:
        return call.thunk(case.subject, plan, points[i % 2], *case.targets(call))()

    right = [in_numpy(run(i), case.subject.trees) for i in range(2)]

    def work(turn: int) -> None:
        start.wait()
        for i in range(turn, turn + _CALLS):
            if wrong:
                return
            try:
                parts = right[i % 2] if call.full else (right[i % 2],)
                found = case.between(call, run(i), parts)
                wrong.extend([] if found is None else [found.text])
            except Exception as error:
                wrong.append(f"{type(error).__name__}: {error}")

    start = threading.Barrier(_THREADS)
    with _hasty():
        threads = [threading.Thread(target=work, args=(turn,)) for turn in range(_THREADS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    return wrong


def _elsewhere(case: Case, call: Call) -> tuple[Any, ...]:
    prepared = case.scenario.prepare_args
    return (prepared[1],) if call.stage == "same point" else prepared


@contextmanager
def _hasty() -> Iterator[None]:
    """Let Python change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _code(case: Case, call: Call) -> str:
    """Write the code that calls a plan from several threads, each with its own targets."""
    targets = targets_code(call, case)
    body = [f"    {line}" for line in [*targets, f"return {call.code(case.subject)}"]]
    return reproduce(
        case.subject,
        "from concurrent.futures import ThreadPoolExecutor",
        "\n".join(["def work(_):", *body]),
        f"with ThreadPoolExecutor({_THREADS}) as pool:",
        f"    print(*pool.map(work, range({_CALLS})), s.result)",
        plan=PLANS[call.stage],
    )
