"""What NumPy's universal functions do along axes of traced arrays, and one by one."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Final

import numpy as np

from difint.dependence.arrays import Dependent, Kind, accumulated, as_steps, reduced
from difint.dependence.host.traced import Escape, Trace, Traced, example, traced_in
from difint.dependence.host.ufuncs import called, delivered, kind_of, united
from difint.dependence.sets import KNOWN, UNKNOWN


def apply_ufunc(
    trace: Trace, ufunc: Any, method: str, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Call a universal function, or one of its methods."""
    return _METHODS[method](trace, ufunc, *inputs, **options)


def _normal(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(one % ndim for one in axes) if ndim else ()


def plain(value: Any) -> Any:
    """Get the values of an array if they are known."""
    return value.value if type(value) is Traced and value.readable else value


def reduce_to(
    trace: Trace, kind: Kind, a: Traced, axis: Any, value: Any, where: Any = True
) -> Traced:
    """Unite along axes, or along all; of the example's result only the shape matters."""
    value, part = np.asarray(value), a.dependent
    if where is not True and not traced_in(where):
        mask = np.broadcast_to(where, a.shape)
        nodes = np.where(mask, a.nodes, KNOWN)
        bends = None if part.bends is None else np.where(mask, part.bends, KNOWN)
        part = Dependent(nodes if nodes.any() else None, bends, a.value)
    if part.nodes is not None:
        part = reduced(trace.sets, kind, part, _normal(axis, a.ndim), None)
        # What is united is in the order of the axes that are left, of length 1 where kept.
        bends = None if part.bends is None else _fitted(part.bends, value.shape)
        part = Dependent(_fitted(part.nodes, value.shape), bends)
    return trace.of(part, value)


def _fitted(array: Any, shape: tuple[int, ...]) -> Any:
    """Give a result its kept axes, and repeat it along leading ones that it lacks."""
    lead = 0
    while prod(shape[lead:]) > array.size:
        lead += 1
    return np.broadcast_to(array.reshape(shape[lead:]), shape)


def _whole(name: str, value: Any) -> Kind:
    """Tell what a reduction does."""
    kind = kind_of(name, value)
    return "nonlinear" if kind == "quotient" else kind


def _reduce(
    trace: Trace,
    ufunc: Any,
    a: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = np._NoValue,
    where: Any = True,
) -> Any:
    a, where = trace.lift(a), plain(where)
    how = {"axis": axis, "dtype": dtype, "keepdims": keepdims, "where": example(where)}
    if initial is not np._NoValue:
        how["initial"] = example(initial)
    value = np.asarray(ufunc.reduce(a.value, **how))
    made = reduce_to(trace, _whole(ufunc.__name__, value), a, axis, value, where)
    if traced_in(where):
        np.maximum(made.nodes, UNKNOWN, out=made.nodes)
    for one in traced_in(initial):
        made = united(trace, _whole(ufunc.__name__, value), [made, one], value)
    target = out[0] if isinstance(out, tuple) else out
    return made if target is None else delivered(trace, made, target, True)


def _accumulate(
    trace: Trace, ufunc: Any, a: Any, axis: int = 0, dtype: Any = None, out: Any = None
) -> Any:
    a = trace.lift(a)
    value = ufunc.accumulate(a.value, axis, dtype)
    made = accumulate_to(trace, _whole(ufunc.__name__, value), a, axis, value)
    return made if out is None else delivered(trace, made, out[0], True)


def accumulate_to(trace: Trace, kind: Kind, a: Traced, axis: int, value: Any) -> Traced:
    """Unite what stands before each entry along an axis."""
    made = accumulated(trace.sets, kind, a.dependent, axis, lambda: value)
    if kind == "step" and made.nodes is not None:
        made = as_steps(made)
    return trace.of(made, value)


def _outer(trace: Trace, ufunc: Any, a: Any, b: Any, **options: Any) -> Any:
    a, b = trace.lift(a), trace.lift(b)
    wide = a.like(lambda array: array.reshape(*array.shape, *(1,) * b.ndim))
    return called(trace, ufunc, wide, b, **options)


def _at(trace: Trace, ufunc: Any, a: Any, index: Any, *values: Any) -> None:
    """Apply in place, once for each time that an entry is named."""
    if type(a) is not Traced:
        raise trace.fail(Escape)
    index = trace.read(index)
    places = np.arange(a.size).reshape(a.shape)[index]
    others = [trace.lift(one) for one in values]
    result = a.value.copy()
    ufunc.at(result, index, *(one.value for one in others))
    kind = _whole(ufunc.__name__, result)
    for name in ("nodes", "bends") if trace.sets.curved else ("nodes",):
        array = getattr(a, name)
        given = [np.broadcast_to(getattr(one, name), places.shape).ravel() for one in others]
        array[...] = _gathered(trace, array, places.ravel(), given).reshape(a.shape)
    if kind == "step":
        np.minimum(a.nodes, UNKNOWN, out=a.nodes)
    elif trace.sets.curved and kind != "linear":
        hit = np.isin(np.arange(a.size), places).reshape(a.shape)
        bent = trace.sets.pair(np.where(hit, a.nodes, KNOWN), np.where(hit, a.nodes, KNOWN))
        a.bends[...] = trace.sets.unite(a.bends, bent)
    a.value[...] = result


def _gathered(trace: Trace, array: Any, places: Any, given: list[Any]) -> Any:
    """Unite each entry of an array with what comes to its place."""
    where = np.concatenate([np.arange(array.size), *(places for _ in given)])
    members = np.concatenate([array.ravel(), *given])[np.argsort(where, kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(where, minlength=array.size))])
    return trace.sets.unite_runs(starts, members)


def _reduceat(
    trace: Trace,
    ufunc: Any,
    a: Any,
    indices: Any,
    axis: int = 0,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    a, indices = trace.lift(a), trace.read(indices)
    moved = a.like(lambda array: np.moveaxis(array, axis, 0))
    stops = [*indices[1:], len(moved)]
    spans = [(i, max(j, i + 1)) for i, j in zip(indices, stops, strict=True)]
    parts = [ufunc.reduce(moved[i:j], axis=0, dtype=dtype) for i, j in spans]
    made = np.stack([trace.lift(one) for one in parts], axis)
    return made if out is None else delivered(trace, trace.lift(made), out[0], True)


_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "__call__": called,
    "reduce": _reduce,
    "accumulate": _accumulate,
    "outer": _outer,
    "at": _at,
    "reduceat": _reduceat,
}
