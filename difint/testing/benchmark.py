"""``benchmark_differentiation``: what operators cost, however they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, final

import numpy as np

from difint.backends import Backend, check_choice
from difint.engine import Traces
from difint.plan import Plan
from difint.testing.calls import Call, Stage, Subject, calls_of
from difint.testing.check import backend_list, scenario_list
from difint.testing.comparing import in_a_line
from difint.testing.counting import Memory, counted_calls, memory_of
from difint.testing.exclusion import Exclusion, reason_for, rules_of
from difint.testing.progress import bar
from difint.testing.results import compute_results
from difint.testing.scenario import Scenario
from difint.testing.table import BenchmarkRow, BenchmarkTable, LeftOut
from difint.testing.timing import Timing, time_together
from difint.testing.values import (
    dense,
    fillable_like,
    in_numpy,
    is_sparse,
    mapped,
    own_copy,
    sparse_memory,
    waited,
)

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
    rules = rules_of(excluded)
    tried = [
        [_run(scenario, backend, rules) for backend in backend_list(backends)]
        for scenario in _distinct(scenario_list(scenarios))
    ]
    jobs = [job for some in tried for job in _jobs(some, _STAGES[benchmark])]
    rows: list[BenchmarkRow] = []
    for call, runs in bar(jobs, "benchmark", progress):
        rows += _rows(call, runs, seconds, aggregation)
    left_out = [one for some in tried for one in some if isinstance(one, LeftOut)]
    return BenchmarkTable(tuple(rows), tuple(left_out))


def _distinct(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Number scenarios of the same name: a table tells them apart by it."""
    seen = Counter(one.name for one in scenarios)
    again: Counter[str] = Counter()
    named = []
    for one in scenarios:
        again[one.name] += 1
        number = f" #{again[one.name]}" if seen[one.name] > 1 else ""
        named.append(one.replace(name=one.name + number, source=one.source))
    return named


@final
@dataclass(frozen=True, slots=True)
class _Run:
    """A backend on a scenario that it can take, whose results are known."""

    subject: Subject

    def thunk(self, call: Call) -> Callable[[], Any]:
        """Get a call of a new plan."""
        scenario = self.subject.scenario
        plan = None
        if call.stage == "same point":
            plan = self.subject.prepare_same_point()
        elif call.stage != "one shot":
            plan = self.subject.prepare(scenario.args)
        out = self._result_memory(plan) if call.out else None
        y = mapped(own_copy, scenario.y) if call.y else None
        return call.thunk(self.subject, plan, call.args(scenario), out, y)

    def _result_memory(self, plan: Plan | None) -> Any:
        scenario = self.subject.scenario
        if plan is None and is_sparse(scenario.result):
            return scenario.result.copy()
        made = None if plan is None else sparse_memory(plan, scenario.args)
        return self._memory(scenario.result) if made is None else made

    def _memory(self, like: Any) -> Any:
        trees = self.subject.trees
        x = self.subject.scenario.x
        arrays = in_numpy(dense(like), trees)
        return mapped(lambda leaf: fillable_like(np.array(leaf), x), arrays, trees)


def _run(scenario: Scenario, backend: Backend, rules: Sequence[Exclusion]) -> _Run | LeftOut:
    """Try a backend; results say what ``out=`` has to be."""
    reason = reason_for(rules, backend, scenario)
    if reason is None:
        try:
            (known,) = compute_results(scenario, backend)
            return _Run(Subject(known, backend))
        except Exception as error:
            reason = in_a_line(error)
    return LeftOut(repr(backend), scenario.name, reason)


_Job = tuple[Call | None, list[_Run]]
"""A way to call, ``None`` for the preparation, and the backends that can be called so."""


def _jobs(tried: Sequence[_Run | LeftOut], stages: Sequence[Stage]) -> Iterator[_Job]:
    runs = [one for one in tried if isinstance(one, _Run)]
    if not runs:
        return
    yield None, runs
    able = {id(run): calls_of(run.subject.scenario, *stages) for run in runs}
    for call in dict.fromkeys(call for run in runs for call in able[id(run)]):
        yield call, [run for run in runs if call in able[id(run)]]


def _rows(
    call: Call | None, runs: Sequence[_Run], seconds: float, aggregation: Aggregation
) -> Iterator[BenchmarkRow]:
    """Measure one way to call, all backends in turns."""
    counted = [_counted(run, call) for run in runs]
    timings = time_together([thunk for thunk, _ in counted], seconds)
    for run, (_, count), timing in zip(runs, counted, timings, strict=True):
        yield _row(run, call, count, timing, aggregation)


_Count = tuple[int | None, Traces, Memory]


def _counted(run: _Run, call: Call | None) -> tuple[Callable[[], Any], _Count]:
    """Get a call, and what it does; the work of a plan is that of its very first evaluation."""
    watch, f = run.subject.engine.arrays.watch, run.subject.scenario.f
    thunk = run.subject.prepare_anew if call is None else run.thunk(call)
    with watch() as first:
        thunk = waited(thunk, run.subject.trees) if call is not None else thunk
    with watch() as later, counted_calls(f) as calls:
        thunk()
    planned = call is not None and call.stage != "one shot"
    return thunk, (calls.count, first if planned else later, memory_of(thunk))


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
