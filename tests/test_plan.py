"""What a plan promises, whatever the operator: counts, freshness, threads, bind, repr."""

import gc
import sys
import threading
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import difint as di

FD, JAX = di.AutoFiniteDiff(), di.AutoJax()
X = np.array([1.0, 2.0, 3.0])


class Counted:
    """A function that counts its calls."""

    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, *args):
        self.calls += 1
        return self.f(*args)


def total(x):
    return (x**2).sum()


OPERATORS = {
    "pushforward": (lambda x: x**2, (X, X)),
    "pullback": (lambda x: x**2, (X, X)),
    "derivative": (lambda x: x**2, (2.0,)),
    "gradient": (total, (X,)),
    "jacobian": (lambda x: x**2, (X,)),
    "second_derivative": (lambda x: x**2, (2.0,)),
    "hvp": (total, (X, X)),
    "hessian": (total, (X,)),
}


@pytest.mark.parametrize("backend", [JAX, di.PrimitiveOnly(JAX, "forward")], ids=repr)
@pytest.mark.parametrize("operator", OPERATORS)
def test_jax_traces_once_at_prepare_and_never_again(operator, backend):
    f, args = OPERATORS[operator]
    counted = Counted(f)
    plan = getattr(di, f"prepare_{operator}")(counted, backend, *args)
    assert counted.calls == 1
    for _ in range(1000):
        plan.execute(*args)
    assert counted.calls == 1


@pytest.mark.parametrize("operator", OPERATORS)
def test_jax_compiles_nothing_in_execute(operator):
    f, args = OPERATORS[operator]
    plan = getattr(di, f"prepare_{operator}")(f, JAX, *args)
    names = {"gradient_and_hvp"} | {name for name in dir(plan) if name.startswith("value_")}
    (lower,) = names & set(dir(plan))
    compiled = []

    def listen(event, seconds, **kwargs):
        compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        plan.execute(*args)
        getattr(plan, lower)(*args)
        assert not [event for event in compiled if "compile" in event or "trace" in event]
        jax.jit(lambda x: x + 1)(np.float32(1.0))
        assert [event for event in compiled if "compile" in event]
    finally:
        jax.monitoring.clear_event_listeners()


CALLS = [
    ("jacobian", FD, "execute", 6),
    ("jacobian", FD, "value_and_jacobian", 7),
    ("jacobian", di.AutoFiniteDiff("forward"), "execute", 4),
    ("jacobian", di.AutoFiniteDiff("forward"), "value_and_jacobian", 4),
    ("jacobian", di.AutoFiniteDiff("complex_step"), "execute", 3),
    ("jacobian", di.AutoFiniteDiff("complex_step"), "value_and_jacobian", 4),
    ("gradient", FD, "execute", 6),
    ("gradient", di.AutoFiniteDiff("forward"), "value_and_gradient", 4),
    ("derivative", FD, "execute", 2),
    ("derivative", di.AutoFiniteDiff("forward"), "value_and_derivative", 2),
    ("pushforward", FD, "execute", 2),
    ("pushforward", di.AutoFiniteDiff("forward"), "value_and_pushforward", 2),
    ("second_derivative", FD, "execute", 4),
    ("hvp", FD, "execute", 12),
    ("hessian", FD, "execute", 24),
    ("hessian", di.AutoFiniteDiff("forward"), "execute", 13),
    ("hessian", di.AutoFiniteDiff("complex_step"), "execute", 12),
]


@pytest.mark.parametrize("operator, backend, method, calls", CALLS)
def test_calls_of_f(operator, backend, method, calls):
    f, args = OPERATORS[operator]
    counted = Counted(f)
    plan = getattr(di, f"prepare_{operator}")(counted, backend, *args)
    counted.calls = 0
    getattr(plan, method)(*args)
    assert counted.calls == calls


def test_forward_difference_gives_the_value_for_free_in_place_too():
    counted = Counted(lambda y, x: np.copyto(y, x**2))
    plan = di.prepare_jacobian(counted, di.AutoFiniteDiff("forward"), X, y=np.empty(3))
    counted.calls = 0
    y = np.empty(3)
    plan.value_and_jacobian(X, y=y)
    assert counted.calls == 4
    np.testing.assert_array_equal(y, X**2)


def frames_over(kernel, call):
    """Count the Python frames that a call enters, those under ``kernel`` not counted."""
    entered, inside = [], 0

    def profile(frame, event, arg):
        nonlocal inside
        mine = frame.f_code is kernel
        if event == "call":
            if not inside and not mine:
                entered.append(frame.f_code.co_qualname)
            inside += mine or inside > 0
        elif event == "return" and inside:
            inside -= 1

    call()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return entered[1:]  # without that of ``call``


