import io

from difint.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def line(self):
        """What a terminal shows after all the rewriting."""
        shown = ""
        for text in self.getvalue().split("\r"):
            shown = text + shown[len(text) :]
        return shown.rstrip()


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
