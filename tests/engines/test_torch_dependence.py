"""Patterns of PyTorch functions: never less than what is not zero, no more where that is known."""

import time
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import difint as di
from difint.cli import brusselator
from difint.engine import Occasion
from difint.engines.torch import engine
from difint.operators.hessian import HESSIAN
from difint.operators.jacobian import JACOBIAN
from difint.problem import Lowering
from difint.signature import argument
from tests.engines.torch_dependence_functions import DOUBLE, SHAPE, TIGHT, WIDE, numbers

FUNCTIONS = TIGHT | WIDE
X = numbers(*SHAPE, seed=1)
POINTS = [X, *(scale * numbers(*SHAPE, seed=seed) for scale, seed in ((1, 2), (0.3, 3), (3, 4)))]
LACKING = {"attention", "cdist", "scatter_reduce amax"}  # second derivatives, in PyTorch
WIDE_HESSIANS = {"cumprod", "det", "powers"}  # zeros on diagonals that no rule sees
TIGHT_HESSIANS = [name for name in TIGHT if name not in LACKING | WIDE_HESSIANS]

V = np.array([0.5, -1.5, 2.5, 3.0])


def found(f, x, *contexts, y=None, curved=False, local=False, compile="graph"):
    """Get the pattern that tracing finds, as a matrix of zeros and ones."""
    arrays = engine(di.AutoTorch(compile=compile)).arrays
    operator = HESSIAN if curved else JACOBIAN
    described = argument("x", x, arrays.trees, arrays.kinds)
    problem = arrays.lower(
        Lowering(operator.name, f, described, x, contexts, y, True, operator.order)
    )
    args = (x, *(context.value for context in contexts))
    occasion = Occasion(args, None, once=False, strict=True)
    rows = arrays.dependence(problem, occasion, curved=curved, local=local)
    size = problem.x_form.size
    pattern = np.zeros((size if curved else problem.y_form.size, size), int)
    for i, row in enumerate(pattern):
        row[rows.columns[rows.indptr[i] : rows.indptr[i + 1]]] = 1
    return pattern


def summed(f):
    def g(x):
        y = f(x)
        return (y * torch.linspace(1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)).sum()

    return g


def seen(f, points, curved=False):
    """Look where the matrix is not zero, at any of some points."""
    pattern = 0
    for x in points:
        derivative = (
            torch.autograd.functional.hessian if curved else torch.autograd.functional.jacobian
        )
        values = derivative(summed(f) if curved else f, x).reshape(-1, x.numel())
        pattern = pattern | (values.abs() > 1e-9).numpy().astype(int)
    return pattern


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_jacobian_s_entries_are_found(name):
    f = FUNCTIONS[name]
    entries, pattern = seen(f, POINTS), found(f, X)
    assert (pattern >= entries).all()
    if name in TIGHT:
        assert (pattern == entries).all()


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in LACKING])
def test_a_hessian_s_entries_are_found(name):
    f = FUNCTIONS[name]
    entries, pattern = seen(f, POINTS, curved=True), found(summed(f), X, curved=True)
    assert (pattern >= entries).all() and (pattern == pattern.T).all()
    if name in TIGHT_HESSIANS:
        assert (pattern == entries).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_local_patterns_hold_at_the_example(name):
    f = FUNCTIONS[name]
    pattern = found(f, X, local=True)
    assert (pattern >= seen(f, [X])).all() and (pattern <= found(f, X)).all()


@pytest.mark.parametrize("name", [name for name in WIDE if name not in LACKING])
def test_local_hessians_hold_at_the_example(name):
    f = WIDE[name]
    curved = found(summed(f), X, curved=True, local=True)
    assert (curved >= seen(f, [X], curved=True)).all()


@pytest.mark.parametrize(
    "name", ["max_pool2d", "amax", "max", "sort", "topk", "where", "clamp", "argsort"]
)
def test_local_patterns_follow_values(name):
    f = WIDE[name]
    assert (found(f, X, local=True) == seen(f, [X])).all()


