import json
import sys

import pytest

import difint
from difint.backends import BACKENDS, AutoFiniteDiff, AutoJax
from difint.cli import main
from difint.cli.listing import Listed, listed


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
