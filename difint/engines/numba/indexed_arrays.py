"""Arrays of numbers with index sets: what is not made of the functions of their entries."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types

from difint.engines.numba.buffers import floats_like
from difint.engines.numba.functions import overloading
from difint.engines.numba.indexed import Doubt, Indexed
from difint.engines.numba.indexed_functions import made_by, number_of
from difint.engines.numba.linear import by_loops
from difint.engines.numba.reductions import compiled, largest, smallest

_moved, _bent = made_by("positive"), made_by("exp")
"""Make a number with another value: of the same sets, or with all pairs of them."""


def _is_indexed(ty: Any) -> bool:
    return isinstance(ty, types.Array) and isinstance(ty.dtype, Indexed)


def _extreme(beats: Callable[..., Any]) -> Callable[..., Any]:
    @compiled
    def extreme(a: Any) -> Any:
        if a.size == 0:
            raise ValueError("zero-size array to reduction operation which has no identity")
        best = a.flat[0]
        for one in a.flat:
            best = beats(best, one)
        return best

    return lambda a: (lambda a: extreme(a)) if _is_indexed(a) else None


overloading(largest)(_extreme(np.maximum))
overloading(smallest)(_extreme(np.minimum))


def _choose_product(a: Any, b: Any) -> Any:
    arrays = isinstance(a, types.Array) and isinstance(b, types.Array)
    fits = arrays and {a.ndim, b.ndim} <= {1, 2}
    return by_loops(a, b) if fits and (_is_indexed(a) or _is_indexed(b)) else None


for _function in (np.dot, np.matmul, operator.matmul, np.vdot):
    overloading(_function)(_choose_product)


@compiled
def _any(a: Any) -> Any:
    found = np.zeros((), a.dtype)[()]
    for one in a.flat:
        found = found | one
    return found


@compiled
def _all(a: Any) -> Any:
    return ~_any(~a)


def _combined(combine: Callable[..., Any]) -> Callable[..., Any]:
    def choose(a: Any) -> Any:
        doubts = isinstance(a, types.Array) and isinstance(a.dtype, Doubt)
        return (lambda a: combine(a)) if doubts else None

    return choose


overloading(np.any)(_combined(_any))
overloading(np.all)(_combined(_all))


@compiled
def _values(a: Any, floats: Any) -> Any:
    values = np.empty(a.shape, floats.dtype)
    for i in np.ndindex(a.shape):
        values[i] = number_of(a[i])
    return values


def _solve_vector(mix: Any) -> Callable[..., Any]:
    @compiled
    def solve(a: Any, b: Any, like: Any) -> Any:
        floats = floats_like(like)
        values = np.linalg.solve(_values(a, floats), _values(b, floats))
        solution, whole = np.empty(b.shape, like.dtype), mix(0.0, np.sum(a) + np.sum(b))
        for i in range(b.size):
            solution[i] = _moved(values[i], whole)
        return solution

    return solve


def _solve_matrix(mix: Any) -> Callable[..., Any]:
    @compiled
    def solve(a: Any, b: Any, like: Any) -> Any:
        floats = floats_like(like)
        values = np.linalg.solve(_values(a, floats), _values(b, floats))
        solution = np.empty(b.shape, like.dtype)
        for j in range(b.shape[1]):
            whole = mix(0.0, np.sum(a) + np.sum(b[:, j]))
            for i in range(b.shape[0]):
                solution[i, j] = _moved(values[i, j], whole)
        return solution

    return solve


_SOLVE = {
    (linear, ndim): make(_moved if linear else _bent)
    for linear in (True, False)
    for ndim, make in ((1, _solve_vector), (2, _solve_matrix))
}
"""By whether the matrix is known, and the axes of the right side."""


@overloading(np.linalg.solve)
def _choose_solve(a: Any, b: Any) -> Any:
    """Let each column of the solution depend on the matrix, and on its column of ``b``."""
    arrays = isinstance(a, types.Array) and isinstance(b, types.Array)
    if not arrays or not (_is_indexed(a) or _is_indexed(b)):
        return None
    solve = _SOLVE[not _is_indexed(a), b.ndim]
    if _is_indexed(b):
        return lambda a, b: solve(a, b, b)
    return lambda a, b: solve(a, b, a)
