"""User's functions with traced arrays throughout: what they create, import and call.

A plain array cannot hold what a traced one knows, and much code makes an array of zeros and fills
it entry by entry. So ``f`` runs as a copy with other global names: functions of NumPy that create
arrays create traced ones, ``math`` computes with them, and what else is found by name is a copy of
the same kind: helpers, closures, methods. Nothing outside of this call sees a change.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import math
import sys
from abc import ABC, ABCMeta
from collections.abc import Callable
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any, Final, final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from difint.dependence.arrays import Kind
from difint.dependence.host.scopes import Scope
from difint.dependence.host.stand_ins import (
    ArrayConverter,
    Float,
    Vectorized,
    broadcast,
    enumerated,
    extreme,
    is_instance,
    strided,
    type_of,
)
from difint.dependence.host.traced import Trace, Traced, example, holds_traced, traced_in
from difint.dependence.host.ufuncs import STEPS, united
from difint.dependence.sets import KNOWN, UNKNOWN

OPAQUE: Final = frozenset(
    {"scipy", "jax", "jaxlib", "torch", "numba", "optree", *sys.stdlib_module_names} - {"__main__"}
)
"""Packages whose functions stay as they are."""

_ATOMS: Final = frozenset({int, float, complex, bool, str, bytes, type(None), np.float64})

_PRIVATE: Final = vars(sys.modules["numpy._core._multiarray_umath"])
"""Where NumPy's own code takes its arguments apart, in C."""

_FROM_MATH: Final = {
    **{f"a{name}": f"arc{name}" for name in "sin cos tan sinh cosh tanh".split()},
    "atan2": "arctan2",
    "pow": "power",
}
"""Functions of ``math`` that have another name in NumPy."""

_SEQUENCES: Final = frozenset(
    "concatenate concat stack vstack hstack dstack column_stack block select piecewise array "
    "asarray asanyarray choose ix_ multi_dot".split()
)
"""Functions that take lists of arrays as they are."""


_MEMBERS: Final = (FunctionType, property, staticmethod, classmethod)

_METHODS: Final = frozenset("reduce accumulate reduceat outer at".split())


@final
class Space:
    """A module whose functions work with traced arrays."""

    __slots__ = ("_convert", "_module")

    def __init__(self, module: ModuleType, convert: Callable[[Any], Any]) -> None:
        self._module, self._convert = module, convert

    def __getattr__(self, name: str) -> Any:
        return self._convert(getattr(self._module, name))


