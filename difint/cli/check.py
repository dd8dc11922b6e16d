"""``python -m difint check``: do the backends agree on a user's own function?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from difint.cli.target import could_not, load
from difint.testing.check import check_differentiation
from difint.testing.comparing import Answer, Comparison, ask, compared, consensus, undefined
from difint.testing.failure import CheckError
from difint.testing.progress import bar
from difint.text import table


def main(options: argparse.Namespace) -> int:
    """Compare, print, and return 1 where backends disagree or are wrong in some way to call."""
    scenario, backends = load(options)
    answers = ask(backends, scenario)
    refused = could_not([(repr(one.backend), one.refusal) for one in answers if not one.scenario])
    reference = consensus(answers)
    if reference is None:
        print("\n".join([*refused, "No backend could."]))
        return 1
    able = [one for one in answers if one.scenario is not None]
    held = [(one, compared(one, reference)) for one in able]
    problems = {
        id(one): _problems(one, comparison, reference, quick=options.quick)
        for one, comparison in bar(held, "check", None)
    }
    print(f"{scenario.name}, held against {reference.backend!r}\n")
    print(_table(held, problems))
    found = [text for one in able for text in problems[id(one)]]
    for text in [*found, "\n".join(refused), *_notes(held, reference)]:
        if text:
            print(f"\n{text}")
    return 1 if found else 0


def _problems(one: Answer, comparison: Comparison, reference: Answer, *, quick: bool) -> list[str]:
    """Say where a backend disagrees with the reference, or with itself in another way to call."""
    if comparison.verdict == "no":
        return [f"{one.backend!r} disagrees with {reference.backend!r}: {comparison.where}"]
    if quick:
        return []
    scenario = one.subject.scenario
    try:
        one.subject.prepare(scenario.prepare_args)
    except Exception:  # the function is not defined where plans would be prepared
        scenario = scenario.replace(prepare_args=scenario.args)
    try:
        check_differentiation(one.backend, scenario, progress=False)
    except CheckError as error:
        return [str(failure) for failure in error.failures]
    return []


def _table(held: Sequence[tuple[Answer, Comparison]], problems: dict[int, list[str]]) -> str:
    rows = [
        [
            repr(one.backend),
            f"{comparison.deviation:.1e}",
            "no" if problems[id(one)] else comparison.verdict if len(held) > 1 else "-",
        ]
        for one, comparison in held
    ]
    return table(["backend", "deviation", "agrees"], rows, "<>>")


def _notes(held: Sequence[tuple[Answer, Comparison]], reference: Answer) -> list[str]:
    """Say what else to know about what was compared."""
    notes = [
        f"{one.backend!r} agrees roughly alone, as a method of limited accuracy: {comparison.where}"
        for one, comparison in held
        if comparison.verdict == "roughly"
    ]
    if undefined(reference):
        notes.append("The function, or its derivative, is not finite at this x.")
    if len(held) == 1:
        notes.append("Only one backend could: there is nothing to compare it with.")
    elif len({type(one.backend) for one, _ in held}) == 1:
        name = type(reference.backend).__name__
        notes.append(f"Only {name} could, in several settings: they may share an error.")
    return notes
