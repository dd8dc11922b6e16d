import json
import sys

import pytest

from difint.cli import main

# Modules that are written anew for a test must not come from a cache.
sys.dont_write_bytecode = True

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

def log(x):
    with np.errstate(all="ignore"):
        return np.log(x)

def bounded(x):
    if x.min() < 1.0:
        raise ValueError("below the table")
    return x ** 2

def wiggly(x):
    return x.__array_namespace__().sin(1000 * x)

def rosenbrock(x):
    return float(np.sum((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2))

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
    line, of_enzyme, of_torch = [line for line in out.splitlines() if "could not" in line]
    assert line.startswith("AutoNumba() could not: UnsupportedError: jacobian: AutoNumba cannot")
    assert of_enzyme.startswith("AutoEnzyme(), AutoEnzyme(mode='forward'), AutoEnzyme(mode='rever")
    assert of_torch.startswith("AutoTorch(), ") and "AutoTorch gives f tensors" in of_torch


def test_bench_says_who_could_not_in_a_line_each(model, capsys):
    code, out, _ = bench(capsys, "own_model.py:kinked")
    first, second, *of_torch = [line for line in out.splitlines() if "could not" in line]
    assert of_torch and all(line.startswith("AutoTorch(") for line in of_torch)
    assert code == 0
    assert first.startswith(
        "AutoFiniteDiff(scheme='complex_step') could not: ArgumentError: jacobian: f is not analy"
    )
    assert first.endswith("Use AutoFiniteDiff(scheme='central').")  # the whole message
    modes = (
        "AutoJax(x64=True), AutoJax(mode='forward', x64=True), AutoJax(mode='reverse', x64=True)"
    )
    assert second.startswith(f"{modes} could not: TracerArrayConversionError: AutoJax traces f. W")


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
    assert code == 0 and "\nexecute y=" in out and "\none shot jacobian out= y=" in out


def test_bench_saves_json_and_chart(model, capsys):
    only = "--backends", "AutoFiniteDiff()"
    files = "--json", "out.json", "--plot", "out.png"
    code, out, _ = bench(capsys, "own_model:total", *files, *only, operator="hvp")
    assert code == 0
    found = json.loads((model / "out.json").read_text())
    assert {row["backend"] for row in found["rows"]} == {"AutoFiniteDiff()"}
    assert (model / "out.png").read_bytes().startswith(b"\x89PNG")
    assert out.endswith("\nSaved out.json and out.png.\n")


def test_bench_where_no_backend_can(model, capsys):
    code, out, _ = bench(capsys, "own_model:square", operator="gradient")
    assert code == 1
    assert out.endswith("No backend could.\n") and out.count("could not: ArgumentError") == 1
    assert out.count("could not") == 4
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


def test_check_finds_other_faults_too(model, capsys):
    backends = "--backends", "tests.testing.broken.AutoBroken('buffer')", "di.AutoFiniteDiff()"
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
    (("own_model:nothing",), ["own_model, which has no nothing"]),
    (("own_model:number",), ["number is of the type int"]),
    (("no_such_model:f",), ["a module that can be imported from here"]),
    (("no_such_file.py:f",), ["a file that exists"]),
    (("own_model:square", "--x", "numpy.one(3)"), ["--x 'numpy.one(3)' cannot be evaluated"]),
    (("own_model:square", "--t", "1 +"), ["--t '1 +' cannot be evaluated: SyntaxError"]),
    (("own_model:square", "--constant", "nowhere.x"), ["--constant", "NameError"]),
    (("own_model:square", "--backends", "AutoNothing()"), ["--backends 'AutoNothing()' cannot"]),
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


@pytest.mark.parametrize("place", ["broken_model:f", "broken_model.py:f"])
@pytest.mark.parametrize("text", ["\nimport no_such_package\n", "\n1 / 0\n"])
def test_errors_of_the_user_s_module_say_where(tmp_path, monkeypatch, capsys, place, text):
    (tmp_path / "broken_model.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    code, _, err = check(capsys, place)
    sys.modules.pop("broken_model", None)
    assert code == 2
    assert "cannot be imported: " in err and "no_such_package" in err or "ZeroDivision" in err
    assert "broken_model.py, line 2" in err


def test_a_file_finds_what_lies_beside_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "beside_it.py").write_text("factor = 2.0\n")
    (tmp_path / "json.py").write_text(
        "from beside_it import factor\ndef f(x):\n    return factor * x\n"
    )
    monkeypatch.chdir(tmp_path.parent)
    only = "--backends", "AutoFiniteDiff()"
    assert check(capsys, str(tmp_path / "json.py") + ":f", *only)[0] == 0
    sys.modules.pop("beside_it", None)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--json", "nowhere/out.json"], "--json 'nowhere/out.json' cannot be written"),
        (["--plot", "nowhere/out.png"], "--plot 'nowhere/out.png' cannot be written"),
        (["--plot", "out.xyz"], "a chart cannot be saved as a file of this kind"),
    ],
)
def test_files_are_checked_before_anything_is_measured(model, capsys, options, words):
    code, out, err = bench(capsys, "own_model:square", *options)
    assert code == 2 and out == "" and words in err


