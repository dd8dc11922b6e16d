"""Benchmarks: the rows, what they count, that results are waited for, the table's forms."""

import dataclasses
import json
import statistics
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import difint as di
from difint.kinds import JAX as JAX_KIND
from difint.testing import (
    BenchmarkTable,
    Scenario,
    batchify,
    benchmark_differentiation,
    default_scenarios,
    known_gaps,
    load_scenario,
    values,
)

FD, JAX = di.AutoFiniteDiff(), di.AutoJax()
X = np.array([1.0, 2.0, 3.0])


def square(x):
    return x**2


def fill(y, x):
    y[...] = x**2


JACOBIAN = Scenario("jacobian", square, X, name="square")
QUICK = {"seconds": 1e-4}


def rows_of(backends, scenario=JACOBIAN, **options):
    table = benchmark_differentiation(backends, scenario, **{**QUICK, **options})
    return {(row.backend, row.stage, row.variant): row for row in table.rows}


def test_variants():
    found = [(stage, variant) for _, stage, variant in rows_of(FD)]
    plan = ["execute", "value_and_jacobian", "execute out=", "value_and_jacobian out="]
    assert found == [
        ("prepare", "prepare"),
        *(("plan", one) for one in plan),
        ("bind", "bind"),
        ("bind", "bind out="),
    ]
    full = [(stage, variant) for _, stage, variant in rows_of(FD, benchmark="full")]
    shots = ["jacobian", "value_and_jacobian", "jacobian out=", "value_and_jacobian out="]
    assert full == [*found, *(("one shot", f"one shot {one}") for one in shots)]


def test_variants_in_place_and_at_one_point():
    found = {variant for _, _, variant in rows_of(FD, Scenario("jacobian", fill, X, y=X.copy()))}
    assert {"execute y=", "value_and_jacobian out= y="} <= found
    hvp = rows_of(FD, Scenario("hvp", lambda x: x @ x, X, t=X))
    assert ("AutoFiniteDiff()", "same point", "same point execute") in hvp
    single = rows_of(FD, Scenario("derivative", square, 2.0))
    assert not [variant for _, _, variant in single if "out=" in variant or "bind" in variant]


def test_counts_of_finite_differences():
    rows = rows_of([FD, di.AutoFiniteDiff("forward")], benchmark="full")
    calls = {key: row.calls for key, row in rows.items()}
    assert calls["AutoFiniteDiff()", "prepare", "prepare"] == 1
    assert calls["AutoFiniteDiff()", "plan", "execute"] == 6
    assert calls["AutoFiniteDiff()", "plan", "value_and_jacobian"] == 7
    assert calls["AutoFiniteDiff()", "one shot", "one shot jacobian"] == 7
    assert calls["AutoFiniteDiff(scheme='forward')", "bind", "bind out="] == 4
    assert not any(row.traces or row.compilations for row in rows.values())


def test_counts_of_jax():
    rows = rows_of(JAX)
    prepare, execute = (
        rows["AutoJax()", "prepare", "prepare"],
        rows["AutoJax()", "plan", "execute"],
    )
    # A new function is traced and compiled at every prepare, though JAX knows it by now.
    assert prepare.calls == 1 and prepare.traces >= 1 and prepare.compilations == 2
    assert (execute.calls, execute.traces, execute.compilations) == (0, 0, 0)


def test_calls_of_what_is_no_python_function():
    rows = rows_of(FD, Scenario("jacobian", np.square, X))
    assert {row.calls for row in rows.values()} == {None}


def test_memory():
    x = np.ones(100)
    rows = rows_of(FD, Scenario("jacobian", square, x))
    execute, into = rows[FD_KEY("execute")], rows[FD_KEY("execute out=")]
    assert execute.kept_bytes >= 100 * 100 * 8 and execute.allocations >= 1
    assert into.kept_bytes < 1000 and into.allocations <= 1
    assert min(execute.peak_bytes, into.peak_bytes) >= 100 * 100 * 8


def FD_KEY(variant):
    return "AutoFiniteDiff()", "plan", variant


def test_aggregation_makes_the_time():
    for row in rows_of(FD).values():
        assert row.time == row.median >= row.minimum > 0 and row.spread >= 0
        assert row.samples >= 3 and row.evaluations >= 1
    assert all(row.time == row.minimum for row in rows_of(FD, aggregation=min).values())
    means = rows_of(FD, aggregation=statistics.fmean).values()
    assert all(row.time >= row.minimum for row in means)


def test_results_are_waited_for_in_every_evaluation(monkeypatch):
    waited = []

    def wait(value):
        waited.append(value)
        return value.block_until_ready()

    counted = dataclasses.replace(JAX_KIND, wait=wait)
    monkeypatch.setattr(values, "KINDS", (counted, *values.KINDS))
    scenario = Scenario("gradient", lambda x: (x**2).sum(), jnp.asarray(X))
    rows = rows_of(JAX, scenario)
    evaluated = sum(row.samples * row.evaluations for row in rows.values() if row.prepared)
    assert len(waited) >= evaluated