def code_of(function):
    """Get the code of a Python function; compiled JAX kernels have none, and enter no frame."""
    return getattr(function, "__code__", None)


@pytest.mark.parametrize("operator", ["gradient", "jacobian", "hessian", "derivative"])
def test_frames_of_native_operators(operator):
    f, args = OPERATORS[operator]
    plan = getattr(di, f"prepare_{operator}")(f, FD, *args)
    frames = frames_over(code_of(plan._kernel), lambda: plan.execute(*args))
    assert len(frames) <= 2, frames


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
@pytest.mark.parametrize(
    "operator", ["pushforward", "pullback", "gradient", "jacobian", "hessian", "hvp"]
)
def test_frames_of_compiled_operators(operator, kind):
    f, args = OPERATORS[operator]
    args = tuple(map(kind, args))
    plan = getattr(di, f"prepare_{operator}")(f, JAX, *args)
    frames = frames_over(None, lambda: plan.execute(*args))
    assert len(frames) <= 2, frames


def test_frames_with_contexts():
    constants = di.Constant(X), di.Constant(2.0)
    plan = di.prepare_jacobian(lambda x, a, b: a * b * x, JAX, X, *constants)
    frames = frames_over(None, lambda: plan.execute(X, *constants))
    assert len(frames) <= 2, frames


@pytest.mark.parametrize("backend", [FD, di.PrimitiveOnly(FD, "forward")], ids=repr)
@pytest.mark.parametrize("operator", OPERATORS)
def test_frames_of_derived_operators(operator, backend):
    f, args = OPERATORS[operator]
    plan = getattr(di, f"prepare_{operator}")(f, backend, *args)
    frames = frames_over(code_of(plan._kernel), lambda: plan.execute(*args))
    assert len(frames) <= 3, frames


@pytest.mark.parametrize("backend", [FD, di.AutoFiniteDiff("forward"), JAX], ids=repr)
def test_eight_threads_on_one_plan(backend):
    space = jnp if backend is JAX else np
    plan = di.prepare_jacobian(lambda x: space.stack([x[0] * x[1], x[1] * x[2]]), backend, X)
    out_plan = di.prepare_gradient(lambda x: x[0] * x[1] * x[2], backend, X)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        out = np.empty(3)
        for _ in range(2000):
            x = rng.uniform(1.0, 2.0, 3)
            right = [[x[1], x[0], 0.0], [0.0, x[2], x[1]]]
            if not np.allclose(plan.execute(x), right, rtol=1e-6, atol=1e-6):
                wrong.append(x)
            out_plan.execute(x, out=out)
            if not np.allclose(out, [x[1] * x[2], x[0] * x[2], x[0] * x[1]], rtol=1e-6):
                wrong.append(x)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong


def test_a_plan_may_execute_itself():
    plan = None

    def f(x):
        if plan is not None and x[0] > 0:
            plan.execute(-np.abs(x))
        return x**2

    plan = di.prepare_jacobian(f, FD, X)
    np.testing.assert_allclose(plan.execute(X), np.diag(2 * X), rtol=1e-8)


@pytest.mark.parametrize("backend", [FD, di.AutoFiniteDiff("forward"), JAX], ids=repr)
@pytest.mark.parametrize("operator", OPERATORS)
def test_results_share_no_memory(operator, backend):
    f, args = OPERATORS[operator]
    plan = getattr(di, f"prepare_{operator}")(f, backend, *args)
    first, second = plan.execute(*args), plan.execute(*args)
    for other in (second, *args):
        assert not np.shares_memory(np.asarray(first), np.asarray(other))


@pytest.mark.parametrize("backend", [FD, di.AutoFiniteDiff("forward"), JAX], ids=repr)
def test_identity_aliases_nothing(backend):
    x, t = X.copy(), np.ones(3)
    for plan in (
        di.prepare_pushforward(lambda x: x, backend, x, t),
        di.prepare_pullback(lambda x: x, backend, x, t),
    ):
        lower = plan._with_lower((x, t), None, None)
        for part in (*lower, plan.execute(x, t)):
            assert not np.shares_memory(part, x) and not np.shares_memory(part, t)
        np.testing.assert_allclose(lower[1], t, rtol=1e-7)
    value, matrix = di.prepare_jacobian(lambda x: x, backend, x).value_and_jacobian(x)
    assert not np.shares_memory(value, x)
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-7)
    value, result = di.value_and_pushforward(lambda x: x, backend, x, t)
    assert not np.shares_memory(value, x) and not np.shares_memory(result, t)


