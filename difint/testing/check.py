"""``check_differentiation``: every backend on every scenario."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

from difint.backends import Backend, check_backend, check_choice
from difint.errors import ArgumentError, message
from difint.testing.checks import allocations as _allocations
from difint.testing.checks import correctness as _correctness
from difint.testing.checks import intact as _intact
from difint.testing.checks import preparation as _preparation
from difint.testing.checks import retraces as _retraces
from difint.testing.checks import revisiting as _revisiting
from difint.testing.checks import steadiness as _steadiness
from difint.testing.checks import threads as _threads
from difint.testing.checks.case import Case, Check
from difint.testing.code import reproduce
from difint.testing.exclusion import Exclusion, reason_for, rules_of
from difint.testing.failure import Failure, error_of
from difint.testing.progress import bar
from difint.testing.scenario import Scenario

_ALLOCATIONS: Mapping[str, tuple[Check, ...]] = {
    "none": (),
    "prepared": (_allocations.check_prepared,),
    "full": (_allocations.check_full,),
}


@final
@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was checked, where nothing failed.

    Attributes:
        passed: the pairs that passed, as ``(backend, scenario name)``.
        excluded: the pairs that were left out, with their reasons.
    """

    passed: tuple[tuple[Backend, str], ...]
    excluded: tuple[tuple[Backend, str, str], ...]

    def __str__(self) -> str:
        lines = [f"{len(self.passed)} passed, {len(self.excluded)} excluded"]
        lines += [f"  {name}, {backend!r}: {reason}" for backend, name, reason in self.excluded]
        return "\n".join(lines)


def check_differentiation(
    backends: Backend | Iterable[Backend],
    scenarios: Scenario | Iterable[Scenario],
    *,
    correctness: bool = True,
    preparation: bool = True,
    allocations: Literal["none", "prepared", "full"] = "none",
    retraces: bool = True,
    threads: bool = False,
    intact: bool = True,
    excluded: Iterable[Exclusion | str] = (),
    rtol: float | None = None,
    atol: float = 0.0,
    logging: bool = False,
    progress: bool | None = None,
) -> CheckReport:
    """Check that backends are right on scenarios, however they are called.

    Every operator is called prepared and not, with and without its lower orders, into ``out=``
    (poisoned before) and not, bound, for the same point, and with ``y=`` where ``f`` is in place.
    Plans are prepared at other values than those that they are executed with, and at the same.

    Args:
        backends: one or many.
        scenarios: one or many, with results: see ``compute_results``.
        correctness: compare with the results, in value, shape, dtype and kind.
        preparation: call plans with arguments that do not fit; they must be refused.
        allocations: ``"prepared"``: what calls of plans leave behind must not grow; ``"full"``:
            nor what one-shot functions do; ``"none"``: not looked at.
        retraces: plans must trace and compile nothing, and call ``f`` as often every time.
        threads: several threads on one plan must agree with one.
        intact: inputs must stay as they are, and results must be nobody else's memory.
        excluded: what to leave out: operators by name, or ``Exclusion``; ``known_gaps(backends)``
            are those that backends declare.
        rtol: the tolerance relative to the largest entry of a result and of its lower orders;
            ``None`` for what the backend's engine promises at the precision of ``x``.
        atol: the absolute tolerance, in the units of the result.
        logging: print a line for each backend and scenario to standard error.
        progress: show a bar; ``None`` for one where standard error is a terminal.

    Returns:
        What passed, and what was left out for which reason.

    Raises:
        CheckError: something is wrong; lists every failure with code that shows it.
        ArgumentError: a scenario has no result to compare with.

    >>> import difint as di
    >>> from difint.testing import check_differentiation, default_scenarios
    >>> gradients = [s for s in default_scenarios() if s.operator == "gradient"]
    >>> report = check_differentiation(di.AutoFiniteDiff(), gradients)
    >>> len(report.passed) == len(gradients)
    True
    """
    __tracebackhide__ = True  # pytest shows the caller and the message
    check_choice("check_differentiation", "allocations", allocations, tuple(_ALLOCATIONS))
    listed = scenario_list(scenarios)
    if correctness:
        _require_results(listed)
    wanted: dict[Check, bool] = {
        _steadiness.check: True,
        _correctness.check_form: correctness,
        _intact.check: intact,
        _retraces.check: retraces,
        _correctness.check: correctness,
        _revisiting.check: correctness,
        _intact.check_aliasing: intact,
        _preparation.check: preparation,
        _threads.check: threads,
    }
    checks = [*(check for check, on in wanted.items() if on), *_ALLOCATIONS[allocations]]
    pairs = [(one, s) for s in listed for one in backend_list(backends)]
    rules, verdicts = rules_of(excluded), []
    for backend, scenario in bar(pairs, "check", progress):
        reason = reason_for(rules, backend, scenario)
        found = [] if reason else _check_pair(Case(scenario, backend, rtol, atol), checks)
        verdicts.append(_Verdict(backend, scenario.name, reason, found))
        if logging:
            print(verdicts[-1], file=sys.stderr)
    return _report(verdicts)


class _Verdict(NamedTuple):
    """What became of one backend on one scenario."""

    backend: Backend
    scenario: str
    reason: str | None
    failures: list[Failure]

    def __str__(self) -> str:
        count = f"{len(self.failures)} failures" if self.failures else "passed"
        verdict = f"excluded: {self.reason}" if self.reason else count
        return f"{self.scenario}, {self.backend!r}: {verdict}"


def _report(verdicts: Sequence[_Verdict]) -> CheckReport:
    """Raise what failed, or say what passed."""
    __tracebackhide__ = True
    failures = [failure for one in verdicts for failure in one.failures]
    if failures:
        raise error_of(failures)
    return CheckReport(
        tuple((one.backend, one.scenario) for one in verdicts if one.reason is None),
        tuple((one.backend, one.scenario, one.reason) for one in verdicts if one.reason),
    )


def _check_pair(case: Case, checks: Sequence[Check]) -> list[Failure]:
    """Run the checks, until one finds what makes the others fail too."""
    code = reproduce(case.subject, plan="*s.prepare_args")
    with case.guarded("preparation", "prepare", code, refused=True):
        _ = case.plan
    if not case.failures:
        with case.preserved():
            for check in checks:
                if not case.stopped:
                    check(case)
    return case.failures


def _require_results(scenarios: Iterable[Scenario]) -> None:
    for scenario in scenarios:
        if scenario.result is None:
            text = message(
                "check_differentiation",
                f"{scenario!r} has no result to compare with",
                remedy="Fill it: compute_results(scenarios, AutoJax()); or correctness=False.",
            )
            raise ArgumentError(text)


def backend_list(backends: Any) -> list[Backend]:
    """Take one backend or many, and require each to be one."""
    several = isinstance(backends, Iterable) and not isinstance(backends, str)
    listed = list(backends) if several else [backends]
    for one in listed:
        check_backend("difint.testing", one)
    return listed


def scenario_list(scenarios: Any) -> list[Scenario]:
    """Take one scenario or many, and require each to be one."""
    several = isinstance(scenarios, Iterable) and not isinstance(scenarios, str)
    listed = list(scenarios) if several else [scenarios]
    for one in listed:
        if not isinstance(one, Scenario):
            text = message(
                "difint.testing",
                "scenarios holds something else",
                expected="a Scenario, or several",
                got=f"a {type(one).__name__}",
                remedy="Pass backends first, then scenarios.",
            )
            raise ArgumentError(text)
    return listed