def test_ties_count_on_both_sides():
    x = np.zeros(3)
    assert found(torch.relu, x, local=True).tolist() == np.eye(3, dtype=int).tolist()
    assert found(lambda x: x.sort()[0], x, local=True).all()
    assert found(lambda x: x.amax(), x, local=True).all()
    assert found(lambda x: torch.maximum(x, x.flip(0)), x, local=True).sum() == 5


@pytest.mark.parametrize("n", [3, 8, 96])
def test_the_brusselator(n):
    from difint.sparse import Pattern

    x = np.random.default_rng(0).random(2 * n * n)
    backend = di.AutoSparse(di.AutoTorch(), di.TracerSparsityDetector())
    plan = di.prepare_jacobian(brusselator.in_torch(n), backend, x)
    assert isinstance(plan.pattern, Pattern) and plan.pattern == brusselator.pattern(n)


def test_modules():
    layers = torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.BatchNorm2d(3)
    net = torch.nn.Sequential(*layers).double().eval()
    assert (found(net, X) >= seen(net, POINTS)).all()
    assert found(net, X).sum() == seen(TIGHT["conv2d"], POINTS).sum()


class Straight(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.round()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, t):
        return t


class Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sin()

    @staticmethod
    def backward(ctx, t):
        return t.flip(0)


def hooked(x):
    y = x.sin()
    if y.requires_grad:
        y.register_hook(lambda t: t.flip(0))
    return y


@pytest.mark.parametrize("local", [False, True])
def test_patterns_follow_the_rules_that_are_differentiated(local):
    def arrow(x):
        return Straight.apply(x) * x[0]

    expected = np.eye(4, dtype=int)
    expected[:, 0] = 1
    assert (found(arrow, V, local=local) == expected).all()
    turned = np.eye(4, dtype=int)[::-1]
    assert (found(Turned.apply, V, local=local) == turned).all()
    assert (found(hooked, V, local=local) == turned).all()

    def squares(x):
        return (Straight.apply(x) ** 2).sum()

    hessian = found(squares, V, curved=True, local=local)
    assert (hessian == np.eye(4)).all()


def quiet(x):
    with torch.no_grad():
        w = x.flip(0) * 2
    return w * x + x.data.roll(1)


@pytest.mark.parametrize("compile", ["graph", "eager"])
def test_what_is_cut_is_no_entry(compile):
    assert (found(quiet, V, compile=compile) == np.eye(4)).all()


def filled(y, x):
    y[0] = x[1]
    y[1:] = x[:-1] ** 2


def cached(x, scratch):
    scratch.copy_(x)
    return scratch * x[0]


def test_contexts_are_not_known():
    zeros = di.Constant(np.zeros(4))
    assert (found(lambda x, m: x * m, V, zeros) == np.eye(4)).all()
    which = di.Constant(np.array([1, 2]))
    assert found(lambda x, i: x[i], V, which).all()
    assert (found(lambda x, i: x[i], V, which, local=True) == np.eye(4)[1:3]).all()
    arrow = found(cached, V, di.Cache(np.zeros(4)))
    assert (arrow == np.eye(4) + (np.arange(4) == 0) * (np.arange(4) > 0)[:, None]).all()
    assert (found(filled, V, y=np.zeros(4)) == np.eye(4)[[1, 0, 1, 2]]).all()


def test_what_f_captured_is_known():
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=DOUBLE)
    assert (found(lambda x: x * mask, V) == np.diag([1, 0, 1, 0])).all()


