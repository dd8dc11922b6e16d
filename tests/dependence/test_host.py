"""Tracing of NumPy functions: patterns against differences, refusals, fallbacks."""

import math
import types
import warnings
from typing import NamedTuple

import jax.numpy as jnp
import numba
import numpy as np
import pytest
import scipy.special
import torch

import difint as di
from difint.cli import brusselator
from difint.dependence.host import dependence
from difint.errors import SparsityError
from tests.dependence import programs
from tests.dependence.programs import EXACT, HESSIANS, WIDE, C, Model, X
from tests.dependence.tracing import found, lowered, seen, seen_twice


@pytest.mark.parametrize("name", EXACT)
def test_patterns_are_exact(name):
    f = EXACT[name]
    np.testing.assert_array_equal(found(f, X), seen(f, X))


@pytest.mark.parametrize("name", WIDE)
def test_patterns_lack_nothing(name):
    f = WIDE[name]
    assert np.all(found(f, X) >= seen(f, X))


@pytest.mark.parametrize("name", [*EXACT, *WIDE])
def test_local_patterns_hold_at_the_example(name):
    f = {**EXACT, **WIDE}[name]
    assert np.all(found(f, X, local=True) >= seen(f, X, samples=1))


@pytest.mark.parametrize("name", [*EXACT, *WIDE])
def test_hessians_lack_nothing(name):
    f = {**EXACT, **WIDE}[name]
    weights = 0.5 + np.arange(np.size(f(X)))

    def scalar(x):
        y = np.reshape(f(x), -1)
        return np.sum(weights * y * y)

    pattern = found(scalar, X, curved=True)
    assert np.all(pattern >= seen_twice(scalar, X))
    np.testing.assert_array_equal(pattern, pattern.T)


@pytest.mark.parametrize("name", HESSIANS)
def test_hessians_are_exact(name):
    f, pairs = HESSIANS[name]
    pairs = [(0, 0), (0, 1), (2, 3), (3, 3)] if pairs is None else pairs
    expected = np.zeros((6, 6), int)
    for i, j in pairs:
        expected[i, j] = expected[j, i] = 1
    np.testing.assert_array_equal(found(f, X, curved=True), expected)


def test_programs_of_the_library():
    for n in (1, 3, 5):
        expected = brusselator.pattern(n).toarray().astype(int)
        x = 1.0 + brusselator.initial(n)
        np.testing.assert_array_equal(found(brusselator.in_numpy(n), x), expected)
        np.testing.assert_array_equal(found(brusselator.in_place(n), x, y=x.copy()), expected)


def test_functions_in_place():
    def f(y, x):
        y[:] = 0
        y[1:] += x[:-1] * x[1:]
        y[0] = x[0]
        y.reshape(2, 3)[1] *= 2.0

    def plain(x):
        y = np.empty(6)
        f(y, x)
        return y

    pattern = found(f, X, y=np.empty(6))
    np.testing.assert_array_equal(pattern, seen(plain, X))
    assert found(lambda y, x: y.fill(1.0), X, y=np.empty(3)).sum() == 0


def test_x_of_any_form():
    assert found(lambda x: np.array([x, x**2, 1.0]), 2.0).tolist() == [[1], [1], [0]]
    assert found(lambda x: float(x) ** 2, 2.0, curved=True).tolist() == [[1]]
    assert found(lambda x: x * 2, np.float64(2.0)).tolist() == [[1]]
    assert found(lambda x: x[:, 0], X.reshape(3, 2)).tolist() == np.eye(6, dtype=int)[::2].tolist()
    assert found(lambda x: x * 1.0, np.ones(1)).tolist() == [[1]]
    assert found(lambda x: x.sum(), np.ones(0)).shape == (1, 0)
    assert found(lambda x: x[:0] * 2, X).shape == (0, 6)
    single = X.astype(np.float32)
    assert found(lambda x: x if (x * 2.0).dtype == np.float32 else x[::-1], single).trace() == 6


def test_trees():
    x = {"a": np.ones((2, 2)), "b": (2.0, np.ones(2))}

    def f(x):
        return {"first": x["a"][0] * x["b"][0], "second": [x["b"][1], 3.0]}

    expected = np.zeros((5, 7), int)
    expected[[0, 0, 1, 1, 2, 3], [0, 4, 1, 4, 5, 6]] = 1
    np.testing.assert_array_equal(found(f, x), expected)
    pattern = found(lambda x: x["a"][0, 0] * x["b"][0] + x["b"][1].sum(), x, curved=True)
    assert np.argwhere(pattern).tolist() == [[0, 4], [4, 0]]


