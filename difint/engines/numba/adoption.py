"""Adoption: the user's function, with all the functions that it calls, as functions of duals.

Plain Python functions are compiled, and so are those that they call by a global name or from a
closure; dispatchers are compiled anew, with the options that they have. What a function reads
besides its arguments (globals, closures, defaults) is frozen when it is compiled, as always with
Numba.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any, final

from numba import njit
from numba.core.registry import CPUDispatcher, cpu_target

from difint.engines.numba.pipeline import DualCompiler
from difint.errors import UnsupportedError, message

_KEPT = ("error_model", "fastmath", "boundscheck")
"""Options of a dispatcher that its adopted copy has too."""


def options(given: dict[str, Any], fastmath: Any) -> dict[str, Any]:
    """Choose how to compile: division as NumPy divides, unless a dispatcher says otherwise."""
    kept = {name: given[name] for name in _KEPT if name in given}
    inner = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": DualCompiler}
    return {"error_model": "numpy", "fastmath": fastmath, **kept, **inner}


@final
class Adoption:
    """Compiles a function and what it calls; each of them once, also where they call each other.

    Attributes:
        operator: the operator's name, for messages.
        fastmath: the option of functions that bring none.
        frozen: what is read besides arguments: ``(name, value)``.
        codes: the code of all functions, with the options of compilation.
    """

    def __init__(self, operator: str, fastmath: Any) -> None:
        self.operator = operator
        self.fastmath = fastmath
        self.frozen: list[tuple[str, Any]] = []
        self.codes: list[tuple[CodeType, dict[str, Any]]] = []
        self._done: dict[Any, Any] = {}

    def adopt(self, f: Any) -> Callable[..., Any]:
        """Get a dispatcher that can be called with duals."""
        if isinstance(f, CPUDispatcher):
            return self._function(f.py_func, f.targetoptions)
        if isinstance(f, functools.partial):
            return self._partial(f)
        if isinstance(f, FunctionType) and not is_known(f):
            return self._function(f, {})
        if isinstance(f, MethodType) or not is_known(f):
            self._refuse(f)
        return self._builtin(f)

    def _function(self, f: FunctionType, given: dict[str, Any]) -> Any:
        if f in self._done:
            return self._done[f]
        own = {"__builtins__": f.__globals__["__builtins__"], "__name__": f.__module__}
        cells = tuple(CellType() for _ in f.__closure__ or ())
        copy = FunctionType(f.__code__, own, f.__name__, f.__defaults__, cells)
        copy.__kwdefaults__, copy.__qualname__ = f.__kwdefaults__, f.__qualname__
        copy.__module__ = f.__module__
        self._done[f] = compiled = njit(**options(given, self.fastmath))(copy)
        self.codes.append((f.__code__, {name: given.get(name) for name in _KEPT}))
        defaults = [*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()]
        self.frozen += [("a default", one) for one in defaults]
        for name in _names(f.__code__):
            if name in f.__globals__:
                own[name] = self._inner(name, f.__globals__[name])
        for name, cell, old in zip(f.__code__.co_freevars, cells, f.__closure__ or (), strict=True):
            cell.cell_contents = self._inner(name, old.cell_contents)
        return compiled

    def _inner(self, name: str, value: Any) -> Any:
        """Adopt a function that another one calls; anything else is frozen."""
        callee = isinstance(value, CPUDispatcher | functools.partial)
        if callee or (isinstance(value, FunctionType) and not is_known(value)):
            return self.adopt(value)
        self.frozen.append((name, value))
        return value

    def _partial(self, f: functools.partial[Any]) -> Any:
        """Write a partial out: its arguments are frozen like those of a closure."""
        inner = self.adopt(f.func)
        env = {"inner": inner, **{f"a{i}": one for i, one in enumerate(f.args)}, **f.keywords}
        given = [*(f"a{i}" for i in range(len(f.args)))]
        keywords = [f"{name}={name}" for name in f.keywords]
        call = ", ".join([*given, "*args", *keywords])
        self.frozen += [*env.items()][1:]
        return self._written(f"def partial(*args):\n    return inner({call})\n", "partial", env)

    def _builtin(self, f: Any) -> Any:
        """Write a call of a function that Numba knows, such as a ufunc."""
        self.frozen.append(("function", f))
        return self._written("def call(*args):\n    return inner(*args)\n", "call", {"inner": f})

    def _written(self, source: str, name: str, env: dict[str, Any]) -> Any:
        exec(source, env)
        self.codes.append((env[name].__code__, {}))
        return njit(**options({}, self.fastmath))(env[name])

    def _refuse(self, f: Any) -> None:
        text = message(
            self.operator,
            "Numba cannot compile f",
            expected="a function, a numba.njit function, or a partial of one",
            got=f"a {type(f).__name__}",
            remedy="Write a function, and pass what it needs as contexts: Constant(value).",
        )
        raise UnsupportedError(text)


def is_known(f: Any) -> bool:
    """Tell whether Numba brings an implementation of a function, or somebody else does."""
    typing = cpu_target.typing_context
    typing.refresh()
    try:
        typing.resolve_value_type(f)
    except ValueError:
        return False
    return True


def _names(code: CodeType) -> Iterator[str]:
    """List the names that a function, and those within it, may look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def names_in(codes: Sequence[CodeType]) -> frozenset[str]:
    """Collect the names that functions may look up, in modules too."""
    return frozenset(name for code in codes for name in _names(code))
