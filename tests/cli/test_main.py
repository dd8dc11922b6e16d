import json
import subprocess
import sys

import pytest

from difint.cli import main


@pytest.mark.parametrize(
    "argv",
    [[], ["dance"], ["demo", "--fast"], ["backends", "all"], ["--json"]],
    ids=["none", "command", "option", "positional", "early"],
)
def test_bad_arguments_get_a_usage_line_and_code_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("usage: difint")
    assert captured.out == ""


def test_usage_names_the_commands(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "{demo,backends,bench,check}" in capsys.readouterr().err


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "list the backends" in capsys.readouterr().out


def run(*argv):
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, timeout=300)


def test_module_runs_the_command_line():
    done = run("-m", "difint", "backends", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["backends"]


def test_module_passes_the_exit_code_on():
    done = run("-m", "difint")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("difint", ["difint.cli", "difint.__main__"]),
        ("difint.cli", ["jax", "scipy", "difint.cli.demo"]),
        ("difint.cli.listing", ["jax", "scipy"]),
        ("difint.cli.demo", ["jax"]),
    ],
)
def test_imports_stay_small(module, absent):
    done = run("-c", f"import sys, {module}; print(sorted(set({absent}) & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stderr
