"""Values and trees of them, whatever library they are of: scale, copy, compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from difint.checks import is_floating
from difint.contexts import Context
from difint.kinds import JAX, NUMPY, PYTHON, TORCH, Memories, describe, kind_of
from difint.trees import PYTHON_TREES, Trees

KINDS = (PYTHON, NUMPY, JAX, TORCH)
MEMORIES = Memories(KINDS)


def leaves_of(value: Any, trees: Trees = PYTHON_TREES) -> list[Any]:
    """List the leaves of a value; of a context, those of what it wraps."""
    return trees.flatten(value.value if isinstance(value, Context) else value)[0]


def mapped(function: Callable[[Any], Any], value: Any, trees: Trees = PYTHON_TREES) -> Any:
    """Apply a function to each leaf; a context stays wrapped."""
    if isinstance(value, Context):
        return type(value)(mapped(function, value.value, trees))
    leaves, structure = trees.flatten(value)
    return trees.unflatten(structure, [function(leaf) for leaf in leaves])


def is_tree(value: Any) -> bool:
    """Tell whether a value is a container, not one array or scalar."""
    return not PYTHON_TREES.is_leaf(value)


def moved(value: Any) -> Any:
    """Get a value of the same form with other numbers: 7/8 of each, or 1/64 where all are 0.

    Shrinking keeps signs, and keeps what is in an interval around zero inside it.
    """

    def move(leaf: Any) -> Any:
        return leaf * 0.875 if np.any(np.asarray(dense(leaf))) else leaf + 1 / 64

    return mapped(_on_floats(move), value)


def scaled(value: Any, factor: float) -> Any:
    """Multiply every floating leaf, in its own dtype."""
    return mapped(_on_floats(lambda leaf: leaf * factor), value)


def _on_floats(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Apply a function to floating leaves alone, in their own precision."""

    def apply(leaf: Any) -> Any:
        one = describe(dense(leaf), KINDS)
        if not one.kind or not (is_floating(one) or one.numpy_dtype.kind == "c"):
            return leaf
        if one.kind == "jax":
            return _in_64_bits(lambda: function(leaf))
        changed = function(leaf)
        # NumPy makes a scalar of an array without axes: it has to be one again.
        return np.asarray(changed) if isinstance(leaf, np.ndarray) else changed

    return apply


def _in_64_bits(function: Callable[[], Any]) -> Any:
    """Compute with JAX in 64-bit mode: in the other one it would cut what it touches."""
    import jax

    with jax.enable_x64(True):
        return function()


def to_jax(array: Any) -> Any:
    """Copy a NumPy array to JAX, in its own precision."""
    import jax

    return _in_64_bits(lambda: jax.numpy.asarray(array))


def tangent_like(value: Any, seed: int = 0) -> Any:
    """Make a tangent whose entries all differ, between 1/2 and 3/2, the same at every call."""
    rng = np.random.default_rng(seed)

    def make(leaf: Any) -> Any:
        one = describe(leaf, KINDS)
        numbers = rng.uniform(0.5, 1.5, one.shape)
        if one.kind == "python":
            return float(numbers)
        return like(numbers.astype(one.numpy_dtype), leaf)

    return mapped(make, value)


def like(array: Any, example: Any) -> Any:
    """Turn a NumPy array into a value of the kind of ``example``, in its own precision."""
    kind = kind_of(example, KINDS)
    if kind is PYTHON:
        return np.asarray(array).item()
    if kind is JAX:
        return to_jax(array)
    return to_torch(array) if kind is TORCH else np.asarray(array)


def to_torch(array: Any) -> Any:
    """Copy a NumPy array to PyTorch."""
    import torch

    return torch.from_numpy(np.array(array))


def fillable_like(array: Any, x: Any) -> Any:
    """Turn a NumPy array into one to fill: a tensor where ``x`` holds some, else NumPy's."""
    return to_torch(array) if any(map(TORCH.owns, leaves_of(x))) else array


def can_be_written(leaf: Any) -> bool:
    """Tell whether a leaf has memory that can change."""
    memory = None if np.isscalar(leaf) else MEMORIES.of(leaf)
    return memory is not None and not memory.locked(leaf)


def own_copy(leaf: Any) -> Any:
    """Copy a leaf to memory of its own; what never changes is returned as it is."""
    memory = None if np.isscalar(leaf) else MEMORIES.of(leaf)
    return leaf if memory is None else memory.copy(leaf)


def share_memory(one: Any, other: Any) -> bool:
    """Tell whether two leaves have memory in common that can change."""
    spans = [memory.span(leaf) for leaf in (one, other) if (memory := MEMORIES.of(leaf))]
    return len(spans) == 2 and bool(np.shares_memory(spans[0], spans[1]))


def in_numpy(value: Any, trees: Trees = PYTHON_TREES) -> Any:
    """Copy arrays to NumPy; Python scalars stay."""

    def copy(leaf: Any) -> Any:
        if PYTHON.owns(leaf):
            return leaf
        return leaf.copy() if is_sparse(leaf) else np.asarray(leaf).copy()

    return mapped(copy, value, trees)


def dense(value: Any) -> Any:
    """Write a sparse array of SciPy out; another value is returned as it is."""
    return value.toarray() if is_sparse(value) else value


def is_sparse(value: Any) -> bool:
    """Tell whether a value is a sparse array of SciPy, without importing it."""
    return type(value).__module__.startswith("scipy.sparse")


def sparse_memory(plan: Any, args: tuple[Any, ...], poison: float = np.nan) -> Any:
    """Make a matrix for a plan to fill, if its results are sparse; else ``None``."""
    if not plan.info.sparsity:
        return None
    made = plan.execute(*args)
    if not is_sparse(made):
        return None
    made.data[...] = poison
    return made


def values_of(leaf: Any) -> Any:
    """Get the array that holds a leaf's numbers: of a sparse one its stored values."""
    return leaf.data if is_sparse(leaf) else leaf


def same(one: Any, other: Any) -> bool:
    """Tell whether two leaves hold the same bits, NaN included."""
    a, b = np.asarray(one), np.asarray(other)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def waiter(example: Any, trees: Trees = PYTHON_TREES) -> Callable[[Any], Any] | None:
    """Get what waits until a value like ``example`` is computed; ``None`` if all are at once."""
    kinds = [kind_of(leaf, KINDS) for leaf in leaves_of(example, trees)]
    waits = [None if kind is None else kind.wait for kind in kinds]
    if not any(waits):
        return None
    if trees.is_leaf(example):
        return waits[0]
    pairs = [(i, wait) for i, wait in enumerate(waits) if wait is not None]

    def wait_all(value: Any) -> Any:
        leaves = leaves_of(value, trees)
        for i, wait in pairs:
            wait(leaves[i])
        return value

    return wait_all


def waited(run: Callable[[], Any], trees: Trees = PYTHON_TREES) -> Callable[[], Any]:
    """Get a call that returns when the result of ``run`` is computed; it runs once to see."""
    wait = waiter(run(), trees)
    return run if wait is None else lambda: wait(run())
