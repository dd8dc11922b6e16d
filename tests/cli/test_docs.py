"""The page on choosing a backend: its function, its commands and its program run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "choosing-a-backend.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def first_column(text, end):
    """List the backends named in a table, in their order on the page."""
    return re.findall(r"(Auto\w+\(.*?\))  ", text.partition(end)[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder with the page's module, and every output of the page made again."""
    folder = tmp_path_factory.mktemp("reactors")
    module, program = blocks("python")
    (folder / "reactors.py").write_text(module)
    (folder / "program.py").write_text(program)
    return folder


def run(folder, command):
    line = command.replace("python ", f"{sys.executable} ", 1)
    return subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("number", [0, 1])
def test_commands(folder, number):
    command = blocks("sh")[number].strip()
    shown = blocks("text")[2 * number]
    done = run(folder, command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == shown.splitlines()[0]
    found = [first_column(text, "\n\nno end") for text in (done.stdout, shown)]
    assert found[0] == found[1]
    if "--plot" in command:
        assert (folder / "times.png").exists()
        counts = [re.findall(r"(?:us|ns|ms) +(\d+)  ", text) for text in (done.stdout, shown)]
        assert counts[0] == counts[1]  # calls of f


def test_program(folder):
    done = run(folder, "python program.py")
    assert done.returncode == 0, done.stderr
    shown = blocks("text")[1]
    for text in (done.stdout, shown):
        assert "3 reactors" in text and "500 reactors" in text
    assert set(first_column(done.stdout, "the fastest")) == set(first_column(shown, "the fastest"))
    assert done.stdout.count("the fastest prepared call") == 2
