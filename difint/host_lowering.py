"""Lowering for NumPy: the user's ``f``, scalars and trees to functions of single arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter, methodcaller
from typing import Any, final

import numpy as np

from difint.checks import check_returned, refuse_traced
from difint.errors import ArgumentError, UnsupportedError, message
from difint.kinds import JAX, NUMPY, PYTHON, TORCH, Leaf
from difint.problem import ContextChange, Convert, Form, Lowering, Problem, single
from difint.signature import Argument, argument
from difint.trees import PYTHON_TREES

KINDS = (PYTHON, NUMPY, JAX, TORCH)

_scalar = itemgetter(())


def to_jax(value: Any) -> Any:
    """Copy a NumPy array into a JAX array."""
    import jax.numpy as jnp

    return jnp.array(value)


def to_torch(device: Any, value: Any) -> Any:
    """Copy a NumPy array into a tensor."""
    import torch

    return torch.from_numpy(np.array(value)).to(device)


def lent_to_torch(value: Any) -> Any:
    """Make a tensor on a NumPy array's memory."""
    import torch

    return torch.from_numpy(value)


def from_torch(value: Any) -> Any:
    """Copy a tensor into a NumPy array."""
    return value.detach().cpu().numpy().copy()


_LEAVE: dict[str, Convert] = {"python": methodcaller("item"), "numpy": _scalar, "jax": to_jax}


def leave_of(leaf: Leaf) -> Convert | None:
    """Get what turns a NumPy array into a leaf of this kind; ``None`` if it is one."""
    if leaf.kind == "torch":
        return partial(to_torch, leaf.device)
    return None if leaf.kind == "numpy" and leaf.shape else _LEAVE[leaf.kind]


def enter_of(leaf: Leaf) -> Convert:
    """Get what turns a leaf of this kind into a NumPy array."""
    return from_torch if leaf.kind == "torch" else np.asarray


def identity(value: Any) -> Any:
    """Return a value that needs no conversion."""
    return value


def form_of(one: Argument) -> Form:
    """Make the form of the values that ``one`` describes."""
    if one.structure is None:
        leaf = one.leaves[0]
        leave = leave_of(leaf)
        return Form(one, single, None if leave is None else enter_of(leaf), leave, single)
    return _tree_form(one)


def _tree_form(one: Argument) -> Form:
    """Make the form of a tree: one flat array, its leaves one after the other."""
    trees, structure, leaves = PYTHON_TREES, one.structure, one.leaves
    dtype = np.result_type(*(leaf.numpy_dtype for leaf in leaves))
    stops = np.cumsum([leaf.size for leaf in leaves]).tolist()
    spans = [slice(stop - leaf.size, stop) for stop, leaf in zip(stops, leaves, strict=True)]
    finish = [leave_of(leaf) or identity for leaf in leaves]
    begin = [enter_of(leaf) for leaf in leaves]

    def unpack(tree: Any) -> Sequence[Any]:
        parts, got = trees.flatten(tree)
        if got != structure:
            raise ValueError(str(structure))
        return parts

    def enter(tree: Any) -> Any:
        parts = zip(begin, unpack(tree), strict=True)
        flat = np.concatenate([np.ravel(convert(part)) for convert, part in parts])
        return flat if flat.dtype.kind == "c" else flat.astype(dtype, copy=False)

    def spread(flat: Any) -> list[Any]:
        pairs = zip(spans, leaves, strict=True)
        return [_restore(flat[span].reshape(leaf.shape), leaf) for span, leaf in pairs]

    def leave(flat: Any) -> Any:
        parts = zip(finish, spread(flat), strict=True)
        return trees.unflatten(structure, [convert(part) for convert, part in parts])

    return Form(one, unpack, enter, leave, spread)


def _restore(part: Any, leaf: Leaf) -> Any:
    """Give a leaf its own dtype back; a complex step stays complex."""
    return part if part.dtype.kind == "c" else part.astype(leaf.numpy_dtype, copy=False)


