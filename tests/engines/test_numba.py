"""What AutoNumba promises beyond being right: arrays, errors, freezing, memory, compiled code."""

from __future__ import annotations

import ctypes
import functools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import njit

import difint as di
from difint.trees import PYTHON_TREES

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


def cube_root(x: Any) -> Any:
    """Solve z**3 = x by Newton's method, with as many steps as it takes."""
    z = x * 0 + 1.0
    if x < 0.0:
        z = -z
    while abs(z * z * z - x) > 1e-14 * abs(x):
        z = z - (z * z * z - x) / (3.0 * z * z)
    return z


def test_a_loop_that_depends_on_data_after_one_prepare() -> None:
    plan = di.prepare_derivative(cube_root, NUMBA, 2.0)
    for x in (8.0, 1e6, 1e-3, -27.0, -0.4):
        assert math.isclose(plan.execute(x), abs(x) ** (-2 / 3) / 3, rel_tol=1e-9)


def test_helpers_closures_partials_and_dispatchers() -> None:
    factor = 3.0

    def helper(v: Any) -> Any:
        return factor * v

    @njit
    def compiled(v: Any) -> Any:
        return v * v

    f = functools.partial(lambda c, x: compiled(helper(x)) + c, 2.0)
    np.testing.assert_allclose(di.jacobian(f, NUMBA, X), np.diag(18 * X))
    assert compiled.signatures == []  # the user's own dispatcher is left alone


def test_what_a_function_captures_is_frozen_and_the_next_prepare_sees_the_new_value() -> None:
    scale = 2.0

    def f(x: Any) -> Any:
        return scale * x

    plan = di.prepare_jacobian(f, NUMBA, X)
    scale = 5.0
    assert plan.execute(X)[0, 0] == 2.0
    assert di.jacobian(f, NUMBA, X)[0, 0] == 5.0


def test_the_same_function_again_is_not_compiled_again() -> None:
    def f(x: Any) -> Any:
        return x * 7.25

    di.prepare_jacobian(f, NUMBA, X)
    with NUMBA.engine().arrays.watch() as traces:
        di.prepare_jacobian(f, NUMBA, X)
        di.jacobian(f, NUMBA, X)
    assert traces.compilations == 0


@pytest.mark.parametrize(
    "x",
    [
        np.arange(6.0)[::2],
        np.arange(12.0).reshape(3, 4)[:, 1],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6.0).reshape(2, 3).astype(">f8"),
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.arange(4.0, dtype=np.float32),
    ],
    ids=["strided", "column", "Fortran", "big-endian", "read-only", "float32"],
)
def test_any_memory_layout(x: Any) -> None:
    def f(x: Any) -> Any:
        return x * x

    plan = di.prepare_jacobian(f, NUMBA, x)
    expected = np.diag(2 * x.reshape(-1))
    np.testing.assert_array_equal(plan.execute(x), expected)
    assert plan.execute(x).dtype == x.dtype.newbyteorder("=")


@pytest.mark.parametrize("order", ["C", "F"])
def test_out_of_any_order_is_filled(order: str) -> None:
    plan = di.prepare_jacobian(lambda x: A @ x, NUMBA, X)
    out = np.empty((3, 3), order=order)
    assert plan.execute(X, out=out) is out
    np.testing.assert_array_equal(out, A)
    np.testing.assert_array_equal(plan.bind(X, out=out)(), A)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 20])
def test_chunks(size: int) -> None:
    """Sizes around the chunk, with sizes of chunks that divide them and that do not."""
    x = np.linspace(0.5, 1.5, size)
    for chunk in (None, 1, 3):
        for backend in (
            di.AutoNumba(chunk_size=chunk),
            di.AutoNumba(chunk_size=chunk, parallel=True),
        ):
            got = di.jacobian(lambda x: np.cumsum(x * x), backend, x)
            np.testing.assert_allclose(got, np.tril(np.ones((size, size))) * 2 * x)
            got = di.hessian(lambda x: np.sum(x) ** 3, backend, x)
            np.testing.assert_allclose(got, np.full((size, size), 6 * x.sum()))


def test_trees() -> None:
    x = {"a": np.array([1.0, 2.0]), "b": (3.0, np.ones((2, 2)))}

    def f(x: Any) -> Any:
        return np.sum(x["a"] ** 2) * x["b"][0] + x["b"][1].sum()

    got = di.gradient(f, NUMBA, x)
    flat = PYTHON_TREES.flatten(got)[0]
    np.testing.assert_array_equal(flat[0], [6.0, 12.0])
    assert flat[1] == 5.0 and type(flat[1]) is float
    np.testing.assert_array_equal(flat[2], np.ones((2, 2)))
    pushed = di.pushforward(lambda x: (x.sum(), x * x), NUMBA, X, np.ones(3))
    assert pushed[0] == 3.0 and np.array_equal(pushed[1], 2 * X)


