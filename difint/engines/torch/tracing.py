"""Tracing: a kernel as a graph of operations, seen on tensors that hold no numbers.

A tensor without numbers has no truth: a branch on one is noticed, where a trace on real tensors
would keep the branch that it happened to take.
"""

from __future__ import annotations

import operator
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

import difint
from difint.engines.torch.arrays import flatten, unflatten
from difint.engines.torch.lowering import refuse_writing
from difint.engines.torch.state import explaining, hinting_at_eager, settled
from difint.engines.torch.watching import SEEN
from difint.errors import UnsupportedError, message

_BRANCHES = (
    GuardOnDataDependentSymNode,
    DataDependentOutputException,
    DynamicOutputShapeException,
)

BRANCH = "f depends on the numbers in a tensor in a way that a graph would freeze"
"""What the message says of a function that branches on values."""

_NUMBERLESS = "is not supported for tensor subclasses"
_UNALLOCATED = "its data is not allocated yet"


@final
@dataclass(frozen=True, slots=True)
class Traced:
    """A kernel as a graph.

    Attributes:
        module: the graph: tensors in, a flat tuple of tensors out.
        structure: how the kernel's result is built of them.
    """

    module: GraphModule
    structure: Any


def trace(kernel: Callable[..., Any], args: tuple[Any, ...], *, real: bool = False) -> Traced:
    """Trace a kernel at trees of tensors like ``args``.

    Args:
        kernel: what to trace.
        args: the example.
        real: trace on the example itself: a branch is the one that it takes.

    Raises:
        UnsupportedError: what the kernel does depends on numbers that a graph does not have.
    """
    leaves, form = flatten(args)
    made: list[Any] = []

    def flat(*tensors: Any) -> list[Any]:
        outputs, structure = flatten(kernel(*unflatten(form, tensors)))
        made.append(structure)
        return outputs

    with settled():
        examples = [leaf.detach().clone() if real else unlike(leaf) for leaf in leaves]
    module = functional(traced(flat, examples, real=real))
    SEEN.traces += 1
    return Traced(module, made[0])


def last_part(traced: Traced) -> Traced:
    """Copy a graph of several parts, with the last of them as its only result."""
    structure = traced.structure.children()[-1]
    graph, copies = Graph(), dict[Node, Node]()
    outputs: Any = graph.graph_copy(traced.module.graph, copies)
    graph.output(list(outputs[len(outputs) - structure.num_leaves :]))
    module = GraphModule(traced.module, graph)
    drop_dead(module)
    module.recompile()
    return Traced(module, structure)


def unlike(tensor: torch.Tensor) -> torch.Tensor:
    """Make a tensor of the same form in memory of its own: two arguments may be one tensor."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format, requires_grad=False)


def traced(
    function: Callable[..., Any],
    examples: Sequence[Any],
    decompositions: Any = None,
    *,
    real: bool = False,
) -> Any:
    """Trace a function of tensors, and explain what cannot be traced."""
    try:
        with hinting_at_eager(), explaining():
            return _traced(function, examples, decompositions, real)
    except _BRANCHES as error:
        raise UnsupportedError(_branch(error)) from None  # it speaks of PyTorch's own parts
    except RuntimeError as error:
        if _NUMBERLESS in str(error) or _UNALLOCATED in str(error):
            raise UnsupportedError(_conversion(error)) from None
        raise


def _traced(
    function: Callable[..., Any], examples: Sequence[Any], decompositions: Any, real: bool
) -> Any:
    """Trace in a thread of its own, one at a time.

    A trace that fails within PyTorch may leave the thread's state behind: no gradients would be
    recorded from then on. And PyTorch's tracer patches what all threads see.
    """

    def run() -> Any:
        # f gave its warnings when it was called at first. A graph is traced in one thread.
        quiet = warnings.catch_warnings(action="ignore")
        with settled(), quiet, torch.autograd.set_multithreading_enabled(False):
            return make_fx(
                function,
                tracing_mode="real" if real else "fake",
                _error_on_data_dependent_ops=not real,
                _allow_non_fake_inputs=True,
                decomposition_table=decompositions,
            )(*examples)

    if _HERE.tracing:  # f itself prepares a plan
        return run()
    with _ONE_AT_A_TIME, ThreadPoolExecutor(1, initializer=_begin) as pool:
        return pool.submit(run).result()


class _Here(threading.local):
    tracing = False


def _begin() -> None:
    _HERE.tracing = True


_HERE = _Here()
_ONE_AT_A_TIME = threading.Lock()


def _place(error: BaseException) -> str:
    """Write the line of the user's code, the innermost one, that an error came from."""
    ours = tuple(str(Path(str(module.__file__)).parent) for module in (torch, difint))
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if not one.filename.startswith((*ours, "<string>"))]
    if not theirs:
        return f"{type(error).__name__}: {error}".partition("\n")[0]
    last = theirs[-1]
    return f'in "{Path(last.filename).name}", line {last.lineno}: {last.line}'


