"""AutoJax: precision, transformations, devices, kinds of values."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import difint as di

JAX = di.AutoJax()
X = np.array([1.0, 2.0, 3.0])


def f(x):
    return jnp.stack([x[0] * x[1], jnp.sin(x[2])])


def total(x):
    return (x**3).sum()


def test_float64_in_32_bit_mode_is_refused_with_both_remedies():
    with jax.enable_x64(False):
        with pytest.raises(di.ArgumentError) as caught:
            di.prepare_jacobian(f, JAX, X)
        text = str(caught.value)
        assert text.startswith("jacobian: x would lose precision: JAX is in 32-bit mode\n")
        assert "AutoJax(x64=True)" in text
        assert "jax.config.update('jax_enable_x64', True)" in text
        assert "float32" in text
        with pytest.raises(di.ArgumentError, match="x would lose precision"):
            di.derivative(jnp.sin, JAX, 1.0)
        with pytest.raises(di.ArgumentError, match=r"x\['a'\] would lose precision"):
            di.gradient(lambda x: x["a"].sum(), JAX, {"a": X})
        with pytest.raises(di.ArgumentError, match="context 0 would lose precision"):
            di.gradient(lambda x, a: (a * x).sum(), JAX, X.astype("f4"), di.Constant(X))
        with pytest.raises(di.ArgumentError, match="got       int64"):
            di.gradient(lambda x, i: x[i], JAX, X.astype("f4"), di.Constant(np.arange(2)))


@pytest.mark.parametrize("global_flag", [False, True])
def test_x64_is_right_whatever_the_global_flag(global_flag):
    backend = di.AutoJax(x64=True)
    with jax.enable_x64(global_flag):
        plan = di.prepare_jacobian(f, backend, X)
        got = plan.execute(X)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, [[2, 1, 0], [0, 0, np.cos(3.0)]], rtol=1e-15)
        value, again = plan.value_and_jacobian(X)
        assert value.dtype == np.float64
        np.testing.assert_array_equal(again, got)
        assert di.derivative(jnp.sin, backend, 1.0) == np.cos(1.0)
        product = di.prepare_hvp_same_point(total, backend, X, X).execute(X)
        np.testing.assert_allclose(product, 6 * X * X, rtol=1e-15)
        assert jax.config.jax_enable_x64 is global_flag


def test_float32_works_in_32_bit_mode_with_weak_constants():
    with jax.enable_x64(False):
        x = X.astype("f4")
        plan = di.prepare_gradient(lambda x, a: (a * x**2).sum(), JAX, x, di.Constant(0.5))
        got = plan.execute(x, di.Constant(1.5))
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, 3 * x, rtol=1e-6)


def test_a_changed_precision_mode_is_noticed():
    plan = di.prepare_jacobian(f, JAX, X)
    with jax.enable_x64(False), pytest.raises(di.PreparationMismatchError, match="64-bit mode"):
        plan.execute(X)
    assert plan.execute(X).dtype == np.float64


def test_longdouble_is_refused():
    with pytest.raises(di.ArgumentError, match=r"JAX has no (longdouble|float128)"):
        di.prepare_jacobian(f, JAX, X.astype(np.longdouble))


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_plans_under_transformations(kind):
    plan = di.prepare_gradient(total, JAX, kind(X))
    np.testing.assert_allclose(jax.jit(plan.execute)(X), 3 * X**2)
    batch = jnp.stack([X, 2 * X])
    np.testing.assert_allclose(jax.vmap(plan.execute)(batch), 3 * batch**2)
    np.testing.assert_allclose(jax.jacfwd(plan.execute)(X), np.diag(6 * X))
    np.testing.assert_allclose(jax.grad(lambda x: plan.execute(x).sum())(X), 6 * X)
    value, gradient = jax.jit(plan.value_and_gradient)(X)
    np.testing.assert_allclose(value, total(X))
    np.testing.assert_allclose(gradient, 3 * X**2)

    def loop(x):
        return jax.lax.fori_loop(0, 3, lambda i, x: x - 0.01 * plan.execute(x), x)

    x = X.copy()
    for _ in range(3):
        x = x - 0.01 * 3 * x**2
    np.testing.assert_allclose(jax.jit(loop)(X), x, rtol=1e-12)


def test_traced_arguments_are_checked():
    plan = di.prepare_gradient(total, JAX, X)
    with pytest.raises(di.PreparationMismatchError, match=r"got float64\[2\] \(jax, traced\)"):
        jax.jit(plan.execute)(X[:2])
    with pytest.raises(di.PreparationMismatchError, match="got float32"):
        jax.jit(plan.execute)(X.astype("f4"))
    with pytest.raises(di.ArgumentError, match="cannot be filled with traced values"):
        jax.jit(lambda x: plan.execute(x, out=np.empty(3)))(X)


def test_preparing_inside_a_transformation():
    def inside(x, a):
        plan = di.prepare_gradient(lambda x, a: a * total(x), JAX, x, di.Constant(a))
        once = di.gradient(lambda x, a: a * total(x), JAX, x, di.Constant(a))
        return plan.execute(x, di.Constant(a)), once

    for got in jax.jit(inside)(X, 2.0):
        np.testing.assert_allclose(got, 6 * X**2)

    def same_point(x):
        return di.prepare_pullback_same_point(lambda x: x**2, JAX, x, x).execute(x)

    np.testing.assert_allclose(jax.vmap(same_point)(jnp.stack([X, X])), [2 * X**2] * 2)


def test_weak_types_do_not_retrace():
    plan = di.prepare_derivative(lambda x: x**2, JAX, jnp.float64(2.0))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda e, s, **k: compiled.append(e))
    try:
        np.testing.assert_allclose(plan.execute(jnp.float64(3.0)), 6.0)
        assert not compiled
        weak = jnp.asarray(3.0)
        assert weak.weak_type
        np.testing.assert_allclose(plan.execute(weak), 6.0)
    finally:
        jax.monitoring.clear_event_listeners()


def test_numpy_results_are_new_and_hold_still():
    plan = di.prepare_jacobian(f, JAX, X)
    first = plan.execute(X)
    before = first.copy()
    for scale in range(2, 50):
        plan.execute(scale * X)
    np.testing.assert_array_equal(first, before)
    assert type(first) is np.ndarray


def test_kinds():
    assert isinstance(di.jacobian(f, JAX, jnp.asarray(X)), jax.Array)
    plan = di.prepare_jacobian(f, JAX, jnp.asarray(X))
    out = np.empty((2, 3))
    assert plan.execute(jnp.asarray(X), out=out) is out
    np.testing.assert_allclose(out, di.jacobian(f, JAX, X))
    with pytest.raises(di.ArgumentError, match="immutable"):
        plan.execute(jnp.asarray(X), out=jnp.zeros((2, 3)))


def test_bfloat16():
    got = di.gradient(lambda x: (x * x).sum(), JAX, jnp.ones(2, jnp.bfloat16))
    assert got.dtype == jnp.bfloat16
    with pytest.raises(di.UnsupportedError, match="finite differences in bfloat16"):
        di.gradient(lambda x: (x * x).sum(), di.AutoFiniteDiff(), jnp.ones(2, jnp.bfloat16))


def test_custom_rules_and_control_flow_survive_the_tracing():
    @jax.custom_vjp
    def clip(x):
        return x

    clip.defvjp(lambda x: (x, None), lambda _, t: (jnp.clip(t, -1.0, 1.0),))
    got = di.prepare_gradient(lambda x: (5 * clip(x)).sum(), JAX, X).execute(X)
    np.testing.assert_allclose(got, 1.0)

    def newton(a):
        return jax.lax.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2, a)

    forward = di.AutoJax("forward")
    slope = di.prepare_derivative(newton, forward, 4.0)
    for a in (4.0, 9.0, 1e4):
        np.testing.assert_allclose(slope.execute(a), 0.5 / np.sqrt(a), rtol=1e-10)


def test_equinox_like_trees_are_jax_s_own():
    @jax.tree_util.register_dataclass
    @__import__("dataclasses").dataclass
    class Layer:
        w: object
        b: object

    x = Layer(X, 2.0)
    got = di.prepare_gradient(lambda x: (x.w**2).sum() * x.b, JAX, x).execute(x)
    assert type(got) is Layer and type(got.b) is float
    np.testing.assert_allclose(got.w, 4 * X)


def test_devices():
    code = """