def test_constants_are_unknown():
    c = di.Constant(np.array([0.0, 1.0]))
    assert found(lambda x, c: c * x[:2], X, c).sum() == 2
    assert found(lambda x, c: x**c, 1.5, di.Constant(0.0)).sum() == 1
    assert found(lambda x, s: x * s["k"][0], X, di.Constant({"k": (0.0, 1)})).sum() == 6
    assert found(lambda x, c: x[:2] * np.where(c > 0, c, 1.0), X, c).sum() == 2


def test_what_decides_is_frozen():
    zero = di.Constant(0.0)
    assert found(lambda x, n: x[:n], X, di.Constant(2)).sum() == 2
    assert found(lambda x, mask: x[mask], X, di.Constant(C > 0)).sum() == 3
    assert found(lambda x, c: x * math.erf(c), X, zero).sum() == 6
    assert found(lambda x, c: x * np.float64(c), X, zero).sum() == 6
    assert found(lambda x, c: x if type(c) is float else x.nothing, X, zero).sum() == 6


@pytest.mark.parametrize(
    ("f", "c", "entries"),
    [
        (lambda x, c: x * c if c < 1 else x[::-1], 0.0, 6),
        (lambda x, c: x[c > 0], C, 3),
    ],
)
def test_constants_may_decide_where_patterns_are_local(f, c, entries):
    with pytest.raises(di.SparsityError, match="branches on values of x or of a context"):
        found(f, X, di.Constant(c))
    assert found(f, X, di.Constant(c), local=True).sum() == entries


def test_buffers_hold_what_is_written():
    def f(x, work):
        work[:] = x
        work[0] = 0.0
        return work * work[1]

    pattern = found(f, X, di.Cache(np.ones(6)))
    np.testing.assert_array_equal(pattern, seen(lambda x: f(x, np.ones(6)), X))
    both = di.ConstantOrCache({"work": np.ones(6), "c": np.zeros(6)})
    assert found(lambda x, s: f(x, s["work"]) + s["c"], X, both).sum() == 9


class Pair(NamedTuple):
    first: object
    second: float


def test_captured_buffers_share_memory():
    whole = np.zeros(6)
    left, right, parts = whole[:3], whole[:2:-1], [whole]
    named = types.SimpleNamespace(pair=Pair(whole, 1.0))

    def f(x):
        left[:] = x[:3]
        right[:] = x[3:] * 2
        return parts[0] + named.pair.first * 0.5

    np.testing.assert_array_equal(found(f, X), np.eye(6, dtype=int)[[0, 1, 2, 5, 4, 3]])
    assert not whole.any() or np.array_equal(whole[:3], X[:3])


def test_layouts_are_those_of_numpy():
    def f(x):
        turned = x.T * 1.0  # in Fortran's order, of which ravel makes a copy
        turned.ravel()[:] = 0.0
        x = x * 1.0
        x.ravel()[0] = 0.0
        return turned[0] + x[:, 0]

    x = X.reshape(2, 3)
    np.testing.assert_array_equal(found(f, x), seen(f, x))
    assert found(f, x).tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]]


def parts_written(x):
    z = np.zeros(3, complex)
    z.real[:] = x[:3]
    return z.real + x[3:]


def test_functions_of_numba_are_read_as_python():

    @numba.njit
    def inner(x, i):
        return x[i] * x[i + 1]

    @numba.njit
    def f(x):
        out = np.zeros(3)
        for i in range(3):
            out[i] = inner(x, i)
        return out

    np.testing.assert_array_equal(found(f, X), seen(lambda x: x[:3] * x[1:4], X))


def branching(x):
    return x * 2 if x[0] > 0 else x[::-1]


def written_by_mask(x):
    y = x * 1.0
    y[x > 0] = x[: np.sum(X > 0)]
    return y


BRANCHES = {
    "mask written": lambda x: written_by_mask(x),
    "floor": lambda x: x[: math.floor(abs(x[1]))],
    "round": lambda x: x[: round(abs(x[1]))],
    "named": lambda x: x[np.nonzero(a=x > 0)],
    "if": branching,
    "int": lambda x: x * int(x[0]),
    "index": lambda x: x[int(x[0])],
    "range": lambda x: sum(x[i] for i in range(int(abs(x[1])))),
    "mask": lambda x: x[x > 0].sum(),
    "nonzero": lambda x: x[np.nonzero(x > 0)[0]].sum(),
    "any": lambda x: x * 2 if np.any(x > 3) else x,
    "allclose": lambda x: x * 2 if np.allclose(x, 0) else x,
    "sorted": lambda x: np.array(sorted(x)),
    "unique": lambda x: np.unique(x),
    "caught": lambda x: caught(x),
}


