"""AutoTorch: functions with rules of their own, second order, what one mode alone can do."""

import numpy as np
import pytest
import torch

import difint as di

GRAPH, EAGER = di.AutoTorch(), di.AutoTorch(compile="eager")
BOTH = pytest.mark.parametrize("backend", [GRAPH, EAGER], ids=["graph", "eager"])
X = torch.tensor([0.6, 1.7, 2.4], dtype=torch.float64)


class OldStyle(torch.autograd.Function):
    """Round, and pass seven times the cotangent: a rule that differs from the operation's own."""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, t):
        return 7 * t


class NewStyle(torch.autograd.Function):
    """The same for both modes, and for ``torch.func``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return torch.round(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, t):
        return 7 * t

    @staticmethod
    def jvp(ctx, t):
        return 7 * t


class NoForward(torch.autograd.Function):
    """A cube that reverse mode alone can differentiate, twice."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, t):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * t


@BOTH
def test_custom_rules_are_followed_not_the_operations_under_them(backend):
    got = di.prepare_gradient(lambda x: (OldStyle.apply(x) * x).sum(), backend, X).execute(X)
    torch.testing.assert_close(got, torch.round(X) + 7 * X)
    for mode in ("forward", "reverse"):
        one = di.AutoTorch(mode, compile=backend.compile)
        plan = di.prepare_jacobian(lambda x: NewStyle.apply(x) * x, one, X)
        torch.testing.assert_close(plan.execute(X), torch.diag(torch.round(X) + 7 * X))


@BOTH
def test_a_rule_of_reverse_mode_alone_serves_second_order(backend):
    """Forward over reverse is refused by PyTorch here: double backward is taken."""
    plan = di.prepare_hvp(lambda x: NoForward.apply(x).sum(), backend, X, X)
    torch.testing.assert_close(plan.execute(X, X), 6 * X * X)
    gradient, product = plan.gradient_and_hvp(2 * X, X)
    torch.testing.assert_close(gradient, 12 * X * X)
    torch.testing.assert_close(product, 12 * X * X)
    h = di.prepare_hessian(lambda x: NoForward.apply(x).sum(), backend, X).execute(X)
    torch.testing.assert_close(h, torch.diag(6 * X))


@BOTH
def test_forward_mode_without_a_rule_says_so(backend):
    one = di.AutoTorch("forward", compile=backend.compile)
    with pytest.raises(di.UnsupportedError) as caught:
        di.prepare_jacobian(NoForward.apply, one, X)
    assert "setup_context" in str(caught.value) and "mode='reverse'" in str(caught.value)

    def unwritten(x):
        raise NotImplementedError("mine")

    with pytest.raises(NotImplementedError, match="mine"):
        di.prepare_jacobian(unwritten, one, X)


@BOTH
def test_both_ways_of_second_order_agree(backend):
    def f(x, a):
        return (torch.exp(a * x) * torch.roll(x, 1)).sum() / (1 + x @ x)

    a = di.Constant(0.3)
    right = torch.func.hessian(lambda x: f(x, 0.3))(X)
    for one in (
        backend,
        di.PrimitiveOnly(backend, "forward"),
        di.PrimitiveOnly(backend, "reverse"),
        di.SecondOrder(
            di.AutoTorch("reverse", compile=backend.compile),
            di.AutoTorch("forward", compile=backend.compile),
        ),
    ):
        got = di.prepare_hessian(f, one, X, a).execute(X, a)
        torch.testing.assert_close(got, right)


def test_derivatives_that_pytorch_lacks():
    x = X[:, None] * torch.tensor([1.0, 0.5], dtype=torch.float64)

    def distances(x):
        return (torch.cdist(x, x[:2] + 1.0) ** 2).sum()

    right = di.gradient(distances, di.AutoFiniteDiff(), x)
    torch.testing.assert_close(di.gradient(distances, GRAPH, x), right, rtol=1e-8, atol=1e-8)
    for backend in (GRAPH, EAGER):
        for mode, prepare in ((None, di.prepare_hessian), ("forward", di.prepare_gradient)):
            one = di.AutoTorch(mode, compile=backend.compile)
            with pytest.raises(di.UnsupportedError, match="PyTorch lacks a derivative") as caught:
                prepare(distances, one, x)
            assert "cdist" in str(caught.value) and "AutoFiniteDiff()" in str(caught.value)
    product = di.prepare_hvp(distances, di.SecondOrder(di.AutoFiniteDiff(), GRAPH), x, x)
    torch.testing.assert_close(product.execute(x, x), di.hvp(distances, di.AutoFiniteDiff(), x, x))


