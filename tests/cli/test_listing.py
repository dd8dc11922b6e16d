import json
import sys
from pathlib import Path

import pytest

import difint
from difint.backends import BACKENDS, AutoFiniteDiff, AutoJax
from difint.cli import main
from difint.cli.listing import Listed, gaps_of, listed


@pytest.fixture
def no_jax(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)


def test_every_backend_is_listed():
    assert [row.backend for row in listed(BACKENDS)] == [one.__name__ for one in BACKENDS]


def test_version_is_the_packages():
    import numpy

    (row,) = listed([AutoFiniteDiff])
    assert row == Listed("AutoFiniteDiff", True, "numpy", numpy.__version__, None)


def test_version_of_jax():
    jax = pytest.importorskip("jax")
    (row,) = listed([AutoJax])
    assert row == Listed("AutoJax", True, "jax", jax.__version__, "jax")


def test_missing_backend_has_no_version(no_jax):
    assert listed([AutoJax]) == [Listed("AutoJax", False, "jax", None, "jax")]


def test_package_without_metadata_has_no_version(monkeypatch):
    monkeypatch.setattr(AutoFiniteDiff, "package", "no-such-distribution")
    (row,) = listed([AutoFiniteDiff])
    assert row.available and row.version is None


def test_text_names_the_extra_of_what_is_missing(no_jax, capsys):
    assert main(["backends"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"difint {difint.__version__}")
    (line,) = [line for line in lines if line.startswith("AutoJax")]
    assert line.split(None, 3) == ["AutoJax", "no", "jax", "pip install 'difint[jax]'"]


def test_text_asks_nothing_for_what_is_there(capsys):
    main(["backends"])
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("AutoFiniteDiff")]
    assert "yes" in line and "pip" not in line


def test_json(no_jax, capsys):
    assert main(["backends", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["difint"] == difint.__version__
    rows = {row["backend"]: row for row in found["backends"]}
    assert rows["AutoFiniteDiff"]["available"] is True
    assert rows["AutoJax"] == {
        "backend": "AutoJax",
        "available": False,
        "package": "jax",
        "version": None,
        "extra": "jax",
    }
    assert captured.err == ""


def test_gaps(capsys):
    assert main(["backends", "--gaps"]) == 0
    out = capsys.readouterr().out
    assert "cannot differentiate" in out and "pip" not in out
    (line,) = [line for line in out.splitlines() if "in-place function" in line]
    assert line.startswith("AutoJax() ") and line.endswith("let f return its result")


def test_gaps_as_json(capsys):
    main(["backends", "--gaps", "--json"])
    found = json.loads(capsys.readouterr().out)["gaps"]
    assert {"backend": "AutoJax()", "feature": "complex x"}.items() <= found[3].items()


def test_settings_with_the_same_gaps_are_listed_once():
    names = [gap.backend for gap in gaps_of(BACKENDS)]
    assert list(dict.fromkeys(names)) == [
        "AutoFiniteDiff()",
        "AutoFiniteDiff(scheme='complex_step')",
        "AutoJax()",
        "AutoNumba()",
        "AutoEnzyme()",
        "AutoTorch()",
        "AutoTorch(compile='eager')",
    ]


def test_the_table_in_the_docs_is_that_of_the_command():
    text = (Path(difint.__file__).parents[1] / "docs" / "backends.md").read_text()
    for gap in gaps_of(BACKENDS):
        assert f"| `{gap.backend}` | {gap.feature} | {gap.reason} |" in text
    assert text.count("| refused: pass the real") == 7