def test_f_may_return_one_buffer_again_and_again():
    buffer = np.empty(3)

    def f(x):
        buffer[...] = x**2
        return buffer

    for scheme in ("central", "forward"):
        backend = di.AutoFiniteDiff(scheme)
        value, matrix = di.value_and_jacobian(f, backend, X)
        np.testing.assert_allclose(matrix, np.diag(2 * X), rtol=1e-6)
        np.testing.assert_array_equal(value, X**2)
        assert not np.shares_memory(value, buffer)
        plan = di.prepare_pushforward(f, backend, X, X)
        np.testing.assert_allclose(plan.execute(X, X), 2 * X**2, rtol=1e-6)
        np.testing.assert_allclose(di.pullback(f, backend, X, X), 2 * X**2, rtol=1e-6)


@pytest.mark.parametrize("backend", [FD, JAX], ids=repr)
def test_bind_rereads_memory(backend):
    x, a, out = X.copy(), np.ones(3), np.empty((3, 3))
    plan = di.prepare_jacobian(lambda x, a: a * x**2, backend, x, di.Constant(a))
    step = plan.bind(x, di.Constant(a), out=out)
    fresh = plan.bind(x, di.Constant(a))
    for factor in (1.0, 3.0):
        x *= 1.5
        a *= factor
        assert step() is out
        np.testing.assert_allclose(out, np.diag(2 * a * x), rtol=1e-8)
        np.testing.assert_allclose(fresh(), out, rtol=1e-14)
    assert not np.shares_memory(fresh(), fresh())


def test_bind_with_y_and_trees():
    y, out = np.empty(3), np.empty((3, 3))
    plan = di.prepare_jacobian(lambda y, x: np.copyto(y, x**2), FD, X, y=np.empty(3))
    step = plan.bind(X, out=out, y=y)
    assert step() is out
    np.testing.assert_array_equal(y, X**2)
    for backend in (FD, JAX):
        tree = {"a": X.copy(), "b": X.copy()}
        into = {"a": np.empty(3), "b": np.empty(3)}
        plan = di.prepare_gradient(lambda x: (x["a"] * x["b"]).sum(), backend, tree)
        step = plan.bind(tree, out=into)
        tree["b"] *= 2
        assert step() is into
        np.testing.assert_allclose(into["a"], 2 * X, rtol=1e-8)


@pytest.mark.parametrize("backend", [FD, JAX], ids=repr)
def test_x_of_any_memory_layout(backend, tmp_path):
    space = jnp if backend is JAX else np
    base = np.arange(1.0, 13.0).reshape(3, 4)
    mapped = np.memmap(tmp_path / "x", "f8", "w+", shape=(3, 2))
    mapped[...] = base[:, ::2]
    backward = base[::-1, 2:]
    plan = di.prepare_jacobian(lambda x: space.sin(x), backend, np.ones((3, 2)))
    for x in (base[:, ::2], backward, np.asfortranarray(base[:, :2]), mapped):
        np.testing.assert_allclose(plan.execute(x), np.diag(np.cos(x).ravel()), atol=1e-9)
    read_only = np.broadcast_to(np.float64(0.5), (3, 2))
    np.testing.assert_allclose(plan.execute(read_only), np.diag(np.full(6, np.cos(0.5))), atol=1e-9)
    out = np.empty((12, 12))[::2, ::2]
    plan.execute(backward, out=out)
    np.testing.assert_allclose(out, np.diag(np.cos(backward).ravel()), atol=1e-9)


@pytest.mark.parametrize("backend", [FD, di.AutoFiniteDiff("forward"), JAX], ids=repr)
def test_nan_gives_nan(backend):
    x = np.array([1.0, np.nan, 3.0])
    plan = di.prepare_jacobian(lambda x: x**2, backend, X)
    matrix = plan.execute(x)
    assert np.isnan(matrix[1, 1])
    np.testing.assert_allclose(matrix[[0, 2], [0, 2]], [2.0, 6.0], rtol=1e-6)
    assert np.isnan(di.gradient(total, backend, x)[1])
    assert np.isnan(di.pushforward(lambda x: x**2, backend, x, X)[1])
    assert np.isnan(di.hessian(total, backend, x)).any() == (backend is not JAX)


