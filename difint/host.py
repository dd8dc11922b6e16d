"""The NumPy array library: values are single NumPy arrays, trees are flattened at the border."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from difint.engine import Apply, Arrays, Occasion, Traces
from difint.host_lowering import KINDS, enter_of, identity, leave_of, lent_to_torch, lower
from difint.kinds import Leaf
from difint.problem import Form, Problem, plain_form
from difint.trees import PYTHON_TREES

if TYPE_CHECKING:
    from difint.dependence.sets import Rows

# A list of a million unit tangents would be a matrix of its own.
_CHUNK = 64


def _matrix(problem: Problem, leaf: Leaf) -> Form:
    """Make the form of a matrix: of the kind of ``x``, and an array even where ``x`` is none."""
    kind = problem.x_form.leaves[0].kind
    if kind in ("jax", "torch"):
        return plain_form(leaf, enter_of(leaf), leave_of(leaf))
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


def _write(target: Any, value: Any) -> None:
    """Fill a user's array, or tensor, with a NumPy array."""
    if isinstance(target, np.ndarray):
        target[...] = value
    else:
        target.detach().copy_(lent_to_torch(np.array(value)))


def _dependence(problem: Problem, occasion: Occasion, *, curved: bool, local: bool) -> Rows:
    """Trace index sets through the function."""
    from difint.dependence.host import dependence

    return dependence(problem, occasion, curved=curved, local=local)


def _watch() -> nullcontext[Traces]:
    return nullcontext(Traces())  # nothing is ever traced


NUMPY_ARRAYS = Arrays(
    name="numpy",
    kinds=KINDS,
    trees=PYTHON_TREES,
    lower=lower,
    matrix=_matrix,
    compile=_compile,
    attach=_attach,
    sealed=frozenset,
    asynchronous=False,
    traceable=False,
    settle=identity,
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
    watch=_watch,
    write=_write,
    dependence=_dependence,
    holds_integers=True,
    chunk=_CHUNK,
)
