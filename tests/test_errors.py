"""Every refusal, and what its message says: the argument, what was expected, the remedy."""

import functools
import sys
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import difint as di

FD, JAX = di.AutoFiniteDiff(), di.AutoJax()
X = np.array([1.0, 2.0, 3.0])


def square(x):
    return x**2


def total(x):
    return (x**2).sum()


def fill(y, x):
    y[...] = x**2


PREPARE = [
    ("derivative", square, FD, (X,), {}, di.ArgumentError, ["x is not what", "a scalar", "float64[3]", "jacobian or pushforward"]),
    ("second_derivative", square, FD, (X,), {}, di.ArgumentError, ["x is not what", "a scalar", "hessian or hvp"]),
    ("gradient", square, FD, (X,), {}, di.ArgumentError, ["f(x) is not what", "of shape ()", "float64[3]", "y.sum()"]),
    ("hessian", square, FD, (X,), {}, di.ArgumentError, ["f(x) is not what", "of shape ()", "y.sum()"]),
    ("hvp", square, FD, (X, X), {}, di.ArgumentError, ["f(x) is not what", "of shape ()", "y.sum()"]),
    ("gradient", square, JAX, (X,), {}, di.ArgumentError, ["f(x) is not what", "float64[3]", "jacobian or pullback"]),
    ("jacobian", square, FD, (1.0,), {}, di.ArgumentError, ["x is not what", "an array", "float", "derivative"]),
    ("jacobian", square, FD, ([1.0, 2.0],), {}, di.ArgumentError, ["x is a tree", "one array", "numpy.array"]),
    ("jacobian", square, FD, ({"a": X},), {}, di.ArgumentError, ["x is a tree", "pushforward, pullback, gradient or hvp"]),
    ("jacobian", square, FD, (np.arange(3),), {}, di.ArgumentError, ["x cannot be differentiated", "int64[3]", "x.astype(float)"]),
    ("derivative", square, FD, (3,), {}, di.ArgumentError, ["x cannot be differentiated", "int", "float(x)"]),
    ("jacobian", square, FD, (X + 0j,), {}, di.ArgumentError, ["complex128[3]", "x.real and x.imag"]),
    ("gradient", total, FD, ({},), {}, di.ArgumentError, ["x is a tree without leaves"]),
    ("gradient", total, FD, ({"a": "text"},), {}, di.ArgumentError, ["x['a']", "str", "numpy.asarray"]),
    ("gradient", total, FD, (np.ma.masked_array(X),), {}, di.ArgumentError, ["x is of a kind", "MaskedArray", "numpy.asarray(x)"]),
    ("jacobian", lambda x: None, FD, (X,), {}, di.ArgumentError, ["f returned None", "pass y="]),
    ("jacobian", lambda x: None, JAX, (X,), {}, di.ArgumentError, ["f returned None", "pass y="]),
    ("jacobian", lambda x: [x[0], x[1]], FD, (X,), {}, di.ArgumentError, ["f returned a list", "one array", "numpy.array"]),
    ("jacobian", lambda x: [x[0], x[1]], JAX, (X,), {}, di.ArgumentError, ["f returned a list", "jax.numpy.stack"]),
    ("gradient", lambda x: 3, FD, (X,), {}, di.ArgumentError, ["f(x) cannot be differentiated", "int", "float(f(x))"]),
    ("jacobian", lambda x: "no", FD, (X,), {}, di.ArgumentError, ["f(x) is of a kind", "str"]),
    ("jacobian", fill, FD, (X,), {}, di.ArgumentError, ["y= is missing", "Pass y="]),
    ("jacobian", square, FD, (X,), {"y": X}, di.ArgumentError, ["y= was given", "Leave y= out"]),
    ("jacobian", fill, JAX, (X,), {"y": X}, di.UnsupportedError, ["cannot differentiate a function that fills y", "AutoFiniteDiff()"]),
    ("jacobian", fill, FD, (X,), {"y": [1.0]}, di.ArgumentError, ["y cannot be filled", "numpy.empty"]),
    ("jacobian", lambda y, x: x, FD, (X,), {"y": X.copy()}, di.ArgumentError, ["f returned a ndarray", "return None"]),
    ("gradient", lambda x, a: total(x), FD, (X, 2.0), {}, di.ArgumentError, ["context 0 is bare", "Constant(value)", "float"]),
    ("gradient", lambda x, a: total(x), FD, (X, di.Constant(object())), {}, di.ArgumentError, ["context 0", "object", "functools.partial"]),
    ("gradient", lambda x, a: total(x), FD, (X, di.Constant({"k": "relu"})), {}, di.ArgumentError, ["context 0", "['k']", "str", "functools.partial"]),
    ("gradient", total, FD, (di.Constant(X),), {}, di.ArgumentError, ["x is wrapped in Constant"]),
    ("gradient", total, "jax", (X,), {}, di.ArgumentError, ["backend is not a backend", "a str", "AutoJax()"]),
    ("gradient", total, di.AutoJax, (X,), {}, di.ArgumentError, ["the class AutoJax", "Write AutoJax()"]),
    ("gradient", X, FD, (X,), {}, di.ArgumentError, ["f is not callable", "ndarray"]),
    ("pushforward", square, FD, (X, X[:2]), {}, di.ArgumentError, ["t does not fit x", "shape (3,)", "shape (2,)"]),
    ("pushforward", square, FD, (X, X.astype("f4")), {}, di.ArgumentError, ["t does not fit x", "float64", "float32"]),
    ("pushforward", square, FD, (X, (X, X[:2])), {}, di.ArgumentError, ["t[1] does not fit x", "shape (3,)"]),
    ("pushforward", square, FD, (X, [X, X]), {}, di.ArgumentError, ["neither one tangent like x nor a tuple", "tuple(t)"]),
    ("pushforward", square, FD, (X, ()), {}, di.ArgumentError, ["neither one tangent like x nor a tuple", "tuple of nothing"]),
    ("pullback", square, JAX, (X, X[:1]), {}, di.ArgumentError, ["t does not fit f(x)", "shape (3,)"]),
    ("hvp", lambda x: total(x["a"]), JAX, ({"a": X}, {"b": X}), {}, di.ArgumentError, ["neither one tangent like x"]),
    ("jacobian", square, di.PrimitiveOnly(FD, "reverse"), (X,), {}, di.UnsupportedError, ["no pullback", "AutoJax(mode='reverse')"]),
    ("hvp", total, di.SecondOrder(di.AutoFiniteDiff("complex_step"), JAX), (X, X), {}, di.UnsupportedError, ["cannot differentiate through", "SecondOrder(AutoFiniteDiff(), AutoJax())"]),
    ("hvp", total, di.SecondOrder(JAX, di.AutoFiniteDiff("complex_step")), (X, X), {}, di.UnsupportedError, ["jax and numpy", "AutoFiniteDiff()"]),
]  # fmt: skip


