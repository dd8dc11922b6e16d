"""Reductions of arrays of duals, over all entries or along an axis that is a constant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.core import errors, types

from difint.engines.numba.access import constant, value
from difint.engines.numba.dual import Active, Dual
from difint.engines.numba.functions import overloading
from difint.engines.numba.pipeline import PART


def is_dual_array(ty: Any) -> bool:
    """Tell whether a type is that of arrays of duals."""
    return isinstance(ty, types.Array) and isinstance(ty.dtype, Active)


def is_none(ty: Any) -> bool:
    """Tell whether an argument was left out, or given as ``None``."""
    return ty is None or isinstance(ty, types.NoneType | types.Omitted)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a helper that takes and returns duals: nothing of it is called from Python."""
    return njit(**PART)(function)


@compiled
def _sum(a: Any) -> Any:
    total = np.zeros((), a.dtype)[()]
    for one in a.flat:
        total += one
    return total


@compiled
def _prod(a: Any) -> Any:
    total = np.ones(1, a.dtype)[0]
    for one in a.flat:
        total *= one
    return total


@compiled
def _mean(a: Any) -> Any:
    return _sum(a) / a.size


def _extreme(beats: Callable[..., Any]) -> Callable[..., Any]:
    """Build max or min; of equal entries, each has its share in the derivative, as with JAX."""

    @compiled
    def extreme(a: Any) -> Any:
        if a.size == 0:
            raise ValueError("zero-size array to reduction operation which has no identity")
        best = a.flat[0]
        for one in a.flat:
            if np.isnan(one):
                return one
            if beats(one, best):
                best = one
        share, count = best - best, 0
        for one in a.flat:
            if one == best:
                share += one - constant(value(one), one)
                count += 1
        return constant(value(best), best) + share / count

    return extreme


@njit(inline="always")
def _above(a: Any, b: Any) -> Any:
    return a > b


@njit(inline="always")
def _below(a: Any, b: Any) -> Any:
    return a < b


_of_duals = {"largest": _extreme(_above), "smallest": _extreme(_below)}


def largest(a: Any) -> Any:
    """Get the largest entry; an overload says how, for each family of numbers."""


def smallest(a: Any) -> Any:
    """Get the smallest entry, likewise."""


@overloading(largest)
def _choose_largest(a: Any) -> Any:
    reduce = _of_duals["largest"]
    return (lambda a: reduce(a)) if isinstance(a.dtype, Dual) else None


@overloading(smallest)
def _choose_smallest(a: Any) -> Any:
    reduce = _of_duals["smallest"]
    return (lambda a: reduce(a)) if isinstance(a.dtype, Dual) else None


@compiled
def _cumsum(a: Any) -> Any:
    sums = np.empty(a.size, a.dtype)
    total = np.zeros((), a.dtype)[()]
    for i, one in enumerate(a.flat):
        total += one
        sums[i] = total
    return sums


@compiled
def _cumprod(a: Any) -> Any:
    products = np.empty(a.size, a.dtype)
    total = np.ones(1, a.dtype)[0]
    for i, one in enumerate(a.flat):
        total *= one
        products[i] = total
    return products


def _reduction(reduce: Callable[..., Any]) -> Callable[..., Any]:
    """Build the overload of a reduction, with its axis."""

    def choose(a: Any, axis: Any = None) -> Any:
        if not is_dual_array(a):
            return None
        if is_none(axis):
            return lambda a, axis=None: reduce(a)
        if not isinstance(axis, types.IntegerLiteral):
            raise errors.RequireLiteralValue("difint: axis must be a constant integer")
        return _along(reduce, axis.literal_value % a.ndim, a.ndim)

    return choose


def _along(reduce: Callable[..., Any], axis: int, ndim: int) -> Callable[..., Any]:
    if ndim == 1:
        return lambda a, axis=None: reduce(a)
    order = (*(i for i in range(ndim) if i != axis), axis)

    def along(a: Any, axis: Any = None) -> Any:
        last = np.transpose(a, order)
        reduced = np.empty(last.shape[:-1], a.dtype)
        for index in np.ndindex(reduced.shape):
            reduced[index] = reduce(last[index])
        return reduced

    return along


REDUCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.sum: _sum,
    np.prod: _prod,
    np.mean: _mean,
    np.max: largest,
    np.min: smallest,
}

for _function, _reduce in REDUCTIONS.items():
    overloading(_function, prefer_literal=True)(_reduction(_reduce))


@overloading(np.cumsum)
def _choose_cumsum(a: Any) -> Any:
    return (lambda a: _cumsum(a)) if is_dual_array(a) else None


@overloading(np.cumprod)
def _choose_cumprod(a: Any) -> Any:
    return (lambda a: _cumprod(a)) if is_dual_array(a) else None
