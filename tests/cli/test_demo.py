import io
import json
import subprocess
import sys

import numpy as np
import pytest

import difint as di
from difint.backends import AutoFiniteDiff, AutoJax
from difint.cli import brusselator, demo, main
from difint.cli.problems import PROBLEMS, StiffProblem, in_libraries
from difint.cli.progress import Progress


def decay(dy, y):
    dy[0], dy[1] = -1e3 * y[0] + y[1], -y[1]


DECAY = StiffProblem(
    name="Decay",
    source="none",
    **in_libraries(lambda y1, y2: (-1e3 * y1 + y2, -y2)),
    fill=decay,
    y0=(1.0, 1.0),
    t_span=(0.0, 1.0),
    published=(float(np.exp(-1.0)) / 999.0, float(np.exp(-1.0))),
)
BLOW_UP = StiffProblem(
    name="Blow up",
    source="none",
    **in_libraries(lambda y: (y * y,)),
    fill=lambda dy, y: None,
    y0=(1.0,),
    t_span=(0.0, 2.0),
    published=(0.0,),
)
SPARSE = brusselator.problem(4)
NUMPY_SOURCES = (demo.JacobianSource(AutoFiniteDiff()), demo.JacobianSource(None))


@pytest.fixture
def small(monkeypatch):
    """Let the demo solve one easy problem, without JAX's compilation."""
    monkeypatch.setattr(demo, "PROBLEMS", (DECAY,))
    monkeypatch.setattr(demo, "SOURCES", NUMPY_SOURCES)


@pytest.fixture
def no_jax(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)


def quiet():
    return Progress(io.StringIO())


def test_rows_are_sources_times_methods():
    (solved,) = demo.run(quiet(), [DECAY], NUMPY_SOURCES).problems
    assert [(row.backend, row.method) for row in solved.rows] == [
        ("AutoFiniteDiff()", "BDF"),
        ("AutoFiniteDiff()", "Radau"),
        ("SciPy's own", "BDF"),
        ("SciPy's own", "Radau"),
    ]
    assert all(row.error < 1e-5 for row in solved.rows)
    assert all(row.f_calls > row.j_calls > 0 for row in solved.rows)
    assert solved.reference_error < 1e-11


def test_scipys_own_rows_have_no_plan():
    (solved,) = demo.run(quiet(), [DECAY], [demo.JacobianSource(None)]).problems
    assert {(row.prepare_ms, row.execute_us) for row in solved.rows} == {(None, None)}


def test_a_new_source_is_one_line():
    source = demo.JacobianSource(AutoFiniteDiff("complex_step"), lambda problem: problem.in_numpy)
    (solved,) = demo.run(quiet(), [DECAY], [source]).problems
    assert {row.backend for row in solved.rows} == {"AutoFiniteDiff(scheme='complex_step')"}


def test_calls_of_differences_are_counted():
    """An exact Jacobian of another function costs the right-hand side no call."""
    exact = demo.JacobianSource(AutoFiniteDiff("complex_step"), lambda problem: problem.in_numpy)
    central = demo.JacobianSource(AutoFiniteDiff())
    (solved,) = demo.run(quiet(), [DECAY], [exact, central]).problems
    for without, counted in zip(solved.rows[:2], solved.rows[2:], strict=True):
        assert counted.f_calls == without.f_calls + 2 * 2 * counted.j_calls


def test_jacobians_of_jax_serve_the_solvers():
    pytest.importorskip("jax")
    source = demo.JacobianSource(AutoJax(x64=True), lambda problem: problem.in_jax)
    (solved,) = demo.run(quiet(), PROBLEMS[1:2], [source]).problems
    assert [row.backend for row in solved.rows] == ["AutoJax(x64=True)"] * 2
    assert all(row.error < 1e-4 for row in solved.rows)


@pytest.mark.parametrize("source", demo.SOURCES[:-1], ids=lambda source: repr(source.backend))
def test_plans_of_a_sparse_problem_are_sparse(source):
    f, y = demo.Counted(SPARSE.in_numpy), np.random.default_rng(0).random(32)
    exact = di.jacobian(SPARSE.in_numpy, AutoFiniteDiff("complex_step"), y)
    made = source.prepare(SPARSE, f).execute(y)
    assert made.nnz == SPARSE.pattern.nnz < made.shape[0] * made.shape[1]
    np.testing.assert_allclose(made.toarray(), exact, rtol=1e-7, atol=1e-7)
    assert source.label(SPARSE) == f"AutoSparse({source.backend!r})"
    assert source.label(DECAY) == repr(source.backend)