@pytest.mark.parametrize("operator, f, backend, args, options, error, words", PREPARE)
def test_prepare(operator, f, backend, args, options, error, words):
    with pytest.raises(error) as caught:
        getattr(di, f"prepare_{operator}")(f, backend, *args, **options)
    text = str(caught.value)
    assert text.startswith((operator, repr(backend))), text
    for word in words:
        assert word in text, text
    assert isinstance(caught.value, di.DifintError)


def test_kernel_bound_exceptions_of_f_pass_through():
    class Odd(Exception):
        pass

    def f(x):
        raise Odd("mine")

    with pytest.raises(Odd, match="mine"):
        di.prepare_jacobian(f, FD, X)
    with pytest.raises(Odd, match="mine"):
        di.prepare_jacobian(f, JAX, X)


MISMATCH = [
    (square, FD, (X,), (X[:2],), ["x  prepared float64[3]  got float64[2]   <- differs", "shape (3,)"]),
    (square, FD, (X,), (X.astype("f4"),), ["got float32[3]", "x.astype(numpy.float64)"]),
    (square, JAX, (X,), (X.astype("f4"),), ["got float32[3]", "x.astype(numpy.float64)"]),
    (square, FD, (X,), (jnp.asarray(X),), ["got float64[3] (jax, cpu:0)", "numpy.asarray(x, numpy.float64)"]),
    (square, JAX, (jnp.asarray(X),), (X,), ["prepared float64[3] (jax, cpu:0)", "jax.numpy.asarray(x"]),
    (square, JAX, (jnp.asarray(X),), (jnp.asarray(X[:2]),), ["prepared float64[3] (jax, cpu:0)  got float64[2] (jax, cpu:0)   <- differs"]),
    (square, JAX, (jnp.asarray(X),), (jnp.asarray(X, "f4"),), ["got float32[3] (jax, cpu:0)", "x.astype(jax.numpy.float64)"]),
    (lambda x, a: a["k"] * x, JAX, (X, di.Constant({"k": jnp.ones(3)})), (X, di.Constant({"k": jnp.ones(1)})), ["Constant['k']", "got float64[1] (jax"]),
    (lambda x, a: a["k"] * x, JAX, (X, di.Constant({"k": jnp.ones(3)})), (X, di.Constant({"n": jnp.ones(3)})), ["tree {['n'] float64[3]"]),
    (lambda x, a: a["k"] * x, JAX, (X, di.Constant({"k": jnp.ones(3)})), (X, di.Constant({"k": np.ones(3)})), ["Constant['k']", "got float64[3]   <- differs"]),
    (square, FD, (X,), ([1.0, 2.0, 3.0],), ["prepared float64[3]", "got (float, float, float)", "numpy.asarray(x, numpy.float64)"]),
    (square, FD, (X,), (), ["x  prepared float64[3]  got nothing", "Pass 1 arguments"]),
    (square, FD, (X,), (X, di.Constant(1.0)), ["prepared nothing", "Constant of float"]),
    (lambda x, a: a * x, FD, (X, di.Constant(1.0)), (X, di.Constant(np.ones(3))), ["Constant  prepared float", "got float64[3]", "<- differs"]),
    (lambda x, a: a * x, FD, (X, di.Constant(1.0)), (X, di.Cache(1.0)), ["Constant of float", "Cache of float"]),
    (lambda x, a: a * x, JAX, (X, di.Constant(1.0)), (X, di.Constant(1)), ["prepared float", "got int", "float(value)"]),
    (lambda x, a: a["k"] * x, FD, (X, di.Constant({"k": 1.0})), (X, di.Constant({"k": 1})), ["Constant['k']", "prepared float", "got int"]),
]  # fmt: skip


