"""AutoTorch: state, kinds and precision, what is recorded and what is refused."""

import sys
import threading
from functools import partial

import numpy as np
import pytest
import torch

import difint as di

GRAPH, EAGER = di.AutoTorch(), di.AutoTorch(compile="eager")
BOTH = pytest.mark.parametrize("backend", [GRAPH, EAGER], ids=["graph", "eager"])
MODES = pytest.mark.parametrize("mode", ["forward", "reverse"])
X = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


def f(x):
    return torch.stack([x[0] * x[1], torch.sin(x[2])])


def total(x):
    return (x**3).sum()


@BOTH
def test_inputs_need_no_grad_and_keep_what_they_have(backend):
    for requires_grad in (False, True):
        x = X.clone().requires_grad_(requires_grad)
        plan = di.prepare_gradient(total, backend, x)
        value, got = plan.value_and_gradient(x)
        assert x.requires_grad is requires_grad and x.grad is None
        assert not got.requires_grad and not value.requires_grad
        torch.testing.assert_close(got, 3 * X**2)


@BOTH
def test_parameters_and_tensors_stand_for_each_other(backend):
    plan = di.prepare_gradient(total, backend, X)
    parameter = torch.nn.Parameter(X)
    torch.testing.assert_close(plan.execute(parameter), 3 * X**2)
    assert plan._fits((parameter,))  # by the guard itself, not by the long way after it
    tree = di.prepare_gradient(lambda x: total(x["a"]), backend, {"a": parameter})
    assert tree._fits(({"a": X},))


@BOTH
@pytest.mark.parametrize(
    "around",
    [
        torch.enable_grad,
        torch.no_grad,
        torch.inference_mode,
        partial(torch.autocast, "cpu", torch.bfloat16),
    ],
    ids=["grad", "no grad", "inference", "autocast"],
)
def test_the_state_around_a_plan_does_not_matter(backend, around):
    weights = torch.linspace(0.1, 0.9, 9).reshape(3, 3)
    x = X.float()

    def loss(x, w):
        return torch.tanh(w @ x).sum()

    w = di.Constant(weights)
    right = di.gradient(loss, EAGER, x, w)
    plan = di.prepare_gradient(loss, backend, x, w)
    with around():
        mode = torch.is_grad_enabled()
        torch.testing.assert_close(plan.execute(x, w), right)
        torch.testing.assert_close(plan.value_and_gradient(x, w)[1], right)
        inside = di.prepare_gradient(loss, backend, x.clone(), w)
        torch.testing.assert_close(inside.execute(x.clone(), w), right)
        torch.testing.assert_close(di.gradient(loss, backend, x, w), right)
        assert torch.is_grad_enabled() is mode
    torch.testing.assert_close(inside.execute(x, w), right)


@BOTH
def test_autocast_within_f_is_f_s_own(backend):
    def loss(x, w):
        with torch.autocast("cpu", torch.bfloat16):
            return (w @ x[:, None]).float().sum()

    x, w = torch.full((3,), 1.001), torch.full((3, 3), 1.001)
    got = di.prepare_gradient(loss, backend, x, di.Constant(w)).execute(x, di.Constant(w))
    assert got.dtype == torch.float32
    assert torch.equal(got, torch.full((3,), 3.0))  # 1.001 is 1 in bfloat16


@BOTH
@MODES
def test_no_grad_within_f_cuts_both_modes(backend, mode):
    def cut(x):
        with torch.no_grad():
            slope = 3 * x
        return slope * x

    backend = di.AutoTorch(mode, compile=backend.compile)
    got = di.prepare_jacobian(cut, backend, X).execute(X)
    torch.testing.assert_close(got, torch.diag(3 * X))
    detached = di.jacobian(lambda x: x * x.detach(), backend, X)
    torch.testing.assert_close(detached, torch.diag(X))


