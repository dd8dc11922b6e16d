"""Exclusions: what a check leaves out, always with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from difint.backends import Backend
from difint.errors import ArgumentError, message
from difint.testing.scenario import FEATURES, Scenario, check_operator


@final
@dataclass(frozen=True, slots=True)
class Exclusion:
    """What to leave out of a check. Every condition that is given must hold.

    Args:
        reason: why.
        backend: only with this backend.
        operator: only this operator.
        feature: only scenarios that have this feature, one of ``difint.testing.FEATURES``.
        name: only the scenario of this name.

    Raises:
        ArgumentError: an unknown operator or feature.

    >>> import difint as di
    >>> Exclusion("too slow", backend=di.AutoJax(), operator="hessian").operator
    'hessian'
    """

    reason: str
    backend: Backend | None = None
    operator: str | None = None
    feature: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.operator is not None:
            check_operator("Exclusion", self.operator)
        if self.feature is not None and self.feature not in FEATURES:
            text = message(
                "Exclusion",
                "feature is unknown",
                expected=", ".join(FEATURES),
                got=repr(self.feature),
                remedy="Pass one of these, or leave it out.",
            )
            raise ArgumentError(text)

    def covers(self, backend: Backend, scenario: Scenario) -> bool:
        """Tell whether this pair is left out."""
        return (
            self.backend in (None, backend)
            and self.operator in (None, scenario.operator)
            and (self.feature is None or self.feature in scenario.features)
            and self.name in (None, scenario.name)
        )


def known_gaps(backends: Backend | Iterable[Backend]) -> list[Exclusion]:
    """List what backends say of themselves that they cannot differentiate.

    Args:
        backends: one or many.

    Returns:
        An exclusion for each gap, for the ``excluded`` of a check.

    >>> import difint as di
    >>> [gap.feature for gap in known_gaps(di.AutoFiniteDiff())]
    ['complex x']
    """
    listed = [backends] if isinstance(backends, Backend) else list(backends)
    return [
        Exclusion(reason, backend=backend, feature=feature)
        for backend in listed
        for feature, reason in backend.gaps().items()
    ]


def rules_of(excluded: Exclusion | str | Iterable[Exclusion | str]) -> list[Exclusion]:
    """Take one rule or many, operators by name among them."""
    listed = [excluded] if isinstance(excluded, str | Exclusion) else list(excluded)
    return [
        Exclusion(f"{one} is excluded", operator=one) if isinstance(one, str) else one
        for one in listed
    ]


def reason_for(rules: Iterable[Exclusion], backend: Backend, scenario: Scenario) -> str | None:
    """Get the reason why a pair is left out; ``None`` if it is not."""
    return next((rule.reason for rule in rules if rule.covers(backend, scenario)), None)
