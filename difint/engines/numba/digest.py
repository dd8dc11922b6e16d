"""Digests: what compiled code depends on, as a key that is the same in every process.

Code is compiled from a function's bytecode and from what it froze, for types and shapes, by a
version of each package, for a processor. Only values whose contents can be told from other ones
get into a key that outlives the process; for others their identity stands in.
"""

from __future__ import annotations

import enum
import hashlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, final

import numpy as np
from llvmlite import binding
from numba import config

from difint.engines.numba.known import foreign_methods, is_foreign, is_known, is_library

_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, type(Ellipsis)})


@cache
def _machine() -> str:
    packages = [f"{name} {version(name)}" for name in ("numba", "llvmlite", "numpy", "scipy")]
    features = binding.get_host_cpu_features().flatten()
    told = sorted(one for one in os.environ.items() if one[0].startswith("NUMBA_"))
    chosen = (told, config.NUMBA_NUM_THREADS)
    parts = (sys.version, packages, binding.get_host_cpu_name(), features, chosen, sources())
    return repr(parts)


@cache
def sources() -> str:
    """Tell this compiler from other versions of it."""
    folder = Path(__file__).parent
    found = hashlib.sha256((folder.parents[1] / "rules.py").read_bytes())
    for file in sorted(folder.rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()


@final
class Digest:
    """Collects what compiled code depends on.

    Attributes:
        portable: everything was told by its contents.
        held: values that are told by their identity: they must stay alive as long as the key.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self.portable = not foreign_methods(names)
        self.held: list[Any] = []
        self._names = names
        self._hash = hashlib.sha256(_machine().encode())
        self._seen: set[int] = set()

    def key(self) -> str:
        """Get the key of what was added so far."""
        return self._hash.hexdigest()

    def shared(self, *made: Any) -> str | None:
        """Get the key for what is made of it, in every process; ``None`` if it is not portable."""
        return f"{self.key()} {made!r} " if self.portable else None

    def add(self, value: Any) -> None:
        """Add a value by its contents, or by its identity if they cannot be told."""
        for piece in self._pieces(value):
            self._hash.update(piece if isinstance(piece, bytes) else repr(piece).encode())
            self._hash.update(b"\0")

    def _pieces(self, value: Any) -> Iterator[Any]:
        yield type(value).__qualname__
        if type(value) in _PLAIN:
            yield value
        elif type(value) is np.ndarray and not value.dtype.hasobject:
            dtype, flags = value.dtype, value.flags
            yield from (repr(dtype), value.shape, flags.c_contiguous, flags.f_contiguous)
            yield value.tobytes()
        elif isinstance(value, np.generic) and not value.dtype.hasobject:
            yield from (repr(value.dtype), value.tobytes())
        elif isinstance(value, np.dtype):
            yield repr(value)
        elif isinstance(value, CodeType):
            yield from self._of_code(value)
        elif isinstance(value, tuple | list | set | frozenset):
            yield from (len(value), getattr(value, "_fields", ()))
            for one in value if isinstance(value, tuple | list) else sorted(value, key=repr):
                yield from self._pieces(one)
        elif isinstance(value, dict):
            for pair in value.items():
                yield from self._pieces(pair)
        elif isinstance(value, ModuleType):
            yield from self._of_module(value)
        else:
            yield from self._of_other(value)

    def _of_code(self, code: CodeType) -> Iterator[Any]:
        yield code.co_code
        yield from (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        yield from (code.co_flags, code.co_argcount, code.co_kwonlyargcount)
        yield code.co_exceptiontable
        yield from self._pieces(code.co_consts)

    def _of_module(self, module: ModuleType) -> Iterator[Any]:
        """Tell a library by its version, and another module by what may be read from it."""
        yield module.__name__
        if is_library(module.__name__) or id(module) in self._seen:
            return
        self._seen.add(id(module))
        for name in sorted(self._names & vars(module).keys()):
            found = vars(module)[name]
            if type(found) is FunctionType and not is_known(found):
                continue  # Numba does not call plain functions through a module
            yield name
            yield from self._pieces(vars(module)[name])

    def _of_other(self, value: Any) -> Iterator[Any]:
        module = getattr(value, "__module__", None) or ""
        if isinstance(value, enum.Enum):
            yield from (module, value.name)
            yield from self._pieces(value.value)
        elif isinstance(value, type) and is_library(module):
            yield from (module, value.__qualname__)
        elif isinstance(value, type) and issubclass(value, enum.Enum):
            yield module
            for member in value:
                yield from self._pieces(member)
        elif isinstance(value, type) and issubclass(value, tuple) and "_fields" in vars(value):
            yield from (module, vars(value)["_fields"])
        elif is_library(module) and _is_named(value) and not is_foreign(value):
            yield from (module, value.__name__)
        else:
            self.portable = False
            self.held.append(value)
            yield id(value)


def _is_named(value: Any) -> bool:
    functions = BuiltinFunctionType | FunctionType | np.ufunc | type(np.sum)
    return isinstance(value, functions)
