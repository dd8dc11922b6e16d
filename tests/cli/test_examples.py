import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def test_there_are_examples():
    assert len(SCRIPTS) >= 3


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_example_runs_and_asserts_its_result(script, capsys):
    text = script.read_text()
    if "jax" in text:
        pytest.importorskip("jax")
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out
    assert "assert " in text and text.startswith('"""')
