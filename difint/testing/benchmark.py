"""``benchmark_differentiation``: what operators cost, however they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, final

import numpy as np

from difint.backends import Backend, check_choice
from difint.engine import Traces
from difint.testing.calls import Call, Stage, Subject, calls_of
from difint.testing.check import backend_list, scenario_list
from difint.testing.counting import Memory, counted_calls, memory_of
from difint.testing.exclusion import Exclusion, reason_for
from difint.testing.progress import bar
from difint.testing.results import compute_results
from difint.testing.scenario import Scenario
from difint.testing.table import BenchmarkRow, BenchmarkTable, LeftOut
from difint.testing.timing import Timing, time_together
from difint.testing.values import dense, in_numpy, mapped, waited

_STAGES: dict[str, tuple[Stage, ...]] = {
    "prepared": ("plan", "bind", "same point"),
    "full": ("plan", "bind", "same point", "one shot"),
}

Aggregation = Callable[[Sequence[float]], float]


def benchmark_differentiation(
    backends: Backend | Iterable[Backend],
    scenarios: Scenario | Iterable[Scenario],
    *,
    benchmark: Literal["prepared", "full"] = "prepared",
    seconds: float = 0.2,
    aggregation: Aggregation = median,
    excluded: Iterable[Exclusion | str] = (),
    progress: bool | None = None,
) -> BenchmarkTable:
    """Measure what backends cost on scenarios, in every way to call them.

    The backends of one scenario and variant are timed in turns, so that they compare. Results
    that a library computes behind Python's back are waited for within the measured time.

    Args:
        backends: one or many.
        scenarios: one or many; results are not needed.
        benchmark: ``"prepared"`` for preparation and the calls of plans; ``"full"`` for one-shot
            functions too.
        seconds: how long to spend on each row.
        aggregation: makes the ``time`` of a row out of its samples, in seconds: ``min``,
            ``statistics.median``, ...
        excluded: what to leave out, as for ``check_differentiation``.
        progress: show a bar; ``None`` for one where standard error is a terminal.

    Returns:
        A table with a row for each backend, scenario and variant, and what was left out, because
        it was excluded or because the backend refused it.

    Raises:
        ArgumentError: an argument is not what it should be.

    >>> import numpy as np, difint as di
    >>> from difint.testing import Scenario, benchmark_differentiation
    >>> s = Scenario("gradient", lambda x: x @ x, np.ones(3))
    >>> table = benchmark_differentiation(di.AutoFiniteDiff(), s, seconds=0.001)
    >>> {row.variant: row.calls for row in table.rows}["value_and_gradient"]
    7
    """
    check_choice("benchmark_differentiation", "benchmark", benchmark, tuple(_STAGES))
    rules = [excluded] if isinstance(excluded, str | Exclusion) else list(excluded)
    chosen = backend_list(backends)
    rows: list[BenchmarkRow] = []
    left_out: list[LeftOut] = []
    for scenario in bar(scenario_list(scenarios), "benchmark", progress):
        tried = [_run(scenario, backend, rules) for backend in chosen]
        left_out += [one for one in tried if isinstance(one, LeftOut)]
        runs = [one for one in tried if isinstance(one, _Run)]
        rows += _measured(runs, _STAGES[benchmark], seconds, aggregation)
    return BenchmarkTable(tuple(rows), tuple(left_out))


@final
@dataclass(frozen=True, slots=True)
class _Run:
    """A backend on a scenario that it can take, whose results are known."""

    subject: Subject

    def thunk(self, call: Call) -> Callable[[], Any]:
        """Get a call that returns when its result is computed."""
        scenario = self.subject.scenario
        plan = None
        if call.stage == "same point":
            plan = self.subject.prepare_same_point()
        elif call.stage != "one shot":
            plan = self.subject.prepare(scenario.args)
        out = self._memory(scenario.result) if call.out else None
        y = self._memory(scenario.y) if call.y else None
        run = call.thunk(self.subject, plan, call.args(scenario), out, y)
        return waited(run, self.subject.trees)

    def _memory(self, like: Any) -> Any:
        trees = self.subject.trees
        return mapped(np.array, in_numpy(dense(like), trees), trees)


def _run(scenario: Scenario, backend: Backend, rules: Sequence[Exclusion | str]) -> _Run | LeftOut:
    """Try a backend; results say what ``out=`` has to be."""
    reason = reason_for(rules, backend, scenario)
    if reason is None:
        try:
            (known,) = compute_results(scenario, backend)
            return _Run(Subject(known, backend))
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
    return LeftOut(repr(backend), scenario.name, reason)


def first_line(error: Exception) -> str:
    """Get the first line of an error that says something; a hint of difint's own comes first."""
    hints = [note for note in getattr(error, "__notes__", []) if note.startswith("difint: ")]
    lines = [*(note.removeprefix("difint: ") for note in hints), *str(error).splitlines()]
    return next((line.strip() for line in lines if line.strip()), "no message")


def _measured(
    runs: Sequence[_Run], stages: Sequence[Stage], seconds: float, aggregation: Aggregation
) -> Iterator[BenchmarkRow]:
    """Measure the preparation, then each way to call, of all backends in turns."""
    if not runs:
        return
    yield from _rows(runs, None, [run.subject.prepare_anew for run in runs], seconds, aggregation)
    per_run = [calls_of(run.subject.scenario, *stages) for run in runs]
    for call in dict.fromkeys(call for calls in per_run for call in calls):
        able = [run for run, calls in zip(runs, per_run, strict=True) if call in calls]
        thunks = [run.thunk(call) for run in able]
        yield from _rows(able, call, thunks, seconds, aggregation)


def _rows(
    runs: Sequence[_Run],
    call: Call | None,
    thunks: Sequence[Callable[[], Any]],
    seconds: float,
    aggregation: Aggregation,
) -> Iterator[BenchmarkRow]:
    counts = [_counted(run, thunk) for run, thunk in zip(runs, thunks, strict=True)]
    timings = time_together(thunks, seconds)
    for run, count, timing in zip(runs, counts, timings, strict=True):
        yield _row(run, call, count, timing, aggregation)


_Count = tuple[int | None, Traces, Memory]


def _counted(run: _Run, thunk: Callable[[], Any]) -> _Count:
    with run.subject.engine.arrays.watch() as work, counted_calls(run.subject.scenario.f) as calls:
        thunk()
    return calls.count, work, memory_of(thunk)


def _row(
    run: _Run, call: Call | None, count: _Count, timing: Timing, aggregation: Aggregation
) -> BenchmarkRow:
    scenario, (calls, work, memory) = run.subject.scenario, count
    return BenchmarkRow(
        backend=repr(run.subject.backend),
        scenario=scenario.name,
        operator=scenario.operator,
        variant="prepare" if call is None else call.label(scenario),
        stage="prepare" if call is None else call.stage,
        calls=calls,
        samples=len(timing.samples),
        evaluations=timing.evaluations,
        time=aggregation(timing.samples),
        median=timing.median,
        minimum=timing.minimum,
        spread=timing.spread,
        peak_bytes=memory.peak,
        kept_bytes=memory.kept,
        allocations=memory.blocks,
        traces=work.traces,
        compilations=work.compilations,
    )
