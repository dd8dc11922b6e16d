"""``numpy.einsum`` on traced arrays: products of two operands at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from difint.dependence.host.products import product
from difint.dependence.host.traced import NoRule, Trace, Traced


def _labels(subscripts: str, operands: Sequence[Traced]) -> tuple[list[str], str]:
    """Get the labels of each operand and of the result, with letters for the ellipsis."""
    given, arrow, result = subscripts.replace(" ", "").partition("->")
    parts = given.split(",")
    if not arrow:
        names = sorted(set(given) - set(",."))
        result = "..." * ("..." in given)
        result += "".join(one for one in names if given.count(one) == 1)
    spare = [one for one in map(chr, range(945, 1000)) if one not in subscripts]
    ranks = [
        one.ndim - len(part.replace("...", "")) for one, part in zip(operands, parts, strict=True)
    ]
    most = max((r for r, part in zip(ranks, parts, strict=True) if "..." in part), default=0)
    names = [
        part.replace("...", "".join(spare[most - r : most]))
        for r, part in zip(ranks, parts, strict=True)
    ]
    return names, result.replace("...", "".join(spare[:most]))


def einsum(trace: Trace, *args: Any, out: Any = None, **options: Any) -> Any:
    """Sum products by labels, two operands at a time."""
    if not isinstance(args[0], str):
        raise NoRule("labels as lists")
    operands = [trace.lift(one) for one in args[1:]]
    value = np.einsum(args[0], *(one.value for one in operands))
    names, result = _labels(args[0], operands)
    while len(names) > 1:
        later = set("".join(names[2:]) + result)
        keep = [label for label in dict.fromkeys(names[0] + names[1]) if label in later]
        made = _einsum_two(trace, operands[:2], names[:2], "".join(keep))
        operands, names = [made, *operands[2:]], ["".join(keep), *names[2:]]
    made = _einsum_one(trace, operands[0], names[0], result)
    made = trace.of(made.dependent, value)
    if out is None:
        return made
    out[...] = made
    return out


def _moved(a: Traced, names: str, kept: str) -> Traced:
    """Take diagonals, and order axes, by labels."""
    axes = [one for one in dict.fromkeys(names)]
    for label in axes:
        while names.count(label) > 1:
            i = names.index(label)
            j = names.index(label, i + 1)
            names = names[:i] + names[i + 1 : j] + names[j + 1 :] + label
            a = a.like(partial(np.diagonal, axis1=i, axis2=j))
    order = [names.index(label) for label in kept]
    return a.like(lambda array: array.transpose(order))


def _einsum_one(trace: Trace, a: Traced, names: str, result: str) -> Traced:
    summed = "".join(one for one in dict.fromkeys(names) if one not in result)
    a = _moved(a, names, result + summed)
    made = a.sum(axis=tuple(range(len(result), a.ndim))) if summed else a
    return trace.lift(made)


def _einsum_two(trace: Trace, operands: list[Traced], names: list[str], keep: str) -> Traced:
    """Multiply two operands as stacks of matrices: batch, own, summed labels."""
    lone = [
        "".join(x for x in dict.fromkeys(one) if x in other or x in keep)
        for one, other in (names, names[::-1])
    ]
    parts = zip(operands, names, lone, strict=True)
    a, b = (_einsum_one(trace, *part) for part in parts)
    first, second = lone
    batch = "".join(x for x in first if x in second and x in keep)
    summed = "".join(x for x in first if x in second and x not in keep)
    rows = "".join(x for x in first if x not in second)
    columns = "".join(x for x in second if x not in first)
    sizes: dict[str, int] = {}
    for label, size in [*zip(first, a.shape, strict=True), *zip(second, b.shape, strict=True)]:
        sizes[label] = size if sizes.get(label, 1) == 1 else sizes[label]
    one = _as_matrices(a, first, (batch, rows, summed), sizes)
    other = _as_matrices(b, second, (batch, summed, columns), sizes)
    made = product(trace, one, other, one.value @ other.value)
    order = batch + rows + columns
    return _moved(made.like(lambda array: array.reshape([sizes[x] for x in order])), order, keep)


def _as_matrices(a: Traced, names: str, groups: Sequence[str], sizes: dict[str, int]) -> Traced:
    """Order axes by labels, and make one of each group."""
    full = [sizes[x] for x in "".join(groups)]
    shape = [prod(sizes[x] for x in group) for group in groups]
    moved = _moved(a, names, "".join(groups))
    return moved.like(lambda array: np.broadcast_to(array, full).reshape(shape))
