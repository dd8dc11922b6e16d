"""Lowering for PyTorch: ``f`` called once, on copies, and made a function of tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import methodcaller
from typing import Any

import numpy as np
import torch

from difint.checks import check_returned, is_floating
from difint.contexts import Constant, Context
from difint.engines.torch.arrays import Spec, flatten, mapped, spec_of, unflatten
from difint.engines.torch.entering import as_tensors, private, shared
from difint.engines.torch.frozen import frozen_in
from difint.engines.torch.rules import once_differentiable_in, same_numbers
from difint.engines.torch.state import (
    Watch,
    cutting,
    hinting,
    settled,
    unchanged_generators,
    watched,
)
from difint.errors import ArgumentError, message
from difint.host_lowering import check_filled
from difint.kinds import NUMPY, PYTHON, TORCH, Leaf, element_text
from difint.problem import Convert, Form, Lowering, Problem, plain_form, single
from difint.signature import Argument, argument
from difint.trees import PYTHON_TREES

KINDS = (PYTHON, NUMPY, TORCH)


def _scalar(tensor: torch.Tensor) -> Any:
    return tensor.numpy()[()]


def _leave_of(leaf: Leaf) -> Convert | None:
    """Get what turns a tensor into a leaf of this kind; NumPy gets the tensor's own memory."""
    if leaf.kind == "torch":
        return None
    if leaf.kind == "python":
        return methodcaller("item")
    return methodcaller("numpy") if leaf.shape else _scalar


def _leaves(tree: Any) -> Sequence[Any]:
    return flatten(tree)[0]


def form_of(one: Argument) -> Form:
    """Make the form of the values that ``one`` describes."""
    if one.structure is None:
        return Form(one, single, None, _leave_of(one.leaves[0]), single)
    structure, finish = one.structure, [_leave_of(leaf) for leaf in one.leaves]

    def unpack(tree: Any) -> Any:
        leaves, got = flatten(tree)
        if got != structure:
            raise ValueError(str(structure))
        return leaves

    def leave(tree: Any) -> Any:
        parts = zip(finish, flatten(tree)[0], strict=True)
        return unflatten(structure, [leaf if f is None else f(leaf) for f, leaf in parts])

    return Form(one, unpack, None, leave if any(finish) else None, _leaves)


def matrix(problem: Problem, leaf: Leaf) -> Form:
    """Make the form of a matrix."""
    return plain_form(leaf, None, _leave_of(leaf))


def lower(traced: bool, lowering: Lowering) -> Problem:
    """Call ``f`` on copies of its arguments, check what it does, and describe what it returns.

    Args:
        traced: ``f`` is called again in a trace, with tensors in the place of numbers.
        lowering: what to lower.
    """
    _check_dtypes(lowering)
    with settled(), unchanged_generators(flatten(lowering.x)[0]):
        x = mapped(torch.Tensor.requires_grad_, as_tensors(private(lowering.x)))
        inputs = flatten(x)[0]
        values = [_example(context) for context in lowering.contexts]
        run = _filled if lowering.y is not None else _returned
        watch = Watch()
        with torch.enable_grad(), hinting(lowering.x), _without_pytorch_s_own(), watched(), watch:
            # Not the leaves themselves: autograd itself would refuse to see them written to.
            point = mapped(torch.Tensor.clone, x)
            y, y_form = run(lowering, point, values)
        if not all(map(same_numbers, inputs, flatten(point)[0])):
            refuse_writing(lowering.operator, "x")
        once = once_differentiable_in(flatten(y)[0])
        specs, y_specs = mapped(spec_of, x), mapped(spec_of, y)
    _warn_of_cuts(lowering.operator, y, watch)
    _check_precision(lowering, y_form.described)
    f = cutting(lowering.f) if watch.switches else lowering.f
    made = _call_of(lowering, f, y_specs, traced)
    frozen = frozen_in(lowering.f) if traced else ()
    return Problem(
        made,
        specs,
        y_specs,
        form_of(lowering.described),
        y_form,
        lowering,
        once=once,
        frozen=frozen,
    )


