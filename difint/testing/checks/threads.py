"""Threads: many calls at once on one plan, each with values of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from difint.testing.calls import Call
from difint.testing.checks.case import Case
from difint.testing.code import reproduce
from difint.testing.values import in_numpy

_THREADS = 4
_CALLS = 25


def check(case: Case) -> None:
    """Execute one plan from several threads at two points; results must be those of one thread."""
    call, points = Call("plan"), (case.scenario.args, case.scenario.prepare_args)
    code = reproduce(case.subject, *_program(call, case), plan="*s.prepare_args")
    with case.guarded("threads", "execute", code):
        thunks = [call.thunk(case.subject, case.plan, args) for args in points]
        right = [in_numpy(thunk(), case.subject.trees) for thunk in thunks]
        wrong: list[str] = []

        def work(turn: int) -> None:
            start.wait()
            for i in range(turn, turn + _CALLS):
                if wrong:
                    return
                wrong.extend(_seen(case, thunks[i % 2], right[i % 2]))

        start = threading.Barrier(_THREADS)
        with _hasty():
            threads = [threading.Thread(target=work, args=(turn,)) for turn in range(_THREADS)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
        if wrong:
            problem = f"{_THREADS} threads on one plan disagree with one thread: {wrong[0]}"
            case.fail("threads", problem, code)


def _seen(case: Case, thunk: Any, right: Any) -> list[str]:
    try:
        text = case.disagreement(thunk(), right)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    return [] if text is None else [text]


@contextmanager
def _hasty() -> Iterator[None]:
    """Let Python change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _program(call: Call, case: Case) -> list[str]:
    return [
        "from concurrent.futures import ThreadPoolExecutor",
        f"with ThreadPoolExecutor({_THREADS}) as pool:",
        f"    print(*pool.map(lambda _: {call.code(case.subject)}, range({_CALLS})))",
        "print(s.result)",
    ]
