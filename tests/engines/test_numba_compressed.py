"""AutoNumba's sparse Jacobians: entries from duals, in one workspace, from any thread."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

import difint as di
from difint.sparse import Pattern
from tests.sparse.problems import banded, bratu, bratu_in_place, bratu_jacobian, random_matrix
from tests.test_plan import frames_over

N = 40
X = np.sin(1.0 + np.arange(N))
PATTERN = banded(N, -1, 0, 1)


def prepare(f=bratu_in_place, pattern=PATTERN, x=X, numba=None, **options):
    backend = di.AutoSparse(numba or di.AutoNumba(), di.KnownSparsityDetector(pattern), **options)
    y = np.empty(pattern.shape[0], x.dtype) if f is bratu_in_place else None
    return di.prepare_jacobian(f, backend, x, y=y)


SETTINGS = [
    ({}, {}),
    ({"chunk_size": 2}, {}),
    ({"chunk_size": 1, "parallel": True}, {}),
    ({"fastmath": True}, {}),
    ({}, {"chunk_size": 1}),
    ({}, {"memory": 1}),
    ({"parallel": True}, {"memory": 1}),
]


@pytest.mark.parametrize(
    ("how", "limits", "dtype"),
    [
        *((*one, np.float64) for one in SETTINGS),
        ({}, {}, np.float32),
        ({}, {"memory": 1}, np.float32),
    ],
    ids=str,
)
@pytest.mark.parametrize("f", [bratu_in_place, bratu(np)], ids=["in place", "returning"])
def test_entries(f, how, limits, dtype):
    x = X.astype(dtype)
    plan = prepare(f, x=x, numba=di.AutoNumba(**how), **limits)
    made = plan.execute(x)
    assert made.dtype == dtype
    near = {"rtol": 1e-12 if dtype == np.float64 else 1e-5}
    np.testing.assert_allclose(made.toarray(), bratu_jacobian(x), **near)
    y, made = plan.value_and_jacobian(2 * x, out=made)
    np.testing.assert_allclose(made.toarray(), bratu_jacobian(2 * x), **near)
    np.testing.assert_allclose(y, bratu(np)(2 * x), atol=1e-5)
    passes = 1 if not (how.get("chunk_size") or limits) else 3 if 1 in limits.values() else None
    assert passes is None or plan.route == f"duals × {passes}"


def test_many_colors_go_through_in_several_chunks():
    matrix = random_matrix(3, 50, 45, 0.5).toarray()
    x = np.sin(1.0 + np.arange(45))
    plan = prepare(lambda x: np.dot(matrix, x**2), Pattern.of(matrix), x)
    assert plan.route != "duals × 1"
    np.testing.assert_allclose(plan.execute(x).toarray(), 2 * matrix * x, atol=1e-14)


def test_the_kernel_fills_entries_within_compiled_code():
    plan = prepare()
    kernel = plan.kernel

    @numba.njit
    def total(x, data):
        kernel(x, data)
        return data.sum()

    data = np.empty(PATTERN.nnz)
    np.testing.assert_allclose(total(X, data), bratu_jacobian(X).sum())
    np.testing.assert_array_equal(data, plan.execute(X).data)
    with pytest.raises(ValueError, match="another shape"):
        total(X, data[:-1])


def test_the_kernel_keeps_the_plan_s_memory():
    kernel = prepare().kernel

    @numba.njit
    def filled(x, data):
        kernel(x, data)
        return data

    memory = [np.zeros(10**6) for _ in range(5)]  # what was freed would be overwritten
    want = bratu_jacobian(X)[PATTERN.indices, PATTERN.columns]
    np.testing.assert_allclose(filled(X, np.empty(PATTERN.nnz)), want)
    assert len(memory) == 5


def test_an_address_and_a_c_function():
    plan, data = prepare(), np.empty(PATTERN.nnz)
    pointer = np.ctypeslib.ctypes.POINTER(np.ctypeslib.ctypes.c_double)
    plan.ctypes(X.ctypes.data_as(pointer), data.ctypes.data_as(pointer))
    np.testing.assert_array_equal(data, plan.execute(X).data)
    assert plan.address


def test_errors_of_f_give_the_workspace_back():
    def f(x):
        if x[0] > 100:
            raise ValueError("too large")
        return x**2

    plan = prepare(f, banded(N, 0))
    made = plan.execute(X)
    for _ in range(3):
        with pytest.raises(ValueError, match="too large"):
            plan.execute(X + 200, out=made)
    np.testing.assert_allclose(plan.execute(X, out=made).data, 2 * X)


def test_threads_share_a_plan():
    plan = prepare()

    def work(k):
        x = X * k
        want, out = bratu_jacobian(x)[PATTERN.indices, PATTERN.columns], plan.execute(x)
        return all(np.allclose(plan.execute(x, out=out).data, want, rtol=1e-12) for _ in range(500))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(1, 9)))


def test_a_bound_step_reads_memory_again():
    plan, x = prepare(), X.copy()
    made = plan.execute(x)
    step = plan.bind(x, out=made)
    del plan
    x *= 2
    assert step() is made
    np.testing.assert_allclose(made.toarray(), bratu_jacobian(2 * X))


def test_code_is_kept_between_processes():
    code = """
import numpy as np, difint as di, time
from difint.sparse import Pattern
def f(y, x):
    for i in range(x.size):
        y[i] = np.exp(x[i]) * x[i - 1]
pattern = np.eye(5) + np.roll(np.eye(5), -1, 1)
backend = di.AutoSparse(di.AutoNumba(), di.KnownSparsityDetector(pattern))
from difint.engines.numba.watching import watch
with watch() as seen:
    plan = di.prepare_jacobian(f, backend, np.ones(5), y=np.ones(5))
print(seen.compilations, plan.execute(np.arange(5.0)).data.sum())
"""
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
        for _ in range(2)
    ]
    (first, total), (second, again) = (run.stdout.split() for run in runs)
    assert int(first) > int(second) == 0
    assert total == again


def test_frames():
    plan, x = prepare(), X.copy()
    made = plan.execute(x)
    step = plan.bind(x, out=made)
    calls = {
        5: lambda: plan.execute(x),
        4: lambda: plan.execute(x, out=made),
        2: lambda: step(),
    }
    for most, call in calls.items():
        frames = frames_over(None, call)
        assert len(frames) <= most, frames