def test_trees():
    x = {"a": np.ones((2, 1)), "b": np.float64(2.0)}

    def f(x):
        return {"c": x["a"] * x["b"], "d": x["a"][0]}

    assert found(f, x).tolist() == [[1, 0, 1], [0, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    "x",
    [np.ones(0), np.ones(1), np.ones(3, np.float32), np.ones((4, 4))[::2, 1::2], np.ones((2, 3)).T],
    ids=lambda x: str(x.shape),
)
def test_shapes_and_dtypes(x):
    index = np.arange(x.size).reshape(x.shape)
    expected = np.eye(x.size)
    pattern = found(lambda x: x * x.flip(0), x)
    assert (pattern == np.maximum(expected, expected[index[::-1].ravel()])).all()
    curved = found(lambda x: (x * x.flip(0)).sum(), x, curved=True)
    assert (curved == expected[index[::-1].ravel()]).all()


def test_scalars_and_half_precision():
    assert found(lambda x: x.sin(), 2.0).tolist() == [[1]]
    assert found(lambda x: x.sin(), 2.0, curved=True).tolist() == [[1]]
    assert found(lambda x: 2 * x, 2.0, curved=True).tolist() == [[0]]
    x = torch.ones(2, dtype=torch.bfloat16)
    assert (found(lambda x: x * x[0], x, local=True) == [[1, 0], [1, 1]]).all()


def branching(x):
    return x * x[0] if x[0] > 0 else x


@pytest.mark.parametrize("compile", ["graph", "eager"])
def test_branches_on_values_need_a_local_pattern(compile):
    with pytest.raises(di.SparsityError) as caught:
        found(branching, V, compile=compile)
    assert "f branches on values" in str(caught.value)
    assert "x[0] > 0" in str(caught.value)
    assert "TracerSparsityDetector(local=True)" in str(caught.value)
    assert found(branching, V, local=True, compile=compile).sum() == 7
    assert found(branching, -V, local=True, compile=compile).sum() == 4


def test_operations_that_no_rule_knows_warn_once():
    def f(x):
        return torch.nn.functional.pdist(x.reshape(2, 2)) + torch.nn.functional.pdist(
            x.reshape(2, 2) ** 2
        )

    with pytest.warns(UserWarning, match="_pdist_forward") as seen:
        assert found(f, V).all()
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found(torch.linalg.inv, np.eye(2))


def test_what_cannot_be_traced_is_dense():
    def f(x):
        return x * torch.from_numpy(x.detach().numpy()[::-1].copy())

    with pytest.warns(UserWarning, match="every entry is taken to be there") as seen:
        assert found(f, V, compile="eager").all()
    assert len(seen) == 1
    assert (found(f, V, compile="eager", local=True) == np.eye(4)).all()


def test_a_large_convolution_is_quick():
    kernel = numbers(1, 1, 3, 3)

    def f(x):
        return torch.nn.functional.conv2d(x, kernel, padding=1)

    x = np.ones((1, 1, 128, 128))
    backend = di.AutoTorch()
    arrays = engine(backend).arrays
    problem = arrays.lower(
        Lowering("jacobian", f, argument("x", x, arrays.trees, arrays.kinds), x, (), None, True)
    )
    occasion = Occasion((x,), None, once=False, strict=True)
    begun = time.perf_counter()
    rows = arrays.dependence(problem, occasion, curved=False, local=False)
    assert time.perf_counter() - begun < 1.5
    assert rows.columns.size == (3 * 128 - 2) ** 2


UNARY = [
    torch.sin,
    torch.relu,
    torch.floor,
    lambda x: x.roll(1, -1),
    lambda x: x.flip(0),
    lambda x: x.mT.reshape(x.shape),
    lambda x: x.cumsum(0),
    lambda x: x.sum(1, keepdim=True).expand(3, 4),
    lambda x: torch.softmax(x, 0),
    lambda x: torch.cat([x[1:], x[:1] * 0.0]),
    lambda x: x * torch.tensor([0.0, 1.0, 0.0, 2.0], dtype=DOUBLE),
    lambda x: x.sort(1)[0],
    lambda x: x.detach(),
]
BINARY = [torch.add, torch.sub, torch.mul, torch.maximum, lambda a, b: a @ b.mT @ b]
STEPS = st.lists(st.tuples(st.integers(0, 17), st.integers(0, 5), st.integers(0, 5)), max_size=5)


@given(steps=STEPS, curved=st.booleans(), local=st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_random_programs(steps, curved, local):
    def f(x):
        values = [x]
        for which, first, second in steps:
            a, b = values[first % len(values)], values[second % len(values)]
            unary = which < len(UNARY)
            values.append(UNARY[which](a) if unary else BINARY[which - len(UNARY)](a, b))
        return values[-1] + 0.0 * x

    x = numbers(3, 4, seed=5)
    points = [x] if local else [x, numbers(3, 4, seed=6)]
    pattern = found(summed(f) if curved else f, x, curved=curved, local=local)
    with warnings.catch_warnings(action="ignore"):
        assert (pattern >= seen(f, points, curved)).all()