def caught(x):
    try:
        return x if x[0] > 0 else -x
    except Exception:
        return x


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_are_refused_and_followed_locally(name):
    f = BRANCHES[name]
    with pytest.raises(SparsityError, match=r"f branches on values of x(.|\n)*local=True"):
        found(f, X)
    pattern, exact = found(f, X, local=True), seen(f, X, samples=1)
    assert np.all(pattern >= exact) and (name == "unique" or np.all(pattern == exact))


def test_the_message_of_a_branch():
    with pytest.raises(SparsityError) as caught:
        found(branching, X)
    lines = str(caught.value).splitlines()
    what = "f branches on values of x or of a context, so its pattern depends on them"
    assert lines[0] == f"jacobian: {what}"
    assert "return x * 2 if x[0] > 0 else x[::-1]  (line" in lines[2]
    assert "of test_host.py, in branching)" in lines[2]


def opaque_array(x):
    return scipy.special.logsumexp(x) * x


def opaque_memory(x):
    held = np.frombuffer(bytearray(48))
    memoryview(held)[0] = x[0]
    return held + x


OPAQUE = {
    "library": opaque_array,
    "buffer": opaque_memory,
    "complex": lambda x: np.array([complex(x[0]).real, x[1]]),
    "swallowed": lambda x: swallowed(x),
    "real part": parts_written,
    "bytes": lambda x: np.frombuffer(x.tobytes()) + x,
}


def swallowed(x):
    try:
        return np.array([complex(x[0]).real, 0.0])
    except Exception:
        return x[:2]


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("name", OPAQUE)
def test_what_cannot_be_followed_is_dense(name, local):
    with pytest.warns(UserWarning) as record:
        pattern = found(OPAQUE[name], X, local=local)
    assert pattern.all()
    assert len(record) == 1
    assert "the pattern is dense" in str(record[0].message)
    assert "KnownSparsityDetector(pattern), or DenseSparsityDetector()" in str(record[0].message)
    assert record[0].filename == __file__.replace("test_host", "tracing")


def test_the_warning_names_the_line():
    with pytest.warns(UserWarning, match=r"return scipy.special.logsumexp\(x\) \* x  \(line \d+"):
        found(opaque_array, X)
    with pytest.warns(UserWarning, match="AttributeError: a traced array has no attribute"):
        found(OPAQUE["bytes"], X)


def test_functions_without_a_rule_are_dense_and_named():
    def f(x):
        return np.concatenate([np.histogram(x[:3], weights=x[:3])[0][:2], x[4:]])

    with pytest.warns(UserWarning, match="numpy.histogram") as record:
        pattern = found(f, X)
    assert len(record) == 1
    assert pattern.sum(1).tolist() == [3, 3, 1, 1]


def test_errors_of_f_pass_through():
    calls = []

    def f(x):
        calls.append(1)
        if len(calls) > 1:
            raise KeyError("mine")
        return x

    with pytest.raises(KeyError, match="mine"):
        found(f, X)


def test_functions_of_other_libraries():
    for make, function in ((jnp.asarray, jnp.sin), (torch.tensor, torch.sin)):
        with pytest.warns(UserWarning, match="f could not be traced: the pattern is dense"):
            assert found(function, make(X.astype(np.float32))).all()
        assert found(lambda x: x[1:] * x[:-1], make(X.astype(np.float32))).sum() == 10


def test_plans_find_their_patterns():
    backend = di.AutoSparse(di.AutoFiniteDiff(), di.TracerSparsityDetector())
    for name in ("loop", "callable", "matmul", "where x"):
        made, dense = (di.jacobian(EXACT[name], one, X) for one in (backend, backend.dense))
        np.testing.assert_allclose(made.toarray(), dense, atol=1e-6)
    with pytest.raises(SparsityError, match="f branches on values of x"):
        di.prepare_jacobian(branching, backend, X)
    local = di.AutoSparse(backend.dense, di.TracerSparsityDetector(local=True))
    assert di.prepare_jacobian(branching, local, X).pattern.nnz == 6
    made = di.hessian(lambda x: np.sum(x[1:] ** 2 * x[:-1]), backend, X)
    assert made.nnz == 5 + 2 * 5


def test_nothing_outside_is_changed():
    before = {name: id(one) for name, one in vars(programs).items()}
    found(EXACT["buffered"], X)
    found(Model(2.0), X)
    assert {name: id(one) for name, one in vars(programs).items()} == before
    assert type(programs.BUFFER) is np.ndarray


def test_large_problems_take_no_time_per_entry_of_a_dense_matrix():
    n = 300_000
    with warnings.catch_warnings(action="error"):
        pattern_size = found_size(lambda x: np.diff(x**2) * x[0], np.ones(n))
    assert pattern_size == 3 * (n - 1) - 1


def found_size(f, x):
    problem, occasion = lowered(f, x)
    return dependence(problem, occasion, curved=False, local=False).columns.size
