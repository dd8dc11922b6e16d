"""What Numba compiles, counted from the events that it reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

from numba.core import event

from difint.engine import Traces


@final
class _Counter(event.Listener):
    def __init__(self, counted: Traces) -> None:
        self.counted = counted

    def on_start(self, event: Any) -> None:
        self.counted.traces += 1
        self.counted.compilations += 1

    def on_end(self, event: Any) -> None: ...


@contextmanager
def watch() -> Iterator[Traces]:
    """Count the compilations of this process until the context is left."""
    counted = Traces()
    with event.install_listener("numba:compile", _Counter(counted)):
        yield counted
