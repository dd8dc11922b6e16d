"""AutoNumba's sparse Hessians: sums that are taken apart, and those that must not be."""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import difint as di
from difint.sparse import Pattern
from tests.engines.sums import (
    BLENDS,
    HARD,
    TERMS,
    inner_sum,
    loop,
    neighbours,
    own_array,
    weighted,
)
from tests.sparse.problems import banded, chained, chained_hessian

N = 7
X = np.random.default_rng(0).uniform(0.2, 1.2, N)
W = np.random.default_rng(1).uniform(0.5, 1.5, N)
DENSE = di.AutoNumba()


def pattern_of(matrix):
    return Pattern.of((matrix != 0) | (matrix.T != 0) | np.eye(len(matrix), dtype=bool))


def prepared(f, x, *contexts, pattern=None, verify=False, y=None, **options):
    if pattern is None:
        pattern = pattern_of(di.hessian(f, DENSE, x, *contexts, y=y))
    options |= {"verify": verify}
    backend = di.AutoSparse(DENSE, di.KnownSparsityDetector(pattern), **options)
    return di.prepare_hessian(f, backend, x, *contexts, y=y)


def compared(f, x, *contexts, route, rtol=1e-12, **options):
    plan = prepared(f, x, *contexts, **options)
    assert route is None or plan.route == route
    for scale in (1.0, 0.7):
        point = (scale * x).astype(x.dtype)
        value, gradient, hessian = plan.value_gradient_and_hessian(point, *contexts)
        near = {"rtol": rtol, "atol": rtol}
        dense = di.value_gradient_and_hessian(f, DENSE, point, *contexts)
        for one, other in zip((value, gradient, hessian.toarray()), dense, strict=True):
            assert np.asarray(one).dtype == x.dtype
            np.testing.assert_allclose(one, other, **near)


@pytest.mark.parametrize("f", TERMS, ids=lambda f: f.__name__)
def test_sums_of_terms(f):
    compared(f, X, route="terms")


@pytest.mark.parametrize("f", BLENDS, ids=lambda f: f.__name__)
def test_sums_of_what_is_put_together_in_loops(f):
    compared(f, X, route="blends")


@pytest.mark.parametrize("f", HARD, ids=lambda f: f.__name__)
def test_sums_that_go_on_are_right_by_whatever_route(f):
    compared(f, X, route=None)


@pytest.mark.parametrize("f", [neighbours, inner_sum, weighted], ids=lambda f: f.__name__)
def test_single_precision(f):
    compared(f, X.astype(np.float32), route=None, rtol=3e-5)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("f", [loop, chained(np), own_array], ids=["loop", "arrays", "own array"])
def test_few_variables(f, n):
    compared(f, X[:n], route=None, pattern=Pattern.of(np.ones((n, n))), verify=True)


def test_contexts():
    def f(x, w, scratch):
        for i in range(x.size - 1):
            scratch[i] = w[i] * x[i] * x[i + 1]
        s = w @ x**3
        for i in range(x.size - 1):
            s += scratch[i] ** 2
        return s

    compared(f, X, di.Constant(W), di.Cache(np.zeros(N)), route="blends")


def test_functions_in_place():
    def f(y, x):
        y[()] = 0.0
        for i in range(x.size - 1):
            y[()] += x[i] * x[i + 1] ** 2

    y = np.zeros(())
    plan = prepared(f, X, y=y, pattern=banded(N, -1, 0, 1))
    assert plan.route == "terms"
    dense = di.hessian(f, DENSE, X, y=np.zeros(()))
    np.testing.assert_allclose(plan.execute(X, y=y).toarray(), dense, atol=1e-14)
    assert y == pytest.approx(X[:-1] @ X[1:] ** 2)


@pytest.mark.parametrize(
    "options",
    [
        {"triangle": "lower"},
        {"triangle": "upper", "format": "csr"},
        {"coloring_algorithm": di.GreedyColoring(decompression="substitution")},
    ],
    ids=str,
)
def test_forms_of_the_result(options):
    plan = prepared(chained(np), X, pattern=banded(N, -1, 0, 1), verify=True, **options)
    dense = chained_hessian(X)
    part = {"lower": np.tril, "upper": np.triu}.get(options.get("triangle"), lambda one: one)
    np.testing.assert_allclose(plan.execute(X).toarray(), part(dense), rtol=1e-12)