@pytest.mark.parametrize("f, backend, prepared, args, words", MISMATCH)
def test_mismatch(f, backend, prepared, args, words):
    plan = di.prepare_jacobian(f, backend, *prepared)
    for call in (plan.execute, plan.value_and_jacobian, plan.bind):
        with pytest.raises(di.PreparationMismatchError) as caught:
            call(*args)
        text = str(caught.value)
        assert text.startswith("jacobian: the arguments do not fit this plan\n")
        for word in words:
            assert word in text, text


def test_mismatch_marks_only_what_differs():
    plan = di.prepare_jacobian(lambda x, a: a * x, FD, X, di.Constant(np.float64(2.0)))
    with pytest.raises(di.PreparationMismatchError) as caught:
        plan.execute(X.astype("f4"), di.Constant(np.float64(1.0)))
    assert str(caught.value).splitlines() == [
        "jacobian: the arguments do not fit this plan",
        "  x         prepared float64[3]  got float32[3]   <- differs",
        "  Constant  prepared float64[]   got float64[]",
        "Prepare again with an x like this one, or convert it: x.astype(numpy.float64).",
    ]


def test_mismatch_of_trees_and_tangents():
    plan = di.prepare_pushforward(lambda x: x["a"], FD, {"a": X}, {"a": X})
    with pytest.raises(di.PreparationMismatchError, match=r"tree \{\['b'\] float64\[3\]\}"):
        plan.execute({"b": X}, {"a": X})
    with pytest.raises(di.PreparationMismatchError, match=r"x\['a'\].*got float64\[2\]"):
        plan.execute({"a": X[:2]}, {"a": X})
    batch = di.prepare_pushforward(square, FD, X, (X, X))
    with pytest.raises(di.PreparationMismatchError, match=r"t  .*, float64\[3\]\)   <- differs"):
        batch.execute(X, (X, X, X))
    with pytest.raises(di.PreparationMismatchError, match=r"got float64\[3\]   <- differs"):
        batch.execute(X, X)


