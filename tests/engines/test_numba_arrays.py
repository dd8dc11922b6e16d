"""Arrays of duals: every function that AutoNumba offers, against complex steps and JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import difint as di

NUMBA = di.AutoNumba()
EXACT = di.AutoFiniteDiff("complex_step")
X = np.array([0.5, 2.0, 3.0])
A = np.array([[1.0, 2.0, -1.0], [0.5, 3.0, 0.25], [-1.0, 0.0, 2.0]])


def assign(x: Any) -> Any:
    y = np.zeros_like(x)
    y[1:] = x[:-1]
    y[0] = 2.0
    y[:2] += x[1:] * x[0]
    y[np.array([2, 0])] -= x[:2]
    return y


def mask(x: Any) -> Any:
    y = x.copy()
    y[y > 1.0] *= 3.0
    return y * x[0]


def in_place_operators(x: Any) -> Any:
    y = x.copy()
    y *= x
    y += 1.0
    y -= 2 * x
    y /= x + 1
    return y


def growing(x: Any) -> Any:
    found = []
    for one in x:
        found.append(one * x[0])
    return np.array(found)


def rank_one(x: Any) -> Any:
    return np.outer(x, x) + np.eye(3)


ARRAYS = {
    "fused": lambda x: x * x + np.sin(x) * 2 - 1 / x,
    "broadcasting": lambda x: x.reshape(3, 1) * x + A,
    "assign": assign,
    "mask": mask,
    "in-place operators": in_place_operators,
    "growing list": growing,
    "comprehension": lambda x: np.array([one * x[1] for one in x]),
    "displays": lambda x: np.array([[x[0], 1.0], [x[1], x[2] * x[0]]]),
    "new axes": lambda x: x[:, None] * x[None, :],
    "transposed": lambda x: rank_one(x).T[::-1, 1:],
    "ravel": lambda x: rank_one(x).ravel() * 2,
    "flatten": lambda x: rank_one(x)[1:].flatten(),
    "likes": lambda x: (np.ones_like(x) + np.full_like(x, 2.0) + np.zeros(3, x.dtype)) * x,
    "fancy": lambda x: x[np.array([2, 0, 2])] ** 2,
    "where": lambda x: np.where(x > 1.0, x * x, 0.5),
    "sum": lambda x: x.sum() * np.sum(rank_one(x)),
    "sums along axes": lambda x: rank_one(x).sum(axis=0) + np.sum(rank_one(x) ** 2, 1),
    "prod": lambda x: x.prod() + np.prod(x * x),
    "mean": lambda x: x.mean() * np.mean(rank_one(x), axis=-1),
    "cumsum": lambda x: np.cumsum(x * x) + x.cumsum(),
    "cumprod": lambda x: np.cumprod(x),
    "dot": lambda x: x @ x * np.dot(x, A[0]) * x.dot(x),
    "float matrix": lambda x: A @ x + x @ A,
    "two matrices": lambda x: rank_one(x) @ rank_one(2 * x) @ x,
    "float times dual matrix": lambda x: A @ rank_one(x) + rank_one(x) @ A,
    "concatenate": lambda x: np.concatenate((x, x * x, A[0])),
    "stack": lambda x: np.stack([x, x**3]),
    "hstack": lambda x: np.hstack((x, 2 * x)),
    "vstack": lambda x: np.vstack((x, x * x)) * x[0],
    "diff": lambda x: np.diff(x**2),
    "roll": lambda x: np.roll(x, 1) * x,
    "solve": lambda x: np.linalg.solve(rank_one(x), x * x),
    "float solve": lambda x: np.linalg.solve(A, x * x),
    "inv": lambda x: np.linalg.inv(rank_one(x)),
    "trace": lambda x: np.trace(rank_one(x) @ A),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str) -> None:
    """First and second derivatives, against complex steps."""
    f = ARRAYS[name]
    expected = di.jacobian(f, EXACT, X) if name != "sum" else None
    if expected is None:
        expected = di.gradient(f, EXACT, X)[None]
    value, got = di.value_and_jacobian(lambda x: f(x) + 0 * x[0], NUMBA, X)
    np.testing.assert_allclose(value, f(X), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    curved = di.hessian(lambda x: np.sum(np.asarray(f(x)) ** 2), EXACT, X)
    ours = di.hessian(lambda x: np.sum((f(x) + 0 * x[:1]) ** 2), NUMBA, X)
    np.testing.assert_allclose(ours, curved, rtol=1e-7, atol=1e-7)


JAX_ARRAYS = {
    "max": lambda xp: lambda x: xp.max(x) * x,
    "max of equal ones": lambda xp: lambda x: xp.max(xp.concatenate((x, x))) * x,
    "min along an axis": lambda xp: lambda x: xp.min(xp.outer(x, x), axis=0),
    "norm": lambda xp: lambda x: xp.linalg.norm(x) * x,
    "argmax": lambda xp: lambda x: x[xp.argmax(x)] * x,
    "clip": lambda xp: lambda x: xp.clip(x, 0.5, 2.5),
    "maximum": lambda xp: lambda x: xp.maximum(x, 2.0) + xp.minimum(x, x[::-1]),
    "sign and abs": lambda xp: lambda x: xp.sign(x - 1) * xp.abs(x - 2),
    "hypot and arctan2": lambda xp: lambda x: xp.hypot(x, 2.0) - xp.arctan2(x, x[::-1]),
    "floor": lambda xp: lambda x: x * xp.floor(x + 0.25) + xp.remainder(x, 0.7),
}


@pytest.mark.parametrize("name", JAX_ARRAYS)
def test_arrays_with_kinks(name: str) -> None:
    """Against JAX, at kinks too."""
    with jax.enable_x64(True):
        expected = jax.jacfwd(JAX_ARRAYS[name](jnp))(X)
    got = di.jacobian(JAX_ARRAYS[name](np), NUMBA, X)
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-15)


UNARY = ("np.sin({})", "np.exp(-{0} * {0})", "np.tanh({})", "np.sqrt(1.0 + {0} * {0})", "-{}")
BINARY = ("({} + {})", "({} * {})", "({} - {})", "({} / (2.0 + np.cos({})))", "np.maximum({}, {})")
leaves = st.sampled_from(["x", "x[::-1]", "x[0]", "x[1]", "2.5", "x.sum()", "np.cumsum(x)"])
programs = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(str.format, st.sampled_from(UNARY), inner),
        st.builds(str.format, st.sampled_from(BINARY), inner, inner),
        st.builds("np.where({0} > 0.3, {0}, {1})".format, inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(programs)
def test_random_programs_agree_with_jax(program: str) -> None:
    source = f"lambda x: x * ({program})"
    with jax.enable_x64(True):
        f = eval(source, {"np": jnp})
        jacobian = jax.jacfwd(f)(X)
        hessian = jax.hessian(lambda x: jnp.sum(f(x) ** 2))(X)
    f = eval(source, {"np": np})
    np.testing.assert_allclose(di.jacobian(f, NUMBA, X), jacobian, rtol=1e-10, atol=1e-10)
    ours = di.hessian(lambda x: np.sum(f(x) ** 2), NUMBA, X)
    np.testing.assert_allclose(ours, hessian, rtol=1e-9, atol=1e-9)
