import json
import sys

import pytest

from difint.cli import main

MODEL = """
import numpy as np

def square(x):
    return x.__array_namespace__().square(x)

def rates(y, k, work):
    work[...] = y
    return np.array([k * work[0] * work[1], np.sin(work[2])])

def fill(y, x):
    y[...] = x ** 2

def kinked(x):
    return np.abs(x) * x

def total(x):
    return (x ** 2).sum()

class Holder:
    @staticmethod
    def inside(x):
        return 2.0 * x

number = 3
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A module of a user's own, in the working directory."""
    (tmp_path / "own_model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("own_model", None)


def run(capsys, *argv):
    code = main([*argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def bench(capsys, function, *more, operator="jacobian", x="numpy.ones(3)"):
    options = "--x", x, "--operator", operator, "--seconds", "1e-4"
    return run(capsys, "bench", function, *options, *more)


def check(capsys, function, *more, operator="jacobian", x="numpy.ones(3)"):
    return run(capsys, "check", function, "--x", x, "--operator", operator, *more)


def test_bench_every_backend_that_can(model, capsys):
    code, out, err = bench(capsys, "own_model:square")
    assert code == 0 and err == ""
    assert out.startswith("jacobian of own_model:square\n\nvariant ")
    for backend in ("AutoFiniteDiff()", "AutoJax(x64=True)", "AutoJax(mode='reverse', x64=True)"):
        assert backend in out
    assert "could not" not in out


def test_bench_says_who_could_not_in_a_line_each(model, capsys):
    code, out, _ = bench(capsys, "own_model.py:kinked")
    lines = [line for line in out.splitlines() if "could not" in line]
    assert code == 0 and len(lines) == 4
    assert lines[0].startswith(
        "AutoFiniteDiff(scheme='complex_step') could not: ArgumentError: jacobian: f is not analy"
    )
    assert "could not: TracerArrayConversionError: AutoJax traces f. Write it" in lines[1]


def test_bench_with_contexts_in_order_and_chosen_backends(model, capsys):
    code, out, _ = bench(
        capsys,
        "own_model:rates",
        "--constant", "2.0", "--cache", "np.empty(3)",
        "--backends", "AutoFiniteDiff", "AutoFiniteDiff('forward')",
    )  # fmt: skip
    assert code == 0
    assert "AutoFiniteDiff(scheme='forward')" in out and "AutoJax" not in out


def test_bench_in_place_and_full(model, capsys):
    only = "--backends", "AutoFiniteDiff()"
    code, out, _ = bench(capsys, "own_model:fill", "--y", "numpy.empty(3)", "--full", *only)
    assert code == 0 and "\nexecute y=" in out and "\njacobian out= y=" in out


def test_bench_saves_json_and_chart(model, capsys):
    only = "--backends", "AutoFiniteDiff()"
    files = "--json", "out.json", "--plot", "out.png"
    code, _, _ = bench(capsys, "own_model:total", *files, *only, operator="hvp")
    assert code == 0
    found = json.loads((model / "out.json").read_text())
    assert {row["backend"] for row in found["rows"]} == {"AutoFiniteDiff()"}
    assert (model / "out.png").read_bytes().startswith(b"\x89PNG")


def test_bench_where_no_backend_can(model, capsys):
    code, out, _ = bench(capsys, "own_model:square", operator="gradient")
    assert code == 1
    assert out.endswith("No backend could.\n") and out.count("could not: ArgumentError") == 6
    assert "f(x) is not what this operator takes" in out


@pytest.mark.parametrize("operator", ["pushforward", "pullback", "jacobian"])
def test_check_agreement(model, capsys, operator):
    code, out, err = check(capsys, "own_model:square", operator=operator)
    assert code == 0 and err == ""
    assert out.startswith(f"{operator} of own_model:square, held against AutoFiniteDiff(scheme='c")
    rows = [line for line in out.splitlines() if line.endswith(" yes")]
    assert len(rows) == 6


def test_check_disagreement_says_where(model, capsys):
    # A central difference steps over the kink at zero, a forward one does not.
    code, out, _ = check(
        capsys,
        "own_model:kinked",
        "--backends", "AutoFiniteDiff()", "AutoFiniteDiff(rel_step=1e-1)",
        x="numpy.array([1.0, 1e-3])",
    )  # fmt: skip
    assert code == 1
    (line,) = [line for line in out.splitlines() if " disagrees with " in line]
    assert line.startswith("AutoFiniteDiff(") and "entry [1, 1] is" in line
    assert [line.split()[-1] for line in out.splitlines()[4:6]].count("no") == 1


def test_check_finds_other_faults_too(model, capsys, monkeypatch):
    import difint
    from tests.testing.broken import AutoBroken

    monkeypatch.setattr(difint, "AutoBroken", AutoBroken, raising=False)
    monkeypatch.setattr(difint, "__all__", [*difint.__all__, "AutoBroken"])
    backends = "--backends", "AutoBroken('buffer')", "AutoFiniteDiff()"
    code, out, _ = check(capsys, "own_model:square", *backends)
    assert code == 1
    assert "a later call changed the result of an earlier one" in out
    assert "from own_model import square" in out


def test_check_alone(model, capsys):
    code, out, _ = check(capsys, "own_model:square", "--backends", "AutoFiniteDiff()")
    assert code == 0 and "Only one backend could" in out
    code, out, _ = check(capsys, "own_model:square", operator="gradient")
    assert code == 1 and out.endswith("No backend could.\n")


def test_functions_inside_classes_and_files(model, capsys):
    only = "--backends", "AutoFiniteDiff()"
    for place in ("own_model:Holder.inside", str(model / "own_model.py") + ":square"):
        assert check(capsys, place, *only)[0] == 0


WRONG = [
    (("own_model",), ["MODULE:FUNCTION is not what it should be", "a colon"]),
    (("own_model:nothing",), ["nothing is not there"]),
    (("own_model:number",), ["number is a int"]),
    (("no_such_model:f",), ["a module that can be imported from here"]),
    (("no_such_file.py:f",), ["a file that exists"]),
    (("own_model:square", "--x", "numpy.one(3)"), ["--x 'numpy.one(3)' cannot be evaluated"]),
    (("own_model:square", "--t", "1 +"), ["--t '1 +' cannot be evaluated: SyntaxError"]),
    (("own_model:square", "--constant", "nowhere.x"), ["--constant", "NameError"]),
    (("own_model:square", "--backends", "AutoNothing()"), ["--backends", "backends lists them"]),
    (("own_model:square", "--backends", "3"), ["a backend such as AutoFiniteDiff()"]),
    (("own_model:square", "--backends", "AutoJax('up')"), ["mode is not one of its choices"]),
    (("own_model:square", "--t", "numpy.ones(3)"), ["jacobian takes no tangent"]),
]  # fmt: skip


@pytest.mark.parametrize("command", ["bench", "check"])
@pytest.mark.parametrize("argv, words", WRONG)
def test_mistakes_get_a_message_and_code_2(model, capsys, command, argv, words):
    options = "--x", "numpy.ones(3)", "--operator", "jacobian"
    code, out, err = run(capsys, command, argv[0], *options, *argv[1:])
    assert code == 2 and out == ""
    for word in words:
        assert word in err, err


def test_errors_of_the_user_s_module_pass_through(tmp_path, monkeypatch):
    (tmp_path / "broken_model.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        main(["check", "broken_model:f", "--x", "1.0", "--operator", "derivative"])
