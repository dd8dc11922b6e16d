"""What is traced and compiled, counted: both happen here, and only where difint asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from difint.engine import Traces

SEEN = Traces()
"""What this process has traced and compiled."""


@contextmanager
def watch() -> Iterator[Traces]:
    """Count the traces and compilations of this process until the context is left."""
    begun, counted = Traces(SEEN.traces, SEEN.compilations), Traces()
    yield counted
    counted.traces = SEEN.traces - begun.traces
    counted.compilations = SEEN.compilations - begun.compilations
