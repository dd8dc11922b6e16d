"""Scopes: global names of functions, seen through a change of some of their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final


@final
class Scope(dict[str, Any]):
    """The global names of a function, changed when they are looked up.

    What the function assigns stays here.

    Args:
        names: the names as they are.
        change: what is done to each value that is looked up.
        builtins: the names that are found where there is no global one.
    """

    __slots__ = ("change", "names")

    def __init__(
        self, names: dict[str, Any], change: Callable[[Any], Any], builtins: dict[str, Any]
    ) -> None:
        super().__init__(__builtins__=builtins, __name__=names.get("__name__", ""))
        self.names, self.change = names, change

    def __missing__(self, name: str) -> Any:
        return self.change(self.names[name])