def test_bare_context_at_execute():
    plan = di.prepare_jacobian(lambda x, a: a * x, FD, X, di.Constant(1.0))
    for call in (plan.execute, plan.bind):
        with pytest.raises(di.ArgumentError, match="context 0 is bare"):
            call(X, 1.0)
    loose = di.prepare_jacobian(lambda x, a: a * x, FD, X, di.Constant(1.0), strict=False)
    with pytest.raises(di.ArgumentError, match="context 0 is bare"):
        loose.execute(X, 1.0)


def read_only():
    out = np.empty((3, 3))
    out.flags.writeable = False
    return out


OUT = [
    (np.empty((3, 2)), ["out does not fit the result", "float64[3,3]", "float64[3,2]", "numpy.empty((3, 3), 'float64')"]),
    (np.empty((3, 3), "f4"), ["out does not fit", "float32[3,3]"]),
    (read_only(), ["out is read-only"]),
    ([[0.0] * 3] * 3, ["out cannot be filled", "a NumPy array float64[3,3]", "a list"]),
    (jnp.zeros((3, 3)), ["out cannot be filled", "a jax.Array, which is immutable", "leave out= out"]),
]  # fmt: skip


@pytest.mark.parametrize("backend", [FD, JAX], ids=repr)
@pytest.mark.parametrize("out, words", OUT)
def test_out(backend, out, words):
    plan = di.prepare_jacobian(square, backend, X)
    for call in (plan.execute, plan.value_and_jacobian, plan.bind):
        with pytest.raises(di.ArgumentError) as caught:
            call(X, out=out)
        for word in words:
            assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize("backend", [FD, JAX], ids=repr)
def test_out_must_not_overlap(backend):
    memory = np.arange(12.0)
    plan = di.prepare_jacobian(square, backend, X)
    with pytest.raises(di.ArgumentError, match="out overlaps an argument"):
        plan.execute(memory[2:5], out=memory[:9].reshape(3, 3))
    # Interleaved, but apart: no false alarm.
    gradient = di.prepare_gradient(total, backend, X)
    memory = np.arange(6.0)
    got = gradient.execute(memory[::2], out=memory[1::2])
    np.testing.assert_allclose(got, 2 * memory[::2], rtol=1e-8)
    with pytest.raises(di.ArgumentError, match="out overlaps"):
        gradient.execute(memory[::2], out=memory[::2])
    batch = di.prepare_pushforward(square, backend, X, (X, X))
    out = np.empty(3)
    with pytest.raises(di.ArgumentError, match="another result"):
        batch.execute(X, (X, X), out=(out, out))
    with pytest.raises(di.ArgumentError, match="another structure.*\n.*tuple of 2"):
        batch.execute(X, (X, X), out=out)


def test_y_at_execute():
    plan = di.prepare_jacobian(fill, FD, X, y=np.empty(3))
    with pytest.raises(di.ArgumentError, match="y does not fit the result"):
        plan.execute(X, y=np.empty(2))
    with pytest.raises(di.ArgumentError, match="y overlaps"):
        plan.execute(X, y=X)
    with pytest.raises(di.ArgumentError, match="out overlaps"):
        both = np.empty((3, 3))
        plan.execute(X, out=both, y=both[0])
    returning = di.prepare_jacobian(square, FD, X)
    with pytest.raises(di.ArgumentError, match="this plan has no y to fill"):
        returning.execute(X, y=np.empty(3))


def test_f_that_changes_its_result():
    shapes = iter([3, 3, 2])
    plan = di.prepare_jacobian(lambda x: x[: next(shapes)], FD, X)
    with pytest.raises(di.ArgumentError, match="f returned something else than at prepare"):
        plan.execute(X)
    results = iter([1.0, None])
    plan = di.prepare_gradient(lambda x: next(results), FD, X)
    with pytest.raises(di.ArgumentError, match="f returned something else"):
        plan.execute(X)


