"""Backends on one function, held against each other: who takes it, and who agrees."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.backends import BACKENDS, Backend
from difint.errors import DifintError
from difint.operators import OPERATORS
from difint.queries import check_available
from difint.testing.accuracy import epsilon, orders, power, tolerance
from difint.testing.calls import Subject
from difint.testing.compare import Tolerance, compare, scale_of, shapes_of
from difint.testing.results import compute_results
from difint.testing.scenario import Scenario, check_operator
from difint.testing.values import dense, leaves_of, tangent_like


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend made of a scenario.

    Attributes:
        backend: the backend.
        scenario: the scenario with the backend's own results; ``None`` if it could not.
        refusal: why it could not, in a line; ``""`` if it could.
    """

    backend: Backend
    scenario: Scenario | None
    refusal: str = ""

    @property
    def subject(self) -> Subject:
        """The scenario, with results, on the backend."""
        assert self.scenario is not None, "asked only of those that could"
        return Subject(self.scenario, self.backend)

    @property
    def promise(self) -> float:
        """The accuracy that it promises: the power of the machine epsilon."""
        engine, scenario = self.subject.engine, self.subject.scenario
        return power(engine, scenario.operator, scenario.record.order)


def all_candidates() -> tuple[Backend, ...]:
    """List the settings of all installed backends that are worth a try on an unknown function."""
    listed = [one for cls in BACKENDS for one in cls.candidates()]
    return tuple(one for one in listed if check_available(one))


def ask(backends: Sequence[Backend], scenario: Scenario) -> list[Answer]:
    """Let each backend compute the scenario once; those that cannot say why."""
    answers = []
    for backend in backends:
        try:
            (known,) = compute_results(scenario, backend)
            answers.append(Answer(backend, known))
        except Exception as error:
            answers.append(Answer(backend, None, in_a_line(error)))
    return answers


def in_a_line(error: Exception) -> str:
    """Write an error in a line: difint's own whole, another with the place that it comes from."""
    name, text = type(error).__name__, "; ".join(map(str.strip, str(error).splitlines()))
    hints = [note for note in getattr(error, "__notes__", []) if note.startswith("difint: ")]
    if hints:
        return f"{name}: {hints[0].removeprefix('difint: ')}"
    if isinstance(error, DifintError):
        return f"{name}: {' '.join(text.split())}"
    frames = traceback.extract_tb(error.__traceback__)
    last = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{name}: {' '.join(text.split()) or 'no message'}{last}"


# Relative to the largest entry: a method that is no better than this is no help, but no fault.
_ROUGH = 1e-2


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """One backend's answer held against another's.

    Attributes:
        verdict: ``"yes"``: they agree as both promise; ``"roughly"``: within 1 %, or to half of the
            digits, where one of them is a method of limited accuracy; ``"no"``.
        where: how they differ; ``""`` if they agree.
        deviation: the largest difference of the results, relative to their largest entry;
            infinite where they are not of one form.
    """

    verdict: str
    where: str
    deviation: float


def compared(one: Answer, reference: Answer) -> Comparison:
    """Hold the results and the lower orders of one backend against another's."""
    where = _difference(one, reference, rough=False)
    if not where:
        return Comparison("yes", "", _deviation(one, reference))
    approximate = min(one.promise, reference.promise) < 1
    rough = approximate and not _difference(one, reference, rough=True)
    return Comparison("roughly" if rough else "no", where, _deviation(one, reference))


def _difference(one: Answer, reference: Answer, *, rough: bool) -> str:
    """Say in which part two answers differ, and how."""
    mine, right = one.subject.scenario, reference.subject.scenario
    parts = [(*(s.lower or ()), s.result) for s in (mine, right)]
    trees = one.subject.trees
    entries = [leaf for part in parts[1] for leaf in leaves_of(dense(part), trees)]
    listed = [*zip(*parts, orders(right), strict=True)]
    for position, (got, want, order) in reversed([*enumerate(listed)]):
        near = _rough(one, reference) if rough else Tolerance(_rtol(one, reference, order), 0.0)
        text = compare(got, want, trees, near, scale_of(*entries), shapes_of(right))
        if text is not None:
            last = position == len(listed) - 1
            return text if last else f"lower order {position}: {text}"
    return ""


def _rough(one: Answer, reference: Answer) -> Tolerance:
    """Get a tolerance for methods of limited accuracy, where they do worse than they promise.

    Half of the digits must be there, in the units of the result: where a derivative vanishes,
    nothing else is there to be relative to.
    """
    answer = min(one, reference, key=lambda answer: answer.promise)
    return Tolerance(_ROUGH, epsilon(answer.subject.scenario) ** (answer.promise / 2))


def _rtol(one: Answer, reference: Answer, order: int) -> float:
    return sum(tolerance(a.subject.engine, a.subject.scenario, order) for a in (one, reference))


def _deviation(one: Answer, reference: Answer) -> float:
    mine, right = _result(one), _result(reference)
    if [a.shape for a in mine] != [b.shape for b in right]:
        return float("inf")
    with np.errstate(all="ignore"):
        errors = [np.max(np.abs(a - b), initial=0.0) for a, b in zip(mine, right, strict=True)]
    return float(max(errors, default=0.0)) / scale_of(*right)


def consensus(answers: Sequence[Answer]) -> Answer | None:
    """Choose the one to trust: that with which most agree, at least roughly; then the best."""
    able = [one for one in answers if one.scenario is not None]

    def trust(one: Answer) -> tuple[int, float]:
        return sum(compared(other, one).verdict != "no" for other in able), one.promise

    return max(able, key=trust, default=None)


def undefined(answer: Answer) -> bool:
    """Tell whether a result, or a lower order, holds what is no finite number."""
    scenario = answer.subject.scenario
    parts = (*(scenario.lower or ()), scenario.result)
    leaves = [leaf for part in parts for leaf in leaves_of(dense(part), answer.subject.trees)]
    return not all(np.isfinite(np.asarray(leaf, complex)).all() for leaf in leaves)


def _result(answer: Answer) -> list[Any]:
    leaves = leaves_of(dense(answer.subject.scenario.result), answer.subject.trees)
    return [np.asarray(leaf, complex if np.iscomplexobj(leaf) else float) for leaf in leaves]


def scenario_for(
    operator: str,
    f: Any,
    x: Any,
    contexts: Sequence[Any],
    t: Any,
    y: Any,
    backends: Sequence[Backend],
) -> Scenario:
    """Make a scenario of a user's function, with a tangent if none is given."""
    check_operator("difint.testing", operator)
    place = OPERATORS[operator].tangent
    if t is None and place == "x":
        t = tangent_like(x)
    if t is None and place == "y":
        t = tangent_like(_value(f, x, contexts, y, backends))
    return Scenario(operator, f, x, *contexts, t=t, y=y)


def _value(f: Any, x: Any, contexts: Sequence[Any], y: Any, backends: Sequence[Backend]) -> Any:
    """Get ``f(x)`` as a backend sees it: in its precision, of the kind of ``x``."""
    if y is not None:
        return y
    pushed = Scenario("pushforward", f, x, *contexts, t=tangent_like(x))
    able = (one.scenario for one in ask(backends, pushed) if one.scenario is not None)
    scenario = next(able, None)
    if scenario is None or scenario.lower is None:
        return f(x, *(context.value for context in contexts))
    return scenario.lower[0]
