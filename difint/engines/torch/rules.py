"""What the graph that autograd recorded of ``f`` tells of its derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import torch
from torch.overrides import TorchFunctionMode

from difint.errors import UnsupportedError, message
from difint.problem import Problem


def once_differentiable_in(y: Sequence[torch.Tensor]) -> tuple[str, ...]:
    """List the rules on the way to ``y`` that are marked ``once_differentiable``."""
    names = []
    for node in _recorded(y):
        rule = getattr(getattr(node, "_forward_cls", None), "backward", None)
        if rule is not None and _is_once_differentiable(rule):
            names.append(type(node).__name__.removesuffix("Backward"))
    return tuple(dict.fromkeys(names))


@final
class HookWatch(TorchFunctionMode):
    """Notes whether a function registers hooks, which change gradients.

    Attributes:
        hooks: it does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hooks = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note it, and do what was asked for."""
        self.hooks |= func is torch.Tensor.register_hook
        return func(*args, **(kwargs or {}))


def has_custom_rules(y: Sequence[torch.Tensor]) -> bool:
    """Tell whether rules of the user's, of ``torch.autograd.Function``, are on the way to ``y``."""
    return any(getattr(node, "_forward_cls", None) is not None for node in _recorded(y))


def check_rules(problem: Problem) -> None:
    """Refuse to differentiate again what is marked to have no second derivative.

    PyTorch raises where such a rule is differentiated again, but not where its result is asked
    whether it depends on ``x``: it would count as constant.
    """
    if not problem.once:
        return
    name = problem.once[0]
    text = message(
        problem.source.operator,
        f"the rule of {name} is marked once_differentiable",
        expected="rules that can be differentiated again",
        got=f"{name}.backward",
        remedy="Write its backward with functions of torch and drop the mark, or use "
        "AutoFiniteDiff().",
    )
    raise UnsupportedError(text)


def _is_once_differentiable(rule: Any) -> bool:
    """Tell whether a rule stands in the wrapper that the mark puts around it."""
    code = getattr(rule, "__code__", None)
    return code is torch.autograd.function.once_differentiable(_nothing).__code__


def _nothing(ctx: Any) -> None:
    return None


# PyTorch 2.13: torch.func.jacrev of torch.cdist is wrong, plain autograd is right.
_WRONG_IN_BATCHES = ("CdistBackward",)


def check_batched(y: Sequence[torch.Tensor], t: Sequence[torch.Tensor]) -> None:
    """Refuse cotangents that ``vmap`` has stacked where it is wrong: they come one by one then."""
    if not any(map(torch._C._functorch.is_batchedtensor, t)):
        return
    wrong = [one for one in _recorded(y) if one.name().startswith(_WRONG_IN_BATCHES)]
    if wrong:
        raise RuntimeError(f"vmap is wrong for {wrong[0].name()}")


def _recorded(y: Sequence[torch.Tensor]) -> Iterator[Any]:
    """List the nodes that autograd recorded on the way to ``y``."""
    todo, seen = [one.grad_fn for one in y if one.grad_fn is not None], set()
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        todo += [one for one, _ in node.next_functions if one is not None]


def same_numbers(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two tensors hold the same numbers, NaN included."""
    same = (one == other) | (one.isnan() & other.isnan())
    return bool(same.all())