import jax, numpy as np, difint as di
jax.config.update("jax_enable_x64", True)
first, second = jax.devices()
x = jax.device_put(np.ones(3), first)
plan = di.prepare_jacobian(lambda x: x**2, di.AutoJax(), x)
print(plan.execute(2 * x).sum())
try:
    plan.execute(jax.device_put(np.ones(3), second))
except di.PreparationMismatchError as error:
    print(error)
plan = di.prepare_jacobian(lambda x: x**2, di.AutoJax(), jax.device_put(np.ones(3), second))
print(plan.execute(jax.device_put(np.ones(3), second)).devices() == {second})
"""
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**__import__("os").environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
    )
    assert out.stdout.splitlines() == [
        "12.0",
        "jacobian: the arguments do not fit this plan",
        "  x  prepared float64[3] (jax, cpu:0)  got float64[3] (jax, cpu:1)   <- differs",
        "Prepare again with an x like this one, or move it to float64[3] (jax, cpu:0).",
        "True",
    ]


def test_random_keys_are_constants():
    key = jax.random.key(0)

    def f(x, key):
        return jnp.sum(x * jax.random.normal(key, (3,)))

    plan = di.prepare_gradient(f, JAX, X, di.Constant(key))
    for one in (key, jax.random.key(1)):
        np.testing.assert_allclose(
            plan.execute(X, di.Constant(one)), jax.random.normal(one, (3,)), rtol=1e-14
        )


def test_dtypes_that_jax_has_not():
    for x in (X.astype(">f8"), X.astype(np.longdouble)):
        with pytest.raises(di.ArgumentError, match="JAX has no"):
            di.gradient(total, JAX, x)
    with pytest.raises(di.ArgumentError, match="context 0: JAX has no"):
        di.gradient(lambda x, a: total(x), JAX, X, di.Constant(np.array(["a"])))


def test_precision_mode_is_checked_without_strict_too():
    plan = di.prepare_gradient(total, JAX, X, strict=False)
    with jax.enable_x64(False), pytest.raises(di.PreparationMismatchError, match="32-bit mode"):
        plan.execute(X)


def test_watching_counts_traces_and_compilations_whoever_clears_the_listeners():
    watch = JAX.engine().arrays.watch
    for cleared in (False, True):
        if cleared:
            jax.monitoring.clear_event_listeners()
        function = jax.jit(lambda x: x + 1)
        with watch() as work:
            function(np.ones(3))
            function(np.ones(3))
        assert (work.traces, work.compilations) == (1, 1)
        with watch() as outer:
            function(np.ones(4))
            with watch() as inner:
                function(np.ones(5))
        assert (outer.compilations, inner.compilations) == (2, 1)
