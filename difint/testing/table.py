"""The table of a benchmark: as text, as JSON, for pandas, as a chart."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, final

import difint
from difint.errors import PackageUnavailableError, message
from difint.text import document, duration, memory, table


@final
@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """One way to call an operator, measured.

    Attributes:
        backend: the backend, as its constructor call.
        scenario: the scenario's name.
        operator: the operator's name.
        variant: what was called: ``"prepare"``, ``"execute out="``, ``"value_and_jacobian"``, ...
        stage: ``"prepare"``, ``"plan"``, ``"bind"``, ``"same point"``, or ``"one shot"`` for what
            was not prepared.
        calls: calls of ``f`` in one evaluation; ``None`` where ``f`` is no Python function.
        samples: how many times were taken.
        evaluations: how many evaluations each of them is the mean of.
        time: the samples' aggregation, in seconds an evaluation.
        median: their median.
        minimum: their minimum.
        spread: the range of their middle half.
        peak_bytes: the most memory that one evaluation holds at a time.
        kept_bytes: what its result holds.
        allocations: in how many blocks.
        traces: functions that are traced; of a plan, by its very first call.
        compilations: programs that are compiled, likewise.
    """

    backend: str
    scenario: str
    operator: str
    variant: str
    stage: str
    calls: int | None
    samples: int
    evaluations: int
    time: float
    median: float
    minimum: float
    spread: float
    peak_bytes: int
    kept_bytes: int
    allocations: int
    traces: int
    compilations: int

    @property
    def prepared(self) -> bool:
        """Whether a plan was called."""
        return self.stage in ("plan", "bind", "same point")


@final
@dataclass(frozen=True, slots=True)
class LeftOut:
    """A backend that was not measured on a scenario, and why."""

    backend: str
    scenario: str
    reason: str


@final
@dataclass(frozen=True, slots=True)
class BenchmarkTable:
    """What a benchmark measured.

    Memory is Python's and NumPy's; what JAX or PyTorch allocate themselves is not seen.

    Attributes:
        rows: a row for each backend, scenario and variant.
        left_out: what was excluded or refused.
    """

    rows: tuple[BenchmarkRow, ...]
    left_out: tuple[LeftOut, ...]

    def __str__(self) -> str:
        parts = [self._scenario_text(name) for name in dict.fromkeys(r.scenario for r in self.rows)]
        lines = [f"{one.backend} left out: {one.scenario}: {one.reason}" for one in self.left_out]
        return "\n\n".join([*parts, *(["\n".join(lines)] if lines else [])])

    def _scenario_text(self, name: str) -> str:
        rows = [row for row in self.rows if row.scenario == name]
        head = ["variant", "backend", "time", "spread", "f calls", "peak", "blocks"]
        head += ["traces", "compiled"]
        return f"{name}\n\n{table(head, list(_cells(rows)), '<<>>>>>>>')}"

    def to_json(self) -> str:
        """Write the table as one JSON document, with the versions that it was measured with."""
        versions = {"difint": difint.__version__, "python": platform.python_version()}
        return document({**versions, **asdict(self)})

    def to_pandas(self) -> Any:
        """Make a ``pandas.DataFrame``, a column for each attribute of the rows.

        Raises:
            PackageUnavailableError: pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            problem, remedy = "the package pandas is not installed", "pip install pandas"
            text = message("to_pandas", problem, remedy=f"Install it with: {remedy}")
            raise PackageUnavailableError(text, name="pandas") from error
        columns = [field.name for field in fields(BenchmarkRow)]
        return pandas.DataFrame([asdict(row) for row in self.rows], columns=columns)

    def plot(self, path: Any = None, *, variant: str = "execute") -> Any:
        """Draw the times of one variant: a bar for each backend and scenario, on a log axis.

        Args:
            path: where to save the chart, e.g. ``"times.png"``; ``None`` not to save it.
            variant: which of the rows' variants.

        Returns:
            The ``matplotlib.figure.Figure``.

        Raises:
            PackageUnavailableError: matplotlib is not installed; the extra ``plot`` brings it.
            ArgumentError: no row has this variant.
        """
        from difint.testing.chart import draw

        return draw(self.rows, path, variant)


def _cells(rows: Sequence[BenchmarkRow]) -> Iterator[list[str]]:
    """Write rows, the variants' names once."""
    before = ""
    for row in rows:
        yield [
            "" if row.variant == before else row.variant,
            row.backend,
            duration(row.time),
            duration(row.spread),
            "-" if row.calls is None else str(row.calls),
            memory(row.peak_bytes),
            str(row.allocations),
            str(row.traces),
            str(row.compilations),
        ]
        before = row.variant
