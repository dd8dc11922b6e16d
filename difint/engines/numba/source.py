"""Source: functions made from text, where Numba can type only what is written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def from_source(source: str, name: str, env: dict[str, Any]) -> Callable[..., Any]:
    """Make a function from its text; ``env`` are its globals.

    It belongs to this module, which every process can import: kept code names its module.
    """
    namespace = {"__name__": __name__, **env}
    exec(source, namespace)
    function: Callable[..., Any] = namespace[name]
    return function
