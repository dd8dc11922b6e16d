"""Linear algebra of arrays of duals; what is linear in the duals is done by BLAS and LAPACK."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types

from difint.engines.numba.access import primal
from difint.engines.numba.dual import Dual
from difint.engines.numba.functions import overloading
from difint.engines.numba.reductions import compiled, is_dual_array, is_none
from difint.engines.numba.views import as_duals, as_floats


@compiled
def _floats_times_vector(a: Any, x: Any) -> Any:
    floats = as_floats(np.ascontiguousarray(x))
    return as_duals(np.dot(np.ascontiguousarray(a).astype(floats.dtype), floats), x)


@compiled
def _floats_times_matrix(a: Any, x: Any) -> Any:
    floats = as_floats(np.ascontiguousarray(x))
    inner, columns, width = floats.shape
    flat = floats.reshape((inner, columns * width))
    product = np.dot(np.ascontiguousarray(a).astype(floats.dtype), flat)
    return as_duals(product.reshape((a.shape[0], columns, width)), x)


@compiled
def _floats_dot(a: Any, x: Any) -> Any:
    return _floats_times_vector(a, x)[()]


@compiled
def _dot(a: Any, b: Any, like: Any) -> Any:
    if a.size != b.size:
        raise ValueError("incompatible array sizes for a product")
    total = np.zeros((), like.dtype)[()]
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled
def _matrix_vector(a: Any, x: Any, like: Any) -> Any:
    product = np.empty(a.shape[0], like.dtype)
    for i in range(a.shape[0]):
        product[i] = _dot(a[i], x, like)
    return product


@compiled
def _matrix_matrix(a: Any, b: Any, like: Any) -> Any:
    product = np.empty((a.shape[0], b.shape[1]), like.dtype)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            product[i, j] = _dot(a[i], b[:, j], like)
    return product


@compiled
def _vector_matrix(a: Any, b: Any, like: Any) -> Any:
    return _matrix_vector(b.T, a, like)


_BY_LOOPS: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 1): _dot,
    (2, 1): _matrix_vector,
    (1, 2): _vector_matrix,
    (2, 2): _matrix_matrix,
}


def by_loops(a: Any, b: Any) -> Callable[..., Any]:
    """Get the product of two arrays of one or two axes, of which one has numbers of ours."""
    product = _BY_LOOPS[a.ndim, b.ndim]
    if is_dual_array(a):
        return lambda a, b: product(a, b, a)
    return lambda a, b: product(a, b, b)


_FLOATS_FIRST: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 1): lambda a, b: _floats_dot(a, b),
    (2, 1): lambda a, b: _floats_times_vector(a, b),
    (1, 2): lambda a, b: _floats_times_vector(a, b),
    (2, 2): lambda a, b: _floats_times_matrix(a, b),
}
_FLOATS_FIRST[1, 2] = lambda a, b: _floats_times_vector(a.reshape((1, -1)), b)

_FLOATS_SECOND: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 1): lambda a, b: _floats_dot(b, a),
    (2, 1): lambda a, b: _floats_times_matrix(b.reshape((1, -1)), a.T)[0],
    (1, 2): lambda a, b: _floats_times_vector(b.T, a),
    (2, 2): lambda a, b: _floats_times_matrix(b.T, a.T).T,
}
_FLOATS_FIRST[1, 2] = lambda a, b: _floats_times_matrix(a.reshape((1, -1)), b)[0]


def _of_duals(args: tuple[Any, ...]) -> bool:
    return any(isinstance(getattr(one, "dtype", one), Dual) for one in args)


def _choose_product(a: Any, b: Any) -> Any:
    arrays = isinstance(a, types.Array) and isinstance(b, types.Array)
    if not arrays or not _of_duals((a, b)) or not {a.ndim, b.ndim} <= {1, 2}:
        return None
    if not is_dual_array(b):
        return _FLOATS_SECOND[a.ndim, b.ndim]
    return by_loops(a, b) if is_dual_array(a) else _FLOATS_FIRST[a.ndim, b.ndim]


for _function in (np.dot, np.matmul, operator.matmul):
    overloading(_function)(_choose_product)


@overloading(np.vdot)
def _choose_vdot(a: Any, b: Any) -> Any:
    both = is_dual_array(a) and is_dual_array(b)
    return by_loops(a, b) if both and _of_duals((a, b)) else None


@overloading(np.linalg.norm)
def _choose_norm(x: Any, ord: Any = None) -> Any:
    if not is_dual_array(x) or not is_none(ord):
        return None
    return lambda x, ord=None: np.sqrt(np.sum(x * x))


def _order(ty: Any) -> int:
    ty, order = getattr(ty, "dtype", ty), 0
    while isinstance(ty, Dual):
        ty, order = ty.base, order + 1
    return order


@compiled
def _values(a: Any, floats: Any) -> Any:
    values = np.empty(a.shape, floats.dtype)
    for i in np.ndindex(a.shape):
        values[i] = primal(a[i])
    return values


@compiled
def _solve_floats(a: Any, b: Any) -> Any:
    floats = as_floats(np.ascontiguousarray(b))
    flat = floats.reshape((floats.shape[0], floats.size // max(floats.shape[0], 1)))
    solution = np.ascontiguousarray(np.linalg.solve(_values(a, floats), flat))
    return as_duals(solution.reshape(floats.shape), b)


@overloading(np.linalg.solve)
def _choose_solve(a: Any, b: Any) -> Any:
    """Solve by refinement: each round of it makes one more order of the derivatives exact."""
    if not _of_duals((a, b)):
        return None
    if not is_dual_array(a):
        return lambda a, b: _solve_floats(a, b)
    rounds = _order(a)

    def refined(a: Any, b: Any) -> Any:
        right = b + 0 * a[0, 0]
        x = _solve_floats(a, right)
        for _ in range(rounds):
            x = x + _solve_floats(a, right - np.dot(a, x))
        return x

    return refined


@overloading(np.trace)
def _choose_trace(a: Any) -> Any:
    return (lambda a: np.sum(np.diag(a))) if is_dual_array(a) else None


@overloading(np.linalg.inv)
def _choose_inv(a: Any) -> Any:
    if not is_dual_array(a):
        return None
    return lambda a: np.linalg.solve(a, np.eye(a.shape[0]))