@BOTH
def test_rules_that_have_no_second_derivative_are_refused(backend):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, t):
            return 2 * ctx.saved_tensors[0] * t

    def f(x):
        return (Square.apply(x) ** 2).sum()

    torch.testing.assert_close(di.prepare_gradient(f, backend, X).execute(X), 4 * X**3)
    with pytest.raises(di.UnsupportedError, match="the rule of Square is marked once_different"):
        di.prepare_hessian(f, backend, X)
    for mode in ("forward", "reverse"):
        with pytest.raises(di.UnsupportedError, match="once_differentiable"):
            di.prepare_hessian(f, di.AutoTorch(mode, compile=backend.compile), X)


def test_axes_counted_from_the_end():
    x = torch.rand(3, 3, dtype=torch.float64)
    weights = torch.rand(3, 3, dtype=torch.float64)
    for axes in ((-1, 0), (1, -2), (0, -1), (-2, -1)):
        plan = di.prepare_gradient(lambda x, a=axes: (x.permute(*a) * weights * x).sum(), GRAPH, x)
        right = torch.func.grad(lambda x, a=axes: (x.permute(*a) * weights * x).sum())(x)
        torch.testing.assert_close(plan.execute(x), right)


@BOTH
def test_jacobians_where_the_rule_of_vmap_is_wrong(backend):
    x = X[:, None] * torch.tensor([1.0, 0.5], dtype=torch.float64)

    def distances(x):
        return torch.cdist(x, x[:2] * 2.0)

    right = di.jacobian(distances, di.AutoFiniteDiff(), x)
    reverse = di.AutoTorch("reverse", compile=backend.compile)
    got = di.prepare_jacobian(distances, reverse, x).execute(x)
    torch.testing.assert_close(got, right, rtol=1e-7, atol=1e-7)
    t = torch.rand(3, 2, dtype=torch.float64)
    one, two = di.prepare_pullback(distances, backend, x, (t, 2 * t)).execute(x, (t, 2 * t))
    torch.testing.assert_close(two, 2 * one)
    torch.testing.assert_close(one.reshape(-1), t.reshape(-1) @ right, rtol=1e-7, atol=1e-7)


def test_routes():
    assert di.prepare_jacobian(lambda x: x**2, GRAPH, X).route == "pullback × 3"
    assert di.prepare_jacobian(lambda x: torch.cat([x, x]), GRAPH, X).route == "pushforward × 3"
    assert di.prepare_hvp(lambda x: x @ x, GRAPH, X, X).route == "native"
    assert di.prepare_hessian(lambda x: x @ x, GRAPH, X).route == "(native) × 3"


@BOTH
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_loop_where_vmap_refuses(backend, mode):
    """A rule without a rule for vmap: seeds go through one by one."""

    class Plain(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x**2

        @staticmethod
        def setup_context(ctx, inputs, output):
            (x,) = inputs
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)

        @staticmethod
        def backward(ctx, t):
            (x,) = ctx.saved_tensors
            if t.sum() == 12345:  # a branch on the cotangent
                return t
            return 2 * x * t

        @staticmethod
        def jvp(ctx, t):
            (x,) = ctx.saved_tensors
            return 2 * x * t

    one = di.AutoTorch(mode, compile=backend.compile)
    if backend is GRAPH and mode == "reverse":
        with pytest.raises(di.UnsupportedError, match="depends on the numbers"):
            di.prepare_jacobian(Plain.apply, one, X)
        return
    got = di.prepare_jacobian(Plain.apply, one, X).execute(X)
    torch.testing.assert_close(got, torch.diag(2 * X))
    batch = di.prepare_pullback(Plain.apply, one, X, (X, 2 * X))
    torch.testing.assert_close(batch.execute(X, (X, 2 * X)), (2 * X * X, 4 * X * X))


A = torch.tensor([[4.0, 1.0, 0.5], [1.0, 3.0, -0.5], [0.5, -0.5, 2.0]], dtype=torch.float64)


def matrix(x):
    return A + torch.outer(x, x)


