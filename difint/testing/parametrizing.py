"""Tests for pytest: one for each backend and scenario, and the known gaps marked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from difint.backends import Backend
from difint.testing.check import backend_list, scenario_list
from difint.testing.exclusion import Exclusion, known_gaps, reason_for, rules_of
from difint.testing.failure import RefusalError
from difint.testing.scenario import Scenario


def parametrize(
    backends: Backend | Iterable[Backend],
    scenarios: Scenario | Iterable[Scenario],
    *,
    excluded: Iterable[Exclusion | str] | None = None,
) -> Any:
    """Make pytest's mark that runs a test for each backend and scenario.

    Args:
        backends: one or many.
        scenarios: one or many.
        excluded: what is expected to fail, as for ``check_differentiation``; ``None`` for
            ``known_gaps(backends)``. Such a test is a strict ``xfail`` with its reason: the
            backend must refuse the scenario, and a gap that is closed is noticed.

    Returns:
        A decorator for ``test(backend, scenario)``; ``parameters`` gives its list, to be joined
        with others.

    >>> import difint as di
    >>> from difint.testing import check_differentiation, default_scenarios, parametrize
    >>> @parametrize(di.AutoFiniteDiff(), default_scenarios())
    ... def test_my_backend(backend, scenario):
    ...     check_differentiation(backend, scenario)
    """
    import pytest

    listed = parameters(backends, scenarios, excluded=excluded)
    return pytest.mark.parametrize(("backend", "scenario"), listed)


def parameters(
    backends: Backend | Iterable[Backend],
    scenarios: Scenario | Iterable[Scenario],
    *,
    excluded: Iterable[Exclusion | str] | None = None,
) -> list[Any]:
    """List the parameters of ``parametrize``, which takes the same arguments."""
    import pytest

    chosen, listed = backend_list(backends), scenario_list(scenarios)
    rules = known_gaps(chosen) if excluded is None else rules_of(excluded)

    def marks(backend: Backend, scenario: Scenario) -> list[Any]:
        reason = reason_for(rules, backend, scenario)
        if reason is None:
            return []
        return [pytest.mark.xfail(reason=reason, raises=RefusalError, strict=True)]

    return [
        pytest.param(backend, one, id=f"{one.name}-{backend!r}", marks=marks(backend, one))
        for backend in chosen
        for one in listed
    ]
