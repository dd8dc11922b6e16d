"""The methods and attributes of traced arrays that are not operators."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from difint.dependence.arrays import as_steps
from difint.dependence.host.traced import Traced
from difint.dependence.sets import KNOWN

SHARED: Final = frozenset(
    "all any argmax argmin argsort argpartition clip cumprod cumsum diagonal dot max mean min "
    "nonzero prod put ravel repeat round searchsorted squeeze std sum swapaxes take trace "
    "var".split()
)
"""Methods that are the function of the same name."""

TOLD: Final = frozenset("itemsize nbytes strides flags device".split())
"""Attributes that the example's values have."""


def attribute(a: Traced, name: str) -> Any:
    """Get an attribute or a bound method."""
    if name in SHARED:
        return partial(_shared, a, getattr(np, name))
    if name in _METHODS:
        return partial(_METHODS[name], a)
    if name in _PROPERTIES:
        return _PROPERTIES[name](a)
    if name in TOLD:
        return getattr(a.value, name)
    raise AttributeError(f"a traced array has no attribute {name!r}")


def _shared(a: Traced, function: Any, *args: Any, **options: Any) -> Any:
    return a.trace.on_function(a.trace, function, (a, *args), options)


def _reshape(a: Traced, *shape: Any, **options: Any) -> Traced:
    plain = a.trace.read(shape[0] if len(shape) == 1 else shape)
    return a.like(lambda array: array.reshape(plain, **options))


def _transpose(a: Traced, *axes: Any) -> Traced:
    return a.like(lambda array: array.transpose(*axes))


def _copy(a: Traced, order: Any = "C") -> Traced:
    made = a.like(lambda array: array.copy(order))
    return Traced(a.trace, made.nodes, made.bends, made.value, type(a.origin)(a.origin.constant))


def _flatten(a: Traced, order: Any = "C") -> Traced:
    return _copy(a.like(lambda array: array.flatten(order)))


def _astype(a: Traced, dtype: Any, *args: Any, copy: bool = True, **options: Any) -> Traced:
    dtype = np.dtype(dtype)
    if dtype == a.dtype:
        return _copy(a) if copy else a
    value = a.value.astype(dtype)
    steps = dtype.kind in "bui" and a.dtype.kind not in "bui"
    made = a.trace.of(as_steps(a.dependent) if steps else a.dependent, value)
    made.origin.constant = a.origin.constant
    return made


def _fill(a: Traced, value: Any) -> None:
    a[...] = value


def _item(a: Traced, *index: Any) -> Any:
    if len(index) == 1 and a.ndim != 1:
        return a.ravel()[index[0]]
    return a[index] if index else a.reshape(1)[0]


def _tolist(a: Traced) -> Any:
    return [one.tolist() if one.ndim else one for one in a] if a.ndim else a[()]


def _sort(a: Traced, axis: int = -1, **options: Any) -> None:
    a[...] = np.sort(a, axis, **options)


def _partition(a: Traced, kth: Any, axis: int = -1, **options: Any) -> None:
    a[...] = np.partition(a, kth, axis, **options)


def _view(a: Traced, *args: Any) -> Traced:
    if args and args[0] is not np.ndarray and np.dtype(args[0]) != a.dtype:
        raise AttributeError("a traced array has no view of another type")
    return a.like(lambda array: array.view())


def _conjugate(a: Traced) -> Any:
    return a.trace.on_ufunc(a.trace, np.conjugate, "__call__", (a,), {})


def _choose(a: Traced, choices: Any, **options: Any) -> Any:
    return _shared(a, np.choose, choices, **options)


def _compress(a: Traced, condition: Any, *args: Any, **options: Any) -> Any:
    return a.trace.on_function(a.trace, np.compress, (condition, a, *args), options)


def _real(a: Traced) -> Traced:
    return a if a.dtype.kind != "c" else _part(a, a.value.real)


def _imag(a: Traced) -> Traced:
    if a.dtype.kind != "c":
        return a.trace.filled(np.zeros_like(a.value), KNOWN)
    return _part(a, a.value.imag)


def _part(a: Traced, value: Any) -> Traced:
    """Get a part of complex numbers, which cannot be assigned to: it shares their sets."""
    made = a.trace.of(a.dependent, value.copy("K"))
    made.value.flags.writeable = False
    return made


_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "copy": _copy,
    "flatten": _flatten,
    "astype": _astype,
    "fill": _fill,
    "item": _item,
    "tolist": _tolist,
    "sort": _sort,
    "partition": _partition,
    "view": _view,
    "conj": _conjugate,
    "conjugate": _conjugate,
    "choose": _choose,
    "compress": _compress,
}

_PROPERTIES: Final[dict[str, Callable[[Traced], Any]]] = {
    "T": _transpose,
    "mT": lambda a: a.like(lambda array: array.swapaxes(-1, -2)),
    "flat": lambda a: a.reshape(-1),
    "real": _real,
    "imag": _imag,
}
