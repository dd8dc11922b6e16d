"""What AutoEnzyme promises: right numbers in both modes, contexts, memory, threads, errors."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from numba import njit

import difint as di

ENZYME = di.AutoEnzyme()
MODES = ["forward", "reverse"]
X = np.array([0.5, 2.0, 3.0])
C = np.array([1.0, -2.0, 0.25])
T = np.array([0.3, -1.0, 2.0])


def summed(x: Any, c: Any) -> Any:
    """Have the gradient 3 c x**2 + x1 e0 + x0 e1, and a Hessian that is not diagonal."""
    total = x[0] * x[1]
    for i in range(x.size):
        total += c[i] * x[i] ** 3
    return total


def summed_gradient(x: Any) -> Any:
    return 3.0 * C * x**2 + np.array([x[1], x[0], 0.0])


def summed_hessian(x: Any) -> Any:
    return np.diag(6.0 * C * x) + np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])


def filled(y: Any, x: Any, c: Any) -> None:
    """Have the Jacobian below; two entries for three."""
    y[0] = np.sin(x[0]) * x[2] * c[1]
    y[1] = x[1] / x[0]


def filled_jacobian(x: Any) -> Any:
    first = [C[1] * np.cos(x[0]) * x[2], 0.0, C[1] * np.sin(x[0])]
    return np.array([first, [-x[1] / x[0] ** 2, 1.0 / x[0], 0.0]])


def returned(x: Any, c: Any) -> Any:
    y = np.empty(2)
    filled(y, x, c)
    return y


def curve(t: Any, c: Any) -> Any:
    """Return an array for a number."""
    return np.array([c[0] * t**3, np.exp(c[1] * t)])


CURVE = {
    "derivative": lambda t: np.array([3.0 * t**2, -2.0 * np.exp(-2.0 * t)]),
    "second_derivative": lambda t: np.array([6.0 * t, 4.0 * np.exp(-2.0 * t)]),
}
U = np.array([0.5, -1.5])
OPERATORS: dict[str, tuple[Any, Any, Any, Any]] = {
    "gradient": (summed, X, (), summed_gradient),
    "hessian": (summed, X, (), summed_hessian),
    "hvp": (summed, X, (T,), lambda x: summed_hessian(x) @ T),
    "jacobian": (returned, X, (), filled_jacobian),
    "pushforward": (returned, X, (T,), lambda x: filled_jacobian(x) @ T),
    "pullback": (returned, X, (U,), lambda x: U @ filled_jacobian(x)),
    "derivative": (curve, 0.75, (), CURVE["derivative"]),
    "second_derivative": (curve, 0.75, (), CURVE["second_derivative"]),
}
"""A function, its argument, a tangent, and what is to come out."""


@cache
def plan_of(operator: str, mode: str | None) -> Any:
    f, x, tangent, _ = OPERATORS[operator]
    prepare = getattr(di, f"prepare_{operator}")
    return prepare(f, di.AutoEnzyme(mode), x, *tangent, di.Constant(C))


@pytest.mark.parametrize("mode", [None, *MODES])
@pytest.mark.parametrize("operator", OPERATORS)
def test_operators(operator: str, mode: str | None) -> None:
    """At the example and elsewhere, in new memory and in given memory."""
    _, x, tangent, expected = OPERATORS[operator]
    plan, c = plan_of(operator, mode), di.Constant(C)
    for point in (x, x * 1.25):
        want = expected(point)
        np.testing.assert_allclose(plan.execute(point, *tangent, c), want, rtol=1e-13)
        out = np.full(np.shape(want), np.nan)
        assert plan.execute(point, *tangent, c, out=out) is out
        np.testing.assert_allclose(out, want, rtol=1e-13)


VALUES = {
    "gradient": ("value_and_gradient", (summed,)),
    "hessian": ("value_gradient_and_hessian", (summed, summed_gradient)),
    "hvp": ("gradient_and_hvp", (summed_gradient,)),
    "jacobian": ("value_and_jacobian", (returned,)),
    "pushforward": ("value_and_pushforward", (returned,)),
    "pullback": ("value_and_pullback", (returned,)),
    "derivative": ("value_and_derivative", (curve,)),
    "second_derivative": (
        "value_derivative_and_second_derivative",
        (curve, CURVE["derivative"]),
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_lower_orders(operator: str, mode: str) -> None:
    _, x, tangent, expected = OPERATORS[operator]
    name, lower = VALUES[operator]
    *got, last = getattr(plan_of(operator, mode), name)(x, *tangent, di.Constant(C))
    np.testing.assert_allclose(last, expected(x), rtol=1e-13)
    for one, f in zip(got, lower, strict=True):
        np.testing.assert_allclose(one, f(x, C) if f in (summed, returned, curve) else f(x))


ROUTES = [
    ("gradient", None, "Enzyme reverse × 1"),
    ("gradient", "forward", "Enzyme forward × 1"),
    ("jacobian", None, "Enzyme forward × 1"),
    ("jacobian", "reverse", "Enzyme reverse × 1"),
    ("hessian", None, "Enzyme forward over reverse × 1"),
    ("hessian", "forward", "Enzyme forward over forward × 1"),
]


@pytest.mark.parametrize(("operator", "mode", "route"), ROUTES)
def test_routes(operator: str, mode: str | None, route: str) -> None:
    assert plan_of(operator, mode).route == route


@pytest.mark.parametrize("mode", MODES)
def test_in_place(mode: str) -> None:
    y, c = np.empty(2), di.Constant(C)
    plan = di.prepare_jacobian(filled, di.AutoEnzyme(mode), X, c, y=y)
    for x in (X, 2.0 * X):
        np.testing.assert_allclose(plan.execute(x, c), filled_jacobian(x), rtol=1e-13)
        value, jacobian = plan.value_and_jacobian(x, c, y=y)
        assert value is y
        np.testing.assert_allclose(y, returned(x, C), rtol=1e-15)
        np.testing.assert_allclose(jacobian, filled_jacobian(x), rtol=1e-13)


def squares(x: Any) -> Any:
    """Have as many results as entries; a chain, so that no row of the Jacobian is like another."""
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = x[i] ** 2 * x[i - 1]
    return y


def squares_jacobian(x: Any) -> Any:
    n = x.size
    whole = np.zeros((n, n))
    for i in range(n):
        whole[i, i] += 2.0 * x[i] * x[i - 1]
        whole[i, i - 1] += x[i] ** 2
    return whole


WIDTHS = [(1, 5), (2, 3), (9, 1)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("width", "calls"), WIDTHS)
def test_widths(width: int, calls: int, mode: str) -> None:
    """The last of several calls has fewer tangents left than are wide, and repeats some."""
    x = np.linspace(0.5, 1.5, 5)
    plan = di.prepare_jacobian(squares, di.AutoEnzyme(mode, width=width), x)
    assert plan.route == f"Enzyme {mode} × {calls}"
    np.testing.assert_allclose(plan.execute(x), squares_jacobian(x), rtol=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_more_entries_than_are_wide_by_themselves(mode: str) -> None:
    x = np.linspace(0.5, 1.5, 37)
    plan = di.prepare_jacobian(squares, di.AutoEnzyme(mode), x)
    assert plan.route == f"Enzyme {mode} × 3"
    np.testing.assert_allclose(plan.execute(x), squares_jacobian(x), rtol=1e-13)


@pytest.mark.parametrize("operator", ["pushforward", "pullback", "hvp"])
def test_several_tangents(operator: str) -> None:
    f, x, (tangent,), expected = OPERATORS[operator]
    tangents, c = tuple(tangent * k for k in (1.0, -2.0, 0.5)), di.Constant(C)
    plan = getattr(di, f"prepare_{operator}")(f, di.AutoEnzyme(width=2), x, tangents, c)
    got = plan.execute(1.5 * x, tangents, c)
    assert len(got) == 3
    for one, k in zip(got, (1.0, -2.0, 0.5), strict=True):
        np.testing.assert_allclose(one, k * expected(1.5 * x), rtol=1e-13)


def mixed(x: Any, rate: Any, count: Any, flag: Any, nothing: Any, table: Any, scratch: Any) -> Any:
    scratch[:] = x * rate
    if nothing is None:
        scratch *= table[0]
    for _ in range(count):
        scratch *= 2.0
    return scratch.sum() if flag else scratch[0] * 1.0


def mixed_contexts(rate: float, count: int, flag: bool, table: Any) -> Any:
    values = (rate, count, flag, None, table)
    return (*map(di.Constant, values), di.Cache(np.full(3, np.nan)))


@pytest.mark.parametrize("mode", MODES)
def test_contexts(mode: str) -> None:
    """Numbers, flags, integers, nothing and arrays change from call to call; a cache is f's own."""
    table = (np.array([1, 2, 3], np.int32), 5)
    plan = di.prepare_gradient(mixed, di.AutoEnzyme(mode), X, *mixed_contexts(1.5, 2, True, table))
    got = plan.execute(X, *mixed_contexts(1.5, 2, True, table))
    np.testing.assert_allclose(got, 6.0 * table[0])
    other = (np.array([7, 8, 9], np.int32), 5)
    contexts = mixed_contexts(-0.5, 3, False, other)
    np.testing.assert_allclose(plan.execute(X, *contexts), [-28.0, 0.0, 0.0])
    assert np.isnan(contexts[-1].value).all()


