"""Operations: which rule each one follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch._decomp import core_aten_decompositions, decomposition_table
from torch._ops import OpOverload

from difint.dependence.arrays import Dependent, Kind, as_steps, constant, elementwise, unknown
from difint.dependence.sets import Sets
from difint.engines.torch.dependence import layers, reductions
from difint.engines.torch.dependence.calls import (
    Call,
    Held,
    Results,
    Rule,
    array_of,
    differentiable,
    tensor_of,
)
from difint.engines.torch.dependence.elementwise import UNTAGGED, apply_elementwise, is_elementwise
from difint.engines.torch.dependence.moves import is_known, is_move, move
from difint.engines.torch.dependence.reductions import along, shaped_with

_RANDOM = frozenset(
    """
    bernoulli binomial normal normal_functional multinomial poisson rand rand_like randint
    randint_like randn randn_like randperm _standard_gamma uniform
    """.split()
)
"""What is random whatever its operands are: PyTorch's derivatives of it are zero."""

_EMPTY = frozenset({"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty"})

_SHAPED = frozenset(
    """
    full_like ones_like zeros_like new_full new_ones new_zeros new_empty_strided
    _new_zeros_with_same_feature_meta
    """.split()
)
"""What takes nothing of its operand but the shape."""


def _constant_like(call: Call) -> Dependent:
    return constant(array_of(call.run(_zeros_like)))


def _unknown(call: Call) -> list[Dependent]:
    return [unknown(tuple(like.shape)) for like in call.likes]


def _step(call: Call) -> list[Dependent]:
    return [as_steps(one) for one in call.widely(note=False)]


def _as_real(call: Call) -> Dependent:
    operand = call.operand("self")
    return along(call, "linear", shaped_with(operand, (*operand.shape, 1)), (), call.shape)


def _as_complex(call: Call) -> Dependent:
    operand = call.operand("self")
    return along(call, "linear", operand, (len(operand.shape) - 1,), call.shape)


def _complex(call: Call) -> Dependent:
    return elementwise(call.sets, "linear", call.operands, None)


_LINEAR_FIRST = frozenset(
    """
    _fake_quantize_per_tensor_affine_cachemask_tensor_qparams
    fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine_cachemask
    native_dropout rrelu_with_noise_functional
    """.split()
)
"""What is differentiated as if it were linear in the first operand, entry by entry."""


def _linear_first(call: Call) -> list[Dependent]:
    first = elementwise(call.sets, "linear", call.operands[:1], None)
    return [first, *(unknown(tuple(like.shape)) for like in call.likes[1:])]


def _copy(call: Call) -> Dependent:
    source = elementwise(call.sets, "linear", [call.operand("src")], None)
    return along(call, "linear", source, (), call.shape)


def _fill(call: Call) -> Dependent:
    value = elementwise(call.sets, "linear", [call.operand("value")], None)
    number = call.get("value")
    if isinstance(number, Held) and number.sets.nodes is not None:
        return along(call, "linear", value, (), call.shape)
    return constant(array_of(call.run(_zeros_like)))


def _zeros_like(name: str, one: Held) -> torch.Tensor:
    value = one.value if name == "value" else None
    return torch.zeros(one.sets.shape, dtype=one.dtype) if value is None else value


def _put(call: Call) -> Results:
    """Put entries at places, or add them there: ``index_put``."""
    places = _places_put(call, call.get("indices"))
    if places is None:
        return call.widely(note=False, linear=True)
    return _added(call, places, call.operand("values"), "linear", keep=call.get("accumulate"))


def _places_put(call: Call, indices: Sequence[Any]) -> Any | None:
    """Get the places, in C order, that indices name."""
    held = [one for one in indices if one is not None]
    values = [one.value for one in held if is_known(call, one)]
    if len(values) < len(held):
        return None
    rest = iter(values)
    named = [None if one is None else next(rest) for one in indices]
    return array_of(torch.ops.aten.index.Tensor(_numbers(call.operand("self").shape), named))


def _numbers(shape: Sequence[int]) -> torch.Tensor:
    return tensor_of(np.arange(int(np.prod(shape))).reshape(tuple(shape)))


def _scatter(call: Call) -> Results:
    """Add entries at places along an axis: ``scatter_add``, ``scatter_reduce``."""
    index, target, source = call.get("index"), call.operand("self"), call.held("src")
    if source is None:
        source = call.operand("value")
    kind: Kind = "linear" if call.get("reduce") in (None, "add", "sum") else "nonlinear"
    if not is_known(call, index):
        return call.widely(note=False, linear=kind == "linear")
    places = index.sets.shape
    if not target.shape:
        return _added(call, np.zeros(places, np.int64), source, kind, keep=True)
    numbers, dim = _numbers(target.shape), call.get("dim") % len(target.shape)
    cut = [slice(n if axis == dim else places[axis]) for axis, n in enumerate(target.shape)]
    at = array_of(torch.gather(numbers[tuple(cut)], dim, index.value))
    source = _cropped(source, places)
    return _added(call, at, source, kind, keep=call.get("include_self", True))


def _cropped(a: Dependent, shape: Sequence[int]) -> Dependent:
    """Take the part of a source that an index of this shape reads."""
    if not a.shape:
        return a
    part = tuple(slice(n) for n in shape)
    nodes, bends = a.full[part], None if a.bends is None else a.bends[part]
    return Dependent(nodes, bends)


