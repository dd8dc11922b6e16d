"""Adoption: the user's function, with all the functions that it calls, as functions of duals.

Plain Python functions are compiled, and so are those that they call by a global name or from a
closure; dispatchers are compiled anew, with the options that they have. What a function reads
besides its arguments (globals, closures, defaults) is frozen when it is compiled, as always with
Numba.
"""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, final

import numpy as np
from numba import njit
from numba.core.registry import CPUDispatcher

from difint.engines.numba.known import is_known, is_library
from difint.engines.numba.pipeline import USERS_PART
from difint.engines.numba.source import from_source
from difint.errors import UnsupportedError, message

_KEPT = ("error_model", "fastmath", "boundscheck")
"""Options of a dispatcher that its adopted copy has too."""


def options(given: dict[str, Any], fastmath: Any, *, checked: bool) -> dict[str, Any]:
    """Choose how to compile: division as NumPy divides, unless a dispatcher says otherwise."""
    kept = {name: given[name] for name in _KEPT if name in given}
    kept |= {"boundscheck": True} if checked else {}
    return {"error_model": "numpy", "fastmath": fastmath, **kept}


def as_part(**chosen: Any) -> Callable[[Any], Any]:
    """Make the decorator that compiles users' functions, as parts of a program."""
    made: Callable[[Any], Any] = njit(**chosen, **USERS_PART)
    return made


