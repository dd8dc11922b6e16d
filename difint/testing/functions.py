"""Functions with analytic derivatives, each written once for every array library.

Their matrices are given for raveled ``x`` and ``y``, in C order: the right answer of every
operator follows from them. Sizes differ, nothing is symmetric by chance, and entries far apart
in C order are coupled, so that a transposed or reordered result differs from the right one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np


@final
@dataclass(frozen=True, slots=True)
class Function:
    """A function, a point, and its derivatives there as matrices.

    Attributes:
        name: what it is called in scenarios.
        make: ``xp -> f``: writes the function for the namespace of an array library.
        x: the point: a float or a NumPy array.
        jacobian: ``x -> J``, of shape ``(y.size, x.size)``.
        hessian: ``x -> H`` of a scalar ``y``, or the second derivative of a scalar ``x``, as a
            column; ``None`` where second-order operators do not apply.
        features: as in ``Scenario``.
    """

    name: str
    make: Callable[[Any], Callable[[Any], Any]]
    x: Any
    jacobian: Callable[[Any], Any]
    hessian: Callable[[Any], Any] | None = None
    features: tuple[str, ...] = ()


_A = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
_W = np.arange(1.0, 7.0).reshape(2, 3)


def _scalar_to_matrix(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.stack([xp.stack([x, x**2, x**3]), xp.stack([xp.sin(x), xp.exp(x), 1 / x])])


def _rosenbrock(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.sum((1 - x[:-1]) ** 2 + 10 * (x[1:] - x[:-1] ** 2) ** 2)


def _rosenbrock_gradient(x: Any) -> Any:
    g = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    g[:-1] = -2 * (1 - x[:-1]) - 40 * x[:-1] * inner
    g[1:] += 20 * inner
    return g[None, :]


def _rosenbrock_hessian(x: Any) -> Any:
    h = np.zeros((x.size, x.size))
    for i in range(x.size - 1):
        h[i, i] += 2 - 40 * (x[i + 1] - x[i] ** 2) + 80 * x[i] ** 2
        h[i, i + 1] -= 40 * x[i]
        h[i + 1, i] -= 40 * x[i]
        h[i + 1, i + 1] += 20
    return h


def _bilinear(xp: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        return x[0, 1] * x[1, 2] ** 2 + xp.sum(xp.asarray(_W, dtype=x.dtype) * xp.sin(x))

    return f


def _bilinear_gradient(x: Any) -> Any:
    g = _W * np.cos(x)
    g[0, 1] += x[1, 2] ** 2
    g[1, 2] += 2 * x[0, 1] * x[1, 2]
    return g.reshape(1, -1)


def _bilinear_hessian(x: Any) -> Any:
    h = np.diag((-_W * np.sin(x)).ravel())
    h[1, 5] = h[5, 1] = 2 * x[1, 2]
    h[5, 5] += 2 * x[0, 1]
    return h


def _outer_jacobian(x: Any) -> Any:
    """Derive ``x_i x_j`` for ``j < 2``, row ``2 i + j``."""
    m = np.zeros((3, 2, 3))
    for i in range(3):
        for j in range(2):
            m[i, j, i] += x[j]
            m[i, j, j] += x[i]
    return m.reshape(6, 3)


def _product_jacobian(x: Any) -> Any:
    """Derive ``(A x^T)_ij = sum_k A_ik x_jk`` by index: an independent statement of C order."""
    m = np.zeros((2, 2, 2, 3))
    for i in range(2):
        for j in range(2):
            m[i, j, j, :] = _A[i]
    return m.reshape(4, 6)


def _mixed(xp: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        products = xp.stack([x[0, 0] * x[1, 1], 0 * x[0, 0]])
        return x @ xp.asarray(_A[0], dtype=x.dtype) + products

    return f


def _moved_jacobian(x: Any) -> Any:
    """Derive ``y[k, i, j] = x[i, j, k] ** 2`` by index."""
    m = np.zeros((3, 2, 2, 2, 2, 3))
    for i, j, k in np.ndindex(x.shape):
        m[k, i, j, i, j, k] = 2 * x[i, j, k]
    return m.reshape(12, 12)


def _kinked(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.abs(x) * x + xp.where(x > 0, x, 3 * x)


def _branching(xp: Any) -> Callable[[Any], Any]:
    return lambda x: x[0] * x[1] ** 2 if x[0] > 0 else x[0] - x[1]


# Longer than a chunk of seeds, and no multiple of one.
_SIZE = 70
_LONG = np.sin(1.0 + np.arange(_SIZE)) + 0.25


def _upper(x: Any) -> Any:
    """Derive ``x_i x_{i+1} + sin x_{i+1}`` by the second of the two, as a column."""
    return (x[:-1] + np.cos(x[1:]))[:, None]


FUNCTIONS = (
    Function(
        "number->number",
        lambda xp: lambda x: x * xp.sin(x),
        1.3,
        lambda x: np.array([[np.sin(x) + x * np.cos(x)]]),
        lambda x: np.array([[2 * np.cos(x) - x * np.sin(x)]]),
    ),
    Function(
        "number->vector",
        lambda xp: lambda x: xp.stack([x**2, xp.exp(x), xp.log(x)]),
        0.7,
        lambda x: np.array([[2 * x], [np.exp(x)], [1 / x]]),
        lambda x: np.array([[2.0], [np.exp(x)], [-1 / x**2]]),
    ),
    Function(
        "number->matrix",
        _scalar_to_matrix,
        0.9,
        lambda x: np.array([[1, 2 * x, 3 * x**2, np.cos(x), np.exp(x), -1 / x**2]]).T,
        lambda x: np.array([[0, 2, 6 * x, -np.sin(x), np.exp(x), 2 / x**3]]).T,
    ),
    Function(
        "vector->number",
        _rosenbrock,
        np.array([0.3, -0.7, 1.1, 0.2]),
        _rosenbrock_gradient,
        _rosenbrock_hessian,
    ),
    Function(
        "matrix->number",
        _bilinear,
        np.array([[0.4, 1.2, -0.3], [0.8, -1.1, 0.6]]),
        _bilinear_gradient,
        _bilinear_hessian,
    ),
    Function(
        "vector->vector",
        lambda xp: lambda x: xp.stack([x[0] * x[1], xp.sin(x[2]) * x[0]]),
        np.array([1.0, 2.0, 3.0]),
        lambda x: np.array([[x[1], x[0], 0], [np.sin(x[2]), 0, x[0] * np.cos(x[2])]]),
    ),
    Function(
        "vector->longer vector",
        lambda xp: lambda x: xp.concatenate([x**2, xp.exp(x), x[:1] * x[1:]]),
        np.array([0.5, -0.4]),
        lambda x: np.vstack([np.diag(2 * x), np.diag(np.exp(x)), [[x[1], x[0]]]]),
    ),
    Function(
        "vector->matrix",
        lambda xp: lambda x: x[:, None] * x[None, :2],
        np.array([1.0, 2.0, 3.0]),
        _outer_jacobian,
    ),
    Function(
        "matrix->vector",
        _mixed,
        np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]]),
        lambda x: np.array([[1 + x[1, 1], -2, 0.5, 0, x[0, 0], 0], [0, 0, 0, 1, -2, 0.5]]),
    ),
    Function(
        "matrix->matrix",
        lambda xp: lambda x: xp.asarray(_A, dtype=x.dtype) @ x.T,
        np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]]),
        _product_jacobian,
    ),
    Function(
        "rank 3->rank 3",
        lambda xp: lambda x: xp.moveaxis(x, 2, 0) ** 2,
        np.arange(1.0, 13.0).reshape(2, 2, 3) / 7,
        _moved_jacobian,
    ),
    Function(
        "long vector->vector",
        lambda xp: lambda x: x[1:] * x[:-1] + xp.sin(x[1:]),
        _LONG,
        lambda x: np.eye(_SIZE - 1, _SIZE) * x[1:, None] + np.eye(_SIZE - 1, _SIZE, 1) * _upper(x),
    ),
    Function(
        "long vector->number",
        lambda xp: lambda x: xp.sum(x[1:] * x[:-1] ** 2),
        _LONG,
        lambda x: (2 * np.append(x[1:], 0) * x + np.insert(x[:-1] ** 2, 0, 0))[None, :],
    ),
    Function(
        "kinked",
        _kinked,
        np.array([0.5, -1.5, 2.0]),
        lambda x: np.diag(2 * np.abs(x) + np.where(x > 0, 1.0, 3.0)),
        features=("not analytic",),
    ),
    Function(
        "branching",
        _branching,
        np.array([0.5, -1.5]),
        lambda x: np.array([[x[1] ** 2, 2 * x[0] * x[1]]]),
        lambda x: np.array([[0, 2 * x[1]], [2 * x[1], 2 * x[0]]]),
        features=("branch on values",),
    ),
)
"""Numbers, vectors and matrices to numbers, vectors and matrices."""

EMPTY = (
    Function(
        "size 1->size 1",
        lambda xp: lambda x: x**3,
        np.array([1.5]),
        lambda x: np.array([[3 * x[0] ** 2]]),
    ),
    Function(
        "size 1->number",
        lambda xp: lambda x: xp.sum(x**3),
        np.array([1.5]),
        lambda x: np.array([[3 * x[0] ** 2]]),
        lambda x: np.array([[6 * x[0]]]),
    ),
    Function(
        "1 by 1->1 by 1 by 1",
        lambda xp: lambda x: xp.sin(x)[None],
        np.array([[1.5]]),
        lambda x: np.cos(x),
    ),
    Function(
        "no axes->no axes",
        lambda xp: lambda x: x**3,
        np.array(1.5),
        lambda x: np.array([[3 * x**2]]),
        lambda x: np.array([[6 * x]]),
    ),
    Function(
        "size 0->size 0",
        lambda xp: lambda x: x**2,
        np.zeros(0),
        lambda x: np.zeros((0, 0)),
    ),
    Function(
        "size 0->number",
        lambda xp: lambda x: xp.sum(x**2) + 1.0,
        np.zeros(0),
        lambda x: np.zeros((1, 0)),
        lambda x: np.zeros((0, 0)),
    ),
    Function(
        "size 0->vector",
        lambda xp: lambda x: xp.sum(x) + xp.asarray([1.0, 2.0], dtype=x.dtype),
        np.zeros(0),
        lambda x: np.zeros((2, 0)),
    ),
    Function(
        "vector->size 0",
        lambda xp: lambda x: x[:0] ** 2,
        np.ones(3),
        lambda x: np.zeros((0, 3)),
    ),
    Function(
        "3 by 0->0 by 3",
        lambda xp: lambda x: x.T * 2.0,
        np.zeros((3, 0)),
        lambda x: np.zeros((0, 0)),
    ),
)
"""Sizes 0 and 1, and arrays without axes."""