OPERATIONS = {
    "lgamma": lambda x: torch.lgamma(x).sum(),
    "logdet": lambda x: torch.logdet(matrix(x)),
    "det": lambda x: torch.linalg.det(matrix(x)),
    "solve": lambda x: torch.linalg.solve(matrix(x), torch.sin(x)) @ x,
    "inv": lambda x: torch.linalg.inv(matrix(x)).sum(),
    "cholesky": lambda x: torch.linalg.cholesky(matrix(x)).sum(),
    "eigvalsh": lambda x: (torch.linalg.eigvalsh(matrix(x)) ** 2).sum(),
    "svdvals": lambda x: torch.linalg.svdvals(matrix(x)).sum(),
    "fft": lambda x: torch.fft.rfft(x).abs().sum(),
    "prod": lambda x: x.prod(),
    "cumprod": lambda x: torch.cumprod(x, 0).sum(),
    "norm": lambda x: x.norm(),
    "softmax": lambda x: (torch.softmax(x, 0) ** 2).sum(),
    "layer_norm": lambda x: (torch.nn.functional.layer_norm(x, (3,)) ** 3).sum(),
    "gelu": lambda x: torch.nn.functional.gelu(x).sum(),
    "sort": lambda x: (x.sort().values ** torch.arange(3)).sum(),
    "max": lambda x: x.max() * x.min(),
    "std": lambda x: x.std(),
    "convolution": lambda x: (
        torch.nn.functional.conv1d(x[None, None], x[None, None, :2]) ** 2
    ).sum(),
}


@pytest.mark.parametrize("mode", [None, "forward", "reverse"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_derivatives_of_operations_against_differences(name, mode):
    """Second order of forward mode over itself is wrong in PyTorch: ours must not be."""
    f = OPERATIONS[name]
    gradient = di.gradient(f, di.AutoFiniteDiff(), X)
    hessian = di.hessian(f, di.AutoFiniteDiff(), X)
    for compile in ("graph", "eager"):
        backend = di.AutoTorch(mode, compile=compile)
        got = di.prepare_gradient(f, backend, X).execute(X)
        torch.testing.assert_close(got, gradient, rtol=1e-8, atol=1e-8)
        got = di.prepare_hessian(f, backend, X).execute(X)
        torch.testing.assert_close(got, hessian, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["logdet", "solve", "layer_norm"])
def test_second_derivatives_of_operations(name):
    def line(s):
        return torch.stack([OPERATIONS[name](X * s), s**3])

    one = torch.tensor(1.0, dtype=torch.float64)
    right = di.second_derivative(line, di.AutoFiniteDiff(), one)
    for backend in (GRAPH, EAGER, di.AutoTorch("forward"), di.AutoTorch("reverse")):
        got = di.prepare_second_derivative(line, backend, one).execute(one)
        torch.testing.assert_close(got, right, rtol=1e-5, atol=1e-5)


@BOTH
@pytest.mark.parametrize(
    "written",
    [np.sin, lambda x: np.sum(x**2), lambda x: x.astype(float), lambda x: np.exp(x) * x],
    ids=["ufunc", "sum", "astype", "mixed"],
)
# NumPy's own, of an array library that it meets.
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_functions_written_with_numpy_are_told_what_to_do(backend, written):
    with pytest.raises((AttributeError, RuntimeError, TypeError)) as caught:
        di.pushforward(written, backend, np.ones(3), np.ones(3))
        di.pullback(written, backend, np.ones(3), np.ones(3))
    assert any("Write f with torch" in note for note in caught.value.__notes__)


def test_finite_differences_of_tensors():
    plan = di.prepare_jacobian(lambda x: torch.sin(x) * x[0], di.AutoFiniteDiff(), X)
    value, got = plan.value_and_jacobian(X)
    assert isinstance(got, torch.Tensor) and isinstance(value, torch.Tensor)
    right = torch.func.jacfwd(lambda x: torch.sin(x) * x[0])(X)
    torch.testing.assert_close(got, right, rtol=1e-9, atol=1e-9)
    over = di.SecondOrder(di.AutoFiniteDiff(), GRAPH)
    h = di.prepare_hessian(lambda x: (x**4).sum(), over, X).execute(X)
    torch.testing.assert_close(h, torch.diag(12 * X**2), rtol=1e-8, atol=1e-8)
    with pytest.raises(di.UnsupportedError, match="NumPy, which has no such numbers"):
        di.gradient(lambda x: x.sum(), di.AutoFiniteDiff(), X.bfloat16())
    np.testing.assert_allclose(
        di.gradient(lambda x: torch.exp(x).sum(), GRAPH, X.numpy()), np.exp(X.numpy())
    )