@contextmanager
def _without_pytorch_s_own() -> Iterator[None]:
    """Keep a warning of PyTorch back that ``_warn_of_cuts`` gives with a remedy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True")
        yield


def _warn_of_cuts(operator: str, y: Any, watch: Watch) -> None:
    """Warn where ``f`` leaves PyTorch, and what it computes there counts as constant."""
    if watch.cuts:
        how = ", ".join(sorted(watch.cuts))
        text = f"f takes numbers out of tensors that depend on x, by {how}"
        remedy = "Compute with the tensors, or write .detach() before it if that is meant."
    elif not any(leaf.requires_grad for leaf in flatten(y)[0]):
        text = "f(x) does not depend on x, as far as PyTorch can see: its derivative is zero"
        remedy = "torch.tensor() and .detach() make new constants: join entries with torch.stack."
    else:
        return
    expected = "functions of torch from x to f(x)"
    warnings.warn(message(operator, text, expected=expected, remedy=remedy), stacklevel=6)


def _example(context: Context) -> Any:
    return shared(context.value) if isinstance(context, Constant) else private(context.value)


_Called = tuple[Any, Form]


def _returned(lowering: Lowering, x: Any, values: list[Any]) -> _Called:
    """Call ``f(x, *contexts)`` once: it shows what ``y`` is."""
    y = _watched(lowering, lambda: lowering.f(x, *values), x, values)
    _check_tensors(lowering.operator, y)
    one = check_returned(lowering.operator, y, PYTHON_TREES, (TORCH,), tree=lowering.tree)
    _check_numpy_has(lowering, one)
    return y, form_of(_kind_of_x(one, lowering.described))


def _filled(lowering: Lowering, x: Any, values: list[Any]) -> _Called:
    """Call ``f(y, x, *contexts)`` on a ``y`` that tells which entries were not set."""
    operator = lowering.operator
    one = _check_y(operator, argument("y", lowering.y, PYTHON_TREES, KINDS))
    y = torch.full_like(as_tensors(private(lowering.y)), torch.nan)
    returned = _watched(lowering, lambda: lowering.f(y, x, *values), x, values)
    if returned is not None and returned is not y:
        problem = f"f returned a {type(returned).__name__}, and y= was given"
        remedy = "Leave y= out, or let f fill its first argument and return None."
        raise ArgumentError(message(operator, problem, remedy=remedy))
    if y.isnan().any():
        again = torch.zeros_like(y)
        lowering.f(again, x, *values)
        check_filled(operator, *(part.double().cpu().numpy() for part in (y, again)))
    return y, form_of(_kind_of_x(one, lowering.described))


def _watched(lowering: Lowering, call: Callable[[], Any], x: Any, values: list[Any]) -> Any:
    """Call ``f``, and refuse one that writes to its ``x``, or to a constant."""
    pairs = zip(values, lowering.written, strict=True)
    constants = [value for value, written in pairs if not written]
    mine = [("x", leaf) for leaf in flatten(x)[0]]
    mine += [("a Constant", leaf) for leaf in flatten(constants)[0]]
    tensors = [(name, leaf) for name, leaf in mine if isinstance(leaf, torch.Tensor)]
    before = [leaf._version for _, leaf in tensors]
    result = call()
    for (name, leaf), version in zip(tensors, before, strict=True):
        if leaf._version != version:
            refuse_writing(lowering.operator, name)
    return result


def refuse_writing(operator: str, name: str) -> None:
    """Say that ``f`` wrote to what it may only read."""
    text = message(
        operator,
        f"f wrote to {name}",
        expected=f"{name} as it was passed",
        got="an in-place operation on it",
        remedy="Let f work on a clone, or in a Cache; f(y, x, ...) fills its first argument.",
    )
    raise ArgumentError(text)


def _check_tensors(operator: str, y: Any) -> None:
    """Refuse results that carry no derivative, for they are no tensors."""
    wrong = [leaf for leaf in flatten(y)[0] if not isinstance(leaf, torch.Tensor)]
    if not wrong or y is None:
        return
    text = message(
        operator,
        f"f returned a {type(wrong[0]).__name__}, which carries no derivative",
        expected="a torch.Tensor, computed with PyTorch's functions",
        got=f"a {type(wrong[0]).__name__}",
        remedy="Compute with torch (no .item(), no .numpy()), or use AutoFiniteDiff().",
    )
    raise ArgumentError(text)


def _check_precision(lowering: Lowering, y: Argument) -> None:
    """Refuse results of less precision than ``x``: ``torch.zeros(n)`` is float32."""
    x = max((leaf.numpy_dtype for leaf in lowering.described.leaves), key=_bits)
    low = [leaf for leaf in y.leaves if _bits(leaf.numpy_dtype) < _bits(x)]
    if not low:
        return
    name = element_text(x)
    text = message(
        lowering.operator,
        "f(x) has less precision than x",
        expected=f"{name}, as of x",
        got=", ".join(map(str, low)),
        remedy="Make f's own tensors like x, e.g. torch.zeros(n, dtype=x.dtype), for PyTorch "
        f"makes float32; where it is meant, end f with .to(torch.{name}).",
    )
    raise ArgumentError(text)


def _bits(dtype: Any) -> int:
    bits: int = torch.finfo(getattr(torch, element_text(dtype))).bits
    return bits


def _check_numpy_has(lowering: Lowering, y: Argument) -> None:
    """Refuse results that cannot be given back: of no dtype of NumPy."""
    kinds = {leaf.kind for leaf in lowering.described.leaves}
    for leaf in y.leaves:
        if "torch" not in kinds and not isinstance(leaf.dtype, np.dtype):
            text = message(
                lowering.operator,
                f"f returned {leaf}, which NumPy has no dtype for",
                expected="a dtype of NumPy, for an x of NumPy",
                got=str(leaf),
                remedy="Let f return float32, or pass x as a torch.Tensor.",
            )
            raise ArgumentError(text)


def _check_y(operator: str, one: Argument) -> Argument:
    """Require a ``y`` that ``f`` can fill."""
    leaf = one.leaves[0] if one.leaves else None
    array = one.structure is None and leaf is not None and leaf.kind in ("numpy", "torch")
    if array and leaf is not None and is_floating(leaf):
        return one
    text = message(
        operator,
        "y cannot be filled by f",
        expected="a tensor, or a NumPy array, of real floating point numbers",
        got=", ".join(map(str, one.leaves)) or "an empty tree",
        remedy="Pass y=torch.empty(shape, dtype=dtype) of f's output.",
    )
    raise ArgumentError(text)


def _kind_of_x(one: Argument, x: Argument) -> Argument:
    """Give the leaves of ``y`` the kind of ``x``: NumPy in, NumPy out; floats in, floats out."""
    kinds = {leaf.kind for leaf in x.leaves}

    def settle(leaf: Leaf) -> Leaf:
        if "torch" in kinds:
            return replace(leaf, kind="torch", device=leaf.device or x.leaves[0].device)
        if kinds == {"python"} and leaf.shape == () and leaf.numpy_dtype == np.float64:
            return Leaf("python", (), float)
        return Leaf("numpy", leaf.shape, leaf.dtype)

    return replace(one, leaves=tuple(map(settle, one.leaves)))


def _call_of(lowering: Lowering, f: Callable[..., Any], y: Any, traced: bool) -> Callable[..., Any]:
    """Make ``call(x, *contexts) -> y`` on tensors; what ``f`` may write to is its own."""
    operator, written = lowering.operator, lowering.written
    filled = lowering.y is not None
    specs, structure = flatten(y)

    def call(x: Any, *contexts: Any) -> Any:
        pairs = zip(contexts, written, strict=True)
        values = [_scratch(one) if mine else one for one, mine in pairs]
        if filled:
            result = torch.empty(y.shape, dtype=y.dtype, device=y.device)
            f(result, x, *values)
            return result
        result = f(x, *values)
        leaves, got = flatten(result)
        if traced:
            # A number that a graph takes as a tensor may widen what has no axes, as no number does.
            leaves = [_settled(leaf, spec) for leaf, spec in zip(leaves, specs, strict=False)]
            result = unflatten(got, leaves)
        if got != structure or not all(map(_is_like, leaves, specs)):
            _refuse_change(operator, specs, leaves)
        return result

    return call


def _settled(leaf: Any, spec: Spec) -> Any:
    number = isinstance(leaf, torch.Tensor) and leaf.dim() == 0 and leaf.is_floating_point()
    return leaf.to(spec.dtype) if number else leaf


def _scratch(value: Any) -> Any:
    clone = torch.clone
    return mapped(lambda one: clone(one) if isinstance(one, torch.Tensor) else one, value)


def _is_like(leaf: Any, spec: Spec) -> bool:
    fits = isinstance(leaf, torch.Tensor) and leaf.dtype == spec.dtype
    return fits and tuple(leaf.shape) == spec.shape


def _refuse_change(operator: str, specs: Sequence[Spec], leaves: Sequence[Any]) -> None:
    got = argument("f(x)", list(leaves), PYTHON_TREES, (TORCH,))
    text = message(
        operator,
        "f returned something else than at prepare",
        expected=", ".join(f"{element_text(one.dtype)}{list(one.shape)}" for one in specs),
        got=", ".join(map(str, got.leaves)) or "nothing",
        remedy="Let f return the same structure, shapes and kind of numbers for every x.",
    )
    raise ArgumentError(text)


def _check_dtypes(lowering: Lowering) -> None:
    """Refuse arrays of NumPy that PyTorch has no dtype for."""
    named = [("x", lowering.x)]
    named += [(f"context {i}", one.value) for i, one in enumerate(lowering.contexts)]
    for name, value in named:
        one = argument(name, value, PYTHON_TREES, KINDS)
        for path, leaf in zip(one.paths, one.leaves, strict=True):
            if leaf.kind != "numpy" or _has_dtype(leaf.dtype):
                continue
            text = message(
                lowering.operator,
                f"{path}: PyTorch has no {leaf.dtype}",
                expected="a dtype of PyTorch, in the machine's byte order",
                got=str(leaf),
                remedy=f"Convert it: {path}.astype(numpy.float64).",
            )
            raise ArgumentError(text)


def _has_dtype(dtype: Any) -> bool:
    try:
        torch.from_numpy(np.empty(0, dtype))
    except (TypeError, ValueError):
        return False
    return True
