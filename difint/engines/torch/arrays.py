"""Array operations on trees of tensors, all of which can be traced."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, final

import torch

from difint.engine import Apply
from difint.trees import PYTHON_TREES

flatten, unflatten = PYTHON_TREES.flatten, PYTHON_TREES.unflatten


@final
@dataclass(frozen=True, slots=True)
class Spec:
    """What a tensor is, apart from its numbers: the template of a leaf."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)


def spec_of(tensor: torch.Tensor) -> Spec:
    """Describe a tensor."""
    return Spec(tuple(tensor.shape), tensor.dtype, tensor.device)


def mapped(function: Callable[..., Any], like: Any, *others: Any) -> Any:
    """Apply a function to the leaves of trees of one structure."""
    leaves, structure = flatten(like)
    rest = [flatten(other)[0] for other in others]
    return unflatten(structure, [function(*row) for row in zip(leaves, *rest, strict=True)])


def copy(value: Any) -> Any:
    """Copy a tree of tensors."""
    return mapped(torch.clone, value)


def one(like: Spec) -> Any:
    """Make the unit seed of a scalar."""
    return torch.ones(like.shape, dtype=like.dtype, device=like.device)


def ravel(value: Any) -> Any:
    """Write a tree as one vector."""
    flat = [leaf.reshape(-1) for leaf in flatten(value)[0]]
    return flat[0] if len(flat) == 1 else torch.cat(flat)


def unravel(vector: Any, like: Any) -> Any:
    """Cut a vector into a tree."""
    specs, structure = flatten(like)
    pieces = torch.split(vector, [spec.size for spec in specs])
    pairs = zip(pieces, specs, strict=True)
    return unflatten(structure, [p.reshape(spec.shape).to(spec.dtype) for p, spec in pairs])


def inner(a: Any, b: Any) -> Any:
    """Sum the products of entries."""
    pairs = zip(flatten(a)[0], flatten(b)[0], strict=True)
    return sum((one * other).sum() for one, other in pairs)


def cast(value: Any, like: Any) -> Any:
    """Give a tree the dtypes of another, and turn numbers into tensors."""

    def settle(spec: Spec, leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return torch.as_tensor(leaf, dtype=spec.dtype, device=spec.device)
        return leaf if leaf.dtype == spec.dtype else leaf.to(spec.dtype)

    return mapped(settle, like, value)


def transpose(matrix: Any) -> Any:
    """Transpose a matrix."""
    return matrix.T.contiguous()


concatenate = torch.cat


def basis(like: Any, start: int, stop: int) -> Any:
    """Stack the unit tangents of some entries."""
    specs, structure = flatten(like)
    seeds, at, leaves = stop - start, 0, []
    for spec in specs:
        whole = torch.zeros((seeds, spec.size), dtype=spec.dtype, device=spec.device)
        first, last = max(start, at), min(stop, at + spec.size)
        if first < last:
            part = torch.eye(last - first, dtype=spec.dtype, device=spec.device)
            before, after = (first - start, stop - last), (first - at, at + spec.size - last)
            whole = torch.nn.functional.pad(part, (*after, *before))
        leaves.append(whole.reshape(seeds, *spec.shape))
        at += spec.size
    return unflatten(structure, leaves)


def constant(array: Any, like: Spec) -> torch.Tensor:
    """Make a tensor of a NumPy array, where ``like`` lives, and floats in its precision."""
    made = torch.from_numpy(array.copy()).to(like.device)
    return made.to(like.dtype) if made.is_floating_point() else made


def host(value: torch.Tensor) -> Any:
    """Make a NumPy array of a tensor, of its own memory if it is on the CPU."""
    return value.detach().cpu().numpy()


def batch(apply: Apply, seeds: Any) -> tuple[Any, Any]:
    """Apply to stacked seeds; a raveled result a row."""
    y, results = _mapped_over(apply, seeds)
    leaves = flatten(results)[0]
    rows = [leaf.reshape(leaf.shape[0], math.prod(leaf.shape[1:])) for leaf in leaves]
    return y, rows[0] if len(rows) == 1 else torch.cat(rows, 1)


def each(apply: Apply, tangents: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Apply to each of a tuple of tangents."""
    stacked = mapped(lambda *leaves: torch.stack(leaves), *tangents)
    y, results = _mapped_over(apply, stacked)
    return y, tuple(mapped(lambda leaf, i=i: leaf[i], results) for i in range(len(tangents)))


def _mapped_over(apply: Apply, seeds: Any) -> tuple[Any, Any]:
    """Map over the first axis of seeds: all at once, or one by one where PyTorch refuses that."""
    leaves, structure = flatten(seeds)
    try:
        return _at_once(apply, leaves, structure)
    except (RuntimeError, NotImplementedError, ValueError):
        # No batching rule, or a branch on a batched value. An error of f's own comes again.
        return _one_by_one(apply, leaves, structure)


def _at_once(apply: Apply, leaves: Sequence[Any], structure: Any) -> tuple[Any, Any]:
    made: list[Any] = []

    def flat(*seeds: Any) -> tuple[Any, ...]:
        outputs, form = flatten(apply(unflatten(structure, seeds)))
        made.append(form)
        return tuple(outputs)

    outputs = torch.func.vmap(flat, randomness="same")(*leaves)
    y, results = unflatten(made[0], outputs)
    return mapped(lambda leaf: leaf[0], y), results


def _one_by_one(apply: Apply, leaves: Sequence[Any], structure: Any) -> tuple[Any, Any]:
    pairs = [apply(unflatten(structure, seeds)) for seeds in zip(*leaves, strict=True)]
    results = [result for _, result in pairs]
    return pairs[0][0], mapped(lambda *rows: torch.stack(rows), *results)


def write(target: Any, value: torch.Tensor) -> None:
    """Fill a user's array, or tensor, with a tensor."""
    if not isinstance(target, torch.Tensor):
        target[...] = value.cpu().numpy()
    elif target.requires_grad:
        target.detach().copy_(value)
    else:
        target.copy_(value)


def _largest(value: torch.Tensor, initial: float = 0.0) -> torch.Tensor:
    """Get the largest entry, or ``initial``, as the array API's ``max`` of NumPy does."""
    return torch.cat([value.reshape(-1), value.new_full((1,), initial)]).max()


def _maximum(one: torch.Tensor, other: Any) -> torch.Tensor:
    return torch.clamp(one, min=other)


_SPACE = SimpleNamespace(
    abs=torch.abs,
    isfinite=torch.isfinite,
    max=_largest,
    maximum=_maximum,
    where=torch.where,
)


def space(value: Any) -> Any:
    """Get what finite differences need of the array API, which PyTorch writes otherwise."""
    return _SPACE
