"""Programs: a graph as the Python function with the least to do for each operation.

PyTorch's dispatcher is called by the bindings that ``torch.add`` and its like are, not by
``torch.ops``, whose arguments are boxed: that halves the cost of a small operation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from difint.engines.torch.arrays import flatten

_BINDINGS = (torch._C._VariableFunctions, torch._C._nn, torch._C.TensorBase)

# Of larger tensors the call costs little beside the work, and trying both costs more.
_MOST_ENTRIES = 100_000


def program(module: GraphModule, examples: Sequence[torch.Tensor]) -> Callable[[Any], Any]:
    """Make ``run(tensors) -> results`` of a graph.

    Args:
        module: a simplified graph.
        examples: its inputs; each operation is tried on them.
    """
    calls = _chosen(module, examples)
    env: dict[str, Any] = {"inf": float("inf"), "nan": float("nan")}
    lines, nodes = [], list(module.graph.nodes)
    inputs = [node.name for node in nodes if node.op == "placeholder"]
    lines.append(f"    ({''.join(f'{name}, ' for name in inputs)}) = tensors")
    last = _last_uses(nodes)
    for node in nodes:
        if node.op == "output":
            lines.append(f"    return {_written(node.args[0], env)}")
        elif node.op == "call_function":
            lines.append(f"    {node.name} = {_call(node, calls[node], env)}")
        dead = [one.name for one in last.get(node, ())]
        lines += [f"    del {', '.join(dead)}"] if dead and node.op != "output" else []
    source = "def run(tensors):\n" + "\n".join(lines) + "\n"
    exec(compile(source, "<a graph of difint>", "exec"), env)
    run: Callable[[Any], Any] = env["run"]
    return run


def _last_uses(nodes: Sequence[Node]) -> dict[Node, list[Node]]:
    """List, for each node, what nobody needs after it: its memory is free for the next."""
    last: dict[Node, Node] = {}
    for node in nodes:
        if node.op == "call_function":
            last[node] = node
        for source in node.all_input_nodes:
            if source.op == "call_function":
                last[source] = node
    ends: dict[Node, list[Node]] = {}
    for node, end in last.items():
        ends.setdefault(end, []).append(node)
    return ends


def _call(node: Node, function: Any, env: dict[str, Any]) -> str:
    """Write a call; indexing, which every unpacking needs, as Python writes it."""
    if node.target is operator.getitem:
        return f"{_written(node.args[0], env)}[{_written(node.args[1], env)}]"
    name = f"call_{node.name}"
    env[name] = function
    parts = [_written(arg, env) for arg in node.args]
    parts += [f"{key}={_written(value, env)}" for key, value in node.kwargs.items()]
    return f"{name}({', '.join(parts)})"


def _written(value: Any, env: dict[str, Any]) -> str:
    if isinstance(value, Node):
        return str(value.name)
    if isinstance(value, list | tuple):
        inside = ", ".join(_written(one, env) for one in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * bool(value)})"
    if value is None or type(value) in (bool, int, float):
        return repr(value)
    name = f"value_{len(env)}"
    env[name] = value
    return name


def _chosen(module: GraphModule, examples: Sequence[torch.Tensor]) -> dict[Node, Any]:
    """Choose for each operation the quickest binding that does the same on the examples."""
    known: dict[Node, Any] = {}
    calls: dict[Node, Any] = {}
    ends = _last_uses(list(module.graph.nodes))
    inputs = iter(examples)
    for node in module.graph.nodes:
        if node.op == "placeholder":
            known[node] = next(inputs)
        elif node.op == "call_function":
            args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
            known[node] = node.target(*args, **kwargs)
            calls[node] = _binding(node, args, kwargs, known[node])
        for done in ends.get(node, ()):
            known.pop(done, None)
    return calls


def _binding(node: Node, args: Any, kwargs: Any, right: Any) -> Any:
    """Get the quickest binding of an operation."""
    target: Any = node.target
    if not isinstance(target, OpOverload):
        return target
    random = torch.Tag.nondeterministic_seeded in target.tags
    large = sum(one.numel() for one in _tensors(right)) > _MOST_ENTRIES
    for function in () if random or large else _bindings(target):
        try:
            if _same(function(*args, **kwargs), right):
                return function
        except (TypeError, RuntimeError):  # its arguments are others
            continue
    return target._op


def _bindings(target: OpOverload) -> Iterator[Any]:
    """List the functions of this name: most overloads share one, which tells them apart itself."""
    name = target._schema.name.partition("::")[2]
    if target.namespace != "aten":
        return
    for namespace in _BINDINGS:
        function = getattr(namespace, name, None)
        if function is not None:
            yield function


def _tensors(value: Any) -> list[torch.Tensor]:
    return [one for one in flatten(value)[0] if isinstance(one, torch.Tensor)]


def _same(got: Any, right: Any) -> bool:
    """Tell whether two results are the same to the bit, in the same form."""
    pairs = list(zip(flatten(got)[0], flatten(right)[0], strict=False))
    if len(flatten(got)[0]) != len(flatten(right)[0]):
        return False
    return all(_same_leaf(one, other) for one, other in pairs)


def _same_leaf(one: Any, other: Any) -> bool:
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return type(one) is type(other) and one == other
    form = one.shape == other.shape and one.dtype == other.dtype and one.stride() == other.stride()
    if not form or one.device != other.device:
        return False
    if torch.equal(one, other):
        return True
    return bool(one.is_floating_point() and torch.allclose(one, other, 0, 0, equal_nan=True))
