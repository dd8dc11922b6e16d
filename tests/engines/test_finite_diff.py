"""AutoFiniteDiff: steps, accuracy against the literature's orders, what complex steps refuse."""

import math

import mpmath
import numpy as np
import pytest

import difint as di

X = np.array([1.0, 2.0, 3.0])


def seen_by(f, backend, x):
    """Record the points at which a derivative evaluates ``f``."""
    points = []

    def spy(x):
        points.append(np.array(x))
        return f(x)

    plan = di.prepare_jacobian(spy, backend, x)
    points.clear()
    plan.execute(x)
    return points


EPS = np.finfo(float).eps


@pytest.mark.parametrize(
    "backend, x, step",
    [
        (di.AutoFiniteDiff(), 0.0, EPS ** (1 / 3)),
        (di.AutoFiniteDiff(), -1e6, 1e6 * EPS ** (1 / 3)),
        (di.AutoFiniteDiff("forward"), 1e3, 1e3 * EPS**0.5),
        (di.AutoFiniteDiff("forward", rel_step=1e-3), 10.0, 1e-2),
        (di.AutoFiniteDiff("forward", rel_step=1e-3), 0.0, 1e-3),
        (di.AutoFiniteDiff("forward", rel_step=1e-3, abs_step=1e-5), 0.0, 1e-5),
        (di.AutoFiniteDiff("forward", abs_step=0.5), 0.0, 0.5),
    ],
)
def test_steps(backend, x, step):
    moved = [point for point in seen_by(np.sin, backend, np.array([x])) if point[0] != x]
    for point in moved:
        np.testing.assert_allclose(abs(point[0] - x), step, rtol=1e-6)


def test_steps_follow_the_coarser_precision():
    points = seen_by(lambda x: np.asarray(np.sin(x), "f4"), di.AutoFiniteDiff(), np.zeros(1))
    step = np.finfo("f4").eps ** (1 / 3)
    np.testing.assert_allclose(max(point[0] for point in points), step, rtol=1e-6)


@pytest.mark.parametrize(
    "backend, first, second",
    [
        (di.AutoFiniteDiff(), 1e-9, 1e-6),
        (di.AutoFiniteDiff("forward"), 5e-7, 1e-3),
        (di.AutoFiniteDiff("complex_step"), 1e-15, 1e-9),
    ],
)
def test_accuracy_against_mpmath(backend, first, second):
    functions = [
        (lambda x: np.exp(x) / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3), 1.5),
        (lambda x: x * np.log(x), 0.3),
        (lambda x: np.arctan(x) ** 2, 2.0),
    ]
    exact = [
        (lambda x: mpmath.exp(x) / mpmath.sqrt(mpmath.sin(x) ** 3 + mpmath.cos(x) ** 3)),
        (lambda x: x * mpmath.log(x)),
        (lambda x: mpmath.atan(x) ** 2),
    ]
    with mpmath.workdps(50):
        for (f, x), g in zip(functions, exact, strict=True):
            right = float(mpmath.diff(g, x))
            np.testing.assert_allclose(di.derivative(f, backend, x), right, rtol=first)
            right = float(mpmath.diff(g, x, 2))
            np.testing.assert_allclose(di.second_derivative(f, backend, x), right, rtol=second)


def test_tangents_of_any_length():
    for scheme in ("central", "forward", "complex_step"):
        plan = di.prepare_pushforward(np.sin, di.AutoFiniteDiff(scheme), X, X)
        for length in (1e-300, 1e-160, 1e-8, 1.0, 1e8, 1e160, 1e300):
            t = length * np.array([1.0, -0.5, 0.25])
            np.testing.assert_allclose(plan.execute(X, t), np.cos(X) * t, rtol=1e-6)
        np.testing.assert_array_equal(plan.execute(X, np.zeros(3)), 0.0)


def test_badly_scaled_points():
    # Robertson's state: entries of order 1 and 1e-5 beside each other.
    x = np.array([0.9, 2e-5, 0.1])
    right = [[-0.04, 1e4 * x[2], 1e4 * x[1]], [0.04, -1e4 * x[2] - 6e7 * x[1], -1e4 * x[1]]]

    def f(y):
        fast = 1e4 * y[1] * y[2]
        return np.array([-0.04 * y[0] + fast, 0.04 * y[0] - fast - 3e7 * y[1] ** 2])

    np.testing.assert_allclose(di.jacobian(f, di.AutoFiniteDiff(), x), right, rtol=1e-6)


NOT_ANALYTIC = [
    (np.abs, ["into real ones"]),
    (lambda x: x * np.abs(x), ["not analytic"]),
    (lambda x: x * x.real, ["not analytic"]),
    (
        lambda x: np.array([math.sin(x[0])]),
        ["does not accept complex numbers"],
    ),
    (lambda x: x.astype(float), ["does not accept complex numbers", "discards the imaginary part"]),
    (lambda x: np.conj(x) * x, ["not analytic"]),
]


@pytest.mark.parametrize("f, words", NOT_ANALYTIC)
def test_complex_step_refuses_what_is_not_analytic(f, words):
    backend = di.AutoFiniteDiff("complex_step")
    for prepare in (
        lambda: di.prepare_jacobian(f, backend, X),
        lambda: di.prepare_pushforward(f, backend, X, X),
    ):
        with pytest.raises(di.ArgumentError) as caught:
            prepare()
        for word in [*words, "scheme='central'"]:
            assert word in str(caught.value)