@final
class Adoption:
    """Compiles a function and what it calls; each of them once, also where they call each other.

    Attributes:
        operator: the operator's name, for messages.
        fastmath: the option of functions that bring none.
        checked: indices are compared with the lengths of arrays.
        jit: makes the decorator that compiles them, of options.
        frozen: what is read besides arguments: ``(name, value)``.
        codes: the code of all functions, with the options of compilation.
        links: which function is behind each name of one: ``(name, number of the function)``.
    """

    def __init__(
        self,
        operator: str,
        fastmath: Any,
        *,
        checked: bool = False,
        jit: Callable[..., Callable[[Any], Any]] = as_part,
    ) -> None:
        self.operator = operator
        self.fastmath = fastmath
        self.checked = checked
        self.jit = jit
        self.frozen: list[tuple[str, Any]] = []
        self.codes: list[tuple[CodeType, dict[str, Any]]] = []
        self.links: list[tuple[str, int]] = []
        self._met: list[Any] = []
        self._done: dict[Any, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Name the values among what is frozen: not functions, nor libraries."""
        return tuple(sorted({name for name, value in self.frozen if _is_value(value)}))

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
        key = f, repr([given.get(name) for name in _KEPT])
        if key in self._done:
            return self._done[key]
        # Not the name of f's module: kept code imports this one.
        own = {"__builtins__": f.__globals__["__builtins__"], "__name__": __name__}
        cells = tuple(CellType() for _ in f.__closure__ or ())
        defaults = tuple(map(_private, f.__defaults__ or ()))
        copy = FunctionType(f.__code__, own, f.__name__, defaults, cells)
        copy.__kwdefaults__, copy.__qualname__ = f.__kwdefaults__, f.__qualname__
        copy.__module__ = f.__module__
        how = options(given, self.fastmath, checked=self.checked)
        self._done[key] = compiled = self.jit(**how)(copy)
        self.codes.append((f.__code__, {name: given.get(name) for name in _KEPT}))
        self.frozen += _defaults(copy)
        for name in _globals(f.__code__):
            if name in f.__globals__:
                own[name] = self._inner(name, f.__globals__[name])
        for name, cell, old in zip(f.__code__.co_freevars, cells, f.__closure__ or (), strict=True):
            cell.cell_contents = self._inner(name, old.cell_contents)
        return compiled

    def _inner(self, name: str, value: Any) -> Any:
        """Adopt a function that another one calls; anything else is frozen."""
        callee = isinstance(value, CPUDispatcher | functools.partial)
        if callee or (isinstance(value, FunctionType) and not is_known(value)):
            self._link(name, value)
            return self.adopt(value)
        self.frozen.append((name, value := _private(value)))
        return value

    def _link(self, name: str, callee: Any) -> None:
        """Number callees as they are met, which is in the same order in every process."""
        if not any(callee is one for one in self._met):
            self._met.append(callee)
        self.links.append((name, [callee is one for one in self._met].index(True)))

    def _partial(self, f: functools.partial[Any]) -> Any:
        """Write a partial out: its arguments are frozen like those of a closure."""
        self._link("partial", f.func)
        f = functools.partial(
            f.func,
            *map(_private, f.args),
            **{name: _private(one) for name, one in f.keywords.items()},
        )
        inner = self.adopt(f.func)
        whole = inspect.signature(inner.py_func)
        self.frozen += whole.bind_partial(*f.args, **f.keywords).arguments.items()
        rest = inspect.signature(functools.partial(inner.py_func, *f.args, **f.keywords))
        source, env = _forwarding(f, list(rest.parameters.values()))
        return self._written(source, "partial", {"inner": inner, **env})

    def _builtin(self, f: Any) -> Any:
        """Write a call of a function that Numba knows, such as a ufunc."""
        self.frozen.append(("function", f))
        return self._written("def call(*args):\n    return inner(*args)\n", "call", {"inner": f})

    def _written(self, source: str, name: str, env: dict[str, Any]) -> Any:
        made: Any = from_source(source, name, env)
        self.codes.append((made.__code__, {}))
        return self.jit(**options({}, self.fastmath, checked=self.checked))(made)

    def _refuse(self, f: Any) -> None:
        text = message(
            self.operator,
            "Numba cannot compile f",
            expected="a function, a numba.njit function, or a partial of one",
            got=f"a {type(f).__name__}",
            remedy="Write a function, and pass what it needs as contexts: Constant(value).",
        )
        raise UnsupportedError(text)


def _forwarding(f: functools.partial[Any], rest: list[Any]) -> tuple[str, dict[str, Any]]:
    """Write a function of the parameters that a partial leaves open; not with ``**``, for Numba."""
    free = [one for one in rest if one.kind in (one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL)]
    stars = ["*" if one.kind is one.VAR_POSITIONAL else "" for one in free]
    defaults = ["" if one.default is one.empty else f"=d{i}" for i, one in enumerate(free)]
    taken = [
        f"{star}p{i}{text}" for i, (star, text) in enumerate(zip(stars, defaults, strict=True))
    ]
    passed = [f"a{i}" for i in range(len(f.args))]
    passed += [f"{star}p{i}" for i, star in enumerate(stars)]
    passed += [f"{name}=k{i}" for i, name in enumerate(f.keywords)]
    env = {f"a{i}": one for i, one in enumerate(f.args)}
    env |= {f"k{i}": one for i, one in enumerate(f.keywords.values())}
    env |= {f"d{i}": one.default for i, one in enumerate(free)}
    return f"def partial({', '.join(taken)}):\n    return inner({', '.join(passed)})\n", env


_EMBEDDED = 10**6
"""Bytes of a contiguous array up to which Numba copies it into the code."""


def _private(value: Any) -> Any:
    """Copy an array that Numba would refer to by its address, where its owner may change it."""
    if type(value) is not np.ndarray:
        return value
    contiguous = value.flags.c_contiguous or value.flags.f_contiguous
    return value if contiguous and value.nbytes <= _EMBEDDED else value.copy()


def _defaults(f: FunctionType) -> list[tuple[str, Any]]:
    """List the parameters that a call may leave out, with their values."""
    values = f.__defaults__ or ()
    names = f.__code__.co_varnames[: f.__code__.co_argcount]
    return [
        *zip(names[len(names) - len(values) :], values, strict=True),
        *(f.__kwdefaults__ or {}).items(),
    ]


def _globals(code: CodeType) -> Iterator[str]:
    """List the global names that a function, and those within it, read."""
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_GLOBAL":
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals(constant)


def _is_value(value: Any) -> bool:
    return not callable(value) and not (
        isinstance(value, ModuleType) and is_library(value.__name__)
    )


def _names(code: CodeType) -> Iterator[str]:
    """List the names, of attributes too, that a function and those within it may look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def names_in(codes: Sequence[CodeType]) -> frozenset[str]:
    """Collect the names that functions may look up, in modules too."""
    return frozenset(name for code in codes for name in _names(code))