LAYOUTS = {
    "strided": np.arange(6.0)[::2],
    "backwards": np.arange(6.0)[::-2],
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(6.0).reshape(2, 3).astype(">f8"),
    "read-only": np.broadcast_to(np.arange(3.0), (2, 3)),
    "float32": np.arange(4.0, dtype=np.float32),
    "one entry": np.array([3.0]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_memory_layout(name: str) -> None:
    """Of ``x`` and of a context, which Numba takes in the machine's own order of bytes alone."""
    x = LAYOUTS[name]
    c = di.Constant(x if x.dtype.isnative else x.astype(np.float64))
    plan = di.prepare_gradient(lambda x, c: np.sum(x * x * c), ENZYME, x, c)
    got = plan.execute(x, c)
    np.testing.assert_allclose(got, 2.0 * x * x)
    assert got.dtype == x.dtype.newbyteorder("=")


PRECISIONS = [
    (np.float32, lambda x: x * x),
    (np.float32, lambda x: x.astype(np.float64) ** 2),
    (np.float64, lambda x: x.astype(np.float32) * x.astype(np.float32)),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "f"), PRECISIONS, ids=["32", "32 to 64", "64 to 32"])
def test_precisions(dtype: Any, f: Any, mode: str) -> None:
    x, backend = X.astype(dtype), di.AutoEnzyme(mode)
    kind = f(x).dtype
    plan = di.prepare_jacobian(f, backend, x)
    got = plan.execute(x)
    assert got.dtype == kind
    np.testing.assert_array_equal(got, np.diag(2.0 * X))
    np.testing.assert_array_equal(plan.execute(x, out=np.empty((3, 3), kind)), np.diag(2.0 * X))
    tangent = np.ones(3, kind)
    back = di.pullback(f, backend, x, tangent)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, 2.0 * X)