def test_captured_tensors_are_frozen_and_named():
    scale = torch.tensor(2.0, dtype=torch.float64)
    rate = 0.5

    def loss(x, a):
        return rate * scale * a * (x**2).sum()

    a = di.Constant(3.0)
    plan = di.prepare_gradient(loss, GRAPH, X, a)
    assert set(plan.info.frozen) == {"rate", "scale"}
    assert "frozen: " in repr(plan) and "operations, called from Python" in repr(plan)
    scale.fill_(20.0)
    torch.testing.assert_close(plan.execute(X, a), 6.0 * X)
    torch.testing.assert_close(plan.execute(X, di.Constant(4.0)), 8.0 * X)
    eager = di.prepare_gradient(loss, EAGER, X, a)
    assert eager.info.frozen == () and "nothing frozen" in repr(eager)
    scale.fill_(2.0)
    torch.testing.assert_close(eager.execute(X, a), 6.0 * X)


def test_what_is_frozen_is_named_wherever_it_stands():
    class Holder:
        def __init__(self):
            self.rate, self.weights, self.name = 2.0, torch.ones(3), "none"

        def __call__(self, x):
            return self.rate * (self.weights * x).sum()

        def method(self, x):
            return self(x)

    for f in (Holder(), Holder().method):
        plan = di.prepare_gradient(f, GRAPH, X)
        assert set(plan.info.frozen) == {"self.rate", "self.weights"}
    plan = di.prepare_gradient(lambda x, scale=3.0: scale * x.sum(), GRAPH, X)
    assert plan.info.frozen == ("scale",)
    plan = di.prepare_gradient(partial(lambda x, w: (w * x).sum(), w=torch.ones(3)), GRAPH, X)
    assert plan.info.frozen == ("w",)


@BOTH
def test_numbers_as_constants_keep_their_precision(backend):
    """A graph takes them as tensors: what they are used for must not show it."""
    a, b = di.Constant(1), di.Constant(3)
    for x in (X, X.numpy(), X.float(), X[0].float()):
        plan = di.prepare_gradient(lambda x, a, b: (x * (a / b) * 1.0).sum(), backend, x, a, b)
        value, got = plan.value_and_gradient(x, a, b)
        third = 1 / 3 * np.ones(np.shape(x), np.asarray(x).dtype)
        np.testing.assert_array_equal(np.asarray(got), third)
        assert np.asarray(value).dtype == np.asarray(x).dtype
    root = di.prepare_gradient(lambda x, n: (x * n**0.5).sum(), backend, X, di.Constant(2))
    assert root.execute(X, di.Constant(2))[0] == 2**0.5
    power = di.prepare_gradient(lambda x, n: (x**n).sum(), backend, X, di.Constant(3))
    torch.testing.assert_close(power.execute(X, di.Constant(4)), 4 * X**3)
    c = di.Constant(0.1)
    wide = di.prepare_pushforward(lambda x, c: x.double() * c, backend, X.float(), X.float(), c)
    assert wide.execute(X.float(), torch.ones(3), c)[0] == 0.1


@BOTH
def test_constants_are_inputs_of_every_kind(backend):
    def loss(x, tree):
        picked = x[tree["index"]] * tree["weight"]
        return tree["scale"] * picked.sum() + (x * tree["mask"]).sum()

    def constant(scale):
        return di.Constant(
            {
                "index": torch.tensor([0, 2]),
                "weight": np.array([1.0, 5.0]),
                "scale": scale,
                "mask": torch.tensor([True, False, True]),
            }
        )

    plan = di.prepare_gradient(loss, backend, X, constant(2.0))
    got = plan.execute(X, constant(3.0))
    torch.testing.assert_close(got, torch.tensor([4.0, 0.0, 16.0], dtype=torch.float64))


@BOTH
def test_two_arguments_may_be_one_tensor(backend):
    plan = di.prepare_gradient(lambda x, a: (a * x).sum(), backend, X, di.Constant(X))
    torch.testing.assert_close(plan.execute(X, di.Constant(2 * X)), 2 * X)
    torch.testing.assert_close(plan.execute(X, di.Constant(X)), X)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_precision_is_kept(backend, dtype):
    x = X.to(dtype)
    a = di.Constant(0.5)
    for point in (x, x[0]):
        plan = di.prepare_gradient(lambda x, a: (a * x * x).sum(), backend, point, a)
        value, got = plan.value_and_gradient(point, a)
        assert value.dtype == got.dtype == dtype
        torch.testing.assert_close(got, point)
    out = torch.empty_like(x)
    plan = di.prepare_gradient(lambda x: (x * x).sum(), backend, x)
    assert plan.execute(x, out=out) is out
    torch.testing.assert_close(out, 2 * x)