def test_variables_without_a_second_derivative():
    def f(x):
        return x[0] ** 2 * x[2] + 3 * x[1]

    dense = di.hessian(f, DENSE, X)
    plan = prepared(f, X, pattern=Pattern.of(dense != 0), verify=True)
    assert plan.route == "terms"
    np.testing.assert_array_equal(plan.execute(X).toarray(), dense)


@pytest.mark.parametrize("f", [loop, inner_sum], ids=lambda f: f.__name__)
def test_a_pattern_that_lacks_entries_is_found(f):
    with pytest.raises(di.SparsityError, match="lacks entries"):
        prepared(f, X, pattern=banded(N, 0), verify=True)


def turning(x):
    s = 0.0
    for i in range(x.size - 1):
        s += x[i] ** 2 * x[i + 1]
    return s + s if x[0] > 10 else s


def test_another_way_through_f_is_refused():
    plan = prepared(turning, X, pattern=banded(N, -1, 0, 1))
    far, filled = X + np.array([10.0, *[0.0] * (N - 1)]), plan.execute(X)
    kept = filled.data.copy()
    calls = [
        lambda: plan.execute(far),
        lambda: plan.execute(far, out=filled),
        lambda: plan.value_gradient_and_hessian(far),
        plan.bind(far, out=filled),
    ]
    for call in calls:
        with pytest.raises(di.UnsupportedError, match="no longer a sum of terms"):
            call()
        np.testing.assert_array_equal(filled.data, kept)
    np.testing.assert_array_equal(plan.execute(X).data, kept)
    again = prepared(turning, far, pattern=banded(N, -1, 0, 1))
    np.testing.assert_allclose(again.execute(far).toarray(), di.hessian(turning, DENSE, far))


def test_an_error_of_f_leaves_the_plan_usable():
    def f(x):
        if x[0] > 5:
            raise ValueError("too large")
        return np.sum(x**3)

    plan = prepared(f, X, pattern=banded(N, 0))
    for _ in range(3):
        with pytest.raises(ValueError, match="too large"):
            plan.execute(X + 10)
    np.testing.assert_allclose(plan.execute(X).data, 6 * X)


def test_many_threads_on_one_plan():
    n = 300
    plan = prepared(loop, np.ones(n), pattern=banded(n, -1, 0, 1))
    points = [np.sin(k + np.arange(n)) for k in range(4)]
    expected = [plan.execute(x).data for x in points]

    def run(k):
        return all(np.array_equal(plan.execute(points[k]).data, expected[k]) for _ in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(4)))


def test_kernel_in_compiled_code():
    plan = prepared(loop, X, pattern=banded(N, -1, 0, 1))
    kernel, entries = plan.kernel, np.empty(plan.execute(X).nnz)

    @numba.njit
    def total(x, out):
        kernel(x, out)
        return out.sum()

    assert total(X, entries) == pytest.approx(chained_hessian(X).sum())


OPERATIONS = ["s += {t}", "s -= {t}", "s = 0.5 * s", "s = s + {t} / 3", "s += u", "u = {t}"]
OPERATIONS += ["u += {t}", "u = u * {v}", "s, u = u, s", "s = max(s, {t})", "u = np.sin(u)"]
FACTORS = ["x[{i}]", "x[{i}] ** 2", "np.sin(x[{i}])", "(x[{i}] - x[{j}])", "1.5", "np.exp(x[{j}])"]


@st.composite
def programs(draw):
    places = st.integers(0, 3)

    def factor():
        return draw(st.sampled_from(FACTORS)).format(i=draw(places), j=draw(places))

    lines = ["def f(x):", "    s = u = 0.0"]
    for _ in range(draw(st.integers(2, 6))):
        term = f"{factor()} * {factor()}"
        line = draw(st.sampled_from(OPERATIONS)).format(t=term, v=factor())
        repeated = draw(st.booleans())
        lines += ["    for _ in range(3):"] * repeated
        lines.append("    " * (1 + repeated) + line)
    return "\n".join([*lines, f"    return {draw(st.sampled_from(['s', 'u', 's + u']))}", ""])


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(programs())
def test_random_programs(program):
    space = {"np": np}
    exec(program, space)
    x = np.array([0.4, -0.3, 0.7, 0.2])
    dense = di.hessian(space["f"], DENSE, x)
    plan = prepared(space["f"], x, pattern=Pattern.of(np.ones((4, 4))))
    np.testing.assert_allclose(plan.execute(x).toarray(), dense, rtol=1e-9, atol=1e-9)
