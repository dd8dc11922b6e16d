"""Functions with sparse derivatives, and what is known of them, for the tests of sparse plans."""

import numpy as np
from scipy import sparse

from difint.sparse import Pattern


def banded(n, *offsets):
    """Make the pattern of some diagonals."""
    return Pattern.of(sum(np.eye(n, k=k) for k in offsets))


def arrow_pattern(n):
    dense = np.eye(n)
    dense[0] = dense[:, 0] = 1
    return Pattern.of(dense)


def bratu(xp):
    """Return ``u'' + exp(u)``: tridiagonal."""

    def f(u):
        zero = u[:1] * 0
        left, right = xp.concatenate([zero, u[:-1]]), xp.concatenate([u[1:], zero])
        return left - 2 * u + right + xp.exp(u)

    return f


def bratu_jacobian(u):
    ones = np.ones(u.size - 1)
    return np.diag(np.exp(u) - 2) + np.diag(ones, 1) + np.diag(ones, -1)


def bratu_in_place(y, u):
    for i in range(u.size):
        y[i] = np.exp(u[i]) - 2 * u[i]
        if i > 0:
            y[i] += u[i - 1]
        if i + 1 < u.size:
            y[i] += u[i + 1]


def arrow(xp):
    return lambda x: xp.concatenate([xp.sum(x**2)[None], x[0] * x[1:]])


def arrow_jacobian(x):
    j = np.diag(np.full(x.size, x[0]))
    j[1:, 0], j[0] = x[1:], 2 * x
    return j


def chained(xp):
    """Return the chained Rosenbrock function: a tridiagonal Hessian."""
    return lambda x: xp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def chained_hessian(x):
    n = x.size
    h = np.zeros((n, n))
    for i in range(n - 1):
        h[i, i] += 1200 * x[i] ** 2 - 400 * x[i + 1] + 2
        h[i + 1, i + 1] += 200
        h[i, i + 1] -= 400 * x[i]
        h[i + 1, i] -= 400 * x[i]
    return h


def random_matrix(seed, m, n, density=0.2):
    rng = np.random.default_rng(seed)
    return sparse.csc_array(rng.normal(size=(m, n)) * (rng.random((m, n)) < density))
