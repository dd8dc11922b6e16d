"""Rules on index sets for JAX primitives that move entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax.lax import GatherDimensionNumbers, GatherScatterMode

from difint.dependence.arrays import (
    Dependent,
    as_steps,
    chosen,
    elementwise,
    mixed,
    moved,
    spread,
    unknown,
)
from difint.dependence.sets import UNKNOWN
from difint.engines.jax.dependence_values import inexact

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


class _Windows(NamedTuple):
    """Where the windows of a gather or scatter lie.

    Attributes:
        places: for each entry of the result of a gather, or of the updates of a scatter, its place
            in the raveled operand; -1 outside.
        axes: the axes along which the places are not known.
    """

    places: Any
    axes: tuple[int, ...]


def _windows(
    interpreter: Interpreter,
    params: Any,
    shape: tuple[int, ...],
    indices: Dependent,
    sizes: tuple[int, ...],
    offsets: Sequence[int],
    collapsed: Sequence[int],
    index_map: Sequence[int],
    rank: int,
) -> _Windows:
    """Find where the windows of an array of this shape are that ``indices`` tell."""
    numbers = params["dimension_numbers"]
    batching = numbers.operand_batching_dims
    value = interpreter.known(indices) if index_map else np.zeros(indices.shape, np.int64)
    axes = () if value is not None else tuple(index_map)
    starts = np.zeros(indices.shape, np.int64) if value is None else value.astype(np.int64)
    inside = np.ones(starts.shape[:-1], bool)
    clipped = params["mode"] in (GatherScatterMode.CLIP, GatherScatterMode.PROMISE_IN_BOUNDS)
    for k, axis in enumerate(index_map):
        last = shape[axis] - sizes[axis]
        inside &= (starts[..., k] >= 0) & (starts[..., k] <= last)
        starts[..., k] = np.clip(starts[..., k], 0, max(last, 0))
    batch = [axis for axis in range(rank) if axis not in offsets]
    window = [axis for axis in range(len(shape)) if axis not in (*collapsed, *batching)]
    total = np.zeros((1,) * rank, np.int64)
    strides = np.cumprod([1, *shape[:0:-1]])[::-1] if shape else np.ones(0, np.int64)
    for axis, place in zip(window, offsets, strict=True):
        total = total + _placed(np.arange(sizes[axis]) * strides[axis], [place], rank)
    for k, axis in enumerate(index_map):
        total = total + _placed(starts[..., k] * strides[axis], batch, rank)
    pairs = zip(batching, _index_batches(numbers), strict=True)
    for axis, place in pairs:
        along = np.arange(shape[axis]) * strides[axis]
        total = total + _placed(along, [batch[place]], rank)
    if not clipped and axes == ():
        total = np.where(_placed(inside, batch, rank), total, -1)
    return _Windows(total, axes)


def _index_batches(numbers: Any) -> Sequence[int]:
    found: Sequence[int]
    if isinstance(numbers, GatherDimensionNumbers):
        found = numbers.start_indices_batching_dims
    else:
        found = numbers.scatter_indices_batching_dims
    return found


def _placed(array: Any, axes: Sequence[int], rank: int) -> Any:
    shape = [1] * rank
    for axis, size in zip(axes, array.shape, strict=True):
        shape[axis] = size
    return array.reshape(shape)


def _gather(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    a, indices = operands
    params, sets = equation.params, interpreter.sets
    numbers, out = params["dimension_numbers"], equation.outvars[0].aval.shape
    windows = _windows(
        *(interpreter, params, a.shape, indices, params["slice_sizes"], numbers.offset_dims),
        *(numbers.collapsed_slice_dims, numbers.start_index_map, len(out)),
    )
    places = np.broadcast_to(windows.places, out)
    if a.nodes is None and not windows.axes and indices.nodes is None:
        return _taken(sets, a, places)
    if windows.axes:
        a = spread(sets, "linear", a, windows.axes)
    return _taken(sets, a, places)


def _taken(sets: Any, a: Dependent, places: Any) -> Dependent:
    """Take entries; those outside are constants that are not worth knowing."""
    outside = places < 0
    if not a.shape or np.prod(a.shape) == 0:
        return unknown(places.shape)
    taken = moved(sets, lambda array: array.reshape(-1)[places], a)
    if not outside.any():
        return taken
    nodes = np.where(outside, UNKNOWN, taken.full).astype(np.int32)
    bends = None if taken.bends is None else np.where(outside, 0, taken.bends).astype(np.int32)
    return Dependent(nodes, bends, None if sets.local else taken.value)


def _scatter(
    how: str, interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> Dependent:
    a, indices, updates = operands
    params, sets = equation.params, interpreter.sets
    numbers = params["dimension_numbers"]
    inserted, batching = numbers.inserted_window_dims, numbers.operand_batching_dims
    window = iter(numbers.update_window_dims)
    sizes = tuple(
        1 if axis in (*inserted, *batching) else updates.shape[next(window)]
        for axis in range(len(a.shape))
    )
    windows = _windows(
        *(interpreter, params, a.shape, indices, sizes, numbers.update_window_dims),
        *(inserted, numbers.scatter_dims_to_operand_dims, len(updates.shape)),
    )
    if windows.axes:
        return _scattered_anywhere(interpreter, how, a, updates)
    places = np.broadcast_to(windows.places, updates.shape).reshape(-1)
    inside = places >= 0
    once = bool(inside.all()) and np.unique(places).size == places.size
    if all(one.nodes is None for one in (a, updates)):
        return _computed(how, a, updates, places)
    if how == "set" and once:
        return moved(sets, lambda array, part: _put(array, places, part), a, updates)
    return _accumulated(interpreter, how, a, updates, places)


_UPDATES = {"add": np.add, "sub": np.subtract, "multiply": np.multiply}
_UPDATES |= {"min": np.minimum, "max": np.maximum}


def _computed(how: str, a: Dependent, updates: Dependent, places: Any) -> Dependent:
    """Scatter what is known."""
    made, inside = a.value.flatten(), places >= 0
    part = updates.value.reshape(-1)[inside]
    if how == "set":
        made[places[inside]] = part
    else:
        _UPDATES[how].at(made, places[inside], part)
    return Dependent(None, None, made.reshape(a.shape))


def _put(array: Any, places: Any, part: Any) -> Any:
    made = array.flatten()
    made[places] = part.reshape(-1)
    return made.reshape(array.shape)


def _accumulated(
    interpreter: Interpreter, how: str, a: Dependent, updates: Dependent, places: Any
) -> Dependent:
    """Unite what is scattered to one place, and what was there if that has a part in it."""
    sets = interpreter.sets
    inside = np.flatnonzero(places >= 0)
    order = inside[np.argsort(places[inside], kind="stable")]
    counts = np.bincount(places[inside], minlength=int(np.prod(a.shape, dtype=int)))
    starts = np.concatenate([[0], np.cumsum(counts)])
    met = (counts > 0).reshape(a.shape)

    def gathered(array: Any) -> Any:
        return sets.unite_runs(starts, array.reshape(-1)[order]).reshape(a.shape)

    nodes = gathered(updates.full)
    bends = None if updates.bends is None else gathered(updates.bends)
    if how == "multiply" and sets.curved:
        bends = _paired(sets, nodes, bends)
    other = Dependent(np.where(met, np.maximum(nodes, UNKNOWN), 0).astype(np.int32), bends)
    if how == "set":
        kept = chosen(sets, met.astype(np.intp), [a, other])
        return kept
    kind = "product" if how == "multiply" else "linear"
    united = elementwise(sets, kind, [a, other], None)  # type: ignore[arg-type]
    made = chosen(sets, met.astype(np.intp), [a, united])
    if sets.local and a.value is not None and updates.value is not None:
        value = _computed(how, a, updates, places).value
        return Dependent(made.nodes, made.bends, value)
    return made


def _paired(sets: Any, nodes: Any, bends: Any) -> Any:
    pairs = sets.pair(nodes, nodes)
    return pairs if bends is None else sets.unite(bends, pairs)


def _scattered_anywhere(
    interpreter: Interpreter, how: str, a: Dependent, updates: Dependent
) -> Dependent:
    whole = mixed(interpreter.sets, [updates], a.shape, linear=how != "multiply")
    kind = "product" if how == "multiply" else "linear"
    united = elementwise(interpreter.sets, kind, [a, whole], None)  # type: ignore[arg-type]
    return Dependent(np.maximum(united.full, UNKNOWN), united.bends)


def _sort(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    axis, count = equation.params["dimension"], equation.params["num_keys"]
    sets = interpreter.sets
    keys = [interpreter.known(one) for one in operands[:count]]
    if any(key is None for key in keys):
        wide = [spread(sets, "linear", _joined(sets, operands, one), [axis]) for one in operands]
        avals = [atom.aval for atom in equation.outvars]
        pairs = zip(wide, avals, strict=True)
        return [one if inexact(aval) else as_steps(one) for one, aval in pairs]
    order = np.lexsort([np.moveaxis(key, axis, -1) for key in reversed(keys)], axis=-1)
    order = np.moveaxis(order, -1, axis)
    return [moved(sets, lambda a: np.take_along_axis(a, order, axis), one) for one in operands]


def _joined(sets: Any, operands: Sequence[Dependent], one: Dependent) -> Dependent:
    """Take an operand of a sort: which entry stands where has no derivative."""
    return Dependent(one.full, one.bends)


RULES: dict[str, Callable[..., Any]] = {
    **{name: partial(_move, function) for name, function in _MOVES.items()},
    **dict.fromkeys(("optimization_barrier", "device_put", "sharding_constraint", "name"), _same),
    "split": _split,
    "unstack": _unstack,
    "select_n": _select,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "gather": _gather,
    "scatter": partial(_scatter, "set"),
    "scatter-add": partial(_scatter, "add"),
    "scatter_add": partial(_scatter, "add"),
    "scatter-sub": partial(_scatter, "sub"),
    "scatter_mul": partial(_scatter, "multiply"),
    "scatter-mul": partial(_scatter, "multiply"),
    "scatter_min": partial(_scatter, "min"),
    "scatter-min": partial(_scatter, "min"),
    "scatter_max": partial(_scatter, "max"),
    "scatter-max": partial(_scatter, "max"),
    "sort": _sort,
}