def test_seconds_must_be_positive(model, capsys):
    with pytest.raises(SystemExit):
        bench(capsys, "own_model:square", "--seconds", "-1")
    assert "-1 is not positive" in capsys.readouterr().err


def test_check_of_what_is_undefined(model, capsys):
    code, out, _ = check(capsys, "own_model:log", x="-numpy.ones(2)".replace("-", "0 - "))
    assert "is not finite at this x" in out


def test_check_where_plans_cannot_be_prepared_elsewhere(model, capsys):
    only = "--backends", "AutoFiniteDiff()", "AutoFiniteDiff('forward')"
    code, out, _ = check(capsys, "own_model:bounded", *only, x="numpy.array([1.05, 2.0])")
    assert code == 0, out


def test_check_of_methods_of_limited_accuracy(model, capsys):
    code, out, _ = check(capsys, "own_model:wiggly", x="numpy.linspace(0.1, 1.0, 3)")
    assert code == 0, out
    assert "held against AutoFiniteDiff(scheme='complex_step')" in out
    rows = [line.split() for line in out.splitlines() if line.endswith(" roughly")]
    assert ["AutoFiniteDiff(scheme='forward')"] in [row[:1] for row in rows]
    assert "agrees roughly alone, as a method of limited accuracy: entry [" in out


def test_check_of_numbers_and_of_stationary_points(model, capsys):
    for x in ("numpy.linspace(0.5, 1.5, 4)", "numpy.ones(4)"):
        code, out, _ = check(capsys, "own_model:rosenbrock", operator="gradient", x=x)
        assert code == 0, out


def test_check_of_one_engine_alone_says_so(model, capsys):
    code, out, _ = check(
        capsys, "own_model:rates", "--constant", "2.0", "--cache", "np.empty(3)", "--quick",
        "--backends", "AutoFiniteDiff()", "AutoFiniteDiff('forward')",
    )  # fmt: skip
    assert code == 0
    assert "Only AutoFiniteDiff could, in several settings: they may share an error." in out


def test_expressions_import_what_they_name(model, capsys):
    (model / "own_package").mkdir()
    (model / "own_package" / "__init__.py").write_text("")
    (model / "own_package" / "points.py").write_text("import numpy\nhere = numpy.ones(2)\n")
    only = "--backends", "di.AutoFiniteDiff()"
    assert check(capsys, "own_model:square", *only, x="own_package.points.here")[0] == 0


def test_an_alias_of_a_missing_package(model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax.numpy", None)
    code, _, err = check(capsys, "own_model:square", x="jnp.ones(2)")
    assert code == 2 and "--x 'jnp.ones(2)' cannot be evaluated: ModuleNotFoundError" in err


def test_expressions_may_have_scopes_of_their_own(model, capsys):
    x = "numpy.array([(lambda j: numpy.sqrt(j))(i) for i in range(1, 4)])"
    assert check(capsys, "own_model:square", "--backends", "AutoFiniteDiff()", x=x)[0] == 0