def _added(call: Call, places: Any, source: Dependent, kind: Kind, *, keep: bool) -> Dependent:
    """Unite entries with those at their places, or put them in their stead.

    Args:
        call: the operation.
        places: where each entry goes, in C order.
        source: the entries, to be repeated to the shape of the places.
        kind: what is done to all that come to one place.
        keep: what was there counts too.
    """
    sets, target = call.sets, call.operand("self")
    at = np.asarray(places).reshape(-1)
    gone = np.zeros(target.full.size, bool)
    if not keep:
        gone[at] = True
    members = np.concatenate([np.arange(gone.size), at])
    order = np.argsort(members, kind="stable")
    starts = np.searchsorted(members[order], np.arange(gone.size + 1))

    def unite(into: Any, what: Any) -> Any:
        into = np.where(gone, 0, into.reshape(-1))
        parts = np.concatenate([into, np.broadcast_to(what, np.shape(places)).reshape(-1)])
        return sets.unite_runs(starts, parts[order].astype(np.int32)).reshape(target.shape)

    nodes, bends = unite(target.full, source.full), None
    if target.bends is not None or source.bends is not None:
        pairs = [np.zeros_like(w.full) if w.bends is None else w.bends for w in (target, source)]
        bends = unite(*pairs)
    return elementwise(sets, kind, [Dependent(np.maximum(nodes, 1), bends)], None)


_RULES: dict[str, Rule] = {
    **reductions.RULES,
    **layers.RULES,
    **dict.fromkeys(_RANDOM | _EMPTY, _unknown),
    **dict.fromkeys(_SHAPED, _constant_like),
    **dict.fromkeys(("bincount", "bucketize", "histc", "nonzero", "searchsorted"), _step),
    **dict.fromkeys(("index_put", "_unsafe_index_put", "_index_put_impl"), _put),
    **dict.fromkeys(("scatter", "scatter_add", "scatter_reduce"), _scatter),
    **dict.fromkeys(_LINEAR_FIRST, _linear_first),
    "complex": _complex,
    "copy": _copy,
    "fill": _fill,
    "view_as_complex": _as_complex,
    "view_as_real": _as_real,
}


def apply(call: Call) -> list[Dependent]:
    """Follow the rule of an operation."""
    made = _by_rule(call)
    results = [made] if isinstance(made, Dependent) else list(made)
    return [_settled(one, like) for one, like in zip(results, call.likes, strict=True)]


def _by_rule(call: Call) -> Results:
    known = all(one.nodes is None for one in call.operands)
    if known and not _is_random(call):
        results = call.evaluated()
        assert results is not None, "what is known has values"
        return [constant(array_of(one)) for one in results]
    made = _followed(call)
    if not call.sets.local or _is_random(call):
        return made
    results = call.evaluated()
    parts = [made] if isinstance(made, Dependent) else made
    if results is None:
        return parts
    pairs = zip(parts, results, strict=True)
    return [Dependent(one.nodes, one.bends, array_of(value)) for one, value in pairs]


def _is_random(call: Call) -> bool:
    return torch.Tag.nondeterministic_seeded in call.target.tags or call.name in _EMPTY


def _followed(call: Call) -> Results:
    """Follow the rule that fits first."""
    elementary, moves = is_elementwise(call), _only_moves(call)
    if not any(one.depends for one in call.operands) and not (moves or elementary):
        quick = _RULES.get(call.name)
        return quick(call) if quick in (_constant_like, _fill) else _unknown(call)
    if not any(differentiable(like.dtype) for like in call.likes if like is not None):
        return _step(call)
    moved = move(call) if moves else None
    if moved is not None:
        return moved
    if elementary:
        return apply_elementwise(call)
    rule = _RULES.get(call.name)
    if rule is not None:
        return rule(call)
    return call.widely(note=not moves, linear=moves)


def _only_moves(call: Call) -> bool:
    return is_move(call) and call.name not in _RULES and call.name not in UNTAGGED


def _settled(one: Dependent, like: Any) -> Dependent:
    """Cut derivatives of what has none, and check the shape."""
    if not isinstance(like, torch.Tensor):
        return one
    assert one.shape == tuple(like.shape), f"{one.shape} instead of {tuple(like.shape)}"
    return one if differentiable(like.dtype) else as_steps(one)


_BETTER_IN_PARTS = frozenset({"addcdiv", "addcmul", "hypot", "lerp", "xlogy"})
"""Operations that are elementwise, but whose parts bend less."""


@cache
def parts() -> dict[OpOverload, Callable[..., Any]]:
    """Get how operations that no rule knows are made of others."""
    table = {**decomposition_table, **core_aten_decompositions()}
    return {one: made for one, made in table.items() if not _is_ruled(one)}


def _is_ruled(target: Any) -> bool:
    if not isinstance(target, OpOverload):
        return True
    call = Call(Sets(0), target, (), {}, None, True, set())
    if not any("Tensor" in str(one.type) for one in target._schema.arguments):
        return True
    ruled = is_move(call) or is_elementwise(call) or call.name in _RULES
    return ruled and call.name not in _BETTER_IN_PARTS