@BOTH
def test_numpy_in_numpy_out_without_copies(backend):
    x = X.numpy().copy()
    plan = di.prepare_jacobian(f, backend, x)
    got = plan.execute(x)
    assert type(got) is np.ndarray and got.flags.writeable and got.flags.c_contiguous
    kept = got.copy()
    plan.execute(2 * x)
    np.testing.assert_array_equal(got, kept)
    seen = []
    inplace = di.AutoTorch(compile="eager")
    di.prepare_gradient(lambda x: (seen.append(x.data_ptr()), x.sum())[1], inplace, x).execute(x)
    assert seen[-1] == x.ctypes.data


@BOTH
def test_awkward_numpy_arrays(backend):
    x = X.numpy().copy()
    plan = di.prepare_jacobian(f, backend, x)
    right = plan.execute(x)
    frozen = x.copy()
    frozen.flags.writeable = False
    backward = x[::-1].copy()[::-1]
    spread = np.repeat(x, 2)[::2]
    for one in (frozen, backward, spread):
        np.testing.assert_array_equal(plan.execute(one), right)
    for dtype in (">f8", np.longdouble):
        with pytest.raises(di.ArgumentError, match="PyTorch has no"):
            di.prepare_jacobian(f, backend, x.astype(dtype))
    with pytest.raises(di.ArgumentError, match="context 0: PyTorch has no"):
        di.prepare_gradient(lambda x, a: x.sum(), backend, x, di.Constant(np.array(["a"])))


@BOTH
def test_python_floats(backend):
    plan = di.prepare_derivative(lambda x: torch.sin(x) * x, backend, 1.0)
    value, slope = plan.value_and_derivative(2.0)
    assert type(value) is type(slope) is float
    np.testing.assert_allclose(slope, np.sin(2.0) + 2.0 * np.cos(2.0), rtol=1e-15)
    second = di.second_derivative(lambda x: torch.sin(x) * x, backend, 2.0)
    np.testing.assert_allclose(second, 2 * np.cos(2.0) - 2 * np.sin(2.0), rtol=1e-14)


@BOTH
def test_views_and_in_place_operations_within_f(backend):
    def busy(x):
        y = torch.zeros(2, 3, dtype=x.dtype)
        y[0] = x
        y[1, 1:] = x[1:] ** 2
        y.view(-1)[3] += x[0] * x[1]
        y.T[0].mul_(2.0)
        return y.t().reshape(-1)

    expected = torch.zeros(6, 3, dtype=torch.float64)
    expected[0, 0] = 2.0
    expected[1, 0], expected[1, 1] = 2 * X[1], 2 * X[0]
    expected[2, 1], expected[3, 1] = 1.0, 2 * X[1]
    expected[4, 2], expected[5, 2] = 1.0, 2 * X[2]
    for mode in (None, "forward", "reverse"):
        one = di.AutoTorch(mode, compile=backend.compile)
        torch.testing.assert_close(di.prepare_jacobian(busy, one, X).execute(X), expected)
    energy = di.prepare_hessian(lambda x: (busy(x) ** 2).sum(), backend, X).execute(X)
    torch.testing.assert_close(energy, torch.func.hessian(lambda x: (busy(x) ** 2).sum())(X))


@BOTH
@pytest.mark.parametrize(
    "same",
    [lambda x: x, lambda x: x[:], lambda x: x.T, lambda x: x.detach() * 1 + x - x.detach()],
    ids=["itself", "slice", "transpose", "sum"],
)
def test_results_have_memory_of_their_own(backend, same):
    x = torch.rand(2, 3, dtype=torch.float64)
    plan = di.prepare_pushforward(same, backend, x, x)
    value, got = plan.value_and_pushforward(x, x)
    spans = [one.untyped_storage().data_ptr() for one in (x, value, got)]
    assert len(set(spans)) == 3
    assert value.is_contiguous() and got.is_contiguous()
    spread = di.prepare_gradient(lambda x: x.sum(), backend, x).execute(x)
    spread[0, 0] = 5.0
    assert spread.sum() == 10.0  # not one number in six places


