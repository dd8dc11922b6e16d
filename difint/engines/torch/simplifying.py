"""Simplifying: a functional graph with fewer operations, whose results are its own.

Each operation that is left costs about a microsecond in a graph that Python runs.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from difint.engines.torch.arrays import flatten
from difint.engines.torch.tracing import drop_dead, held_by, lift, root_of

aten = torch.ops.aten

_MOST_BYTES = 2**24
"""The largest constant that is computed at prepare: seeds, not tables."""


def simplify(
    module: GraphModule, *, whole: bool = False, inline: bool = False
) -> list[torch.Tensor]:
    """Simplify a functional graph in place, and lift its constants to inputs.

    Args:
        module: the graph.
        whole: compute all that constants decide at prepare, whatever its size, random numbers
            too: for a plan of one point.
        inline: leave constants of a few numbers in the graph, for a compiler to write out.

    Returns:
        The constants, in the order of the inputs that were added for them.
    """
    for node in module.graph.nodes:
        if _is_pure(node) and (same := _same_as(node)) is not None:
            node.replace_all_uses_with(same)
    _fold(module, whole)
    for node in list(module.graph.nodes):
        if _is_pure(node) and (same := _unit_factor(module, node)) is not None:
            node.replace_all_uses_with(same)
    _merge(module)
    drop_dead(module)
    _own_outputs(module)
    # Copies, so that nobody changes them.
    return [one.detach().clone() for one in lift(module, _few_numbers if inline else None)]


def _few_numbers(value: Any) -> bool:
    """Tell whether TorchInductor writes a constant out, as it does with eight numbers at most."""
    return bool(value.dim() <= 1 and value.numel() <= 8)


def _is_pure(node: Node) -> bool:
    """Tell whether a node may be merged, moved or dropped."""
    if node.op != "call_function":
        return False
    if node.target is operator.getitem:
        return True
    if not isinstance(node.target, OpOverload) or node.target.namespace not in _KNOWN:
        return False
    random = torch.Tag.nondeterministic_seeded in node.target.tags
    return not random and not node.is_impure() and node.target not in _VALUES


_KNOWN = frozenset({"aten", "prims"})
_VALUES = frozenset({aten._local_scalar_dense.default, aten.item.default})


def _meta(node: Any) -> tuple[Any, ...] | None:
    value = node.meta.get("val")
    if not _is_static(value):
        return None
    return tuple(value.shape), value.dtype, value.device, value.stride()


def _is_static(value: Any) -> bool:
    """Tell whether a value is a tensor whose size does not depend on numbers."""
    return isinstance(value, torch.Tensor) and all(type(n) is int for n in value.shape)


def _same_as(node: Node) -> Node | None:
    """Get the input that an operation returns as it is, as far as numbers and layout go."""
    source = node.args[0] if node.args else None
    if not isinstance(source, Node):
        return None
    if node.target in _UNCHANGED and _meta(node) == _meta(source) and _meta(node) is not None:
        return source
    if node.target is aten.permute.default:
        rank = len(node.args[1])
        return source if [axis % rank for axis in node.args[1]] == list(range(rank)) else None
    if node.target is aten.select.int and source.target is aten.expand.default:
        base = source.args[0]
        added = len(source.args[1]) == node.meta["val"].dim() + 1
        same = isinstance(base, Node) and _meta(base) is not None and _meta(base) == _meta(node)
        return base if added and same and node.args[1] == 0 else None
    return None


_UNCHANGED = frozenset(
    {
        aten.alias.default,
        aten.detach.default,
        aten.lift_fresh.default,
        aten.lift_fresh_copy.default,
        aten.clone.default,
        aten._to_copy.default,
        aten.view.default,
        aten._unsafe_view.default,
        aten.reshape.default,
        aten.expand.default,
        aten.slice.Tensor,
    }
)


def _fold(module: GraphModule, whole: bool) -> None:
    """Compute at prepare what depends on constants alone."""
    known: dict[Node, Any] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            known[node] = held_by(module, node)
        elif node.op == "call_function" and all(one in known for one in node.all_input_nodes):
            if whole or (_is_pure(node) and _is_small(node)):
                known[node] = _computed(node, known)
    for node, value in known.items():
        users = [user for user in node.users if user not in known]
        if node.op == "call_function" and users and isinstance(value, torch.Tensor):
            _replace_by(module, node, value)


def _is_small(node: Node) -> bool:
    tensors = [one for one in flatten(node.meta.get("val"))[0] if isinstance(one, torch.Tensor)]
    static = all(map(_is_static, tensors))
    return static and sum(one.numel() * one.element_size() for one in tensors) <= _MOST_BYTES


def _computed(node: Node, known: dict[Node, Any]) -> Any:
    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
    value = node.target(*args, **kwargs)
    if isinstance(value, torch.Tensor) and value._is_zerotensor():
        return torch.zeros(value.shape, dtype=value.dtype, device=value.device)
    return value


def _replace_by(module: GraphModule, node: Node, value: torch.Tensor) -> None:
    name = f"_folded_{node.name}"
    module.register_buffer(name, value)
    with module.graph.inserting_before(node):
        constant = module.graph.get_attr(name)
    constant.meta = dict(node.meta)
    node.replace_all_uses_with(constant)


def _unit_factor(module: GraphModule, node: Node) -> Node | None:
    """Get the other factor of a product with a constant of ones, as every gradient begins with."""
    if node.target is not aten.mul.Tensor or len(node.args) != 2:
        return None
    for factor, other in (node.args, node.args[::-1]):
        if not isinstance(factor, Node) or factor.op != "get_attr" or not isinstance(other, Node):
            continue
        value = held_by(module, factor)
        if _meta(other) == _meta(node) and bool((value == 1).all()):
            return other
    return None


def _merge(module: GraphModule) -> None:
    """Let equal operations on equal inputs be one."""
    seen: dict[Any, Node] = {}
    for node in list(module.graph.nodes):
        if not _is_pure(node):
            continue
        key = (node.target, _frozen(node.args), _frozen(node.kwargs))
        first = seen.setdefault(key, node)
        if first is not node:
            node.replace_all_uses_with(first)
            module.graph.erase_node(node)


def _frozen(value: Any) -> Any:
    """Make a key of an argument; 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return tuple((name, _frozen(one)) for name, one in value.items())
    return value if isinstance(value, Node) else (type(value), repr(value))


def _own_outputs(module: GraphModule) -> None:
    """Copy what shares memory with an input, a constant or another output, and what has gaps."""
    graph, taken = module.graph, set()
    output = next(node for node in graph.nodes if node.op == "output")
    results = []
    for result in output.args[0]:
        root = root_of(result)
        fresh = root.op == "call_function" and root not in taken
        taken.add(root)
        if fresh and _fills(result, root):
            results.append(result)
            continue
        with graph.inserting_before(output):
            form = {"memory_format": torch.contiguous_format}
            copy = graph.call_function(aten.clone.default, (result,), form)
        copy.meta = dict(result.meta)
        copy.meta["val"] = result.meta["val"].contiguous()
        results.append(copy)
    output.args = (results,)


def _fills(node: Node, root: Node) -> bool:
    """Tell whether a tensor is contiguous, and all of the memory that it is in."""
    value, whole = node.meta["val"], root.meta["val"]
    if not _is_static(whole) or not value.is_contiguous():
        return False
    return bool(value.numel() == whole.numel() and not _repeats(whole))


def _repeats(value: torch.Tensor) -> bool:
    return any(n > 1 and s == 0 for n, s in zip(value.shape, value.stride(), strict=True))
