"""What JAX traces and compiles, counted from the events that it reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jax import monitoring

from difint.engine import Traces

# One listener a process, and counters that only grow: JAX's older versions cannot take a
# listener back.
_seen = Traces()
_probes = 0

_PROBE = "/difint/probe"
_TRACE = "/jax/core/compile/jaxpr_trace_duration"
_COMPILATION = "/jax/core/compile/backend_compile_duration"


def _listen(event: str, seconds: float, **details: Any) -> None:
    global _probes
    if event == _COMPILATION:
        _seen.compilations += 1
    elif event == _TRACE:
        _seen.traces += 1
    elif event == _PROBE:
        _probes += 1


def _ensure_listening() -> None:
    """Listen again if somebody cleared the listeners."""
    before = _probes
    monitoring.record_event_duration_secs(_PROBE, 0.0)
    if _probes == before:
        monitoring.register_event_duration_secs_listener(_listen)


@contextmanager
def watch() -> Iterator[Traces]:
    """Count the traces and compilations of this process until the context is left."""
    _ensure_listening()
    begun = Traces(_seen.traces, _seen.compilations)
    counted = Traces()
    yield counted
    counted.traces = _seen.traces - begun.traces
    counted.compilations = _seen.compilations - begun.compilations
