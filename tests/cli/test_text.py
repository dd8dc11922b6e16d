import io
import json

import pytest

from difint.cli.text import Progress, document, table


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def line(self):
        """What a terminal shows after all the rewriting."""
        shown = ""
        for text in self.getvalue().split("\r"):
            shown = text + shown[len(text) :]
        return shown.rstrip()


def test_table_pads_to_the_widest_cell():
    lines = table(["name", "n"], [["a", "1"], ["longer", "1000"]], "<>").splitlines()
    assert lines == [
        "name       n",
        "------  ----",
        "a          1",
        "longer  1000",
    ]


def test_table_without_rows_is_a_head():
    assert table(["a", "b"], [], "<<") == "a  b\n-  -"


def test_table_refuses_a_short_row():
    with pytest.raises(ValueError):
        table(["a", "b"], [["1"]], "<<")


def test_document_refuses_what_json_lacks():
    assert json.loads(document({"a": [1.5, None]})) == {"a": [1.5, None]}
    with pytest.raises(ValueError):
        document(float("nan"))


def test_progress_elsewhere_is_a_line_a_stage():
    stream = io.StringIO()
    progress = Progress(stream)
    for stage in ("first", "second"):
        progress.stage(stage)
        progress.step("hidden")
    progress.clear()
    assert stream.getvalue() == "first\nsecond\n"


def test_progress_on_a_terminal_is_one_line():
    stream = Terminal()
    progress = Progress(stream)
    progress.stage("first")
    assert stream.line() == "first"
    progress.step("a long description")
    assert stream.line() == "first: a long description"
    progress.step("short")
    assert stream.line() == "first: short"
    progress.clear()
    assert stream.line() == ""
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().endswith("\r")
