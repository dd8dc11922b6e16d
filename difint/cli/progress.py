"""A line of progress for the demo."""

from __future__ import annotations

from typing import TextIO, final


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
