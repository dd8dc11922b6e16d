"""The NumPy array library: values are single NumPy arrays, trees are flattened at the border."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter, methodcaller
from typing import Any, final

import numpy as np

from difint.checks import check_returned
from difint.engine import Apply, Arrays
from difint.errors import ArgumentError, message
from difint.kinds import JAX, NUMPY, PYTHON, Leaf
from difint.problem import Convert, Form, Lowering, Problem, plain_form, single
from difint.signature import Argument, argument
from difint.trees import PYTHON_TREES

KINDS = (PYTHON, NUMPY, JAX)

# A list of a million unit tangents would be a matrix of its own.
_CHUNK = 64

_scalar = itemgetter(())


def _to_jax(value: Any) -> Any:
    import jax.numpy as jnp

    return jnp.array(value)


_LEAVE: dict[str, Convert] = {"python": methodcaller("item"), "numpy": _scalar, "jax": _to_jax}


def _leave_of(leaf: Leaf) -> Convert | None:
    return None if leaf.kind == "numpy" and leaf.shape else _LEAVE[leaf.kind]


def _identity(value: Any) -> Any:
    return value


def form_of(one: Argument) -> Form:
    """Make the form of the values that ``one`` describes."""
    if one.structure is None:
        leave = _leave_of(one.leaves[0])
        return Form(one, single, None if leave is None else np.asarray, leave, single)
    return _tree_form(one)


def _tree_form(one: Argument) -> Form:
    """Make the form of a tree: one flat array, its leaves one after the other."""
    trees, structure, leaves = PYTHON_TREES, one.structure, one.leaves
    dtype = np.result_type(*(leaf.numpy_dtype for leaf in leaves))
    stops = np.cumsum([leaf.size for leaf in leaves]).tolist()
    spans = [slice(stop - leaf.size, stop) for stop, leaf in zip(stops, leaves, strict=True)]
    finish = [_leave_of(leaf) or _identity for leaf in leaves]

    def unpack(tree: Any) -> Sequence[Any]:
        parts, got = trees.flatten(tree)
        if got != structure:
            raise ValueError(str(structure))
        return parts

    def enter(tree: Any) -> Any:
        flat = np.concatenate([np.ravel(part) for part in unpack(tree)])
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
    x_form = form_of(lowering.described)
    x = np.array(lowering.x if x_form.enter is None else x_form.enter(lowering.x))
    present = x_form.leave or _identity
    make = _filling_call if lowering.y is not None else _returning_call
    call, y_form, y = make(lowering, present, x)
    return Problem(call, _template(x), _template(y), x_form, y_form, lowering)


def _template(value: Any) -> Any:
    return np.broadcast_to(np.zeros((), value.dtype), value.shape)


_Lowered = tuple[Callable[..., Any], Form, Any]


def _returning_call(lowering: Lowering, present: Convert, x: Any) -> _Lowered:
    """Lower ``f(x, *contexts) -> y``; one call shows what ``y`` is."""
    f, operator = lowering.f, lowering.operator
    values = [context.value for context in lowering.contexts]
    example = f(present(x.copy()), *values)
    one = check_returned(operator, example, PYTHON_TREES, KINDS, tree=lowering.tree)
    one = _kind_of_x(one, lowering.described)
    y_form = form_of(one)
    receive = _receiver(operator, one, y_form, example)
    if present is not _identity:
        return (lambda x, *values: receive(f(present(x), *values))), y_form, receive(example)
    return CheckedCall(f, one.leaves[0].shape, receive), y_form, receive(example)


@final
class CheckedCall:
    """A user's ``f`` that takes and returns NumPy arrays, with a check of what it returns."""

    __slots__ = ("f", "receive", "shape")

    def __init__(self, f: Callable[..., Any], shape: tuple[int, ...], receive: Convert) -> None:
        self.f = f
        self.shape = shape
        self.receive = receive

    def __call__(self, x: Any, *contexts: Any) -> Any:
        """Call ``f``, and check."""
        y = self.f(x, *contexts)
        return y if type(y) is np.ndarray and y.shape == self.shape else self.receive(y)


def taken_apart(call: Callable[..., Any]) -> tuple[Callable[..., Any], Convert]:
    """Get ``f`` and the check of its results, for loops that inline the plain case of the check."""
    return (call.f, call.receive) if isinstance(call, CheckedCall) else (call, _identity)


def _kind_of_x(one: Argument, x: Argument) -> Argument:
    """Give the leaves of ``y`` the kind of ``x``: NumPy in, NumPy out; floats in, floats out."""
    kinds = {leaf.kind for leaf in x.leaves}
    device = next((leaf.device for leaf in x.leaves if leaf.kind == "jax"), None)

    def settle(leaf: Leaf) -> Leaf:
        if "jax" in kinds:
            return Leaf("jax", leaf.shape, leaf.numpy_dtype, device)
        if kinds == {"python"} and leaf.shape == () and leaf.numpy_dtype == np.float64:
            return Leaf("python", (), float)
        return Leaf("numpy", leaf.shape, leaf.dtype) if leaf.kind == "jax" else leaf

    return replace(one, leaves=tuple(map(settle, one.leaves)))


