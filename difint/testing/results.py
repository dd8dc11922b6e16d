"""Results of scenarios, from a backend that is trusted."""

from __future__ import annotations

from collections.abc import Iterable

from difint.backends import Backend
from difint.testing.calls import Call, Subject
from difint.testing.scenario import Scenario
from difint.testing.values import in_numpy


def compute_results(
    scenarios: Scenario | Iterable[Scenario], reference_backend: Backend
) -> list[Scenario]:
    """Fill the results of scenarios with those of a backend that is trusted.

    Every scenario is prepared at its own point and executed once. Nothing is kept but the
    results, copied to NumPy.

    Args:
        scenarios: one or many; those that have results get new ones.
        reference_backend: e.g. ``AutoJax(x64=True)``.

    Returns:
        New scenarios, with ``result`` and ``lower``.

    Raises:
        DifintError: the backend refuses one of them.

    >>> import numpy as np, difint as di
    >>> (s,) = compute_results(
    ...     Scenario("gradient", lambda x: x @ x, np.ones(2)), di.AutoFiniteDiff("complex_step")
    ... )
    >>> s.result, s.lower
    (array([2., 2.]), (array(2.),))
    """
    listed = [scenarios] if isinstance(scenarios, Scenario) else list(scenarios)
    return [_computed(scenario, reference_backend) for scenario in listed]


def _computed(scenario: Scenario, backend: Backend) -> Scenario:
    subject = Subject(scenario, backend)
    plan = subject.prepare(scenario.args)
    parts = Call("plan", full=True).thunk(subject, plan, scenario.args)()
    *lower, result = (in_numpy(part, subject.trees) for part in parts)
    return scenario.replace(lower=tuple(lower), result=result)
