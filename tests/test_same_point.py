"""Same-point plans and batches of tangents."""

import jax.numpy as jnp
import numpy as np
import pytest

import difint as di

FD, JAX = di.AutoFiniteDiff(), di.AutoJax()
BACKENDS = [
    FD,
    di.AutoFiniteDiff("forward"),
    di.AutoFiniteDiff("complex_step"),
    JAX,
    di.AutoJax(x64=True),
    di.PrimitiveOnly(FD, "forward"),
    di.PrimitiveOnly(JAX, "forward"),
    di.PrimitiveOnly(JAX, "reverse"),
    di.SecondOrder(FD, JAX),
    di.SecondOrder(JAX, FD),
]
X, T = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])


def rtol(backend):
    return 1e-4 if "Finite" in repr(backend) else 1e-12


def close(got, expected, backend):
    error = np.max(np.abs(np.asarray(got) - expected))
    assert error <= rtol(backend) * np.max(np.abs(expected))


def cube(x, a):
    return a * x[:2] * x[1:] ** 2


def cube_matrix(x, a):
    return a * np.array([[x[1] ** 2, 2 * x[0] * x[1], 0], [0, x[2] ** 2, 2 * x[1] * x[2]]])


def energy(x, a):
    return a * (x[0] * x[1] ** 2 + x[2] ** 3)


def energy_hessian(x, a):
    return a * np.array([[0, 2 * x[1], 0], [2 * x[1], 2 * x[0], 0], [0, 0, 6 * x[2]]])


@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_same_point(backend, kind):
    x, t, c, a = kind(X.copy()), kind(T), kind(T[:2]), di.Constant(kind(2.0))
    tests = [
        (
            di.prepare_pushforward_same_point(cube, backend, x, t, a),
            t,
            cube(X, 2),
            cube_matrix(X, 2),
        ),
        (
            di.prepare_pullback_same_point(cube, backend, x, c, a),
            c,
            cube(X, 2),
            cube_matrix(X, 2).T,
        ),
        (di.prepare_hvp_same_point(energy, backend, x, t, a), t, None, energy_hessian(X, 2)),
    ]
    for plan, tangent, value, matrix in tests:
        for one in (tangent, 3 * tangent):
            got = plan.execute(one)
            assert type(got) is type(x)
            close(got, matrix @ np.asarray(one), backend)
        if value is not None:
            lower, got = plan._with_lower((tangent,), None, None)
            again, _ = plan._with_lower((tangent,), None, None)
            np.testing.assert_allclose(lower, value, rtol=1e-12)
            np.testing.assert_allclose(got, matrix @ np.asarray(tangent), rtol=rtol(backend))
            assert (
                kind is not np.asarray
                or not np.shares_memory(lower, again)
                or not lower.flags.writeable
            )
        if kind is np.asarray:
            out = np.empty(matrix.shape[0])
            assert plan.execute(tangent, out=out) is out
            close(out, matrix @ tangent, backend)
            step = plan.bind(tangent, out=out)
            assert step() is out
        assert "t: float64" in repr(plan) and "x:" not in repr(plan)


@pytest.mark.parametrize("backend", [FD, di.AutoFiniteDiff("forward"), JAX], ids=repr)
def test_the_point_is_kept_by_value(backend):
    x, a = X.copy(), np.array(2.0)
    plan = di.prepare_pushforward_same_point(cube, backend, x, T, di.Constant(a))
    x[...] = 0
    a[...] = 0
    np.testing.assert_allclose(plan.execute(T), cube_matrix(X, 2) @ T, rtol=1e-6)


def test_the_primal_is_evaluated_at_prepare():
    calls = []

    def f(x):
        calls.append(1)
        return x**2

    plan = di.prepare_pushforward_same_point(f, di.AutoFiniteDiff("forward"), X, T)
    calls.clear()
    value, _ = plan.value_and_pushforward(T)
    assert len(calls) == 1
    np.testing.assert_array_equal(value, X**2)


def test_caches_of_a_same_point_plan_are_its_own():
    def f(x, cache):
        cache[...] = x**2
        return cache.copy()

    cache = np.zeros(3)
    plan = di.prepare_pushforward_same_point(f, FD, X, T, di.Cache(cache))
    cache[...] = -1.0
    np.testing.assert_allclose(plan.execute(T), 2 * X * T, rtol=1e-8)
    np.testing.assert_array_equal(cache, -1.0)


def test_same_point_in_place_and_mismatch():
    plan = di.prepare_pushforward_same_point(
        lambda y, x: np.copyto(y, x**2), FD, X, T, y=np.empty(3)
    )
    np.testing.assert_allclose(plan.execute(T), 2 * X * T, rtol=1e-8)
    with pytest.raises(di.PreparationMismatchError, match=r"t  prepared float64\[3\]"):
        plan.execute(T[:2])
    with pytest.raises(di.ArgumentError, match="y= was given"):
        plan.execute(T, y=np.empty(3))


@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
@pytest.mark.parametrize("same_point", [False, True])
def test_batches(backend, same_point):
    t, a = (T, -2 * T, np.array([0.0, 1.0, 0.0])), di.Constant(2.0)
    c = tuple(one[:2] for one in t)
    suffix = "_same_point" if same_point else ""
    tests = [
        ("pushforward", cube, t, cube_matrix(X, 2)),
        ("pullback", cube, c, cube_matrix(X, 2).T),
        ("hvp", energy, t, energy_hessian(X, 2)),
    ]
    for operator, f, tangents, matrix in tests:
        plan = getattr(di, f"prepare_{operator}{suffix}")(f, backend, X, tangents, a)
        args = (tangents,) if same_point else (X, tangents, a)
        for got in (plan.execute(*args), plan._with_lower(args, None, None)[-1]):
            assert type(got) is tuple and len(got) == 3
            for one, tangent in zip(got, tangents, strict=True):
                close(one, matrix @ tangent, backend)
        out = tuple(np.full(matrix.shape[0], np.nan) for _ in tangents)
        assert plan.execute(*args, out=out) is out
        for one, tangent in zip(out, tangents, strict=True):
            close(one, matrix @ tangent, backend)