def test_trees_are_waited_for_leaf_by_leaf():
    tree = {"a": jnp.ones(2), "b": [np.ones(2), jnp.ones(3)]}
    assert values.waiter({"a": np.ones(2), "b": 1.0}) is None
    values.waiter(tree)(tree)
    assert values.waiter(jnp.ones(2)) is JAX_KIND.wait
    scenario = batchify(load_scenario("tree/jax/float64/hvp/dict->number"))
    assert rows_of(JAX, scenario)


def test_what_is_left_out_says_why():
    def in_numpy(x):
        return np.square(x)

    scenarios = [Scenario("jacobian", in_numpy, X, name="numpy"), JACOBIAN]
    rules = known_gaps(di.AutoFiniteDiff("complex_step"))
    table = benchmark_differentiation([FD, JAX], scenarios, excluded=[*rules, "hessian"], **QUICK)
    (out,) = table.left_out
    assert (out.backend, out.scenario) == ("AutoJax()", "numpy")
    assert out.reason.startswith("TracerArrayConversionError: AutoJax traces f. Write it with")
    assert "AutoJax() left out: numpy: TracerArrayConversionError" in str(table)
    none = benchmark_differentiation([FD], JACOBIAN, excluded=["jacobian"], **QUICK)
    assert not none.rows and none.left_out[0].reason == "jacobian is excluded"
    assert str(none) == "AutoFiniteDiff() left out: square: jacobian is excluded"


def test_results_need_not_be_known_and_libraries_can_be_measured():
    few = [one for one in default_scenarios(modifiers=()) if one.operator == "gradient"][:2]
    table = benchmark_differentiation(FD, few, **QUICK)
    assert {row.scenario for row in table.rows} == {one.name for one in few}


@pytest.fixture(scope="module")
def table():
    scenarios = [JACOBIAN, Scenario("gradient", lambda x: (x**2).sum(), X, name="total")]
    return benchmark_differentiation([FD, JAX], scenarios, **QUICK)


def test_text(table):
    lines = str(table).splitlines()
    assert lines[0] == "square" and "total" in lines
    head = lines[2].split("  ")
    assert [one.strip() for one in head if one] == [
        "variant", "backend", "time", "spread", "f calls", "peak", "blocks", "traces", "compiled",
    ]  # fmt: skip
    execute = next(line for line in lines if line.startswith("execute "))
    assert "AutoFiniteDiff()" in execute


def test_json(table):
    found = json.loads(table.to_json())
    assert found["difint"] == di.__version__ and len(found["rows"]) == len(table.rows)
    assert found["rows"][0] == dataclasses.asdict(table.rows[0])


def test_pandas(table):
    frame = table.to_pandas()
    assert list(frame.columns) == [field.name for field in dataclasses.fields(table.rows[0])]
    assert len(frame) == len(table.rows)
    assert set(frame[frame.variant == "execute"].backend) == {"AutoFiniteDiff()", "AutoJax()"}
    assert list(BenchmarkTable((), ()).to_pandas().columns) == list(frame.columns)


def test_plot(table, tmp_path):
    path = tmp_path / "times.png"
    figure = table.plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    execute = [row for row in table.rows if row.variant == "execute"]
    assert [bar.get_width() for bar in axes.patches] == [row.time for row in execute]
    assert [one.get_text() for one in axes.get_yticklabels()] == ["square", "total"]
    labels = [one.get_text() for one in axes.get_legend().get_texts()]
    assert labels == ["AutoFiniteDiff()", "AutoJax()"]
    assert table.plot(variant="prepare").axes
    with pytest.raises(di.ArgumentError, match="no row has the variant 'fast'.*\n.*'execute'"):
        table.plot(variant="fast")


@pytest.mark.parametrize(
    "method, package, remedy",
    [
        ("to_pandas", "pandas", "pip install pandas"),
        ("plot", "matplotlib.figure", r"pip install 'difint\[plot\]'"),
    ],
)
def test_missing_packages(table, monkeypatch, method, package, remedy):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(di.PackageUnavailableError, match=remedy) as caught:
        getattr(table, method)()
    assert isinstance(caught.value, ImportError)


def test_progress_is_silent_but_on_a_terminal(capsys):
    two = [JACOBIAN, JACOBIAN]
    benchmark_differentiation(FD, two, **QUICK)
    assert capsys.readouterr().err == ""
    benchmark_differentiation(FD, two, progress=True, **QUICK)
    assert "benchmark: " in capsys.readouterr().err
    benchmark_differentiation(FD, two, progress=False, **QUICK)
    assert capsys.readouterr().err == ""


def test_arguments_are_checked():
    with pytest.raises(di.ArgumentError, match="benchmark is not one of its choices"):
        benchmark_differentiation(FD, JACOBIAN, benchmark="fast")
    with pytest.raises(di.ArgumentError, match="backend is not a backend"):
        benchmark_differentiation("jax", JACOBIAN)
    with pytest.raises(di.ArgumentError, match="scenarios holds something else.*\n.*\n.*function"):
        benchmark_differentiation(FD, square)
