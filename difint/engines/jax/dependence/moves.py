"""Rules on index sets for JAX primitives that move entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from difint.dependence.arrays import (
    Dependent,
    as_steps,
    chosen,
    elementwise,
    moved,
    spread,
)
from difint.dependence.sets import UNKNOWN
from difint.engines.jax.dependence.values import inexact

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter


def _reshape(params: Any, a: Any) -> Any:
    order = params["dimensions"]
    return (a if order is None else a.transpose(order)).reshape(params["new_sizes"])


def _squeeze(params: Any, a: Any) -> Any:
    return a.squeeze(tuple(params["dimensions"]))


def _transpose(params: Any, a: Any) -> Any:
    return a.transpose(params["permutation"])


def _rev(params: Any, a: Any) -> Any:
    return np.flip(a, params["dimensions"])


def _slice(params: Any, a: Any) -> Any:
    start, stop = params["start_indices"], params["limit_indices"]
    steps = params["strides"] or (1,) * len(start)
    return a[tuple(map(slice, start, stop, steps))]


def _broadcast(params: Any, a: Any) -> Any:
    shape, places = params["shape"], params["broadcast_dimensions"]
    own = [1] * len(shape)
    for axis, place in enumerate(places):
        own[place] = a.shape[axis]
    # They may come in any order, though jax.numpy never asks for another than this one.
    return np.broadcast_to(a.transpose(np.argsort(places)).reshape(own), shape)


def _concatenate(params: Any, *arrays: Any) -> Any:
    return np.concatenate(arrays, params["dimension"])


def _pad(params: Any, a: Any, filler: Any) -> Any:
    config = params["padding_config"]
    opened = [n + max(n - 1, 0) * inner for n, (_, _, inner) in zip(a.shape, config, strict=True)]
    spread_out = np.full(opened, filler, a.dtype)
    spread_out[tuple(slice(None, None, inner + 1) for *_, inner in config)] = a
    cut = tuple(
        slice(max(-low, 0), n - max(-high, 0))
        for n, (low, high, _) in zip(opened, config, strict=True)
    )
    edges = [(max(low, 0), max(high, 0)) for low, high, _ in config]
    return np.pad(spread_out[cut], edges, constant_values=filler)


def _tile(params: Any, a: Any) -> Any:
    return np.tile(a, params["reps"])


def _stack(params: Any, *arrays: Any) -> Any:
    return np.stack(arrays, params["axis"])


_MOVES: dict[str, Callable[..., Any]] = {
    "reshape": _reshape,
    "squeeze": _squeeze,
    "transpose": _transpose,
    "rev": _rev,
    "slice": _slice,
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "pad": _pad,
    "tile": _tile,
    "stack": _stack,
}


def _move(
    function: Callable[..., Any],
    interpreter: Interpreter,
    equation: Any,
    operands: list[Dependent],
) -> Dependent:
    return moved(interpreter.sets, partial(function, equation.params), *operands)


def _same(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    return operands


def _split(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    axis, stops = equation.params["axis"], np.cumsum(equation.params["sizes"]).tolist()
    made = []
    for start, stop in zip([0, *stops], stops, strict=False):
        span = (slice(None),) * axis + (slice(start, stop),)
        made.append(moved(interpreter.sets, lambda a, span=span: a[span], operands[0]))
    return made


def _unstack(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    axis = equation.params["axis"]
    return [
        moved(interpreter.sets, lambda a, i=i: np.take(a, i, axis), operands[0])
        for i in range(operands[0].shape[axis])
    ]


def _select(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    which, *cases = operands
    return select(interpreter, which, cases)


def select(interpreter: Interpreter, which: Dependent, cases: list[Dependent]) -> Dependent:
    """Take entries from one of several arrays; from any of them where it is not known which."""
    sets = interpreter.sets
    if which.value is not None and (which.nodes is None or sets.local):
        if which.value.size == 1:
            return cases[int(which.value.reshape(-1)[0])]
        index = np.broadcast_to(which.value.astype(np.intp), cases[0].shape)
        return chosen(sets, index, cases)
    joined = any_of(interpreter, cases)
    if which.value is None or which.nodes is None or not (which.nodes == 0).any():
        interpreter.guesses += 1
        return joined
    # Known in part: there the case is.
    index = np.broadcast_to(which.value.astype(np.intp), joined.shape)
    open_ = np.broadcast_to(which.nodes != 0, joined.shape)
    interpreter.guesses += 1
    return chosen(sets, np.where(open_, len(cases), index), [*cases, joined])


def any_of(interpreter: Interpreter, cases: Sequence[Dependent]) -> Dependent:
    """Unite arrays of which one is the result; what is known and the same in all stays known."""
    first = cases[0]
    if all(one.nodes is None and _equal(one.value, first.value) for one in cases):
        return first
    united = elementwise(interpreter.sets, "linear", cases, None)
    values = [one.value for one in cases]
    if any(value is None for value in values):
        return united
    same = np.ones(united.shape, bool)
    for one in cases:
        same &= np.asarray(one.value == first.value) & (one.full == 0)
    value = None if interpreter.sets.local and not same.all() else first.value
    return Dependent(np.where(same, 0, united.full).astype(np.int32), united.bends, value)


def _equal(a: Any, b: Any) -> bool:
    return a is b or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _dynamic_slice(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    a, *starts = operands
    sizes, sets = equation.params["slice_sizes"], interpreter.sets
    places, open_axes = _starts(interpreter, starts, a.shape, sizes)
    if open_axes:
        a = spread(sets, "linear", a, open_axes)
    span = tuple(slice(start, start + size) for start, size in zip(places, sizes, strict=True))
    return moved(sets, lambda array: array[span], a)


def _starts(
    interpreter: Interpreter, starts: Sequence[Dependent], shape: Any, sizes: Any
) -> tuple[list[int], list[int]]:
    """Get where a window begins, and along which axes that is not known."""
    places, open_axes = [], []
    for axis, (start, whole, size) in enumerate(zip(starts, shape, sizes, strict=True)):
        value = interpreter.known(start) if whole != size else 0
        if value is None:
            open_axes.append(axis)
        places.append(0 if value is None else int(np.clip(value, 0, whole - size)))
    return places, open_axes


def _dynamic_update_slice(
    interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> Dependent:
    a, update, *starts = operands
    sets = interpreter.sets
    places, open_axes = _starts(interpreter, starts, a.shape, update.shape)
    ends = (place + size for place, size in zip(places, update.shape, strict=True))
    span: tuple[slice, ...] = tuple(map(slice, places, ends))

    def written(array: Any, part: Any) -> Any:
        made = array.copy()
        made[span] = part
        return made

    if not open_axes:
        return moved(sets, written, a, update)
    if not update.shape or 0 in update.shape:
        return a
    wide = spread(sets, "linear", Dependent(update.full, update.bends), open_axes)
    anywhere = tuple(slice(None) if i in open_axes else s for i, s in enumerate(span))
    one = tuple(slice(0, 1) if i in open_axes else slice(None) for i in range(len(span)))

    def somewhere(array: Any, part: Any) -> Any:
        made = np.zeros_like(array)
        made[anywhere] = part[one]
        return made

    other = moved(sets, somewhere, Dependent(np.zeros(a.shape, np.int32)), wide)
    touched = np.zeros(a.shape, bool)
    touched[anywhere] = True
    united = elementwise(sets, "linear", [a, other], None)
    nodes = np.where(touched, np.maximum(united.full, UNKNOWN), a.full).astype(np.int32)
    return Dependent(nodes, united.bends, None if sets.local else a.value)


def _sort(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    axis, count = equation.params["dimension"], equation.params["num_keys"]
    sets = interpreter.sets
    keys = [interpreter.known(one) for one in operands[:count]]
    if any(key is None for key in keys):
        # Which entry stands where has no derivative.
        plain = [Dependent(one.full, one.bends) for one in operands]
        wide = [spread(sets, "linear", one, [axis]) for one in plain]
        avals = [atom.aval for atom in equation.outvars]
        pairs = zip(wide, avals, strict=True)
        return [one if inexact(aval) else as_steps(one) for one, aval in pairs]
    order = np.lexsort([np.moveaxis(key, axis, -1) for key in reversed(keys)], axis=-1)
    order = np.moveaxis(order, -1, axis)
    return [moved(sets, lambda a: np.take_along_axis(a, order, axis), one) for one in operands]


RULES: dict[str, Callable[..., Any]] = {
    **{name: partial(_move, function) for name, function in _MOVES.items()},
    **dict.fromkeys(("optimization_barrier", "device_put", "sharding_constraint", "name"), _same),
    "split": _split,
    "unstack": _unstack,
    "select_n": _select,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "sort": _sort,
}