def _receiver(operator: str, one: Argument, form: Form, example: Any) -> Convert:
    """Build what turns each ``y`` into an array, and refuses one unlike the first."""
    shapes = [leaf.shape for leaf in one.leaves]
    enter = form.enter or np.asarray
    # The type of a scalar says its shape; times 1j, what a complex step makes of it.
    scalar = one.structure is None and not shapes[0] and not isinstance(example, np.ndarray)
    scalars = (type(example), type(1j * example)) if scalar else ()

    def receive(y: Any) -> Any:
        if type(y) in scalars:
            return enter(y)
        got = argument("f(x)", y, PYTHON_TREES, KINDS)
        if not got.alike(one) or [leaf.shape for leaf in got.leaves] != shapes:
            _refuse_change(operator, one, got)
        return enter(y)

    return receive


def _refuse_change(operator: str, one: Argument, got: Argument) -> None:
    text = message(
        operator,
        "f returned something else than at prepare",
        expected=", ".join(map(str, one.leaves)),
        got=", ".join(map(str, got.leaves)) or "nothing",
        remedy="Let f return the same structure and shapes for every x, or prepare again.",
    )
    raise ArgumentError(text)


def _filling_call(lowering: Lowering, present: Convert, x: Any) -> _Lowered:
    """Lower ``f(y, x, *contexts) -> None``: every call fills an array of its own."""
    f, y = lowering.f, lowering.y
    one = _check_example(lowering.operator, argument("y", y, PYTHON_TREES, KINDS))
    shape, dtype = y.shape, y.dtype

    def call(x: Any, *contexts: Any) -> Any:
        filled = np.empty(shape, np.result_type(dtype, x.dtype) if x.dtype.kind == "c" else dtype)
        f(filled, present(x), *contexts)
        return filled

    filled = np.empty(shape, dtype)
    returned = f(filled, present(x.copy()), *(context.value for context in lowering.contexts))
    if returned is not None and returned is not filled:
        problem = f"f returned a {type(returned).__name__}, and y= was given"
        remedy = "Leave y= out, or let f fill its first argument and return None."
        raise ArgumentError(message(lowering.operator, problem, remedy=remedy))
    return call, form_of(one), filled


def _check_example(operator: str, one: Argument) -> Argument:
    leaf = one.leaves[0] if one.leaves else None
    if (
        one.structure is None
        and leaf is not None
        and leaf.kind == "numpy"
        and leaf.dtype.kind == "f"
    ):
        return one
    text = message(
        operator,
        "y cannot be filled by f",
        expected="a NumPy array of real floating point numbers",
        got=", ".join(map(str, one.leaves)) or "an empty tree",
        remedy="Pass y=numpy.empty(shape, dtype) of f's output.",
    )
    raise ArgumentError(text)


def _matrix(problem: Problem, leaf: Leaf) -> Form:
    """Make the form of a matrix: of the kind of ``x``, and an array even where ``x`` is none."""
    kind = problem.x_form.leaves[0].kind
    if kind == "jax":
        return plain_form(leaf, np.asarray, _to_jax)
    return plain_form(Leaf("numpy", leaf.shape, leaf.dtype))


def _compile(kernel: Callable[..., Any], args: Any, *, strict: bool = True) -> Callable[..., Any]:
    return kernel


def _attach(
    kernel: Callable[..., Any], apply: Apply, t: Any, *, strict: bool = True
) -> Callable[..., Any]:
    return partial(kernel, apply)


def _one(like: Any) -> Any:
    return np.ones(like.shape, like.dtype)


def _ravel(value: Any) -> Any:
    return value.reshape(-1)


def _unravel(vector: Any, like: Any) -> Any:
    return vector.reshape(like.shape)


def _inner(a: Any, b: Any) -> Any:
    return np.dot(a.reshape(-1), b.reshape(-1))


def _cast(value: Any, like: Any) -> Any:
    return np.asarray(value, like.dtype)


def _transpose(matrix: Any) -> Any:
    return np.ascontiguousarray(matrix.T)


def _basis(like: Any, start: int, stop: int) -> Any:
    seeds = np.eye(stop - start, like.size, start, like.dtype)
    return seeds.reshape(stop - start, *like.shape)


def _batch(apply: Apply, seeds: Any) -> tuple[Any, Any]:
    y, results = _each(apply, tuple(seeds))
    return y, np.stack([np.ravel(result) for result in results])


def _each(apply: Apply, tangents: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    pairs = [apply(t) for t in tangents]
    return pairs[0][0], tuple(result for _, result in pairs)


NUMPY_ARRAYS = Arrays(
    name="numpy",
    kinds=KINDS,
    trees=PYTHON_TREES,
    lower=lower,
    matrix=_matrix,
    compile=_compile,
    attach=_attach,
    sealed=frozenset,
    settle=_identity,
    copy=np.array,
    one=_one,
    ravel=_ravel,
    unravel=_unravel,
    inner=_inner,
    cast=_cast,
    transpose=_transpose,
    concatenate=np.concatenate,
    basis=_basis,
    batch=_batch,
    each=_each,
    chunk=_CHUNK,
)