def test_bind_needs_memory():
    with pytest.raises(di.ArgumentError, match="bind re-reads x's memory") as caught:
        di.prepare_jacobian(square, JAX, jnp.asarray(X)).bind(jnp.asarray(X))
    assert "Prepare with NumPy arrays" in str(caught.value)
    with pytest.raises(di.ArgumentError, match="bind re-reads x's memory"):
        di.prepare_derivative(square, FD, 1.0).bind(1.0)


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(di.BackendUnavailableError) as caught:
        di.prepare_jacobian(square, JAX, X)
    assert str(caught.value) == (
        "AutoJax(): the package jax is not installed\nInstall it with: pip install 'difint[jax]'"
    )
    assert isinstance(caught.value, ImportError)
    assert not di.check_available(JAX)
    assert di.check_available(FD)


DESCRIPTORS = [
    (lambda: di.AutoFiniteDiff("backward"), ["scheme", "'central' or 'forward'", "'backward'"]),
    (lambda: di.AutoFiniteDiff(rel_step=-1.0), ["rel_step is not a step", "-1.0"]),
    (lambda: di.AutoFiniteDiff(abs_step=0.0), ["abs_step is not a step"]),
    (lambda: di.AutoJax("backward"), ["mode", "None or 'forward' or 'reverse'"]),
    (lambda: di.PrimitiveOnly(FD, None), ["mode", "'forward' or 'reverse'", "None"]),
]


