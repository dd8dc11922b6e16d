"""The two primitives, and the Hessian-vector product, by PyTorch's autograd and by ``torch.func``.

``torch.autograd.grad`` takes every function that autograd takes, custom ones of the old style
too, at the least cost; ``torch.func`` nests. So operators of first order use the one for pullbacks,
and those of second order the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from difint.engine import Apply, Arrays, At
from difint.engines.torch.arrays import cast, copy, flatten, mapped, ravel, unflatten, unravel
from difint.engines.torch.entering import as_tensors, private, shared
from difint.engines.torch.rules import check_batched, check_rules
from difint.engines.torch.state import lacks_derivative, settled
from difint.problem import Problem
from difint.sweep import sweep


@final
@dataclass(frozen=True, slots=True)
class AtPoint:
    """An ``apply`` at a point that is kept.

    Attributes:
        apply: what it does.
        again: makes it anew, so that a trace sees all of its operations.
    """

    apply: Apply
    again: Callable[[], Apply]

    def __call__(self, t: Any) -> tuple[Any, Any]:
        """Apply to a tangent."""
        return self.apply(t)


def _staged(stage: Callable[..., Apply], reuse: bool) -> At:
    """Make ``at``; where it is reused, let it tell how it was made.

    Gradients are on in all of it. Where they are off, PyTorch takes rules that cannot be
    differentiated again (those of ``slogdet`` and ``solve`` with factors at hand), and
    ``torch.func`` does not notice: its second derivatives are wrong then.
    """

    def recorded(x: Any, *contexts: Any) -> Apply:
        with torch.enable_grad():
            apply = stage(x, *contexts)

        def within(t: Any) -> tuple[Any, Any]:
            with torch.enable_grad():
                return apply(t)

        return within

    if not reuse:
        return recorded

    def at(x: Any, *contexts: Any) -> Apply:
        return AtPoint(recorded(x, *contexts), lambda: recorded(x, *contexts))

    return at


def pushforward(arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False) -> At:
    """Build the JVP: by forward mode, unless it is to be differentiated again.

    PyTorch's rules of forward mode are no functions to differentiate: those of ``slogdet``,
    ``solve`` or ``layer_norm`` hold what they saved for constant, and ``torch.func.jacfwd`` over
    itself is wrong for them. The rules of reverse mode can be differentiated once in both modes.
    """
    if problem.derived:
        check_rules(problem)
    inner = problem.source.order > 1 and not problem.derived
    return _staged(_by_rows(arrays, problem, value) if inner else _forward(problem, value), reuse)


def _by_rows(arrays: Arrays, problem: Problem, value: bool) -> Callable[..., Apply]:
    """Build the JVP of the rows that the VJP makes of a basis of ``y``."""
    pull = _nesting_pullback(problem, True)

    def stage(x: Any, *contexts: Any) -> Apply:
        y, rows = sweep(arrays, pull(x, *contexts), problem.y)

        def apply(t: Any) -> tuple[Any, Any]:
            result = cast(unravel(rows @ ravel(cast(t, problem.x)), problem.y), problem.y)
            return (copy(y) if value else None), result

        return apply

    return stage


def _forward(problem: Problem, value: bool) -> Callable[..., Apply]:
    def stage(x: Any, *contexts: Any) -> Apply:
        flat, leaves = _flat(problem, x, contexts)

        def apply(t: Any) -> tuple[Any, Any]:
            tangents = tuple(flatten(t)[0])
            ys, results = torch.func.jvp(flat.call, leaves, tangents)
            return (copy(flat.rebuild(ys)) if value else None), flat.rebuild(results)

        return apply

    return stage


def pullback(arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False) -> At:
    """Build the VJP, by reverse mode; what it keeps is computed once a point."""
    if problem.derived:
        check_rules(problem)
    nests = problem.source.order > 1
    return _staged(_nesting_pullback(problem, value) if nests else _pullback(problem, value), reuse)


def _pullback(problem: Problem, value: bool) -> Callable[..., Apply]:
    def stage(x: Any, *contexts: Any) -> Apply:
        x = _recorded(x)
        y = problem.call(x, *contexts)

        def apply(t: Any) -> tuple[Any, Any]:
            check_batched(flatten(y)[0], flatten(t)[0])
            return (copy(y) if value else None), pulled(y, x, t)

        return apply

    return stage


def _nesting_pullback(problem: Problem, value: bool) -> Callable[..., Apply]:
    def stage(x: Any, *contexts: Any) -> Apply:
        flat, leaves = _flat(problem, x, contexts)
        ys, pull = torch.func.vjp(flat.call, *leaves)

        def apply(t: Any) -> tuple[Any, Any]:
            result = unflatten(flatten(x)[1], pull(tuple(flatten(t)[0])))
            return (copy(flat.rebuild(ys)) if value else None), result

        return apply

    return stage


def _recorded(x: Any) -> Any:
    """Make leaves of a graph of these values."""
    return mapped(lambda leaf: leaf.detach().requires_grad_(), x)


def pulled(y: Any, x: Any, t: Any, *, create_graph: bool = False) -> Any:
    """Pull ``t`` back from ``y`` to ``x``, through the graph between them."""
    leaves, structure = flatten(x)
    pairs = [(one, s) for one, s in zip(flatten(y)[0], flatten(t)[0], strict=True)]
    pairs = [(one, s) for one, s in pairs if one.requires_grad]
    if not pairs:
        return mapped(lambda leaf: torch.zeros_like(leaf.detach()), x)
    ys, ts = zip(*pairs, strict=True)
    results = torch.autograd.grad(
        ys,
        leaves,
        ts,
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )
    return unflatten(structure, results)


@final
@dataclass(frozen=True, slots=True)
class _Flat:
    """A function of tuples of tensors.

    Attributes:
        call: ``(*leaves) -> leaves of y``.
        rebuild: the leaves of ``y`` as ``y``.
    """

    call: Callable[..., tuple[Any, ...]]
    rebuild: Callable[[Sequence[Any]], Any]


def _flat(problem: Problem, x: Any, contexts: tuple[Any, ...]) -> tuple[_Flat, tuple[Any, ...]]:
    leaves, structure = flatten(cast(x, problem.x))
    form = flatten(problem.y)[1]

    def call(*leaves: Any) -> tuple[Any, ...]:
        return tuple(flatten(problem.call(unflatten(structure, leaves), *contexts))[0])

    return _Flat(call, lambda values: unflatten(form, values)), tuple(leaves)


def forward_over_reverse(problem: Problem) -> Callable[..., Apply]:
    """Build the Hessian-vector product as the pushforward of the gradient."""

    def stage(x: Any, *contexts: Any) -> Apply:
        flat, leaves = _flat(problem, x, contexts)
        structure = flatten(x)[1]

        def gradient(*leaves: Any) -> tuple[Any, ...]:
            (y,), pull = torch.func.vjp(flat.call, *leaves)
            result: tuple[Any, ...] = pull((torch.ones_like(y),))
            return result

        def apply(t: Any) -> tuple[Any, Any]:
            parts = torch.func.jvp(gradient, leaves, tuple(flatten(t)[0]))
            first, second = (unflatten(structure, part) for part in parts)
            return first, second

        return apply

    return stage


def double_backward(problem: Problem) -> Callable[..., Apply]:
    """Build the Hessian-vector product as the pullback of the gradient, by symmetry."""

    def stage(x: Any, *contexts: Any) -> Apply:
        x = _recorded(x)
        y = problem.call(x, *contexts)
        gradient = pulled(y, x, mapped(torch.ones_like, y), create_graph=True)

        def apply(t: Any) -> tuple[Any, Any]:
            return copy(gradient), pulled(gradient, x, t)

        return apply

    return stage


_WAYS = {
    True: (forward_over_reverse, double_backward),
    False: (double_backward, forward_over_reverse),
}


def hvp(traced: bool, arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False) -> At:
    """Build the Hessian-vector product in the first way that works for the function.

    In a graph forward over reverse has fewer operations and holds less; called as it is, double
    backward costs less, for ``torch.func`` is dear.
    """
    check_rules(problem)
    first, second = (build(problem) for build in _WAYS[traced])
    better = works(first, problem) or not works(second, problem)
    return _staged(first if better else second, reuse)


def works(stage: Callable[..., Apply], problem: Problem) -> bool:
    """Try a way on tensors without numbers: not every operation has every derivative.

    Where ``f`` needs the numbers nothing is known, and the way is taken to work.
    """
    source = problem.source
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def fake(leaf: Any) -> Any:
        return mode.from_tensor(leaf) if isinstance(leaf, torch.Tensor) else leaf

    x = as_tensors(private(source.x))
    values = [mapped(fake, shared(context.value)) for context in source.contexts]
    try:
        with settled(), mode, warnings.catch_warnings(action="ignore"):
            point = mapped(fake, x)
            _staged(stage, False)(point, *values)(mapped(torch.ones_like, point))
    except Exception as error:
        return not lacks_derivative(error)
    return True
