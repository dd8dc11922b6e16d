"""Backends on one function, held against each other: who takes it, and who agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.backends import BACKENDS, Backend
from difint.errors import BackendUnavailableError
from difint.operators import OPERATORS
from difint.testing.accuracy import power, tolerance
from difint.testing.benchmark import first_line
from difint.testing.calls import Subject
from difint.testing.compare import Tolerance, compare, scale_of
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
    """List the settings of all backends that are worth a try on an unknown function."""
    return tuple(one for cls in BACKENDS for one in cls.candidates())


def ask(backends: Sequence[Backend], scenario: Scenario) -> list[Answer]:
    """Let each backend compute the scenario once; those that cannot say why."""
    answers = []
    for backend in backends:
        try:
            (known,) = compute_results(scenario, backend)
            answers.append(Answer(backend, known))
        except BackendUnavailableError as error:
            answers.append(Answer(backend, None, " ".join(str(error).splitlines()[-1:])))
        except Exception as error:
            answers.append(Answer(backend, None, f"{type(error).__name__}: {first_line(error)}"))
    return answers


def deviation(one: Answer, reference: Answer) -> float:
    """Get the largest difference of two results, relative to the largest entry."""
    mine, right = _result(one), _result(reference)
    scale = scale_of(*right)
    pairs = zip(mine, right, strict=True)
    with np.errstate(all="ignore"):
        errors = [float(np.max(np.abs(a - b), initial=0.0)) for a, b in pairs]
    return max(errors, default=0.0) / scale


def disagreement(one: Answer, reference: Answer) -> str | None:
    """Say where two results differ by more than both promise; ``None`` if they agree."""
    order = one.subject.scenario.record.order
    rtol = sum(tolerance(a.subject.engine, a.subject.scenario, order) for a in (one, reference))
    mine, right = one.subject.scenario, reference.subject.scenario
    parts = [leaf for part in right.parts or (right.result,) for leaf in leaves_of(dense(part))]
    near, shapes = Tolerance(rtol, 0.0), (np.shape(mine.x), None)
    trees = one.subject.trees
    return compare(mine.result, right.result, trees, near, scale_of(*parts), shapes)


def consensus(answers: Sequence[Answer]) -> Answer | None:
    """Choose the one to trust: that with which most agree, then the most accurate."""
    able = [one for one in answers if one.scenario is not None]

    def trust(one: Answer) -> tuple[int, float]:
        return sum(disagreement(other, one) is None for other in able), one.promise

    return max(able, key=trust, default=None)


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