def test_complex_step_at_a_kink_raises_no_false_alarm():
    backend = di.AutoFiniteDiff("complex_step")
    got = di.jacobian(lambda x: np.where(x.real > 0, x, 0 * x), backend, np.array([0.0, 1.0, -1.0]))
    np.testing.assert_array_equal(got, np.diag([0.0, 1.0, 0.0]))


def test_complex_step_in_place_with_a_cache():
    def f(y, x, work):
        work[...] = x * x
        y[...] = np.exp(work)

    backend = di.AutoFiniteDiff("complex_step")
    cache = di.Cache(np.zeros(3))
    plan = di.prepare_jacobian(f, backend, X, cache, y=np.empty(3))
    got = plan.execute(X, cache)
    np.testing.assert_allclose(got, np.diag(2 * X * np.exp(X * X)), rtol=1e-14)


def test_a_failed_call_leaves_the_plan_intact():
    fail = []

    def f(x):
        if fail:
            raise RuntimeError("once")
        return x**2

    plan = di.prepare_jacobian(f, di.AutoFiniteDiff(), X)
    right = plan.execute(X)
    fail.append(1)
    with pytest.raises(RuntimeError, match="once"):
        plan.execute(X)
    fail.clear()
    np.testing.assert_array_equal(plan.execute(X), right)


def test_longdouble_keeps_its_precision():
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.xfail("longdouble is float64 on this platform")
    x = X.astype(np.longdouble)
    got = di.jacobian(lambda x: x**3, di.AutoFiniteDiff(), x)
    assert got.dtype == np.longdouble
    np.testing.assert_allclose(np.diag(got).astype(float), 3 * X**2, rtol=1e-12)


def test_hessians_are_symmetric_and_central_ones_accurate():
    def f(x):
        return np.exp(x[0] * x[1]) + x[1] * x[2] ** 3

    x = np.array([0.3, 0.5, 0.7])
    e = np.exp(x[0] * x[1])
    right = np.array(
        [
            [x[1] ** 2 * e, (1 + x[0] * x[1]) * e, 0],
            [(1 + x[0] * x[1]) * e, x[0] ** 2 * e, 3 * x[2] ** 2],
            [0, 3 * x[2] ** 2, 6 * x[1] * x[2]],
        ]
    )
    for scheme, tolerance in (("central", 1e-6), ("forward", 1e-3), ("complex_step", 1e-9)):
        got = di.hessian(f, di.AutoFiniteDiff(scheme), x)
        np.testing.assert_array_equal(got, got.T)
        np.testing.assert_allclose(got, right, atol=tolerance)
        _, gradient, _ = di.value_gradient_and_hessian(f, di.AutoFiniteDiff(scheme), x)
        exact = [x[1] * e, x[0] * e + x[2] ** 3, 3 * x[1] * x[2] ** 2]
        np.testing.assert_allclose(gradient, exact, rtol=1e-6)


def test_tangents_across_scales():
    x, t = np.array([1.0, 1e6]), np.ones(2)

    def f(x):
        return np.array([np.sin(x[0]) + 1e-4 * x[1]])

    for scheme in ("central", "forward"):
        got = di.pushforward(f, di.AutoFiniteDiff(scheme), x, t)
        np.testing.assert_allclose(got, np.cos(1.0) + 1e-4, rtol=1e-4)


def test_nested_differences_widen_the_outer_step():
    central, forward = di.AutoFiniteDiff(), di.AutoFiniteDiff("forward")
    for backend, rtol in (
        (di.PrimitiveOnly(central, "forward"), 1e-6),
        (di.PrimitiveOnly(forward, "forward"), 1e-3),
        (di.SecondOrder(central, forward), 1e-4),
        (di.SecondOrder(forward, central), 1e-4),
    ):
        np.testing.assert_allclose(di.second_derivative(math.exp, backend, 1.0), math.e, rtol=rtol)


def test_functions_that_compute_with_jax_in_32_bit_mode():
    import jax
    import jax.numpy as jnp

    backend = di.AutoFiniteDiff()
    with jax.enable_x64(False):
        with pytest.raises(di.ArgumentError, match="32-bit mode: x would lose precision"):
            di.jacobian(jnp.sin, backend, X)
        assert di.jacobian(jnp.sin, backend, X.astype("f4")).dtype == np.float32
    got = di.jacobian(jnp.sin, backend, X)
    assert type(got) is np.ndarray
    np.testing.assert_allclose(got, np.diag(np.cos(X)), atol=1e-9)


def test_complex_step_cannot_differentiate_a_derivative():
    backend = di.PrimitiveOnly(di.AutoFiniteDiff("complex_step"), "forward")
    with pytest.raises(di.UnsupportedError, match="cannot differentiate through the inner one"):
        di.hessian(lambda x: (x**2).sum(), backend, X)


def test_an_error_of_f_on_reals_is_not_blamed_on_complex_numbers():
    def f(x):
        if x[0] != 1.0:
            raise ValueError("only at one")
        return x**2

    with pytest.raises(di.ArgumentError, match="does not accept complex numbers"):
        di.prepare_jacobian(
            lambda x: np.array([math.sqrt(v) for v in x]), di.AutoFiniteDiff("complex_step"), X
        )
    with pytest.raises(ValueError, match="only at one"):
        di.jacobian(f, di.AutoFiniteDiff(), X)