EMPTY: dict[str, tuple[str, Any, Any, tuple[int, ...], int]] = {
    "gradient": ("value_and_gradient", lambda x: x.sum() + 3.0, (), (0,), 1),
    "jacobian": ("value_and_jacobian", lambda x: np.full(2, x.sum() + 3.0), (), (2, 0), 1),
    "pushforward": (
        "value_and_pushforward",
        lambda x: np.full(2, x.sum() + 3.0),
        (np.empty(0),),
        (2,),
        1,
    ),
    "pullback": (
        "value_and_pullback",
        lambda x: np.full(2, x.sum() + 3.0),
        (np.ones(2),),
        (0,),
        1,
    ),
    "hessian": ("value_gradient_and_hessian", lambda x: x.sum() + 3.0, (), (0, 0), 2),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operator", EMPTY)
def test_no_entries(operator: str, mode: str) -> None:
    """The value is there nevertheless."""
    name, f, tangent, shape, orders = EMPTY[operator]
    got = getattr(di, name)(f, di.AutoEnzyme(mode), np.empty(0), *tangent)
    assert len(got) == orders + 1
    assert np.shape(got[-1]) == shape
    np.testing.assert_array_equal(got[0], np.full(np.shape(got[0]), 3.0))


@pytest.mark.parametrize("mode", MODES)
def test_no_results(mode: str) -> None:
    value, whole = di.value_and_jacobian(lambda x: x[:0] * 2.0, di.AutoEnzyme(mode), X)
    assert value.shape == (0,) and whole.shape == (0, 3)


def test_trees() -> None:
    x = {"a": np.array([1.0, 2.0]), "b": (3.0, np.ones((2, 2)))}

    def f(x: Any) -> Any:
        return np.sum(x["a"] ** 2) * x["b"][0] + x["b"][1].sum()

    plan = di.prepare_gradient(f, ENZYME, x)
    got = plan.execute(x)
    np.testing.assert_array_equal(got["a"], [6.0, 12.0])
    assert got["b"][0] == 5.0 and type(got["b"][0]) is float
    np.testing.assert_array_equal(got["b"][1], np.ones((2, 2)))
    out = {"a": np.empty(2), "b": (np.empty(()), np.empty((2, 2)))}
    assert plan.execute(x, out=out) is out
    np.testing.assert_array_equal(out["a"], [6.0, 12.0])


def test_results_that_are_trees() -> None:
    def f(x: Any) -> Any:
        return x.sum(), x * x

    total, squared = di.pushforward(f, ENZYME, X, T)
    assert total == T.sum()
    np.testing.assert_array_equal(squared, 2 * X * T)
    np.testing.assert_array_equal(di.pullback(f, ENZYME, X, (2.0, T)), 2.0 + 2 * X * T)


def test_helpers_closures_partials_and_dispatchers() -> None:
    factor = 3.0

    def helper(v: Any) -> Any:
        return factor * v

    @njit
    def compiled(v: Any) -> Any:
        return v * v

    f = partial(lambda c, x: compiled(helper(x)) + c, 2.0)
    np.testing.assert_allclose(di.jacobian(f, ENZYME, X), np.diag(18 * X))
    assert compiled.signatures == []  # the user's own dispatcher is left alone


def test_what_a_function_captures_is_frozen() -> None:
    scale = 2.0

    def f(x: Any) -> Any:
        return scale * x.sum()

    plan = di.prepare_gradient(f, ENZYME, X)
    assert plan.info.frozen == ("scale",)
    scale = 5.0
    assert plan.execute(X)[0] == 2.0
    assert di.gradient(f, ENZYME, X)[0] == 5.0


def test_the_same_function_again_is_not_compiled_again() -> None:
    plan_of("gradient", None)
    with ENZYME.engine().arrays.watch() as traces:
        di.gradient(summed, ENZYME, X, di.Constant(C))
    assert traces.compilations == 0


def test_many_threads_on_one_plan() -> None:
    """Each call has memory of its own: of f's temporaries, and of Enzyme's."""

    def f(x: Any, scratch: Any) -> Any:
        total = 0.0
        for i in range(x.size):
            scratch[:] = x * x[i]
            total += np.sum(np.sin(scratch) * scratch)
        return total

    scratch = di.Cache(np.empty(3))
    plan = di.prepare_gradient(f, ENZYME, X, scratch)
    points = [X * k / 50.0 for k in range(1, 200)]
    expected = [plan.execute(x, scratch) for x in points]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda x: plan.execute(x, scratch), points))
    np.testing.assert_array_equal(got, expected)