@final
class Call:
    """A function of NumPy's that takes lists of traced numbers too, and returns traced arrays."""

    __slots__ = ("_function", "_trace")

    def __init__(self, function: Any, trace: Trace) -> None:
        self._function, self._trace = function, trace

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call it."""
        trace, function = self._trace, self._function
        if function.__name__ not in _SEQUENCES:
            args = tuple(self._lifted(one) for one in args)
        made = function(*args, **options)
        if type(made) is not np.ndarray or made.dtype.kind not in "fcb":
            return made
        if any(type(one) is np.ndarray and np.may_share_memory(one, made) for one in args):
            return made  # what is written to it must be seen in the other, or refused
        return trace.filled(made, UNKNOWN if function is np.empty else KNOWN)

    def _lifted(self, value: Any) -> Any:
        """Make one array of a list of traced numbers."""
        return self._trace.lift(value) if holds_traced(value) else value

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._function, name)
        return Call(found, self._trace) if name in _METHODS else found


@final
class Converter:
    """What makes functions work with traced arrays.

    Args:
        trace: the call that arrays are traced in.
    """

    __slots__ = ("_builtins", "_classes", "_made", "_scopes", "_special", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._made: dict[int, tuple[Any, Any]] = {}
        self._scopes: dict[int, Scope] = {}
        self._classes: dict[type, type] = {}
        self._special = self._table()
        self._made.update((id(one), (one, one)) for one in self._special.values())
        self._builtins = {**vars(builtins), "__import__": self._import, "float": Float}
        self._builtins.update(isinstance=is_instance, type=type_of)
        self._builtins["max"] = functools.partial(extreme, max, np.maximum)
        self._builtins["min"] = functools.partial(extreme, min, np.minimum)

    def _table(self) -> dict[int, Any]:
        """List what stands in the place of single functions."""
        arrays = {
            np.array: functools.partial(self._array, {"copy": True}),
            np.asarray: functools.partial(self._array, {}),
            np.asanyarray: functools.partial(self._array, {}),
            np.ascontiguousarray: functools.partial(self._array, {"order": "C", "ndmin": 1}),
            np.asfortranarray: functools.partial(self._array, {"order": "F", "ndmin": 1}),
            np.vectorize: functools.partial(Vectorized, self._trace),
            np.broadcast: broadcast,
            np.ndenumerate: enumerated,
            np.fromiter: lambda one, dtype, *rest, **how: self._array({}, list(one), dtype),
            as_strided: strided,
            _PRIVATE.get("_array_converter"): functools.partial(ArrayConverter, self._trace),
        }
        for name, one in vars(math).items():
            if isinstance(one, BuiltinFunctionType):
                arrays[one] = functools.partial(self._math, _FROM_MATH.get(name, name), one)
        return {id(one): other for one, other in arrays.items()}

    def convert(self, value: Any) -> Any:
        """Get what stands in the place of a value; most values stay."""
        if type(value) in _ATOMS:
            return value
        if id(value) in self._special:
            return self._special[id(value)]
        if id(value) in self._made:
            return self._made[id(value)][1]
        made = self._converted(value)
        # An id is one's own as long as the value is kept.
        self._made[id(value)], self._made[id(made)] = (value, made), (made, made)
        return made

    def _converted(self, value: Any) -> Any:
        kind = type(value)
        if kind is FunctionType:
            return value if _is_opaque(value.__module__) else self._function(value)
        if kind is MethodType:
            return MethodType(self.convert(value.__func__), self._object(value.__self__))
        if kind is functools.partial:
            how = {name: self.convert(one) for name, one in value.keywords.items()}
            args = map(self.convert, value.args)
            return functools.partial(self.convert(value.func), *args, **how)
        if kind is np.ndarray:
            return self._known(value) if value.dtype.kind in "fcb" else value
        if kind in (list, dict, SimpleNamespace) or isinstance(value, tuple):
            return self._container(value)
        if isinstance(value, ModuleType):
            whole = value is math or not _is_opaque(value.__name__)
            return Space(value, self.convert) if whole else value
        if kind is np.vectorize:
            return Vectorized(self._trace, value.pyfunc)
        return self._other(value)

    def _known(self, value: Any) -> Any:
        """Trace a copy of a captured array; what are views of one array stay so."""
        root = value
        while type(root.base) is np.ndarray and root.base.dtype == value.dtype:
            root = root.base
        if not root.flags.forc:
            return value
        if root is value:
            return self._trace.filled(value.copy("K"), KNOWN)
        start = value.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        first, steps = start // value.itemsize, np.array(value.strides) // value.itemsize

        def view(array: Any) -> Any:
            strides = tuple((steps * array.itemsize).tolist())
            return as_strided(array.ravel("K")[first:], value.shape, strides)

        return self.convert(root).like(view)

    def _container(self, value: Any) -> Any:
        """Copy a container with what it holds converted."""
        kind = type(value)
        if isinstance(value, tuple):
            parts = map(self.convert, value)
            return kind(*parts) if "_fields" in vars(kind) else tuple(parts)
        made: Any = kind()
        self._made[id(value)] = (value, made)  # before its items, which may refer to it
        if kind is list:
            made.extend(map(self.convert, value))
        else:
            named, other = (made, value) if kind is dict else (vars(made), vars(value))
            named.update((name, self.convert(one)) for name, one in other.items())
        return made

    def _other(self, value: Any) -> Any:
        """Get what stands in the place of other callables."""
        numba = sys.modules.get("numba.core.dispatcher")
        if numba is not None and isinstance(value, numba.Dispatcher):
            return self.convert(value.py_func)
        if isinstance(value, (np.ufunc, BuiltinFunctionType, type(np.sum))):
            mine = isinstance(value, np.ufunc) or str(value.__module__).startswith("numpy")
            return Call(value, self._trace) if mine else value
        if isinstance(value, type):
            return self._class(value) if _is_plain(value) else value
        return self._object(value)

    def _function(self, function: FunctionType) -> FunctionType:
        """Copy a function, with other global names, defaults and closure."""
        cells = tuple(CellType() for _ in function.__closure__ or ())
        made = FunctionType(
            function.__code__, self._scope(function.__globals__), function.__name__, None, cells
        )
        self._made[id(function)] = (function, made)  # before the closure, where it may be itself
        made.__defaults__ = function.__defaults__ and tuple(
            map(self.convert, function.__defaults__)
        )
        made.__kwdefaults__ = function.__kwdefaults__ and {
            name: self.convert(one) for name, one in function.__kwdefaults__.items()
        }
        pairs = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for cell, (name, old) in zip(cells, pairs, strict=True):
            with contextlib.suppress(ValueError):  # of one that is empty
                value = old.cell_contents
                cell.cell_contents = value if name == "__class__" else self.convert(value)
        return made

    def _scope(self, names: dict[str, Any]) -> Scope:
        if isinstance(names, Scope):
            return names
        if id(names) not in self._scopes:
            self._scopes[id(names)] = Scope(names, self.convert, self._builtins)
        return self._scopes[id(names)]

    def _object(self, value: Any) -> Any:
        """Get an object with the same attributes whose methods are converted."""
        kind = type(value)
        if not _is_plain(kind):
            return value
        try:
            made: Any = object.__new__(self._class(kind))
            self._made[id(value)] = (value, made)  # before its attributes, which may refer to it
            for name, one in _attributes(value).items():
                object.__setattr__(made, name, self.convert(one))
        except Exception:  # a class that is made in C, or is particular about its subclasses
            return value
        return made

    def _class(self, kind: type) -> type:
        """Derive a class whose methods are converted, and those that ``super()`` finds."""
        if kind in self._classes:
            return self._classes[kind]
        bases = [self._class(base) for base in kind.__bases__ if base not in (object, ABC)]
        made = type(kind.__name__, (kind, *bases), {"__slots__": ()})
        self._classes[kind] = made
        for name, one in vars(kind).items():
            if type(one) in _MEMBERS and name != "__new__":
                setattr(made, name, self._member(one))
        return made

    def _member(self, value: Any) -> Any:
        """Convert what a class defines."""
        if type(value) is FunctionType:
            return self.convert(value)
        if type(value) is property:
            return property(self.convert(value.fget), value.fset, value.fdel)
        return type(value)(self.convert(value.__func__))

    def _import(self, name: str, *args: Any) -> Any:
        """Import a module within a function."""
        return self.convert(builtins.__import__(name, *args))

    def _array(self, defaults: dict[str, Any], value: Any, dtype: Any = None, **how: Any) -> Any:
        """Make an array of traced numbers, or of what ``numpy.array`` takes."""
        trace, how = self._trace, {**defaults, **how}
        if not traced_in(value):
            how["copy"] = how.get("copy") or None
            return Call(np.array, trace)(value, dtype, **how)
        made: Any = value if type(value) is Traced else trace.lift(value)
        if dtype is not None and np.dtype(dtype) != made.dtype:
            made = made.astype(dtype)
        elif how.get("copy") and made is value:
            made = made.copy("K")
        made = made.like(lambda array: np.asarray(array, order=how.get("order")))
        return made.reshape((1,) * max(0, how.get("ndmin", 0) - made.ndim) + made.shape)

    def _math(self, name: str, plain: Callable[..., Any], *args: Any) -> Any:
        """Apply a function of ``math``."""
        if not traced_in([*args]):
            return plain(*args)
        ufunc = getattr(np, name, None)
        if isinstance(ufunc, np.ufunc) and len(args) == ufunc.nin:
            made = ufunc(*args)
            return made.astype(int) if name in ("floor", "ceil", "trunc") else made
        value = np.asarray(plain(*example(args)))
        operands = [self._trace.lift(one) for one in args]
        if any(one.ndim for one in operands) or value.ndim:
            return self._trace.mixed(operands, value)
        steps = name in STEPS or value.dtype.kind in "bui"
        kind: Kind = "step" if steps else "nonlinear"
        return united(self._trace, kind, operands, value)


def _attributes(value: Any) -> dict[str, Any]:
    """List the attributes of an object, in its dict and in slots."""
    kind = type(value)
    found = dict(vars(value)) if kind.__dictoffset__ else {}
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if isinstance(vars(base).get(name), MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # one that was not assigned
                    found[name] = object.__getattribute__(value, name)
    return found


def _is_opaque(module: str | None) -> bool:
    return (module or "").partition(".")[0] in OPAQUE


def _is_plain(kind: type) -> bool:
    """Tell whether a class and its bases are Python code of the user's, and simply classes."""
    return type(kind) in (type, ABCMeta) and all(
        base is ABC or (_is_own(base) and "__init_subclass__" not in vars(base))
        for base in kind.__mro__[:-1]
    )


def _is_own(kind: type) -> bool:
    name = kind.__module__
    if _is_opaque(name) or name.startswith("difint.dependence."):
        return False
    path = str(getattr(sys.modules.get(name), "__file__", ""))
    packaged = "site-packages" in path and not name.startswith("numpy.lib")
    return not packaged and (path.endswith(".py") or name == "__main__")
