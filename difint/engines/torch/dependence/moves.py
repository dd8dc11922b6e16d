"""Operations that move entries: they are applied to nodes, and tell where each came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch

from difint.dependence.arrays import Dependent, moved, settled, spread, unknown
from difint.engines.torch.dependence.calls import Call, Held, Results, array_of, tensor_of

_MASKS = frozenset({"index", "indices", "mask", "condition"})
"""Arguments that say where entries go."""

# PyTorch has these for floating point numbers alone, which hold a node's number as well.
_FLOATING = frozenset(
    {"im2col", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"}
    | {f"{kind}_pad{rank}d" for kind in ("reflection", "replication") for rank in (1, 2, 3)}
    | {f"upsample_nearest{rank}d" for rank in (1, 2, 3)}
    | {f"_upsample_nearest_exact{rank}d" for rank in (1, 2, 3)}
)

MOVES = _FLOATING | frozenset(
    """
    _unsafe_index _unsafe_view cat constant_pad_nd diag_embed diagonal_scatter embedding flip
    gather index index_fill index_select lift_fresh_copy masked_fill masked_scatter repeat roll
    rot90 scatter select_scatter slice_scatter stack take tril triu where
    """.split()
)
"""What moves entries, besides views, which tell it by their schemas."""


def is_move(call: Call) -> bool:
    """Tell whether an operation only moves entries."""
    view = any(one.alias_info is not None for one in call.target._schema.returns)
    copied = call.name.endswith("_copy") and call.name != "_to_copy"
    retyped = call.target._overloadname == "dtype"
    reduces = call.get("reduce") is not None
    return (view or copied or call.name in MOVES) and not retyped and not reduces


def move(call: Call) -> Results | None:
    """Move entries; ``None`` where it is not known where they go."""
    if not all(is_known(call, one) for one in _masks(call)):
        return _loosely(call)
    if call.name.startswith("as_strided") and not all(map(_is_plain, call.tensors)):
        return None
    if isinstance(call.like, list | tuple):
        return _parts(call)

    def mask(one: Held) -> torch.Tensor:
        value = one.value
        assert value is not None, "it is known"
        return value

    return _applied(call, mask, {id(one): one.sets for one in call.tensors})


def _masks(call: Call) -> list[Held]:
    """List the tensors that say where entries go."""
    named = [value for name, value in call.named() if name in _MASKS]
    parts = [one for value in named for one in (value if isinstance(value, list) else [value])]
    return [one for one in parts if isinstance(one, Held)]


def is_known(call: Call, one: Held) -> bool:
    """Tell whether the numbers of a tensor are known, here or everywhere."""
    return one.sets.value is not None and (
        one.sets.nodes is None or call.sets.local or not one.sets.nodes.any()
    )


def _is_plain(one: Held) -> bool:
    """Tell whether a tensor is all of its memory, in C order: strides are those of a copy."""
    like = one.like
    whole = like.untyped_storage().nbytes() == like.numel() * like.element_size()
    return bool(like.is_contiguous() and like.storage_offset() == 0 and whole)


def _applied(
    call: Call, mask: Callable[[Held], torch.Tensor], parts: dict[int, Dependent]
) -> Dependent:
    """Apply an operation to nodes, pairs and values, which ``parts`` has of each tensor."""

    def run(take: Callable[[Held], torch.Tensor], *, filling: bool) -> Any:
        def change(name: str, one: Held) -> torch.Tensor:
            return mask(one) if name in _MASKS else take(one)

        return array_of(call.run(change, filling=filling))

    def numbered(take: Callable[[Dependent], Any]) -> Any:
        floating = call.name in _FLOATING

        def tensor(one: Held) -> torch.Tensor:
            made = tensor_of(take(parts[id(one)]))
            return made.double() if floating else made

        return run(tensor, filling=False).astype(np.int32)

    def valued(one: Held) -> torch.Tensor:
        value = parts[id(one)].value
        made = torch.zeros(one.sets.shape) if value is None else tensor_of(value)
        return made.to(one.dtype)

    given = [one.sets for one in call.tensors]
    some = [parts[id(one)] for one in call.tensors]
    nodes = numbered(lambda one: one.full) if any(one.nodes is not None for one in some) else None
    bends = numbered(_bends_of) if any(one.bends is not None for one in some) else None
    values = any(one.value is not None for one in given) or not given
    return settled(call.sets, nodes, bends, (lambda: run(valued, filling=True)) if values else None)


def _bends_of(one: Dependent) -> Any:
    return np.zeros(one.shape, np.int32) if one.bends is None else one.bends


def _parts(call: Call) -> list[Dependent]:
    """Move the entries of one tensor to several."""
    (operand,) = call.operands
    places = tensor_of(np.arange(prod(operand.shape)).reshape(operand.shape))

    def taking(index: Any) -> Callable[[Any], Any]:
        return lambda array: array.reshape(-1)[index]

    parts = call.run(lambda name, one: places)
    return [moved(call.sets, taking(one.numpy()), operand) for one in parts]


def _loosely(call: Call) -> Dependent | None:
    """Read entries at places that are not known: each of them may be any along the same axes."""
    axes = _axes_read(call)
    if axes is None:
        return None
    source = next(one for one in call.tensors if one not in _masks(call))
    wide = spread(call.sets, "linear", source.sets, axes) if source.sets.shape else source.sets
    parts = dict.fromkeys((id(one) for one in call.tensors), wide)
    if min(source.sets.shape, default=1) == 0:
        return unknown(call.shape)
    return _applied(call, lambda one: torch.zeros(one.sets.shape, dtype=torch.int64), parts)


def _axes_read(call: Call) -> Sequence[int] | None:
    """Get the axes that indices read; ``None`` of what does anything else."""
    if call.name in ("gather", "index_select"):
        return [call.get("dim")]
    if call.name == "embedding":
        return [0]
    if call.name == "take":
        return range(len(call.operand("self").shape))
    if call.name in ("index", "_unsafe_index"):
        return [axis for axis, one in enumerate(call.get("indices")) if one is not None]
    return None
