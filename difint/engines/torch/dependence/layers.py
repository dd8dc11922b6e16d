"""Layers of networks: convolutions, pools, normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from difint.dependence.arrays import Dependent, Kind, elementwise, reduced
from difint.dependence.convolution import Windows, convolved, gathered, places_in
from difint.dependence.sets import UNKNOWN
from difint.engines.torch.dependence.calls import Call, Rule
from difint.engines.torch.dependence.reductions import kept, shaped, shaped_with


def _repeated(values: Any, rank: int) -> list[int]:
    """Write a number for each axis."""
    listed = [values] if isinstance(values, int) else list(values)
    return listed * rank if len(listed) == 1 else listed


def _convolve(call: Call) -> Dependent:
    image, weight = call.operand("input"), call.operand("weight")
    rank, groups = len(weight.shape) - 2, call.get("groups")
    names = ("stride", "padding", "dilation", "output_padding")
    strides, padding, dilation, behind = (_repeated(call.get(name), rank) for name in names)
    batch = image if len(image.shape) == rank + 2 else shaped_with(image, (1, *image.shape))
    if call.get("transposed"):
        weight = _turned(weight, groups)
        spans = [d * (n - 1) for d, n in zip(dilation, weight.shape[2:], strict=True)]
        sides = [(s - p, s - p + b) for s, p, b in zip(spans, padding, behind, strict=True)]
        windows = Windows([1] * rank, sides, strides, dilation)
    else:
        windows = Windows(strides, [(p, p) for p in padding], [1] * rank, dilation)
    made = shaped(convolved(call.sets, batch, weight, windows, groups), call.shape)
    bias = call.held("bias")
    if bias is None:
        return made
    added = shaped(bias, (*bias.shape, *(1,) * rank))
    return elementwise(call.sets, "linear", [made, added], None)


def _turned(weight: Dependent, groups: int) -> Dependent:
    """Write the weights of a transposed convolution as those of the convolution that it is."""

    def turn(array: Any) -> Any:
        if array is None:
            return None
        channels, features, *window = array.shape
        parts = array.reshape(groups, channels // groups, features, *window).swapaxes(1, 2)
        whole = parts.reshape(groups * features, channels // groups, *window)
        return np.flip(whole, tuple(range(2, whole.ndim)))

    return Dependent(turn(weight.nodes), turn(weight.bends), turn(weight.value))


def _pool(call: Call) -> list[Dependent]:
    """Reduce windows of one size."""
    operand = call.operand("self")
    window = _repeated(call.get("kernel_size"), _rank(call))
    rank = len(window)
    strides = _repeated(call.get("stride") or window, rank)
    padding, dilation = (_repeated(call.get(name, 1), rank) for name in ("padding", "dilation"))
    counts = call.shape[len(call.shape) - rank :]
    starts = [np.arange(n) * s - p for n, s, p in zip(counts, strides, padding, strict=True)]
    sizes = operand.shape[len(operand.shape) - rank :]
    along = []
    for start, wide, apart, size in zip(starts, window, dilation, sizes, strict=True):
        place = start[:, None] + np.arange(wide) * apart
        along.append(np.where((place >= 0) & (place < size), place, -1))
    return _over(call, operand, along)


def _rank(call: Call) -> int:
    digits = [int(one) for one in call.name if one.isdigit()]
    return digits[0]


def _pool_to_size(call: Call) -> list[Dependent]:
    """Reduce windows that make a result of a size: their sizes differ."""
    operand, rank = call.operand("self"), _rank(call)
    counts = call.shape[len(call.shape) - rank :]
    along = []
    for count, size in zip(counts, operand.shape[len(operand.shape) - rank :], strict=True):
        i = np.arange(count)
        start, stop = i * size // max(count, 1), -((i + 1) * size // -max(count, 1))
        place = start[:, None] + np.arange((stop - start).max(initial=0))
        along.append(np.where(place < stop[:, None], place, -1))
    return _over(call, operand, along)


def _over(call: Call, operand: Dependent, along: Sequence[Any]) -> list[Dependent]:
    """Reduce the windows whose entries stand at these places of the last axes."""
    rank = len(along)
    lead, sizes = operand.shape[: len(operand.shape) - rank], operand.shape[-rank:]
    index, _ = places_in(along, sizes)

    def take(array: Any, outside: Any = 0) -> Any:
        return gathered(array.reshape(*lead, prod(sizes)), index, outside)

    nodes = take(operand.full)
    bends = None if operand.bends is None else take(operand.bends)
    if call.sets.local and "max" in call.name and operand.value is not None:
        value = take(operand.value.astype(np.float64), -np.inf)
        best = value == value.max(-1, keepdims=True, initial=-np.inf)
        nodes = np.where(best, nodes, np.minimum(nodes, UNKNOWN)).astype(np.int32)
        bends = None if bends is None else np.where(best, bends, 0).astype(np.int32)
    made = reduced(call.sets, "linear", Dependent(nodes, bends), [-1], None)
    return [shaped(made, call.shape) for _ in call.likes]


def _normalised(
    call: Call, operand: Dependent, axes: Sequence[int], shape: Sequence[int]
) -> list[Dependent]:
    """Normalise along axes, then scale and shift by arrays of this shape."""
    together = kept(call, "linear", operand, axes)
    out = elementwise(call.sets, "nonlinear", [operand, together], None)
    return _scaled(call, shaped(out, call.shape), shape, together)


def _scaled(
    call: Call, out: Dependent, shape: Sequence[int], statistics: Dependent
) -> list[Dependent]:
    factors: tuple[tuple[str, Kind], ...] = (("weight", "product"), ("bias", "linear"))
    for name, kind in factors:
        factor = call.held(name)
        if factor is not None:
            out = elementwise(call.sets, kind, [out, shaped_with(factor, shape)], None)
    others = elementwise(call.sets, "nonlinear", [statistics], None)
    rest = [_fitting(call, others, like.shape) for like in call.likes[1:]]
    return [out, *rest]


def _fitting(call: Call, a: Dependent, shape: Sequence[int]) -> Dependent:
    if a.full.size == prod(shape):
        return shaped(a, shape)
    axes = tuple(range(len(a.shape)))
    return shaped(shaped(reduced(call.sets, "linear", a, axes, None), (1,) * len(shape)), shape)


def _layer_norm(call: Call) -> list[Dependent]:
    operand, shape = call.operand("input"), call.get("normalized_shape")
    rank = len(operand.shape)
    return _normalised(call, operand, range(rank - len(shape), rank), shape)


def _group_norm(call: Call) -> list[Dependent]:
    operand, groups = call.operand("input"), call.get("group")
    count, channels, *sizes = operand.shape
    parts = shaped_with(operand, (count, groups, channels // groups * prod(sizes)))
    return _normalised(call, parts, [2], (channels, *(1,) * len(sizes)))


def _batch_norm(call: Call) -> list[Dependent]:
    operand = call.operand("input")
    rank = len(operand.shape)
    shape = (operand.shape[1], *(1,) * (rank - 2))
    fixed = "no_training" in call.name or not call.get("training", True)
    if not fixed:
        return _normalised(call, operand, [axis for axis in range(rank) if axis != 1], shape)
    mean, variance = (shaped_with(call.operand(f"running_{one}"), shape) for one in ("mean", "var"))
    centered = elementwise(call.sets, "linear", [operand, mean], None)
    scale = elementwise(call.sets, "nonlinear", [variance], None)
    out = elementwise(call.sets, "product", [centered, scale], None)
    return _scaled(call, out, shape, mean)


RULES: dict[str, Rule] = {
    "convolution": _convolve,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **dict.fromkeys(
        (
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_functional",
            "_native_batch_norm_legit_no_training",
            "native_batch_norm",
        ),
        _batch_norm,
    ),
    **dict.fromkeys(
        [f"avg_pool{rank}d" for rank in (1, 2, 3)]
        + [f"max_pool{rank}d_with_indices" for rank in (1, 2, 3)],
        _pool,
    ),
    **dict.fromkeys(
        [f"_adaptive_avg_pool{rank}d" for rank in (2, 3)]
        + [f"adaptive_{kind}_pool{rank}d" for kind in ("avg", "max") for rank in (1, 2, 3)],
        _pool_to_size,
    ),
}