def lower(lowering: Lowering) -> Problem:
    """Lower ``f`` to a function from one NumPy array to one NumPy array."""
    check_concrete(lowering)
    x_form = form_of(lowering.described)
    x = np.array(lowering.x if x_form.enter is None else x_form.enter(lowering.x))
    present = x_form.leave or identity
    make = _filling_call if lowering.y is not None else _returning_call
    call, y_form, y = make(lowering, present, x)
    return Problem(call, template(x), template(y), x_form, y_form, lowering)


def check_concrete(lowering: Lowering) -> None:
    """Refuse values that a transformation traces."""
    contexts = [argument("", c, PYTHON_TREES, KINDS) for c in lowering.contexts]
    if any(leaf.traced for one in (lowering.described, *contexts) for leaf in one.leaves):
        refuse_traced(lowering.operator)
    for leaf in lowering.described.leaves:
        if "float" in str(leaf.dtype) and str(leaf.dtype).startswith("torch."):
            text = message(
                lowering.operator,
                "this backend computes with NumPy, which has no such numbers",
                expected="a dtype of NumPy",
                got=str(leaf),
                remedy="Convert x to torch.float32, or use AutoTorch().",
            )
            raise UnsupportedError(text)


def template(value: Any) -> Any:
    """Make an array of the same shape and dtype that takes no memory."""
    return np.broadcast_to(np.zeros((), value.dtype), value.shape)


_Lowered = tuple[Callable[..., Any], Form, Any]


def _returning_call(lowering: Lowering, present: Convert, x: Any) -> _Lowered:
    """Lower ``f(x, *contexts) -> y``; one call shows what ``y`` is."""
    f, operator = lowering.f, lowering.operator
    values = [context.value for context in lowering.contexts]
    trial, constants = x.copy(), _constants(lowering)
    before = [leaf.copy() for leaf in constants]
    example = f(present(trial), *values)
    check_unwritten(operator, [trial, *constants], [x, *before])
    one = check_returned(operator, example, PYTHON_TREES, KINDS, tree=lowering.tree)
    _check_not_cut(operator, lowering.described, one)
    settled = kind_of_x(one, lowering.described)
    y_form = form_of(settled)
    receive = partial(_receiver, operator, one, y_form, example)
    shape = one.leaves[0].shape if present is identity else None
    inner = f if present is identity else lambda x, *values: f(present(x), *values)
    call = CheckedCall(inner, shape, receive, takes_complex=False)
    return call, y_form, call.receive(example)


# A copy of a large constant, for the check alone, could be more than the memory there is.
_COPIED = 2**26


def _constants(lowering: Lowering) -> list[Any]:
    """List the arrays that ``f`` must leave as they are, but for very large ones."""
    pairs = zip(lowering.contexts, lowering.written, strict=True)
    trees = [context.value for context, written in pairs if not written]
    leaves = PYTHON_TREES.flatten(trees)[0]
    return [leaf for leaf in leaves if type(leaf) is np.ndarray and leaf.nbytes <= _COPIED]


def check_unwritten(operator: str, after: list[Any], before: list[Any]) -> None:
    """Refuse an ``f`` that wrote to its ``x``, or to a constant."""
    pairs = enumerate(zip(after, before, strict=True))
    written = [i for i, (one, other) in pairs if one.tobytes() != other.tobytes()]
    if not written:
        return
    name = "x" if written[0] == 0 else "a Constant"
    text = message(
        operator,
        f"f wrote to {name}",
        expected=f"{name} as it was passed",
        got="other values in it after the call",
        remedy="Let f work on a copy, or in a Cache; f(y, x, ...) fills its first argument.",
    )
    raise ArgumentError(text)


