"""Dependence: the patterns of derivatives, found by index sets that go through a graph.

The graph is that of ``f``; or, where ``f`` has rules of its own or cannot be traced without them,
that of the product of the matrix with any tangent: it is linear in the tangent, and entry ``i`` of
the product depends on entry ``j`` of the tangent where the matrix has an entry.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from difint.dependence.arrays import Dependent, constant, mixed, unknown
from difint.dependence.sets import Rows, Sets, everything
from difint.dependence.telling import warn
from difint.engine import Arrays, Occasion
from difint.engines.torch.arrays import flatten, mapped
from difint.engines.torch.dependence.calls import Call, Held, array_of
from difint.engines.torch.dependence.operations import apply, parts
from difint.engines.torch.entering import as_tensors
from difint.engines.torch.primitives import hvp, pullback
from difint.engines.torch.rules import HookWatch, has_custom_rules
from difint.engines.torch.state import settled, unchanged_generators
from difint.engines.torch.tracing import BRANCH, functional, held_by, trace, traced
from difint.errors import SparsityError, message
from difint.problem import Problem

_WHERE = "TracerSparsityDetector"


def dependence(
    arrays: Arrays, problem: Problem, occasion: Occasion, *, curved: bool, local: bool
) -> Rows:
    """Find the pattern of the Jacobian, or of the Hessian of a scalar function.

    Args:
        arrays: the array library.
        problem: the function.
        occasion: the example arguments.
        curved: find that of the Hessian.
        local: follow the values at the example: the pattern is valid near it.

    Raises:
        SparsityError: ``f`` branches on values, and the pattern is to hold for all of them.
    """
    args = as_tensors(occasion.args)
    routes = (_by_primal, _by_product) if not _has_rules(problem, args) else (_by_product,)
    error: Exception | None = None
    for route in routes:
        try:
            with unchanged_generators(flatten(args)[0]):
                return route(arrays, problem, args, curved, local)
        except Exception as failed:
            if BRANCH in str(failed):
                _refuse_branches(failed)
            error = error or failed
    assert error is not None, "there is a route"
    return _dense(problem, curved, error)


def _has_rules(problem: Problem, args: tuple[Any, ...]) -> bool:
    """Call ``f`` once and see whether rules of the user's are on the way to ``y``."""
    with settled(), unchanged_generators(flatten(args)[0]), torch.enable_grad():
        x = mapped(lambda leaf: leaf.detach().clone().requires_grad_(), args[0])
        try:
            with warnings.catch_warnings(action="ignore"), HookWatch() as watch:
                y = problem.call(mapped(torch.clone, x), *args[1:])
        except Exception:
            return True  # f takes numbers that are no tensors: what it does is not known
        return watch.hooks or has_custom_rules(flatten(y)[0])


def _refuse_branches(error: Exception) -> None:
    got = next((line for line in str(error).splitlines() if line.startswith("  got")), "")
    text = message(
        _WHERE,
        "f branches on values, and a pattern for all of them is asked for",
        expected="no Python branch, loop or conversion (bool(), int(), float()) on a tensor",
        got=got.removeprefix("  got").strip(),
        remedy="Use TracerSparsityDetector(local=True) for a pattern that is valid near x, "
        "KnownSparsityDetector(pattern), or torch.where in f.",
    )
    raise SparsityError(text) from None


def _dense(problem: Problem, curved: bool, error: Exception) -> Rows:
    """Give up: every entry may be there."""
    columns = problem.x_form.size
    rows = columns if curved else problem.y_form.size
    text = message(
        _WHERE,
        "f cannot be traced: every entry is taken to be there",
        expected="a function that PyTorch can write as a graph",
        got=f"{type(error).__name__}: {error}".partition("\n")[0],
        remedy="Use KnownSparsityDetector(pattern) or DenseSparsityDetector().",
    )
    warn(text)
    return everything(rows, columns)


def _by_primal(
    arrays: Arrays, problem: Problem, args: tuple[Any, ...], curved: bool, local: bool
) -> Rows:
    """Follow ``f`` itself."""
    sets = Sets(problem.x_form.size, curved=curved, local=local)
    results = _interpreted(sets, problem.call, args, cuts=True)
    if curved:
        return sets.hessian(_joined(one.bends for one in results))
    return sets.jacobian(_joined(one.full for one in results))


def _by_product(
    arrays: Arrays, problem: Problem, args: tuple[Any, ...], curved: bool, local: bool
) -> Rows:
    """Follow the product with a tangent: the Hessian's, or the transposed Jacobian's."""
    builder = partial(hvp, True) if curved else pullback
    at = builder(arrays, problem, value=False)

    def product(t: Any, x: Any, *contexts: Any) -> Any:
        return at(x, *contexts)(t)[1]

    size = problem.x_form.size if curved else problem.y_form.size
    sets = Sets(size, local=local)
    like = problem.x if curved else problem.y
    tangent = mapped(lambda one: torch.ones(one.shape, dtype=one.dtype, device=one.device), like)
    results = _interpreted(sets, product, (tangent, *args), cuts=False)
    rows = sets.jacobian(_joined(one.full for one in results))
    turned = _transposed(rows, size)
    return _united(rows, turned) if curved else turned


def _joined(arrays: Any) -> Any:
    parts = [np.asarray(one, np.int32).reshape(-1) for one in arrays if one is not None]
    return np.concatenate([np.empty(0, np.int32), *parts])