def test_many_threads_on_one_plan() -> None:
    def f(y: Any, x: Any, scratch: Any) -> None:
        for i in range(len(x)):
            scratch[i] = x[i] * x[0]
        for i in range(len(x)):
            y[i] = scratch[-1 - i]

    scratch = di.Cache(np.empty(3))
    plan = di.prepare_jacobian(f, NUMBA, X, scratch, y=np.empty(3))
    points = [X * k for k in range(1, 200)]
    expected = [plan.execute(x, scratch) for x in points]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda x: plan.execute(x, scratch), points))
    np.testing.assert_array_equal(got, expected)


def test_kernel_in_compiled_code() -> None:
    def f(y: Any, x: Any, rate: Any, weights: Any) -> None:
        for i in range(len(x)):
            y[i] = rate * weights[0][i] * x[i] ** 2

    weights = (np.array([1.0, 2.0, 3.0]), 5)
    contexts = di.Constant(2.0), di.Constant(weights)
    kernel = di.prepare_jacobian(f, NUMBA, X, *contexts, y=np.empty(3)).kernel

    @njit
    def trace(x: Any, weights: Any) -> Any:
        out = np.empty((3, 3))
        kernel(x, 2.0, weights, out)
        return out[0, 0] + out[1, 1] + out[2, 2]

    assert trace(X, weights) == np.sum(4.0 * weights[0] * X)
    with pytest.raises(ValueError, match="another shape than at prepare"):
        kernel(X, 2.0, weights, np.empty((3, 2)))


def test_kernels_of_operators_with_tangents() -> None:
    def f(x: Any) -> Any:
        return np.sum(x**3)

    out = np.empty(3)
    di.prepare_hvp(f, NUMBA, X, X).kernel(X, np.ones(3), out)
    np.testing.assert_allclose(out, 6 * X)


def test_the_c_function() -> None:
    plan = di.prepare_jacobian(lambda x, a: a * x * x, NUMBA, X, di.Constant(2.0))
    out = np.empty((3, 3))
    pointer = ctypes.POINTER(ctypes.c_double)
    called = plan.ctypes
    called(X.ctypes.data_as(pointer), 2.0, out.ctypes.data_as(pointer))
    np.testing.assert_array_equal(out, np.diag(4 * X))
    assert plan.address == ctypes.cast(called, ctypes.c_void_p).value


def test_other_backends_have_no_kernel() -> None:
    plan = di.prepare_jacobian(np.square, di.AutoFiniteDiff(), X)
    with pytest.raises(di.UnsupportedError, match="this plan has no kernel"):
        _ = plan.kernel


def storing(x: Any) -> Any:
    table = np.zeros(3)
    table[0] = x[0]
    return table


def writing(x: Any, c: Any) -> Any:
    c[0] = 1.0
    return x * c


REFUSED = [
    (storing, (), "a number that depends on x is stored in an array of floats", "empty_like(x)"),
    (writing, (di.Constant(np.ones(3)),), "f writes to a Constant", "in a Cache"),
    (lambda x: np.interp(x, X, X), (), "interp(array(dual", "a loop over the intervals"),
    (lambda x: np.einsum("i->i", x), (), "Numba has no numpy.einsum", "use @"),
    (lambda x: [x[0], x[1]], (), "a list of numbers that depend on x", "numpy.array"),
    (lambda x: x * pytest, (), "pytest", "Write it with arithmetic"),
    (math, (), "f is not callable", "Pass the function first"),
    ("".join, (), "Numba cannot compile f", "Write a function"),
]


@pytest.mark.parametrize(("f", "contexts", "problem", "remedy"), REFUSED)
def test_refusals_name_what_and_what_instead(
    f: Any, contexts: Any, problem: str, remedy: str
) -> None:
    with pytest.raises(di.DifintError) as caught:
        di.prepare_jacobian(f, NUMBA, X, *contexts)
    text = str(caught.value)
    assert problem in text and remedy in text
    assert len(text.splitlines()) <= 4


def test_dtypes_that_numba_lacks() -> None:
    with pytest.raises(di.UnsupportedError, match="Numba has no float16 for x"):
        di.jacobian(np.square, NUMBA, X.astype(np.float16))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "measure"])
def test_chunk_sizes_are_checked(size: Any) -> None:
    with pytest.raises(di.ArgumentError, match="chunk_size is not a size"):
        di.AutoNumba(chunk_size=size)


def test_other_backends_over_and_under() -> None:
    def f(x: Any) -> Any:
        return np.sum(x**3)

    differences = di.hessian(f, di.SecondOrder(di.AutoFiniteDiff(), NUMBA), X)
    np.testing.assert_allclose(differences, np.diag(6 * X), atol=1e-6)
    with pytest.raises(di.UnsupportedError, match="AutoNumba cannot differentiate through"):
        di.hessian(f, di.SecondOrder(NUMBA, di.AutoFiniteDiff()), X)


def test_an_exception_of_f_passes_through() -> None:
    def f(x: Any) -> Any:
        if x[0] < 0.0:
            raise ValueError("below zero")
        return x * x

    plan = di.prepare_jacobian(f, NUMBA, X)
    with pytest.raises(ValueError, match="below zero"):
        plan.execute(-X)
    with pytest.raises(ValueError, match="below zero"):
        plan.execute(-X, out=np.empty((3, 3)))