def test_bound_plans() -> None:
    x, out = X.copy(), np.empty(3)
    step = plan_of("gradient", None).bind(x, di.Constant(C), out=out)
    for scale in (1.0, 3.0):
        x[:] = scale * X
        assert step() is out
        np.testing.assert_allclose(out, summed_gradient(x), rtol=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_kernel_in_compiled_code(mode: str) -> None:
    kernel = plan_of("jacobian", mode).kernel

    @njit
    def total(x: Any, c: Any) -> Any:
        out = np.empty((2, 3))
        kernel(x, c, out)
        return out.sum()

    assert total(X, C) == pytest.approx(filled_jacobian(X).sum(), rel=1e-13)
    with pytest.raises(ValueError, match="another shape than at prepare"):
        kernel(X, C, np.empty((3, 2)))


def test_the_c_function() -> None:
    plan, out = plan_of("hvp", None), np.empty(3)
    pointer = ctypes.POINTER(ctypes.c_double)
    declared = ctypes.CFUNCTYPE(None, *[pointer] * 4)
    declared(plan.address)(*(one.ctypes.data_as(pointer) for one in (X, T, C, out)))
    np.testing.assert_allclose(out, summed_hessian(X) @ T, rtol=1e-13)
    assert plan.address == ctypes.cast(plan.ctypes, ctypes.c_void_p).value


def refusing(x: Any, limit: Any) -> Any:
    total = 0.0
    for i in range(x.size):
        scaled = x * x[i]  # memory that the exception leaves behind
        if x[i] > limit:
            raise ValueError("beyond the limit")
        total += scaled.sum()
    return total


RAISING = [("gradient", ()), ("hessian", ()), ("hvp", (T,))]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("operator", "tangent"), RAISING)
def test_an_exception_of_f_passes_through(operator: str, tangent: Any, mode: str) -> None:
    """And leaves the plan usable."""
    limit = di.Constant(5.0)
    prepare, backend = getattr(di, f"prepare_{operator}"), di.AutoEnzyme(mode)
    plan = prepare(refusing, backend, X, *tangent, limit)
    before = plan.execute(X, *tangent, limit)
    out = np.empty_like(before)
    for _ in range(2):
        with pytest.raises(ValueError, match="beyond the limit"):
            plan.execute(X + 3.0, *tangent, limit)
        with pytest.raises(ValueError, match="beyond the limit"):
            plan.execute(X + 3.0, *tangent, limit, out=out)
        np.testing.assert_array_equal(plan.execute(X, *tangent, limit), before)
    whole = np.ones((3, 3)) + np.ones((3, 3)).T
    expected = {"gradient": whole @ X, "hessian": whole, "hvp": whole @ T}
    np.testing.assert_allclose(before, expected[operator], rtol=1e-13)