@BOTH
@pytest.mark.filterwarnings("ignore:jacobian. f.x. does not depend on x:UserWarning")
def test_values_that_f_keeps_are_copied(backend):
    kept = torch.rand(2, 3, dtype=torch.float64)
    for constant in (lambda x: kept, lambda x: kept[:, 1:], lambda x: kept * 1.0):
        plan = di.prepare_jacobian(constant, backend, X)
        value, got = plan.value_and_jacobian(X)
        torch.testing.assert_close(value, constant(X))
        assert value.data_ptr() != kept.data_ptr()
        assert not got.any() and got.shape == (value.numel(), 3)


def test_bound_tensors_are_read_again():
    x, out = X.clone(), torch.empty(3, dtype=torch.float64)
    step = di.prepare_gradient(total, GRAPH, x).bind(x, out=out)
    x.mul_(2.0)
    assert step() is out
    torch.testing.assert_close(out, 12 * X**2)


def test_a_point_s_random_numbers_stay():
    """One point, one draw: all tangents see the same dropout."""

    def dropped(x):
        return torch.nn.functional.dropout(x, 0.5) * x

    x = torch.ones(64, dtype=torch.float64)
    for backend in (GRAPH, EAGER):
        plan = di.prepare_pullback_same_point(dropped, backend, x, x)
        torch.testing.assert_close(plan.execute(x), plan.execute(2 * x) / 2)


@BOTH
def test_random_numbers_are_drawn_anew_and_preparing_takes_none(backend):
    def dropped(x):
        return torch.nn.functional.dropout(x, 0.5).sum()

    x = torch.ones(64, dtype=torch.float64)
    before = torch.get_rng_state()
    plan = di.prepare_gradient(dropped, backend, x)
    assert torch.equal(torch.get_rng_state(), before)
    draws = [plan.execute(x) for _ in range(3)]
    assert all(set(one.unique().tolist()) == {0.0, 2.0} for one in draws)
    assert not torch.equal(draws[0], draws[1])
    torch.manual_seed(3)
    got = plan.execute(x)
    torch.manual_seed(3)
    leaf = x.clone().requires_grad_()
    (right,) = torch.autograd.grad(dropped(leaf), leaf)
    torch.testing.assert_close(got, right)


def test_threads_share_a_plan():
    plan = di.prepare_jacobian(f, GRAPH, X)
    wrong = []

    def work(scale):
        for _ in range(50):
            got = plan.execute(scale * X)
            if got[0, 0] != scale * X[1]:
                wrong.append(scale)

    threads = [threading.Thread(target=work, args=(float(i + 1),)) for i in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong


def test_execute_costs_five_frames():
    """The call itself, the guard, the entry, the graph: nothing else is Python."""
    plan = di.prepare_jacobian(f, GRAPH, X)
    frames = []
    sys.setprofile(lambda frame, event, arg: event == "call" and frames.append(frame.f_code))
    try:
        plan.execute(X)
    finally:
        sys.setprofile(None)
    assert [code.co_name for code in frames] == ["execute", "fits", "kernel", "run"]


def test_a_graph_has_few_operations():
    """Seeds are computed at prepare, equal operations merged, copies and dead ones dropped."""

    def robertson(y):
        y1, y2, y3 = y
        slow, fast, faster = 0.04 * y1, 1e4 * y2 * y3, 3e7 * y2 * y2
        return torch.stack([-slow + fast, slow - fast - faster, faster])

    for mode, most in (("forward", 20), ("reverse", 16)):
        program = di.prepare_jacobian(robertson, di.AutoTorch(mode), X).info.program
        assert int(program.split()[3]) <= most, program


def test_chunks_of_seeds():
    x = torch.linspace(0.1, 0.9, 7, dtype=torch.float64)
    right = torch.func.jacfwd(lambda x: torch.cumprod(x, 0))(x)
    for chunk in (1, 3, 7, 100):
        for mode in ("forward", "reverse"):
            backend = di.AutoTorch(mode, chunk_size=chunk)
            got = di.prepare_jacobian(lambda x: torch.cumprod(x, 0), backend, x).execute(x)
            torch.testing.assert_close(got, right)