def test_zero_dimensional_arrays_and_numpy_scalars_are_one_kind():
    for backend in (FD, JAX):
        plan = di.prepare_derivative(lambda x: x**2, backend, np.array(3.0))
        for x in (np.array(3.0), np.float64(3.0)):
            got = plan.execute(x)
            assert type(got) is np.float64 and abs(got - 6.0) < 1e-7
        assert abs(plan.execute(3.0) - 6.0) < 1e-7
        with pytest.raises(di.PreparationMismatchError, match="got int"):
            plan.execute(3)
        out = np.empty(())
        assert plan.execute(np.array(3.0), out=out) is out and abs(out - 6) < 1e-7


@pytest.mark.parametrize("backend", [FD, JAX], ids=repr)
def test_python_floats_give_scalars(backend):
    space = jnp if backend is JAX else np
    value, slope = di.value_and_derivative(lambda x: x**2, backend, 3.0)
    assert type(slope) is float and (type(value) is float)
    plan = di.prepare_second_derivative(lambda x: x**3, backend, 3.0)
    assert [type(part) for part in plan.value_derivative_and_second_derivative(2.0)] == [float] * 3
    assert type(di.gradient(lambda x: x**2, backend, 3.0)) is float
    assert type(di.derivative(lambda x: space.stack([x, x]), backend, 3.0)) is np.ndarray
    with pytest.raises(di.PreparationMismatchError, match="got int"):
        plan.execute(2)


def test_not_strict():
    plan = di.prepare_gradient(total, FD, X, strict=False)
    np.testing.assert_allclose(plan.execute(np.arange(5.0)), 2 * np.arange(5.0), atol=1e-8)
    np.testing.assert_allclose(plan.execute(X), 2 * X, rtol=1e-8)
    traced = di.prepare_gradient(total, JAX, X, strict=False)
    np.testing.assert_allclose(traced.execute(X.astype("f4")), 2 * X, rtol=1e-6)


ROUTES = [
    ("jacobian", FD, "native"),
    ("pushforward", FD, "pushforward"),
    ("pullback", FD, "pushforward × 3"),
    ("gradient", JAX, "pullback"),
    ("jacobian", JAX, "pushforward × 3"),
    ("jacobian", di.AutoJax("reverse"), "pullback × 3"),
    ("derivative", JAX, "pushforward"),
    ("gradient", di.AutoJax("forward"), "pushforward × 3"),
    ("pushforward", di.PrimitiveOnly(JAX, "reverse"), "pullback × 3"),
    ("second_derivative", JAX, "derivative of derivative"),
    ("hvp", JAX, "pushforward of gradient"),
    ("hvp", di.AutoJax("reverse"), "pullback of gradient"),
    ("hvp", di.AutoJax("forward"), "pushforward of gradient (pushforward × 3)"),
    ("hessian", JAX, "(pushforward of gradient) × 3"),
    ("hessian", FD, "native"),
]


@pytest.mark.parametrize("operator, backend, route", ROUTES)
def test_routes(operator, backend, route):
    f, args = OPERATORS[operator]
    plan = getattr(di, f"prepare_{operator}")(f, backend, *args)
    assert plan.route == plan.info.route == route
    assert route in repr(plan) and repr(backend) in repr(plan)


def test_direction_of_a_jacobian_follows_costs():
    wide = di.prepare_jacobian(lambda x: x[:2], JAX, np.ones(5))
    tall = di.prepare_jacobian(lambda x: jnp.outer(x, x), JAX, np.ones(5))
    assert (wide.route, tall.route) == ("pullback × 2", "pushforward × 5")


def test_info_and_repr():
    plan = di.prepare_hvp(total, FD, X, (X, X))
    info = plan.info
    assert (info.operator, info.backend) == ("hvp", "AutoFiniteDiff()")
    assert info.signature == "x: float64[3], t: (float64[3], float64[3])"
    assert info.result == "(float64[3], float64[3])"
    assert info.prepare_seconds > 0
    assert repr(plan).startswith(
        "HvpPlan(x: float64[3], t: (float64[3], float64[3]) -> (float64[3],"
    )
    assert "ms)" in repr(plan)


def test_plans_are_read_only():
    plan = di.prepare_jacobian(lambda x: x, FD, X)
    with pytest.raises(AttributeError):
        plan.anything = 1
    with pytest.raises(AttributeError):
        plan.route = "other"