def test_an_exception_at_the_example() -> None:
    with pytest.raises(ValueError, match="beyond the limit"):
        di.prepare_gradient(refusing, ENZYME, X, di.Constant(1.0))


OPTIONS = [
    ({"mode": "backward"}, "mode"),
    ({"width": 0}, "width|tangents"),
    ({"verify": "yes"}, "verify"),
]


@pytest.mark.parametrize(("options", "name"), OPTIONS)
def test_options_are_checked(options: Any, name: str) -> None:
    with pytest.raises(di.ArgumentError, match=name):
        di.AutoEnzyme(**options)


def test_integers_and_half_precision() -> None:
    with pytest.raises(di.ArgumentError, match="x cannot be differentiated"):
        di.gradient(np.sum, ENZYME, np.arange(3))
    with pytest.raises(di.UnsupportedError, match="Numba has no float16 for x"):
        di.jacobian(np.square, ENZYME, X.astype(np.float16))


def test_through_another_backend() -> None:
    second = di.SecondOrder(ENZYME, di.AutoFiniteDiff())
    with pytest.raises(di.UnsupportedError, match="through another backend"):
        di.hessian(lambda x: np.sum(x**3), second, X)


def test_counterparts_and_sizes() -> None:
    assert di.reverse_counterpart(di.AutoEnzyme(width=3)) == di.AutoEnzyme("reverse", width=3)
    with pytest.raises(di.UnsupportedError, match=r"AutoEnzyme\(mode='forward'\) has no reverse"):
        di.reverse_counterpart(di.AutoEnzyme("forward"))
    with pytest.raises(di.ArgumentError, match="width is not a size"):
        di.AutoEnzyme(width=0)
