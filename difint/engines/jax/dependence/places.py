"""Rules on index sets for JAX primitives that read and write at places: gather and scatter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax.lax import GatherDimensionNumbers, GatherScatterMode

from difint.dependence.arrays import (
    Dependent,
    Kind,
    chosen,
    elementwise,
    mixed,
    moved,
    spread,
    unknown,
)
from difint.dependence.sets import UNKNOWN

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter


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
    kind: Kind = "product" if how == "multiply" else "linear"
    united = elementwise(sets, kind, [a, other], None)
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
    kind: Kind = "product" if how == "multiply" else "linear"
    united = elementwise(interpreter.sets, kind, [a, whole], None)
    return Dependent(np.maximum(united.full, UNKNOWN), united.bends)


_SCATTERS = {"add": "add", "sub": "sub", "mul": "multiply", "min": "min", "max": "max"}
"""What a scatter does where something is already, by the end of the primitive's name."""

RULES: dict[str, Callable[..., Any]] = {
    "gather": _gather,
    "scatter": partial(_scatter, "set"),
    **{f"scatter-{name}": partial(_scatter, how) for name, how in _SCATTERS.items()},
    **{f"scatter_{name}": partial(_scatter, how) for name, how in _SCATTERS.items()},
}