def test_constants_are_arguments_and_closures_are_frozen():
    captured = np.array(1.0)
    for backend in (FD, JAX):
        plan = di.prepare_jacobian(lambda x, a: a * captured * x, backend, X, di.Constant(X))
        np.testing.assert_allclose(plan.execute(X, di.Constant(2 * X)), np.diag(2 * X), atol=1e-8)
    # What a traced function captured is frozen at prepare, as with jax.jit.
    plan = di.prepare_jacobian(lambda x: captured * x, JAX, X)
    captured[...] = 5.0
    np.testing.assert_allclose(plan.execute(X), np.eye(3))
    np.testing.assert_allclose(di.jacobian(lambda x: captured * x, FD, X), 5 * np.eye(3), rtol=1e-8)


def test_plans_keep_no_example(few_objects):
    for backend in (FD, di.AutoFiniteDiff("complex_step"), JAX, di.PrimitiveOnly(FD, "forward")):
        for operator, (f, args) in OPERATORS.items():
            if isinstance(args[0], float):
                continue
            fresh = tuple(Kept(arg.shape) for arg in args)
            data = Kept(3)
            for one in (*fresh, data):
                one[...] = 1.0
            plan = getattr(di, f"prepare_{operator}")(
                lambda x, a, f=f: f(x) * a.sum(), backend, *fresh, di.Constant(data)
            )
            references = [weakref.ref(one) for one in (*fresh, data)]
            del fresh, data, one
            gc.collect()
            assert not [ref for ref in references if ref() is not None], plan


class Kept(np.ndarray):
    """An array that can be referred to weakly."""


def test_weakly_typed_jax_arrays_fit():
    x = jnp.full(3, 1.0)
    plan = di.prepare_gradient(lambda x: jnp.sum(x**2), JAX, x)
    np.testing.assert_allclose(plan.execute(x - 0.1 * plan.execute(x)), 1.6)
    scaled = di.prepare_gradient(
        lambda x, a: a * jnp.sum(x**2), JAX, X, di.Constant(jnp.asarray(0.5))
    )
    for a in (jnp.asarray(0.5), jnp.float64(0.5), jnp.ones(())):
        np.testing.assert_allclose(scaled.execute(X, di.Constant(a)), 2 * float(a) * X)
        np.testing.assert_allclose(scaled.bind(X, di.Constant(a))(), 2 * float(a) * X)
    tree = di.prepare_gradient(lambda x: jnp.sum(x["a"] ** 2), JAX, {"a": x})
    np.testing.assert_allclose(tree.execute({"a": jnp.asarray(X)})["a"], 2 * X)
    np.testing.assert_allclose(tree.execute({"a": x})["a"], 2.0)


def test_committed_arrays_need_no_second_compilation():
    committed = jax.device_put(jnp.asarray(X), jax.devices()[0])
    plan = di.prepare_gradient(total, JAX, committed)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda e, s, **k: compiled.append(e))
    try:
        for x in (committed, jnp.asarray(X)):
            np.testing.assert_allclose(plan.execute(x), 2 * X)
        assert not [event for event in compiled if "backend_compile" in event]
    finally:
        jax.monitoring.clear_event_listeners()


@pytest.mark.parametrize("backend", [di.PrimitiveOnly(FD, "forward"), FD], ids=repr)
def test_lower_orders_share_no_memory_with_f(backend):
    buffer = np.empty(3)

    def f(x):
        buffer[:] = x**3
        return buffer

    plan = di.prepare_second_derivative(f, backend, np.array(2.0))
    for part in plan.value_derivative_and_second_derivative(np.array(2.0)):
        assert not np.shares_memory(part, buffer)


def test_dtypes_of_derived_results():
    x, t = X, np.ones(3, "f4")
    for backend in (FD, JAX):
        plan = di.prepare_pullback(lambda x: x.astype("f4"), backend, x, t)
        got = plan.execute(x, t)
        assert got.dtype == np.float64
        assert plan.execute(x, t, out=np.empty(3)).dtype == np.float64


@pytest.mark.parametrize("backend", [FD, JAX], ids=repr)
def test_doubles_of_python_and_numpy_are_one(backend):
    # Integrators pass the time as a float first, and as numpy.float64 later.
    times = 2.0, np.float64(2.0), np.array(2.0)
    for prepared in times:
        plan = di.prepare_gradient(lambda x, t: (t * x).sum(), backend, X, di.Constant(prepared))
        for t in times:
            np.testing.assert_allclose(plan.execute(X, di.Constant(t)), 2.0, rtol=1e-8)
            np.testing.assert_allclose(plan.bind(X, di.Constant(t))(), 2.0, rtol=1e-8)
    slope = di.prepare_derivative(lambda x: x**2, backend, 1.0)
    assert type(slope.execute(np.float64(2.0))) is float
    with pytest.raises(di.PreparationMismatchError, match="got float32"):
        slope.execute(np.float32(2.0))