def _branch(error: BaseException) -> str:
    return message(
        "AutoTorch",
        BRANCH,
        expected="no Python branch, loop or conversion (bool(), int(), float()) on a tensor",
        got=_place(error),
        remedy="Use AutoTorch(compile='eager'), which calls f as it is, or torch.where and masks; "
        "bind flags, sizes and numbers for Python with functools.partial.",
    )


_CAPTURED = message(
    "AutoTorch",
    "f writes to a tensor that is not one of its arguments",
    expected="an f without side effects: a graph is computed again and again",
    got="an operation in place on a captured tensor, as batch norm in training updates its "
    "running statistics",
    remedy="Call module.eval(), or make the layer with track_running_stats=False; or pass scratch "
    "memory as a Cache, or use AutoTorch(compile='eager').",
)


def _conversion(error: BaseException) -> str:
    return message(
        "AutoTorch",
        "f makes an array, or a tensor, of a tensor's numbers: neither a graph nor a derivative "
        "can follow",
        expected="functions of torch, such as torch.stack and torch.cat, from x to f(x)",
        got=_place(error),
        remedy="Join entries with torch.stack, write functions of NumPy with torch, or use "
        "AutoFiniteDiff(); AutoTorch(compile='eager') where that part is detached.",
    )


_NO_TENSOR = message(
    "AutoTorch",
    "f holds something that a graph cannot keep",
    expected="tensors and numbers",
    got="a torch.Generator, or a function of torch.cond or the like",
    remedy="Use AutoTorch(compile='eager'), torch.where for torch.cond, or no generator.",
)


def functional(module: GraphModule) -> GraphModule:
    """Write a graph without operations in place, and without what has no effect."""
    drop_dead(module)
    held = [node for node in module.graph.nodes if node.op == "get_attr"]
    if not all(isinstance(held_by(module, node), torch.Tensor) for node in held):
        raise UnsupportedError(_NO_TENSOR)
    _write_tangents(module)
    written = [root for node in module.graph.nodes for root in _written_by(node)]
    if any(root.op == "get_attr" for root in written):
        raise UnsupportedError(_CAPTURED)
    if any(root.op == "placeholder" for root in written):
        refuse_writing("AutoTorch", "x, or to a Constant")
    if written:
        module = _without_writing(module)
    drop_dead(module)
    module.recompile()
    return module


def drop_dead(module: GraphModule) -> None:
    """Drop what no result needs, but not the checks, as of matrices that have no inverse."""
    module.graph.eliminate_dead_code(is_impure_node=_is_needed)


def _is_needed(node: Node) -> bool:
    returning = not isinstance(node.target, OpOverload) or bool(node.target._schema.returns)
    return not returning or node.is_impure()


def _write_tangents(module: GraphModule) -> None:
    """Write what forward mode does in place, and with zeros of its own, as ordinary operations.

    A tangent of another layout than its primal is copied into new zeros: it is a copy.
    """
    aten = torch.ops.aten
    for node in list(module.graph.nodes):
        if node.target is aten._efficientzerotensor.default:
            value = node.meta["val"]
            node.target = aten.zeros.default
            node.args = (list(value.shape),)
            node.kwargs = {"dtype": value.dtype, "device": value.device}
        elif node.target is aten.copy_.default and _fills_new(node):
            target, source = node.args
            with module.graph.inserting_before(node):
                copy = module.graph.call_function(aten.clone.default, (source,))
            copy.kwargs = {"memory_format": torch.contiguous_format}
            copy.meta = dict(node.meta)
            node.replace_all_uses_with(copy)
            module.graph.erase_node(node)
            target.replace_all_uses_with(copy)