def test_sparse_rows_and_their_reference():
    (solved,) = demo.run(quiet(), [SPARSE], NUMPY_SOURCES).problems
    assert [(row.backend, row.method) for row in solved.rows] == [
        ("AutoSparse(AutoFiniteDiff())", "BDF"),
        ("SciPy's own", "BDF"),
    ]
    assert all(row.error < 1e-4 for row in solved.rows)
    assert solved.reference_error is None
    assert solved.entries == SPARSE.pattern.nnz


def test_scaled_error_is_absolute_for_small_entries_and_relative_for_large_ones():
    floor = demo.ATOL / demo.RTOL
    assert demo.scaled_error(np.array([floor]), [0.0]) == pytest.approx(1.0)
    assert demo.scaled_error(np.array([1.0, 1.01e6]), [1.0, 1e6]) == pytest.approx(0.01)


def test_without_jax_it_runs_and_names_the_extra(no_jax, monkeypatch, capsys):
    monkeypatch.setattr(demo, "PROBLEMS", (DECAY,))
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert "AutoJax(x64=True) is missing" in out
    assert "pip install 'difint[jax]'" in out
    assert out.count("AutoFiniteDiff()") == out.count("SciPy's own") == 2


def test_without_jax_the_json_says_so(no_jax, monkeypatch, capsys):
    monkeypatch.setattr(demo, "PROBLEMS", (DECAY,))
    assert main(["demo", "--json"]) == 0
    missing = json.loads(capsys.readouterr().out)["missing"]
    assert {"backend": "AutoJax(x64=True)", "extra": "jax"} in missing


def test_text_has_a_table_and_states_the_measure(small, capsys):
    assert main(["demo"]) == 0
    captured = capsys.readouterr()
    assert "Decay: 2 equations, t = 0 to 1" in captured.out
    assert "max_i |y[i] - ref[i]| / (|ref[i]| + 1e-06)" in captured.out
    assert captured.err == "[1/1] Decay, 2 equations\n"


def test_text_of_a_sparse_problem(monkeypatch, capsys):
    monkeypatch.setattr(demo, "PROBLEMS", (SPARSE,))
    monkeypatch.setattr(demo, "SOURCES", NUMPY_SOURCES)
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Brusselator: 32 equations, t = 0 to 1.1, 192 entries in the Jacobian,")
    assert "\nReference: BDF at rtol 1e-09; no end values are published.\n" in out


def test_table_columns_are_aligned(small, capsys):
    main(["demo"])
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("backend"))
    assert len({len(line) for line in lines[start : start + 6]}) == 1


def test_json_is_one_document_and_progress_stays_on_stderr(small, capsys):
    assert main(["demo", "--json"]) == 0
    captured = capsys.readouterr()
    (solved,) = json.loads(captured.out)["problems"]
    assert solved["name"] == "Decay"
    assert solved["rows"][-1]["prepare_ms"] is None
    assert captured.err


def test_a_failed_solve_is_told_and_sets_the_exit_code(small, monkeypatch, capsys):
    monkeypatch.setattr(demo, "PROBLEMS", (BLOW_UP,))
    monkeypatch.setattr(demo, "reference_end", lambda problem: np.zeros(1))
    assert main(["demo"]) == 1
    assert capsys.readouterr().out.count("failed") == 4


def test_a_failed_reference_is_an_error():
    with pytest.raises(RuntimeError, match="Blow up: the reference failed"):
        demo.reference_end(BLOW_UP)


def test_whole_demo():
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-m", "difint", "demo", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,  # against hanging, not a measure of speed
    )
    assert done.stderr.count("\n") == len(demo.PROBLEMS)
    found = json.loads(done.stdout)["problems"]
    assert [one["name"] for one in found] == ["Robertson", "HIRES", "Pollution", "Brusselator"]
    sources = [source for source in demo.SOURCES if source.available]
    for problem, solved in zip(demo.PROBLEMS, found, strict=True):
        rows = {(row["backend"], row["method"]): row for row in solved["rows"]}
        labels = [source.label(problem) for source in sources]
        assert list(rows) == [(label, method) for label in labels for method in problem.methods]
        assert (solved["reference_error"] or 0.0) < 1e-11
        check_rows(problem, rows)


def check_rows(problem, rows):
    for (_, method), row in rows.items():
        assert row["error"] < (1e-4 if method == "BDF" else 1e-6)
        assert 0 < row["j_calls"] < row["f_calls"] < 10_000
    _, _, exact, _, central, own = (source.label(problem) for source in demo.SOURCES)
    for method in problem.methods:
        calls = rows[exact, method]["f_calls"]
        assert rows[central, method]["f_calls"] > calls
        assert rows[own, method]["f_calls"] > calls
