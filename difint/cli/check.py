"""``python -m difint check``: do the backends agree on a user's own function?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from difint.cli.target import load
from difint.testing.check import check_differentiation
from difint.testing.comparing import Answer, ask, consensus, deviation, disagreement
from difint.testing.failure import CheckError
from difint.text import table


def main(options: argparse.Namespace) -> int:
    """Compare, print, and return 1 where backends disagree or are wrong in some way to call."""
    scenario, backends = load(options)
    answers = ask(backends, scenario)
    reference = consensus(answers)
    refused = [f"{one.backend!r} could not: {one.refusal}" for one in answers if not one.scenario]
    if reference is None:
        print("\n".join([*refused, "No backend could."]))
        return 1
    able = [one for one in answers if one.scenario is not None]
    found = {id(one): _problems(one, reference) for one in able}
    print(f"{scenario.name}, held against {reference.backend!r}\n")
    print(_table(able, reference, found))
    problems = [text for one in able for text in found[id(one)]]
    for text in [*problems, "\n".join(refused)]:
        if text:
            print(f"\n{text}")
    if len(able) < 2:
        print("\nOnly one backend could: there is nothing to compare it with.")
    return 1 if problems else 0


def _problems(one: Answer, reference: Answer) -> list[str]:
    """Say where a backend disagrees with the reference, or with itself in another way to call."""
    where = disagreement(one, reference)
    if where is not None:
        return [f"{one.backend!r} disagrees with {reference.backend!r}: {where}"]
    try:
        check_differentiation(one.backend, one.subject.scenario, progress=False)
    except CheckError as error:
        return [str(failure) for failure in error.failures]
    return []


def _table(able: Sequence[Answer], reference: Answer, found: dict[int, list[str]]) -> str:
    rows = [
        [repr(one.backend), f"{deviation(one, reference):.1e}", "no" if found[id(one)] else "yes"]
        for one in able
    ]
    return table(["backend", "deviation", "agrees"], rows, "<>>")