@pytest.mark.parametrize("make, words", DESCRIPTORS)
def test_descriptors(make, words):
    with pytest.raises(di.ArgumentError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_counterparts():
    assert di.forward_counterpart(JAX) == di.AutoJax("forward")
    assert di.reverse_counterpart(di.AutoJax(x64=True)) == di.AutoJax("reverse", x64=True)
    assert di.forward_counterpart(FD) is FD
    with pytest.raises(di.UnsupportedError, match="AutoFiniteDiff\\(\\) has no reverse mode"):
        di.reverse_counterpart(FD)
    with pytest.raises(di.UnsupportedError, match="Start from AutoJax\\(\\)"):
        di.reverse_counterpart(di.AutoJax("forward"))
    assert di.check_inplace(FD) and not di.check_inplace(JAX)


def test_unusual_mappings_are_not_silently_leaves():
    with pytest.raises(di.ArgumentError, match="mappingproxy"):
        di.prepare_gradient(total, FD, MappingProxyType({"a": X}))


def test_f_that_writes_to_x():
    def f(x):
        x *= 2
        return x**2

    x = X.copy()
    with pytest.raises(di.ArgumentError, match="f wrote to x"):
        di.prepare_jacobian(f, FD, x)
    with pytest.raises(di.ArgumentError, match="f wrote to x"):
        di.prepare_jacobian(lambda x, y: np.copyto(y, x**2), FD, x, y=np.zeros(3))
    np.testing.assert_array_equal(x, X)
    with pytest.raises(di.ArgumentError, match="context 0, a Cache, overlaps x"):
        di.prepare_jacobian(lambda x, c: x, FD, x, di.Cache(x))


def test_f_that_leaves_entries_of_y():
    def first_only(y, x):
        y[0] = x[0] ** 2

    def adds(y, x):
        y += x

    for f in (first_only, adds):
        with pytest.raises(di.ArgumentError) as caught:
            di.prepare_jacobian(f, FD, X, y=np.zeros(3))
        assert "f does not set every entry of y" in str(caught.value)
        assert "y[...] = 0" in str(caught.value)
    # NaN in the result is no such sign.
    plan = di.prepare_jacobian(lambda y, x: np.copyto(y, x * [1, np.nan, 1]), FD, X, y=np.zeros(3))
    assert np.isnan(plan.execute(X)[1]).all()


def test_complex_values_of_a_real_function():
    for scheme in ("central", "forward"):
        backend = di.AutoFiniteDiff(scheme)
        for plan, args in (
            (di.prepare_pushforward(np.emath.sqrt, backend, X, X), (-X, X)),
            (di.prepare_hessian(lambda x: np.emath.sqrt(x).sum(), backend, X), (-X,)),
        ):
            with pytest.raises(
                di.ArgumentError, match="f returned something else.*\n.*\n.*complex"
            ):
                plan.execute(*args)


def test_f_called_with_the_wrong_arguments():
    with pytest.raises(di.ArgumentError, match="f cannot be called with x: y= is missing, or a"):
        di.gradient(lambda x, a: a * x.sum(), FD, X)
    with pytest.raises(di.ArgumentError, match="f cannot be called with x and 2 contexts"):
        di.gradient(lambda x: x.sum(), FD, X, di.Constant(1.0), di.Constant(2.0))
    with pytest.raises(di.ArgumentError, match="t is missing: a context stands in its place"):
        di.prepare_hvp(lambda x, a: a * total(x), FD, X, di.Constant(1.0))

    def inner(y, x):
        y[...] = x**2

    @functools.wraps(inner)
    def adapted(x):
        y = np.empty(3)
        inner(y, x)
        return y

    np.testing.assert_allclose(di.jacobian(adapted, FD, X), np.diag(2 * X), rtol=1e-8)
    np.testing.assert_allclose(di.jacobian(lambda x, a=2.0: a * x, FD, X), 2 * np.eye(3), atol=1e-9)


def test_finite_differences_cannot_be_traced():
    plan = di.prepare_gradient(total, FD, jnp.asarray(X))
    for call in (plan.execute, lambda x: di.gradient(total, FD, x), plan.bind):
        with pytest.raises(di.UnsupportedError, match="cannot be traced.*\n.*AutoJax"):
            jax.jit(call)(jnp.asarray(X))


def test_backends_are_checked_wherever_they_are_passed():
    for call in (
        lambda: di.check_available("jax"),
        lambda: di.check_inplace(di.AutoJax),
        lambda: di.forward_counterpart("x"),
        lambda: di.reverse_counterpart(None),
        lambda: di.PrimitiveOnly("jax", "forward"),
        lambda: di.SecondOrder(JAX, di.AutoJax),
    ):
        with pytest.raises(di.ArgumentError, match="backend is not a backend"):
            call()
    for step in ("1e-6", np.ones(2), True):
        with pytest.raises(di.ArgumentError, match="rel_step is not a step"):
            di.AutoFiniteDiff(rel_step=step)
    with pytest.raises(di.ArgumentError, match="rel_step is lost in rounding"):
        di.jacobian(np.sin, di.AutoFiniteDiff(rel_step=1e-8), X.astype("f4"))


def test_several_contexts_are_numbered():
    contexts = di.Constant(1.0), di.Constant(np.ones(3))
    plan = di.prepare_jacobian(lambda x, a, b: a * b * x, FD, X, *contexts)
    with pytest.raises(di.PreparationMismatchError) as caught:
        plan.execute(X, di.Constant(1.0), di.Constant(np.ones(2)))
    assert "  Constant 1  prepared float64[3]  got float64[2]   <- differs" in str(caught.value)
    assert "  Constant 0  prepared float       got float" in str(caught.value)


def test_same_point_plans_take_t_alone():
    plan = di.prepare_pushforward_same_point(square, FD, X, X)
    with pytest.raises(di.PreparationMismatchError, match="Pass 1 arguments"):
        plan.execute(X, X)
    with pytest.raises(di.ArgumentError, match="no y to fill"):
        plan.execute(X, y=np.empty(3))


def test_f_that_writes_to_a_constant():
    def f(x, c):
        c += 1
        return c * x

    with pytest.raises(di.ArgumentError, match="f wrote to a Constant"):
        di.jacobian(f, FD, X, di.Constant({"c": np.ones(3)}["c"]))


def test_a_function_that_jax_cannot_trace_keeps_its_error_with_a_note():
    for f in (lambda x: np.sin(x), lambda x: x if x[0] > 0 else -x):
        with pytest.raises(jax.errors.JAXTypeError) as caught:
            di.prepare_jacobian(f, JAX, X)
        assert "Write it with jax.numpy" in caught.value.__notes__[-1]
