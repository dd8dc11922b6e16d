"""What Numba knows of functions and modules, and from whom."""

from __future__ import annotations

from typing import Any

from numba.core.registry import cpu_target

_LIBRARIES = frozenset({"builtins", "math", "cmath", "operator", "numpy", "numba", "scipy"})
"""Packages whose contents a version number tells."""

_NUMBAS = frozenset({"numba", "difint"})


def is_library(module: str) -> bool:
    """Tell whether a version number tells what a module contains."""
    return module.partition(".")[0] in _LIBRARIES


def is_known(f: Any) -> bool:
    """Tell whether Numba brings an implementation of a function, or somebody else does."""
    return _type_of(f) is not None


def _type_of(f: Any) -> Any:
    typing = cpu_target.typing_context
    typing.refresh()
    try:
        return typing.resolve_value_type(f)
    except ValueError:
        return None


def is_foreign(f: Any) -> bool:
    """Tell whether somebody besides Numba and difint overloads a function."""
    return any(map(_is_foreign, getattr(_type_of(f), "templates", ())))


def foreign_methods(names: frozenset[str]) -> bool:
    """Tell whether somebody besides Numba and difint overloads an attribute of such a name."""
    typing = cpu_target.typing_context
    typing.refresh()
    templates = (one for several in typing._attributes.values() for one in several)
    return any(getattr(one, "_attr", None) in names and _is_foreign(one) for one in templates)


def _is_foreign(template: Any) -> bool:
    overload = getattr(template, "_overload_func", None)
    if overload is None:
        return False
    module = overload.__module__ or overload.__globals__["__name__"]  # Numba has some without
    return module.partition(".")[0] not in _NUMBAS