def _fills_new(node: Node) -> bool:
    """Tell whether a copy is the first use of contiguous zeros like its source."""
    target, source = node.args[0], node.args[1]
    new = torch.ops.aten._new_zeros_with_same_feature_meta.default
    if not isinstance(target, Node) or target.target is not new or not isinstance(source, Node):
        return False
    into, value = target.meta["val"], source.meta["val"]
    same = into.shape == value.shape and into.dtype == value.dtype and into.is_contiguous()
    return same and next(iter(target.users)) is node


def _without_writing(module: GraphModule) -> GraphModule:
    """Trace a graph again without operations in place; what it captured is an input meanwhile."""
    inputs = [node.meta["val"] for node in module.graph.nodes if node.op == "placeholder"]
    constants = lift(module)
    examples = [torch.empty(one.shape, dtype=one.dtype, device=one.device) for one in inputs]
    rewritten = torch.func.functionalize(module, remove="mutations")
    made = traced(rewritten, [*examples, *(torch.empty_like(one) for one in constants)])
    lifted = [node for node in made.graph.nodes if node.op == "placeholder"][len(inputs) :]
    for node, value in zip(lifted, constants, strict=True):
        made.register_buffer(f"_captured_{node.name}", value)
        with made.graph.inserting_before(node):
            constant = made.graph.get_attr(f"_captured_{node.name}")
        constant.meta = dict(node.meta)
        node.replace_all_uses_with(constant)
        made.graph.erase_node(node)
    return made


def lift(module: GraphModule, kept: Callable[[Any], bool] | None = None) -> list[torch.Tensor]:
    """Make inputs, the last ones, of the tensors that a graph holds; list them.

    Args:
        module: the graph.
        kept: which of them it keeps all the same, as buffers that are copies; ``None`` for none.
    """
    graph, inputs, values = module.graph, dict[str, Node](), list[torch.Tensor]()
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    for node in [node for node in graph.nodes if node.op == "get_attr"]:
        value = held_by(module, node)
        if kept is not None and kept(value):
            name = f"kept_{node.name}"
            module.register_buffer(name, value.detach().clone())
            node.target = name
            continue
        if node.target not in inputs:
            with graph.inserting_after(last):
                last = graph.placeholder(f"constant_{len(values)}")
            inputs[node.target] = last
            inputs[node.target].meta = dict(node.meta)
            values.append(value)
        node.replace_all_uses_with(inputs[node.target])
        graph.erase_node(node)
    _drop_unused(module)
    module.recompile()
    return values


def held_by(module: GraphModule, node: Node) -> torch.Tensor:
    """Get the tensor that a ``get_attr`` node reads."""
    value: torch.Tensor = operator.attrgetter(str(node.target))(module)
    return value


def _drop_unused(module: GraphModule) -> None:
    """Forget the tensors that no node reads: a package would hold them all."""
    used = {node.target for node in module.graph.nodes if node.op == "get_attr"}
    named = [*dict(module.named_buffers()), *dict(module.named_parameters())]
    for name in set(named) - used:
        delattr(module, name)


def _written_by(node: Any) -> Iterator[Any]:
    """List the graph's own tensors, or the nodes that made others, that an operation writes to."""
    if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
        return
    given = dict(zip((one.name for one in node.target._schema.arguments), node.args, strict=False))
    for one in node.target._schema.arguments:
        value = (given | node.kwargs).get(one.name)
        if one.alias_info is not None and one.alias_info.is_write and value is not None:
            yield from (root_of(each) for each in flatten(value)[0] if isinstance(each, Node))


def root_of(node: Node) -> Node:
    """Get the node that made the memory which a node's tensor is a view of."""
    while node.op == "call_function" and (base := _viewed(node)) is not None:
        node = base
    return node


def _viewed(node: Node) -> Node | None:
    """Get what a node's tensor is a view of; ``None`` if its memory is new."""
    target = node.target
    if target is operator.getitem:
        source = node.args[0]
        views = isinstance(source, Node) and isinstance(source.target, OpOverload)
        aliased = views and any(one.alias_info for one in source.target._schema.returns)
        return source if aliased else None
    if not isinstance(target, OpOverload):
        return None
    aliased = any(one.alias_info is not None for one in target._schema.returns)
    base = node.args[0] if node.args else None
    return base if (aliased or target in _HIDDEN_VIEWS) and isinstance(base, Node) else None


_HIDDEN_VIEWS = frozenset({torch.ops.aten._unsafe_view.default, torch.ops.aten.lift_fresh.default})
