"""What the demo measured, as records, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import final

import difint
from difint.cli.listing import install
from difint.text import document, table


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One method with one source of Jacobians.

    Attributes:
        backend: the source of the Jacobians.
        method: the solver.
        prepare_ms: what preparing the plan took; ``None`` without a plan.
        execute_us: what one execute of the plan takes at ``y0``, median; ``None`` without a plan.
        solve_s: what the whole solve takes, at best.
        f_calls: calls of the right-hand side in one solve, for differences too.
        j_calls: Jacobians in one solve.
        error: the scaled error at the end point; ``None`` if the solver did not get there.
    """

    backend: str
    method: str
    prepare_ms: float | None
    execute_us: float | None
    solve_s: float
    f_calls: int
    j_calls: int
    error: float | None


@final
@dataclass(frozen=True, slots=True)
class Solved:
    """A problem with its rows.

    Attributes:
        name: the problem's name.
        source: where it was published.
        equations: how many there are.
        t_span: the interval of integration.
        entries: how many entries the Jacobian has, where it is sparse.
        reference: the solver of the reference.
        reference_rtol: its relative tolerance.
        reference_error: its scaled distance from the published end values, where there are any.
        rows: what was measured.
    """

    name: str
    source: str
    equations: int
    t_span: tuple[float, float]
    entries: int | None
    reference: str
    reference_rtol: float
    reference_error: float | None
    rows: tuple[Row, ...]


@final
@dataclass(frozen=True, slots=True)
class Missing:
    """A backend that is not available, and the extra that brings it."""

    backend: str
    extra: str


@final
@dataclass(frozen=True, slots=True)
class Demo:
    """Everything that the demo measured.

    Attributes:
        rtol: the solvers' relative tolerance.
        atol: the solvers' absolute tolerance.
        executes: of how many executes the median is shown.
        solves: of how many solves the best is shown.
        problems: the problems with their rows.
        missing: the backends that are not available.
        seconds: what the demo took in all.
    """

    rtol: float
    atol: float
    executes: int
    solves: int
    problems: tuple[Solved, ...]
    missing: tuple[Missing, ...]
    seconds: float

    @property
    def measure(self) -> str:
        """The measure of error, as a formula."""
        return f"max_i |y[i] - ref[i]| / (|ref[i]| + {self.atol / self.rtol:.0e})"


def as_json(demo: Demo) -> str:
    """Write the report as one JSON document."""
    head = {"difint": difint.__version__, "error_measure": demo.measure}
    return document(head | asdict(demo))


def as_text(demo: Demo) -> str:
    """Write the report as tables with a legend."""
    parts = [_problem_text(solved) for solved in demo.problems]
    missing = [
        f"{one.backend} is missing: it is not installed. {install(one.extra)} brings it."
        for one in demo.missing
    ]
    return "\n\n".join([*parts, _legend(demo), *missing, f"Done in {demo.seconds:.1f} s."])


def _problem_text(solved: Solved) -> str:
    begin, end = solved.t_span
    title = f"{solved.name}: {solved.equations} equations, t = {begin:g} to {end:.10g}"
    if solved.entries is not None:
        title += f", {solved.entries} entries in the Jacobian, their places given to all"
    head = ["backend", "method", "prepare ms", "execute us", "solve s", "f calls", "J calls"]
    rows = [_cells(row) for row in solved.rows]
    return f"{title}\n\n{table([*head, 'error'], rows, '<<>>>>>>')}\n\n{_reference_text(solved)}"


def _reference_text(solved: Solved) -> str:
    method = f"Reference: {solved.reference} at rtol {solved.reference_rtol:g}"
    if solved.reference_error is None:
        return f"{method}; no end values are published."
    return f"{method}, {solved.reference_error:.1e} from the published end values."


def _cells(row: Row) -> Sequence[str]:
    return [
        row.backend,
        row.method,
        "-" if row.prepare_ms is None else f"{row.prepare_ms:.1f}",
        "-" if row.execute_us is None else f"{row.execute_us:.1f}",
        f"{row.solve_s:.3f}",
        str(row.f_calls),
        str(row.j_calls),
        "failed" if row.error is None else f"{row.error:.1e}",
    ]


def _legend(demo: Demo) -> str:
    return f"""\
All solves: rtol {demo.rtol:g}, atol {demo.atol:g}, the same NumPy right-hand side.
prepare ms  the plan, once for all methods: trace and compile, without the import
execute us  one Jacobian from the plan, the median of {demo.executes}
solve s     one whole solve_ivp, the best of {demo.solves}
f calls     calls of the right-hand side in it, those for difference Jacobians included
J calls     Jacobians in it
error       {demo.measure}, at the end point"""
