"""Functions with analytic derivatives, each written once for any array library.

From the Jacobian matrix (and the Hessian) of a scenario the right answer of every operator
follows, so that one table serves them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scenario:
    """A function ``make(xp) -> f(x)``, a point, and its derivatives there as matrices."""

    name: str
    make: Callable[[Any], Callable[[Any], Any]]
    x: Any
    jacobian: Callable[[Any], Any]
    second: Callable[[Any], Any] | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def f(self) -> Callable[[Any], Any]:
        return self.make(np)

    @property
    def y(self) -> Any:
        return np.asarray(self.f(self.x))


def _permutation(axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    index = np.arange(np.prod(shape)).reshape(shape).transpose(axes).ravel()
    matrix = np.zeros((index.size, index.size))
    matrix[np.arange(index.size), index] = 1
    return matrix


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
    n = x.size
    h = np.zeros((n, n))
    for i in range(n - 1):
        h[i, i] += 2 - 40 * (x[i + 1] - x[i] ** 2) + 80 * x[i] ** 2
        h[i, i + 1] -= 40 * x[i]
        h[i + 1, i] -= 40 * x[i]
        h[i + 1, i + 1] += 20
    return h


def _bilinear(xp: Any) -> Callable[[Any], Any]:
    # Couples entries far apart in C order: a transposed result would differ.
    return lambda x: x[0, 1] * x[1, 2] ** 2 + xp.sum(xp.asarray(_W, x.dtype) * xp.sin(x))


def _bilinear_hessian(x: Any) -> Any:
    h = np.diag((-_W * np.sin(x)).ravel())
    h[1, 5] = h[5, 1] = 2 * x[1, 2]
    h[5, 5] += 2 * x[0, 1]
    return h


def _bilinear_gradient(x: Any) -> Any:
    g = _W * np.cos(x)
    g[0, 1] += x[1, 2] ** 2
    g[1, 2] += 2 * x[0, 1] * x[1, 2]
    return g.reshape(1, -1)


def _gram(x: Any) -> Any:
    """Derive ``(A x^T)_ij = sum_k A_ik x_jk`` by index: an independent statement of C order."""
    m = np.zeros((2, 2, 2, 3))
    for i in range(2):
        for j in range(2):
            m[i, j, j, :] = _A[i]
    return m.reshape(4, 6)


SCENARIOS = (
    Scenario(
        "scalar->scalar",
        lambda xp: lambda x: x * xp.sin(x),
        1.3,
        lambda x: np.array([[np.sin(x) + x * np.cos(x)]]),
        lambda x: np.array([[2 * np.cos(x) - x * np.sin(x)]]),
    ),
    Scenario(
        "scalar->vector",
        lambda xp: lambda x: xp.stack([x**2, xp.exp(x), xp.log(x)]),
        0.7,
        lambda x: np.array([[2 * x], [np.exp(x)], [1 / x]]),
        lambda x: np.array([[2.0], [np.exp(x)], [-1 / x**2]]),
    ),
    Scenario(
        "scalar->matrix",
        _scalar_to_matrix,
        0.9,
        lambda x: np.array([[1, 2 * x, 3 * x**2, np.cos(x), np.exp(x), -1 / x**2]]).T,
        lambda x: np.array([[0, 2, 6 * x, -np.sin(x), np.exp(x), 2 / x**3]]).T,
    ),
    Scenario(
        "vector->scalar",
        _rosenbrock,
        np.array([0.3, -0.7, 1.1, 0.2]),
        _rosenbrock_gradient,
        _rosenbrock_hessian,
    ),
    Scenario(
        "matrix->scalar",
        _bilinear,
        np.array([[0.4, 1.2, -0.3], [0.8, -1.1, 0.6]]),
        _bilinear_gradient,
        _bilinear_hessian,
    ),
    Scenario(
        "vector->vector",
        lambda xp: lambda x: xp.stack([x[0] * x[1], xp.sin(x[2]) * x[0]]),
        np.array([1.0, 2.0, 3.0]),
        lambda x: np.array([[x[1], x[0], 0], [np.sin(x[2]), 0, x[0] * np.cos(x[2])]]),
    ),
    Scenario(
        "vector->longer",
        lambda xp: lambda x: xp.concatenate([x**2, xp.exp(x), x[:1] * x[1:]]),
        np.array([0.5, -0.4]),
        lambda x: np.vstack([np.diag(2 * x), np.diag(np.exp(x)), [[x[1], x[0]]]]),
    ),
    Scenario(
        "vector->matrix",
        lambda xp: lambda x: xp.reshape(x[:, None] * x[None, :2], (3, 2)),
        np.array([1.0, 2.0, 3.0]),
        lambda x: np.array(
            [
                [2 * x[0], 0, 0],
                [x[1], x[0], 0],
                [x[1], x[0], 0],
                [0, 2 * x[1], 0],
                [x[2], 0, x[0]],
                [0, x[2], x[1]],
            ]
        ),
    ),
    Scenario(
        "matrix->vector",
        lambda xp: (
            lambda x: xp.asarray(_A[0], x.dtype) @ x.T + xp.stack([x[0, 0] * x[1, 1], 0 * x[0, 0]])
        ),
        np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]]),
        lambda x: np.array([[1 + x[1, 1], -2, 0.5, 0, x[0, 0], 0], [0, 0, 0, 1, -2, 0.5]]),
    ),
    Scenario(
        "matrix->matrix",
        lambda xp: lambda x: xp.asarray(_A, x.dtype) @ x.T,
        np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]]),
        _gram,
    ),
    Scenario(
        "rank3->rank3",
        lambda xp: lambda x: xp.transpose(x, (2, 0, 1)) ** 2,
        np.arange(1.0, 13.0).reshape(2, 2, 3) / 7,
        lambda x: _permutation((2, 0, 1), x.shape) * 2 * x.transpose(2, 0, 1).reshape(-1, 1),
    ),
    Scenario(
        "size 1",
        lambda xp: lambda x: x**3,
        np.array([1.5]),
        lambda x: np.array([[3 * x[0] ** 2]]),
    ),
    Scenario(
        "size 1->scalar",
        lambda xp: lambda x: xp.sum(x**3),
        np.array([1.5]),
        lambda x: np.array([[3 * x[0] ** 2]]),
        lambda x: np.array([[6 * x[0]]]),
    ),
    Scenario(
        "size 0",
        lambda xp: lambda x: x**2,
        np.zeros(0),
        lambda x: np.zeros((0, 0)),
    ),
    Scenario(
        "size 0->scalar",
        lambda xp: lambda x: xp.sum(x**2) + 1.0,
        np.zeros(0),
        lambda x: np.zeros((1, 0)),
        lambda x: np.zeros((0, 0)),
    ),
    Scenario(
        "size 0->vector",
        lambda xp: lambda x: xp.sum(x) + xp.asarray([1.0, 2.0], x.dtype),
        np.zeros(0),
        lambda x: np.zeros((2, 0)),
    ),
    Scenario(
        "vector->size 0",
        lambda xp: lambda x: x[:0] ** 2,
        np.ones(3),
        lambda x: np.zeros((0, 3)),
    ),
)