def _check_not_cut(operator: str, x: Argument, y: Argument) -> None:
    """Refuse 64-bit numbers where ``f`` computes with JAX in 32-bit mode."""
    if not any(leaf.kind == "jax" for leaf in (*x.leaves, *y.leaves)):
        return
    import jax

    def bits(one: Argument) -> int:
        return max((leaf.numpy_dtype.itemsize for leaf in one.leaves), default=0)

    if bits(x) < 8 or jax.config.jax_enable_x64:
        return
    text = message(
        operator,
        "f computes with JAX, which is in 32-bit mode: x would lose precision",
        expected="32-bit numbers, or JAX in 64-bit mode",
        got=", ".join(map(str, x.leaves)),
        remedy="Set jax.config.update('jax_enable_x64', True) first, or pass float32.",
    )
    raise ArgumentError(text)


@final
class CheckedCall:
    """A user's ``f`` as a function of NumPy arrays, with a check of what it returns."""

    __slots__ = ("f", "make_receive", "receive", "shape")

    def __init__(
        self,
        f: Callable[..., Any],
        shape: tuple[int, ...] | None,
        make_receive: Callable[[bool], Convert],
        *,
        takes_complex: bool,
    ) -> None:
        self.f = f
        self.shape = shape
        self.make_receive = make_receive
        self.receive = make_receive(takes_complex)

    def __call__(self, x: Any, *contexts: Any) -> Any:
        """Call ``f``, and check."""
        y = self.f(x, *contexts)
        if type(y) is np.ndarray and y.shape == self.shape and y.dtype.kind == "f":
            return y
        return self.receive(y)


def taken_apart(call: Callable[..., Any]) -> tuple[Callable[..., Any], Convert]:
    """Get ``f`` and the check of its results, for loops that inline the plain case of the check."""
    return (call.f, call.receive) if isinstance(call, CheckedCall) else (call, identity)


def taking_complex(call: Callable[..., Any]) -> Callable[..., Any]:
    """Let a call return complex numbers, as it does for a complex step."""
    if isinstance(call, ContextChange):
        return replace(call, inner=taking_complex(call.inner))
    if not isinstance(call, CheckedCall):
        return call
    return CheckedCall(call.f, call.shape, call.make_receive, takes_complex=True)


def kind_of_x(one: Argument, x: Argument) -> Argument:
    """Give the leaves of ``y`` the kind of ``x``: NumPy in, NumPy out; floats in, floats out."""
    kinds = {leaf.kind for leaf in x.leaves}
    devices = {leaf.kind: leaf.device for leaf in x.leaves if leaf.kind in ("jax", "torch")}

    def settle(leaf: Leaf) -> Leaf:
        for kind, device in devices.items():
            return Leaf(kind, leaf.shape, leaf.numpy_dtype, device)
        if kinds == {"python"} and leaf.shape == () and leaf.numpy_dtype == np.float64:
            return Leaf("python", (), float)
        return Leaf("numpy", leaf.shape, leaf.dtype) if leaf.kind in ("jax", "torch") else leaf

    return replace(one, leaves=tuple(map(settle, one.leaves)))


def _receiver(
    operator: str, one: Argument, form: Form, example: Any, takes_complex: bool
) -> Convert:
    """Build what turns each ``y`` into an array, and refuses one unlike the first."""
    shapes = [leaf.shape for leaf in one.leaves]
    shape = shapes[0] if one.structure is None else None
    enter = form.enter or np.asarray
    floating = ("f", "c") if takes_complex else ("f",)
    # The type of a scalar says its shape; times 1j, what a complex step makes of it.
    scalar = shape == () and not isinstance(example, np.ndarray)
    plain = (type(example), type(1j * example) if takes_complex else None) if scalar else ()
    listed = scalar or shape is None or TORCH.owns(example)
    arrays = () if listed else (np.ndarray, type(example))

    def receive(y: Any) -> Any:
        kind = type(y)
        if kind in plain or (kind in arrays and y.shape == shape and y.dtype.kind in floating):
            return enter(y)
        got = argument("f(x)", y, PYTHON_TREES, KINDS)
        kinds = {leaf.numpy_dtype.kind for leaf in got.leaves if leaf.kind}
        if not got.alike(one) or [leaf.shape for leaf in got.leaves] != shapes:
            _refuse_change(operator, one, got)
        if "c" in kinds and not takes_complex:
            _refuse_change(operator, one, got)
        return enter(y)

    return receive


