"""Enzyme's derivatives against derivatives by hand in compiled code, and against JAX."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numba import njit

import difint as di
from tests.benchmarks.timing import Line

IN, HIDDEN, OUT = 784, 128, 10


def rosenbrock(x: Any) -> Any:
    total = 0.0
    for i in range(x.size - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


@njit
def rosenbrock_by_hand(x: Any, g: Any) -> None:
    g[0] = 0.0
    for i in range(x.size - 1):
        rise = x[i + 1] - x[i] ** 2
        g[i] += -400.0 * rise * x[i] - 2.0 * (1.0 - x[i])
        g[i + 1] = 200.0 * rise


def rosenbrock_jax(x: Any) -> Any:
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def lorenz(x: Any) -> Any:
    return np.array(
        [10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]]
    )


@njit
def lorenz_by_hand(x: Any, J: Any) -> None:
    J[0, 0], J[0, 1], J[0, 2] = -10.0, 10.0, 0.0
    J[1, 0], J[1, 1], J[1, 2] = 28.0 - x[2], -1.0, -x[0]
    J[2, 0], J[2, 1], J[2, 2] = x[1], x[0], -8.0 / 3.0


def network(w: Any, image: Any, label: Any) -> Any:
    """Compute the cross entropy of a network 784-128-10, whose parameters are one vector."""
    a, b = IN * HIDDEN, IN * HIDDEN + HIDDEN
    c = b + HIDDEN * OUT
    hidden = np.tanh(w[:a].reshape((HIDDEN, IN)) @ image + w[a:b])
    scores = w[b:c].reshape((OUT, HIDDEN)) @ hidden + w[c:]
    top = np.max(scores)
    return np.log(np.sum(np.exp(scores - top))) + top - scores[label]


def network_jax(w: Any, image: Any, label: Any) -> Any:
    a, b = IN * HIDDEN, IN * HIDDEN + HIDDEN
    c = b + HIDDEN * OUT
    hidden = jnp.tanh(w[:a].reshape((HIDDEN, IN)) @ image + w[a:b])
    scores = w[b:c].reshape((OUT, HIDDEN)) @ hidden + w[c:]
    return jax.nn.logsumexp(scores) - scores[label]


# fmt: off
def rosenbrock_lines() -> Iterator[Line]:
    slope = jax.jit(jax.grad(rosenbrock_jax))
    for n, by_jax in ((1000, 1 / 6), (100_000, None)):
        x, g, h = np.random.default_rng(0).uniform(-1.0, 1.0, n), np.empty(n), np.empty(n)
        plan = di.prepare_gradient(rosenbrock, di.AutoEnzyme(), x)
        plan.execute(x, out=g), rosenbrock_by_hand(x, h)
        np.testing.assert_allclose(g, h, rtol=1e-9, atol=1e-9)
        name = f"AutoEnzyme Rosenbrock gradient n={n}"
        yield Line(f"{name} execute(x, out=g)", lambda plan=plan, x=x, g=g: plan.execute(x, out=g), lambda x=x, h=h: rosenbrock_by_hand(x, h), "njit gradient by hand", 1.5)
        yield Line(f"{name} execute(x, out=g)", lambda plan=plan, x=x, g=g: plan.execute(x, out=g), lambda x=x: np.asarray(slope(x)), "np.asarray(jit(grad(f))(x))", by_jax)
    x, t, g = np.random.default_rng(0).uniform(-1.0, 1.0, (3, 1000))
    plan = di.prepare_hvp(rosenbrock, di.AutoEnzyme(), x, t)
    out, h = np.empty(1000), np.empty(1000)
    yield Line("AutoEnzyme Rosenbrock hvp n=1000 execute(x, t, out=h)", lambda: plan.execute(x, t, out=out), lambda: rosenbrock_by_hand(x, h), "njit gradient by hand", 3.0)


def lorenz_lines() -> Iterator[Line]:
    x, J = np.array([1.0, 2.0, 3.0]), np.empty((3, 3))
    plan = di.prepare_jacobian(lorenz, di.AutoEnzyme(), x)
    lorenz_by_hand(x, J)
    np.testing.assert_allclose(plan.execute(x), J, rtol=1e-12)
    yield Line("AutoEnzyme Lorenz Jacobian execute(x, out=J)", lambda: plan.execute(x, out=J), lambda: lorenz_by_hand(x, J), "njit Jacobian by hand", 3.0)
    step = plan.bind(x, out=J)
    yield Line("AutoEnzyme Lorenz Jacobian bind(x, out=J)()", step, lambda: lorenz_by_hand(x, J), "njit Jacobian by hand", None)


def network_lines() -> Iterator[Line]:
    random = np.random.default_rng(0)
    w, image = 0.05 * random.normal(size=IN * HIDDEN + HIDDEN + HIDDEN * OUT + OUT), random.normal(size=IN)
    contexts, g = (di.Constant(image), di.Constant(3)), np.empty(w.size)
    plan = di.prepare_gradient(network, di.AutoEnzyme(), w, *contexts)
    slope = jax.jit(jax.grad(network_jax))
    np.testing.assert_allclose(plan.execute(w, *contexts), slope(w, image, 3), rtol=1e-9, atol=1e-12)
    yield Line("AutoEnzyme MLP 784-128-10 gradient, one image", lambda: plan.execute(w, *contexts, out=g), lambda: np.asarray(slope(w, image, 3)), "np.asarray(jit(grad(f))(x))", 1 / 3)


# fmt: on


def enzyme_lines() -> Iterator[Line]:
    yield from rosenbrock_lines()
    yield from lorenz_lines()
    yield from network_lines()
