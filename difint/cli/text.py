"""What the commands print: aligned tables, JSON, and a line of progress."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TextIO, final


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Lay out a table in plain text.

    Args:
        head: the columns' names.
        rows: the cells of each row.
        align: for each column ``<`` (left) or ``>`` (right).

    Returns:
        Lines without trailing blanks: the head, a rule, the rows.

    >>> print(table(["backend", "ms"], [["AutoJax()", "12.5"], ["AutoFiniteDiff()", "0.3"]], "<>"))
    backend             ms
    ----------------  ----
    AutoJax()         12.5
    AutoFiniteDiff()   0.3
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(_line(cells, widths, align) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int], align: str) -> str:
    padded = [f"{c:{side}{width}}" for c, side, width in zip(cells, align, widths, strict=True)]
    return "  ".join(padded).rstrip()


def document(value: Any) -> str:
    """Write a value as JSON, indented; NaN and infinity, which JSON lacks, are refused."""
    return json.dumps(value, indent=2, allow_nan=False)


@final
class Progress:
    """Say what is going on: one rewritten line on a terminal, a line a stage elsewhere.

    Args:
        stream: where to write, e.g. ``sys.stderr``.
    """

    __slots__ = ("_live", "_shown", "_stage", "_stream")

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown = 0
        self._stage = ""

    def stage(self, text: str) -> None:
        """Say that a stage begins."""
        self._stage = text
        if self._live:
            self._rewrite(text)
        else:
            print(text, file=self._stream, flush=True)

    def step(self, text: str) -> None:
        """Say that a step of the stage begins; a terminal alone shows it."""
        if self._live:
            self._rewrite(f"{self._stage}: {text}")

    def clear(self) -> None:
        """Leave no trace on a terminal's line."""
        if self._live:
            self._rewrite("")
            self._stream.write("\r")
            self._stream.flush()

    def _rewrite(self, text: str) -> None:
        # The blanks cover what is left of a longer text.
        self._stream.write("\r" + text.ljust(self._shown))
        self._stream.flush()
        self._shown = len(text)