def _transposed(rows: Rows, columns: int) -> Rows:
    """Turn a pattern: a row for each of so many columns."""
    count = rows.indptr.size - 1
    source = np.repeat(np.arange(count, dtype=np.int32), np.diff(rows.indptr))
    order = np.argsort(rows.columns, kind="stable")
    sums = np.cumsum(np.bincount(rows.columns, minlength=columns))
    return Rows(np.concatenate([[0], sums]).astype(np.int64), source[order])


def _united(one: Rows, other: Rows) -> Rows:
    """Unite two patterns of as many rows."""
    sets = Sets(max(one.indptr.size - 1, 1))
    parts = [np.split(rows.columns, rows.indptr[1:-1]) for rows in (one, other)]
    rows = [np.concatenate(pair) + np.int32(2) for pair in zip(*parts, strict=True)]
    starts = np.concatenate([[0], np.cumsum([row.size for row in rows])]).astype(np.int64)
    return sets.jacobian(sets.unite_runs(starts, _joined(rows)))


def _interpreted(
    sets: Sets, kernel: Callable[..., Any], args: tuple[Any, ...], *, cuts: bool
) -> list[Dependent]:
    """Trace a kernel, and follow its graph with the first argument as what all depends on."""
    module = _graph(kernel, args, sets.local)
    inputs, start = list[Dependent](), 0
    for place, arg in enumerate(args):
        for leaf in flatten(arg)[0]:
            shape, value = tuple(leaf.shape), array_of(leaf) if sets.local else None
            if place:
                inputs.append(unknown(shape, value))
                continue
            nodes = sets.entries((sets.size,))[start : start + leaf.numel()].reshape(shape)
            inputs.append(Dependent(nodes, None, value))
            start += leaf.numel()
    wide: set[str] = set()
    results = follow(module, sets, inputs, cuts, wide)
    _warn_of(wide)
    return results


def _graph(kernel: Callable[..., Any], args: tuple[Any, ...], local: bool) -> GraphModule:
    """Trace a kernel, and write operations that no rule knows as others."""
    try:
        module = trace(kernel, args).module
    except Exception:
        if not local:
            raise
        # On numbers every branch and every conversion is the one of the example.
        module = trace(kernel, args, real=True).module
    if not any(node.target in parts() for node in module.graph.nodes):
        return module
    examples = [node.meta["val"] for node in module.graph.nodes if node.op == "placeholder"]
    plain = [torch.empty(one.shape, dtype=one.dtype, device=one.device) for one in examples]
    try:
        return functional(traced(module, plain, parts()))
    except Exception:
        return module  # a rule for its parts does not fit: it stays what it is


def follow(
    module: GraphModule, sets: Sets, inputs: Sequence[Dependent], cuts: bool, wide: set[str]
) -> list[Dependent]:
    """Follow a graph, and get the sets of its results.

    Args:
        module: the graph, without operations in place.
        sets: where the nodes are.
        inputs: the sets of its inputs.
        cuts: ``detach`` cuts the derivative.
        wide: where the names of operations are noted that no rule knows.
    """
    known: dict[Node, Any] = {}
    given = iter(inputs)
    for node in module.graph.nodes:
        if node.op == "placeholder":
            known[node] = Held(next(given), node.meta["val"])
        elif node.op == "get_attr":
            value = held_by(module, node)
            known[node] = Held(constant(array_of(value)), value)
        elif node.op == "call_function":
            known[node] = _followed(node, known, sets, cuts, wide)
        elif node.op == "output":
            return [known[one].sets for one in node.args[0]]
        _forget(node, known)
    raise AssertionError("a graph has an output")


def _forget(node: Node, known: dict[Node, Any]) -> None:
    """Let go of what this was the last operation to need."""
    for source in node.all_input_nodes:
        if source in known and all(user in known for user in source.users):
            del known[source]


def _followed(node: Node, known: dict[Node, Any], sets: Sets, cuts: bool, wide: set[str]) -> Any:
    args, kwargs = _looked_up(list(node.args), known), _looked_up(dict(node.kwargs), known)
    if node.target is operator.getitem:
        return args[0][args[1]]
    like = node.meta.get("val")
    if not isinstance(node.target, OpOverload):
        wide.add(str(node.target))
        operands = [one.sets for one in flatten((args, kwargs))[0] if isinstance(one, Held)]
        return Held(mixed(sets, operands, tuple(like.shape)), like)
    call = Call(sets, node.target, tuple(args), kwargs, like, cuts, wide)
    if like is None:  # a check without a result
        return None
    results = [Held(one, part) for one, part in zip(apply(call), call.likes, strict=True)]
    return results if isinstance(like, list | tuple) else results[0]


def _looked_up(value: Any, known: dict[Node, Any]) -> Any:
    """Put what is known in the place of nodes, in plain lists and dictionaries."""
    if isinstance(value, list | tuple):
        return [_looked_up(one, known) for one in value]
    if isinstance(value, dict):
        return {name: _looked_up(one, known) for name, one in value.items()}
    return known[value] if isinstance(value, Node) else value


def _warn_of(wide: set[str]) -> None:
    """Tell which operations are taken to depend on all of their operands."""
    if not wide:
        return
    text = message(
        _WHERE,
        "each result of some operations is taken to depend on all of their operands",
        got=", ".join(sorted(wide)),
        remedy="If the pattern is too wide, use KnownSparsityDetector(pattern), or "
        "DenseSparsityDetector(), or write f with other operations.",
    )
    warn(text)
