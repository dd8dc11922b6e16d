"""``python -m difint demo``: stiff problems solved by SciPy with Jacobians from each backend."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, final

import numpy as np
from scipy import sparse
from scipy.integrate import solve_ivp

from difint.backends import AutoEnzyme, AutoFiniteDiff, AutoJax, AutoNumba, AutoTorch, Backend
from difint.cli import brusselator, problems, report
from difint.cli.problems import StiffProblem
from difint.cli.progress import Progress
from difint.operators.jacobian import JacobianPlan, prepare_jacobian
from difint.queries import check_available
from difint.sparse.backend import AutoSparse
from difint.sparse.detection import KnownSparsityDetector

RTOL: Final = 1e-6
ATOL: Final = 1e-12
PROBLEMS: tuple[StiffProblem, ...] = (*problems.PROBLEMS, brusselator.problem(32))

_SOLVES = 3
_EXECUTES = 300
# Exact to rounding with any of the problems, and needs no package.
_REFERENCE_BACKEND = AutoFiniteDiff("complex_step")

_Function = Callable[[Any], Any]


@final
@dataclass(frozen=True, slots=True)
class JacobianSource:
    """Where a solver's Jacobians come from: a row of the tables.

    Attributes:
        backend: what a plan is prepared with, under ``AutoSparse`` where the problem is sparse;
            ``None`` for SciPy's own finite differences.
        function: what the plan differentiates; ``None`` for the solver's own right-hand side,
            whose calls are counted.
        in_place: the function fills its first argument.
    """

    backend: Backend | None
    function: Callable[[StiffProblem], Callable[..., Any]] | None = None
    in_place: bool = False

    def label(self, problem: StiffProblem) -> str:
        """Get the name in the tables."""
        if self.backend is None:
            return "SciPy's own"
        return repr(self.backend) if problem.pattern is None else f"AutoSparse({self.backend!r})"

    def prepare(self, problem: StiffProblem, f: Counted) -> JacobianPlan | None:
        """Prepare the plan of a problem, if any, whose right-hand side is ``f``."""
        if self.backend is None:
            return None
        y0 = np.array(problem.y0)
        return prepare_jacobian(
            f if self.function is None else self.function(problem),
            _fitted(self.backend, problem),
            y0,
            y=np.empty_like(y0) if self.in_place else None,
        )

    @property
    def available(self) -> bool:
        """Whether the packages are installed; imports them, which no prepare then pays for."""
        return self.backend is None or check_available(self.backend)


SOURCES: tuple[JacobianSource, ...] = (
    JacobianSource(AutoNumba(), lambda problem: problem.fill, in_place=True),
    JacobianSource(AutoEnzyme(), lambda problem: problem.fill, in_place=True),
    JacobianSource(AutoJax(x64=True), lambda problem: problem.in_jax),
    JacobianSource(AutoTorch(), lambda problem: problem.in_torch),
    JacobianSource(AutoFiniteDiff()),
    JacobianSource(None),
)


@final
class Counted:
    """A function that counts its calls."""

    __slots__ = ("_f", "calls")

    def __init__(self, f: _Function) -> None:
        self._f = f
        self.calls = 0

    def __call__(self, y: Any) -> Any:
        """Count, and compute ``f(y)``."""
        self.calls += 1
        return self._f(y)


def main(*, as_json: bool) -> int:
    """Run the demo, and print its report; return the exit code."""
    demo = run(Progress(sys.stderr), PROBLEMS, SOURCES)
    print(report.as_json(demo) if as_json else report.as_text(demo))
    return 0 if all(row.error is not None for part in demo.problems for row in part.rows) else 1


def run(
    progress: Progress, problems: Sequence[StiffProblem], sources: Sequence[JacobianSource]
) -> report.Demo:
    """Solve each problem with each method and each available source of Jacobians.

    Args:
        progress: told of each problem and of each solve.
        problems: what to solve.
        sources: where the Jacobians come from.

    Returns:
        What was measured.
    """
    began = time.perf_counter()
    usable = [source for source in sources if source.available]
    missing = [source.backend for source in sources if source.backend and source not in usable]
    parts = []
    for number, problem in enumerate(problems, start=1):
        progress.stage(f"[{number}/{len(problems)}] {problem.name}, {len(problem.y0)} equations")
        parts.append(_measure(problem, usable, progress))
    progress.clear()
    return report.Demo(
        rtol=RTOL,
        atol=ATOL,
        executes=_EXECUTES,
        solves=_SOLVES,
        problems=tuple(parts),
        missing=tuple(report.Missing(repr(one), one.extra) for one in missing),
        seconds=time.perf_counter() - began,
    )


def scaled_error(y: Any, reference: Any) -> float:
    """Measure the distance of two states, relative where an entry is large enough.

    It is the largest ``|y[i] - reference[i]| / (|reference[i]| + ATOL / RTOL)``: the solvers'
    own scale, divided by ``RTOL``.
    """
    reference = np.asarray(reference)
    return float(np.max(np.abs(y - reference) / (np.abs(reference) + ATOL / RTOL)))


def reference_end(problem: StiffProblem) -> Any:
    """Integrate a problem at its reference's tolerances; return the state at the end point.

    Raises:
        RuntimeError: the solver did not reach the end point.
    """
    y0 = np.array(problem.y0)
    plan = prepare_jacobian(problem.in_numpy, _fitted(_REFERENCE_BACKEND, problem), y0)
    method, rtol = problem.reference
    solution = solve_ivp(
        lambda t, y: problem.in_numpy(y),
        problem.t_span,
        y0,
        method=method,
        jac=lambda t, y: plan.execute(y),
        rtol=rtol,
        atol=rtol * ATOL / RTOL,
    )
    if not solution.success:
        raise RuntimeError(f"{problem.name}: the reference failed: {solution.message}")
    return solution.y[:, -1]


def _fitted(backend: Backend, problem: StiffProblem) -> Backend:
    if problem.pattern is None:
        return backend
    return AutoSparse(backend, KnownSparsityDetector(problem.pattern))


@final
@dataclass(frozen=True, slots=True)
class _Case:
    """A source of Jacobians, prepared for one problem, and a method."""

    label: str
    method: str
    f: Counted
    plan: JacobianPlan | None
    execute_us: float | None


def _measure(
    problem: StiffProblem, sources: Sequence[JacobianSource], progress: Progress
) -> report.Solved:
    progress.step("the reference")
    reference = reference_end(problem)
    cases: list[_Case] = []
    for source in sources:
        progress.step(f"prepare {source.label(problem)}")
        cases += _prepare(problem, source)
    runs = _rounds(problem, cases, progress)
    by_case = zip(cases, zip(*runs, strict=True), strict=True)
    method, rtol = problem.reference
    published = problem.published
    return report.Solved(
        name=problem.name,
        source=problem.source,
        equations=len(problem.y0),
        t_span=problem.t_span,
        entries=None if problem.pattern is None else problem.pattern.nnz,
        reference=method,
        reference_rtol=rtol,
        reference_error=None if published is None else scaled_error(reference, published),
        rows=tuple(_row(case, solves, reference) for case, solves in by_case),
    )


def _prepare(problem: StiffProblem, source: JacobianSource) -> list[_Case]:
    f = Counted(problem.in_numpy)
    plan = source.prepare(problem, f)
    execute_us = None if plan is None else _execute_us(plan, np.array(problem.y0))
    label = source.label(problem)
    return [_Case(label, method, f, plan, execute_us) for method in problem.methods]


def _rounds(
    problem: StiffProblem, cases: Sequence[_Case], progress: Progress
) -> list[list[tuple[float, int, Any]]]:
    """Solve with every case in rounds, so that a disturbance of the machine meets all alike."""
    runs = []
    for number in range(_SOLVES):
        progress.step(f"solve {len(cases)} times, round {number + 1} of {_SOLVES}")
        runs.append([_solve(problem, case) for case in cases])
    return runs


def _execute_us(plan: JacobianPlan, y: Any) -> float:
    seconds = []
    for _ in range(_EXECUTES):
        began = time.perf_counter()
        plan.execute(y)
        seconds.append(time.perf_counter() - began)
    return median(seconds) * 1e6


def _solve(problem: StiffProblem, case: _Case) -> tuple[float, int, Any]:
    """Solve once; return the seconds, the calls of ``f`` and SciPy's solution."""
    f, plan, structure = case.f, case.plan, _structure(problem)
    f.calls = 0
    began = time.perf_counter()
    solution = solve_ivp(
        lambda t, y: f(y),
        problem.t_span,
        np.array(problem.y0),
        method=case.method,
        jac=None if plan is None else lambda t, y: plan.execute(y),
        jac_sparsity=structure,
        rtol=RTOL,
        atol=ATOL,
    )
    return time.perf_counter() - began, f.calls, solution


def _structure(problem: StiffProblem) -> Any:
    """Get the pattern as SciPy wants it, for its own differences."""
    known = problem.pattern
    if known is None:
        return None
    return sparse.csc_array((np.ones(known.nnz), known.indices, known.indptr), known.shape)


def _row(case: _Case, solves: Sequence[tuple[float, int, Any]], reference: Any) -> report.Row:
    _, calls, solution = solves[-1]
    return report.Row(
        backend=case.label,
        method=case.method,
        prepare_ms=None if case.plan is None else case.plan.info.prepare_seconds * 1e3,
        execute_us=case.execute_us,
        solve_s=min(seconds for seconds, *_ in solves),
        f_calls=calls,
        j_calls=int(solution.njev),
        error=scaled_error(solution.y[:, -1], reference) if solution.success else None,
    )
