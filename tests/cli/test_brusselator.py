import jax
import numpy as np
import pytest
import torch

import difint as di
from difint.cli import brusselator

VALUES = {"a": 1.2, "b": 3.4, "alpha": 0.3, "dx": 0.25}
SIDES = pytest.mark.parametrize("n", [1, 2, 3, 4])


def point(n):
    return np.random.default_rng(n).random(2 * n * n)


def filled(n, y, **values):
    dy = np.full_like(y, np.nan)
    brusselator.in_place(n, **values)(dy, y)
    return dy


def in_jax(n, y):
    with jax.enable_x64(True):
        return np.asarray(brusselator.in_jax(n, **VALUES)(jax.numpy.asarray(y)))


def in_torch(n, y):
    return brusselator.in_torch(n, **VALUES)(torch.asarray(y)).numpy()


def in_numpy(n, y):
    return brusselator.in_numpy(n, **VALUES)(y)


@SIDES
@pytest.mark.parametrize("form", [in_numpy, in_jax, in_torch])
def test_forms_agree_with_the_loop(form, n):
    y = point(n)
    np.testing.assert_allclose(form(n, y), filled(n, y, **VALUES), rtol=1e-13, atol=1e-13)


def test_complex_steps():
    y, step = point(3), 1e-30j * np.arange(18)
    f = brusselator.in_numpy(3, **VALUES)
    product = di.pushforward(f, di.AutoFiniteDiff(), y, step.imag * 1e30)
    np.testing.assert_allclose(f(y + step).imag * 1e30, product, rtol=1e-7)


def test_waves_decay_as_the_laplacian_says():
    """Without a reaction, a wave along a side is an eigenvector of the differences."""
    n, dx = 8, 0.125
    wave = np.broadcast_to(np.cos(2 * np.pi * np.arange(n) / n), (n, n))
    for u in (wave, wave.T):
        y = np.concatenate([u.ravel(), np.zeros(n * n)])
        rate = 0.1 * (2 * np.cos(2 * np.pi / n) - 2) / dx**2
        got = filled(n, y, a=0.0, b=-1.0, alpha=0.1, dx=dx)
        np.testing.assert_allclose(got[: n * n], rate * u.ravel(), atol=1e-13)


def test_rates_where_nothing_spreads():
    u, v = 0.5, 2.0
    got = filled(2, np.repeat([u, v], 4), **VALUES)
    np.testing.assert_allclose(got[:4], 1.2 + u * u * v - 4.4 * u)
    np.testing.assert_allclose(got[4:], 3.4 * u - u * u * v)


@SIDES
def test_pattern_is_where_the_jacobian_has_entries(n):
    f = brusselator.in_jax(n, **VALUES)
    dense = di.jacobian(f, di.AutoJax(x64=True), point(n))
    assert np.array_equal(brusselator.pattern(n).toarray(), dense != 0)


def test_problem_is_the_book_s():
    n = 4
    problem, side = brusselator.problem(n), np.arange(n) / n
    u, v = np.reshape(problem.y0, (2, n, n))
    for i in range(n):
        np.testing.assert_allclose(u[i], 22 * side * (1 - side) ** 1.5)
        np.testing.assert_allclose(v[:, i], 27 * side * (1 - side) ** 1.5)
    y = np.repeat([0.5, 2.0], n * n)
    np.testing.assert_allclose(problem.in_numpy(y)[0], 1.0 + 0.5 - 4.4 * 0.5)
    assert problem.pattern.nnz == 12 * n * n
