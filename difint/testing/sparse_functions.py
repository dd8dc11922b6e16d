"""Functions whose Jacobians and Hessians are sparse, with analytic derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from difint.testing.functions import Function

_N = 12


def _point(size: int) -> Any:
    return np.sin(1.0 + np.arange(size)) + 0.25


def _bratu(xp: Any) -> Callable[[Any], Any]:
    """Discretize ``u'' + exp(u)``: a tridiagonal Jacobian."""

    def f(u: Any) -> Any:
        zero = u[:1] * 0
        left, right = xp.concatenate([zero, u[:-1]]), xp.concatenate([u[1:], zero])
        return left - 2 * u + right + 0.1 * xp.exp(u)

    return f


def _bratu_jacobian(u: Any) -> Any:
    ones = np.ones(u.size - 1)
    return np.diag(0.1 * np.exp(u) - 2) + np.diag(ones, 1) + np.diag(ones, -1)


def _arrow(xp: Any) -> Callable[[Any], Any]:
    """Couple every entry with the first: an arrow, dense in one row and in one column."""
    return lambda x: xp.concatenate([xp.sum(x**2)[None], x[0] * x[1:]])


def _arrow_jacobian(x: Any) -> Any:
    j = np.diag(np.full(x.size, x[0]))
    j[1:, 0] = x[1:]
    j[0] = 2 * x
    return j


def _differences(xp: Any) -> Callable[[Any], Any]:
    """Take products of second neighbours: wider than tall, two entries a row."""
    return lambda x: x[2:] * xp.sin(x[:-2])


def _differences_jacobian(x: Any) -> Any:
    j = np.zeros((x.size - 2, x.size))
    for i in range(x.size - 2):
        j[i, i], j[i, i + 2] = x[i + 2] * np.cos(x[i]), np.sin(x[i])
    return j


def _grid(xp: Any) -> Callable[[Any], Any]:
    """Multiply neighbours in a column of a matrix: the pattern follows C order."""
    return lambda x: x[1:, :] * x[:-1, :] ** 2


def _grid_jacobian(x: Any) -> Any:
    rows, columns = x.shape
    j = np.zeros((rows - 1, columns, rows, columns))
    for i, k in np.ndindex(rows - 1, columns):
        j[i, k, i, k], j[i, k, i + 1, k] = 2 * x[i, k] * x[i + 1, k], x[i, k] ** 2
    return j.reshape((rows - 1) * columns, rows * columns)


def _separable(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.sum(x**4)


def _chained(xp: Any) -> Callable[[Any], Any]:
    """Multiply neighbours, and every entry with the last: an arrow with a band."""
    return lambda x: xp.sum(x[1:] ** 2 * x[:-1]) + x[-1] * xp.sum(x[:-1] ** 2)


def _chained_gradient(x: Any) -> Any:
    g = np.zeros_like(x)
    g[:-1] = x[1:] ** 2 + 2 * x[-1] * x[:-1]
    g[1:] += 2 * x[1:] * x[:-1]
    g[-1] += np.sum(x[:-1] ** 2)
    return g[None, :]


def _chained_hessian(x: Any) -> Any:
    n = x.size
    h = np.zeros((n, n))
    for i in range(n - 1):
        h[i, i] += 2 * x[-1]
        h[i + 1, i + 1] += 2 * x[i]
        h[i, i + 1] += 2 * x[i + 1]
        h[i + 1, i] += 2 * x[i + 1]
        h[i, -1] += 2 * x[i]
        h[-1, i] += 2 * x[i]
    return h


def _second_neighbours(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.sum(x[2:] * x[:-2])


def _second_gradient(x: Any) -> Any:
    return (np.append(x[2:], [0, 0]) + np.append([0, 0], x[:-2]))[None, :]


def _second_hessian(x: Any) -> Any:
    return np.eye(x.size, k=2) + np.eye(x.size, k=-2)


SPARSE_JACOBIANS = (
    Function("tridiagonal", _bratu, _point(_N), _bratu_jacobian),
    Function("arrow", _arrow, _point(_N), _arrow_jacobian),
    Function("second neighbours", _differences, _point(_N), _differences_jacobian),
    Function("columns of a matrix", _grid, _point(12).reshape(4, 3), _grid_jacobian),
    Function("identity", lambda xp: lambda x: 2.0 * x, _point(_N), lambda x: 2.0 * np.eye(x.size)),
    Function("nothing", lambda xp: lambda x: 0 * x, _point(5), lambda x: np.zeros((5, 5))),
)
"""For jacobian."""

SPARSE_HESSIANS = (
    Function(
        "separable",
        _separable,
        _point(_N),
        lambda x: (4 * x**3)[None, :],
        lambda x: np.diag(12 * x**2),
    ),
    Function("chained", _chained, _point(_N), _chained_gradient, _chained_hessian),
    Function("banded", _second_neighbours, _point(_N), _second_gradient, _second_hessian),
)
"""For hessian."""
