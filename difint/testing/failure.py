"""Failures of checks, and the errors that carry them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import final

from difint.errors import DifintError


@final
@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is wrong.

    Attributes:
        backend: the backend, as its constructor call.
        scenario: the scenario's name.
        operator: the operator's name.
        check: which check found it: ``"correctness"``, ``"intact"``, ``"aliasing"``, ...
        problem: what is wrong.
        code: the shortest code that shows it.
        refused: the backend prepared no plan, and said why: no wrong number came out.
        error: the exception, if there was one.
    """

    backend: str
    scenario: str
    operator: str
    check: str
    problem: str
    code: str
    refused: bool = False
    error: BaseException | None = None

    def __str__(self) -> str:
        head = f"{self.scenario}, {self.backend}: {self.check}: {self.problem}"
        return f"{head}\n{indent(self.code, '    ')}"


class CheckError(DifintError, AssertionError):
    """A backend did not pass its checks.

    Attributes:
        failures: everything that was found.
    """

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        count = f"{len(failures)} failure{'s' if len(failures) > 1 else ''}"
        listed = "\n\n".join(f"{i}. {one}" for i, one in enumerate(failures, start=1))
        summary = f"{_summary(failures)}\n\n" if len(failures) > _FEW else ""
        super().__init__(f"check_differentiation: {count}\n\n{summary}{listed}")


# More failures than this are summed up before they are listed.
_FEW = 3


def _summary(failures: Sequence[Failure]) -> str:
    """Count failures by backend, check and operator."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for one in failures:
        counts.setdefault((one.backend, one.check), Counter())[one.operator] += 1
    lines = []
    for (backend, check), by_operator in counts.items():
        parts = ", ".join(f"{count} of {operator}" for operator, count in by_operator.items())
        lines.append(f"  {backend}, {check}: {parts}")
    return "\n".join(lines)


@final
class RefusalError(CheckError):
    """A backend refused every scenario that it failed: exceptions at prepare, no wrong number."""


def error_of(failures: Sequence[Failure]) -> CheckError:
    """Make the error for these failures, with the first exception among them as its cause."""
    refused = all(one.refused for one in failures)
    error = RefusalError(failures) if refused else CheckError(failures)
    error.__cause__ = next((one.error for one in failures if one.error is not None), None)
    return error