def _refuse_change(operator: str, one: Argument, got: Argument) -> None:
    text = message(
        operator,
        "f returned something else than at prepare",
        expected=", ".join(map(str, one.leaves)),
        got=", ".join(map(str, got.leaves)) or "nothing",
        remedy="Let f return the same structure, shapes and kind of numbers for every x.",
    )
    raise ArgumentError(text)


def _filling_call(lowering: Lowering, present: Convert, x: Any) -> _Lowered:
    """Lower ``f(y, x, *contexts) -> None``: every call fills an array of its own."""
    f, y = lowering.f, lowering.y
    one = check_example(lowering.operator, argument("y", y, PYTHON_TREES, KINDS))
    shape, dtype = one.leaves[0].shape, one.leaves[0].numpy_dtype
    lend = lent_to_torch if one.leaves[0].kind == "torch" else identity

    def call(x: Any, *contexts: Any) -> Any:
        filled = np.empty(shape, np.result_type(dtype, x.dtype) if x.dtype.kind == "c" else dtype)
        f(lend(filled), present(x), *contexts)
        return filled

    values = [context.value for context in lowering.contexts]
    trial, filled = x.copy(), np.full(shape, np.nan, dtype)
    constants = _constants(lowering)
    before = [leaf.copy() for leaf in constants]
    given = lend(filled)
    returned = f(given, present(trial), *values)
    if returned is not None and returned is not given:
        problem = f"f returned a {type(returned).__name__}, and y= was given"
        remedy = "Leave y= out, or let f fill its first argument and return None."
        raise ArgumentError(message(lowering.operator, problem, remedy=remedy))
    check_unwritten(lowering.operator, [trial, *constants], [x, *before])
    if np.isnan(filled).any():
        again = np.zeros(shape, dtype)
        f(lend(again), present(trial), *values)
        check_filled(lowering.operator, filled, again)
    return call, form_of(kind_of_x(one, lowering.described)), filled


def check_filled(operator: str, filled: Any, again: Any) -> None:
    """Refuse an ``f`` that leaves entries of ``y`` as they were, or adds to them."""
    unwritten = np.isnan(filled) & ~np.isnan(again)
    if not unwritten.any():
        return
    first = tuple(int(i) for i in np.argwhere(unwritten)[0])
    text = message(
        operator,
        f"f does not set every entry of y: y{list(first)} keeps what was in it",
        expected="every entry written, none read before",
        got=f"{int(unwritten.sum())} of {unwritten.size} entries that depend on y's old values",
        remedy="Let f begin with y[...] = 0.",
    )
    raise ArgumentError(text)


def _can_be_filled(leaf: Leaf) -> bool:
    """Tell whether a function that fills arrays like this one can fill NumPy's memory."""
    mine = leaf.kind == "numpy" or (leaf.kind == "torch" and leaf.device.type == "cpu")
    return mine and isinstance(leaf.dtype, np.dtype) and leaf.dtype.kind == "f"


def check_example(operator: str, one: Argument) -> Argument:
    """Require a ``y`` that ``f`` can fill."""
    leaf = one.leaves[0] if one.leaves else None
    if one.structure is None and leaf is not None and _can_be_filled(leaf):
        return one
    text = message(
        operator,
        "y cannot be filled by f",
        expected="a NumPy array of real floating point numbers",
        got=", ".join(map(str, one.leaves)) or "an empty tree",
        remedy="Pass y=numpy.empty(shape, dtype) of f's output.",
    )
    raise ArgumentError(text)
