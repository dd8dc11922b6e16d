"""What AutoNumba promises beyond being right: arrays, errors, freezing, memory, compiled code."""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numba import njit

import difint as di
from difint.engines.numba.chunks import candidates, fastest
from difint.testing.counting import memory_of
from difint.trees import PYTHON_TREES

NUMBA = di.AutoNumba()
X = np.array([0.5, 2.0, 3.0])
A = np.array([[1.0, 2.0, -1.0], [0.5, 3.0, 0.25], [-1.0, 0.0, 2.0]])


def cube_root(x: Any) -> Any:
    """Solve z**3 = x by Newton's method, with as many steps as it takes."""
    z = x * 0 + 1.0
    if x < 0.0:
        z = -z
    while abs(z * z * z - x) > 1e-14 * abs(x):
        z = z - (z * z * z - x) / (3.0 * z * z)
    return z


def test_a_loop_that_depends_on_data_after_one_prepare() -> None:
    plan = di.prepare_derivative(cube_root, NUMBA, 2.0)
    for x in (8.0, 1e6, 1e-3, -27.0, -0.4):
        assert math.isclose(plan.execute(x), abs(x) ** (-2 / 3) / 3, rel_tol=1e-9)


def test_helpers_closures_partials_and_dispatchers() -> None:
    factor = 3.0

    def helper(v: Any) -> Any:
        return factor * v

    @njit
    def compiled(v: Any) -> Any:
        return v * v

    f = functools.partial(lambda c, x: compiled(helper(x)) + c, 2.0)
    np.testing.assert_allclose(di.jacobian(f, NUMBA, X), np.diag(18 * X))
    assert compiled.signatures == []  # the user's own dispatcher is left alone


def test_what_a_function_captures_is_frozen_and_the_next_prepare_sees_the_new_value() -> None:
    scale = 2.0

    def f(x: Any) -> Any:
        return scale * x

    plan = di.prepare_jacobian(f, NUMBA, X)
    assert plan.info.frozen == ("scale",) and "; frozen: scale;" in repr(plan)
    scale = 5.0
    assert plan.execute(X)[0, 0] == 2.0
    assert di.jacobian(f, NUMBA, X)[0, 0] == 5.0


GLOBAL_TABLE = np.ones(3)


def test_names_of_what_is_frozen() -> None:
    """Not functions, libraries, or attributes that happen to have the name of a global."""
    power = 2.0

    def helper(v: Any) -> Any:
        return v**power

    def f(factor: Any, x: Any, shift: Any = 1.0, scale: Any = 1.0) -> Any:
        return helper(x.T) * GLOBAL_TABLE * factor * scale + shift + math.pi

    plan = di.prepare_jacobian(functools.partial(f, 2.0, scale=3.0), NUMBA, X)
    assert plan.info.frozen == ("GLOBAL_TABLE", "factor", "power", "scale", "shift")
    np.testing.assert_allclose(plan.execute(X), np.diag(12.0 * X))
    bare = di.prepare_jacobian(lambda x: np.sin(x), NUMBA, X)
    assert bare.info.frozen == () and "frozen" not in repr(bare)


PARTIALS = {
    "of a dispatcher": functools.partial(njit(lambda a, b, x: x * a * b), 2.0, 3.0),
    "of a ufunc": functools.partial(np.multiply, 6.0),
    "with a keyword": functools.partial(lambda x, inner: x * inner, inner=6.0),
    "of a partial": functools.partial(functools.partial(lambda x, b, a: x * a * b, a=2.0), b=3.0),
}


@pytest.mark.parametrize("name", PARTIALS)
def test_partials(name: str) -> None:
    np.testing.assert_array_equal(di.jacobian(PARTIALS[name], NUMBA, X), 6.0 * np.eye(3))


def test_the_same_function_again_is_not_compiled_again() -> None:
    def f(x: Any) -> Any:
        return x * 7.25

    di.prepare_jacobian(f, NUMBA, X)
    with NUMBA.engine().arrays.watch() as traces:
        di.prepare_jacobian(f, NUMBA, X)
        di.jacobian(f, NUMBA, X)
    assert traces.compilations == 0


@pytest.mark.parametrize(
    "x",
    [
        np.arange(6.0)[::2],
        np.arange(12.0).reshape(3, 4)[:, 1],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6.0).reshape(2, 3).astype(">f8"),
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.arange(4.0, dtype=np.float32),
    ],
    ids=["strided", "column", "Fortran", "big-endian", "read-only", "float32"],
)
def test_any_memory_layout(x: Any) -> None:
    def f(x: Any) -> Any:
        return x * x

    plan = di.prepare_jacobian(f, NUMBA, x)
    expected = np.diag(2 * x.reshape(-1))
    np.testing.assert_array_equal(plan.execute(x), expected)
    assert plan.execute(x).dtype == x.dtype.newbyteorder("=")


@pytest.mark.parametrize("order", ["C", "F"])
def test_out_of_any_order_is_filled(order: str) -> None:
    plan = di.prepare_jacobian(lambda x: A @ x, NUMBA, X)
    out = np.empty((3, 3), order=order)
    assert plan.execute(X, out=out) is out
    np.testing.assert_array_equal(out, A)
    np.testing.assert_array_equal(plan.bind(X, out=out)(), A)


CHUNKS = [
    (0, None, False),
    (0, 3, True),
    (1, None, True),
    (8, None, False),
    (9, None, False),
    (9, 1, True),
    (9, 3, False),
    (20, None, True),
]


@pytest.mark.parametrize(("size", "chunk", "parallel"), CHUNKS)
def test_chunks(size: int, chunk: int | None, parallel: bool) -> None:
    """Sizes around the usual chunk, and chunks that divide a size and that do not."""
    x, backend = np.linspace(0.5, 1.5, size), di.AutoNumba(chunk_size=chunk, parallel=parallel)
    got = di.jacobian(lambda x: np.cumsum(x * x), backend, x)
    np.testing.assert_allclose(got, np.tril(np.ones((size, size))) * 2 * x)
    got = di.hessian(lambda x: np.sum(x) ** 3, backend, x)
    np.testing.assert_allclose(got, np.full((size, size), 6 * x.sum()))


@pytest.mark.parametrize("operator", ["jacobian", "pullback", "hvp", "hessian", "pushforward"])
def test_measured_chunks(operator: str) -> None:
    x, backend = np.array([0.5, 2.0, 3.0]), di.AutoNumba(chunk_size="measure")
    scalar = operator in ("hvp", "hessian")
    lead = {"jacobian": (x,), "hessian": (x,), "pushforward": (x, (x, 2 * x))}.get(operator, (x, x))
    args = (*lead, di.Constant(np.arange(3.0)), di.Cache(np.empty(3)))

    def f(x: Any, c: Any, scratch: Any) -> Any:
        scratch[:] = x * x[::-1] * c
        return scratch.sum() ** 2 if scalar else scratch.copy()

    plan = getattr(di, f"prepare_{operator}")(f, backend, *args)
    expected = getattr(di, operator)(f, NUMBA, *args)
    np.testing.assert_allclose(plan.execute(*args), expected, rtol=1e-14)


def test_measuring_keeps_the_fastest() -> None:
    def slow() -> None:
        sum(range(3000))

    assert fastest([slow, lambda: None, slow]) == 1
    assert candidates(100, 8) == [4, 8, 15, 16]
    assert candidates(10, 8) == [4, 5, 8, 10]
    assert candidates(2, 8) == [2]


IN_TURN = """
import numpy as np
import difint as di
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
backend = di.AutoNumba(parallel=True, chunk_size=2)
plan = di.prepare_jacobian(lambda x: x * x[0], backend, np.ones(99))
measured = di.AutoNumba(parallel=True, chunk_size="measure")

def work(k):
    x = np.full(99, k)
    step = plan.bind(x, out=np.empty((99, 99)))
    return all(plan.execute(x)[5, 5] == step()[5, 5] == k for _ in range(20))

with ThreadPoolExecutor(4) as pool:
    done = pool.map(work, map(float, range(40)))
    di.prepare_jacobian(lambda x: x * x[1], measured, np.ones(99))
    print(all(done))
"""


@pytest.mark.parametrize("layer", ["workqueue", "default"])
def test_threads_that_call_parallel_code(layer: str) -> None:
    """Numba's workqueue layer ends the process when two threads call it at once."""
    env = {**os.environ, "NUMBA_THREADING_LAYER": layer}
    code = [sys.executable, "-c", IN_TURN]
    done = subprocess.run(code, capture_output=True, text=True, env=env)
    assert done.stdout == "True\n", done.stderr


@contextmanager
def frames() -> Iterator[list[str]]:
    """List the Python functions that are entered."""
    entered: list[str] = []

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            entered.append(frame.f_code.co_qualname)

    sys.setprofile(profile)
    try:
        yield entered
    finally:
        sys.setprofile(None)


def test_the_hot_path_is_one_frame_and_keeps_nothing() -> None:
    plan = di.prepare_jacobian(lambda x: x * x[0], NUMBA, X)
    out = np.empty((3, 3))
    step = plan.bind(X, out=out)
    plan.execute(X, out=out)
    with frames() as executed:
        plan.execute(X, out=out)
    with frames() as stepped:
        step()
    # Numba tells a profiler of compiled code too; what follows it belongs to the context manager.
    assert executed[:2] == ["Plan.execute", "entry"] and len(executed) == len(stepped) == 4
    assert stepped[:2] == ["_step.<locals>.step", "at"]
    for call in (lambda: plan.execute(X, out=out), step):
        memory = memory_of(call)
        assert memory.kept == 0 and memory.peak < 1000, memory


def test_trees() -> None:
    x = {"a": np.array([1.0, 2.0]), "b": (3.0, np.ones((2, 2)))}

    def f(x: Any) -> Any:
        return np.sum(x["a"] ** 2) * x["b"][0] + x["b"][1].sum()

    got = di.gradient(f, NUMBA, x)
    flat = PYTHON_TREES.flatten(got)[0]
    np.testing.assert_array_equal(flat[0], [6.0, 12.0])
    assert flat[1] == 5.0 and type(flat[1]) is float
    np.testing.assert_array_equal(flat[2], np.ones((2, 2)))
    out = {"a": np.empty(2), "b": (np.empty(()), np.empty((2, 2)))}
    plan = di.prepare_gradient(f, NUMBA, x)
    for filled in (plan.execute(x, out=out), plan.bind(x, out=out)()):
        assert filled is out
        np.testing.assert_array_equal(out["a"], [6.0, 12.0])
    pushed = di.pushforward(lambda x: (x.sum(), x * x), NUMBA, X, np.ones(3))
    assert pushed[0] == 3.0 and np.array_equal(pushed[1], 2 * X)


def test_many_threads_on_one_plan() -> None:
    def f(y: Any, x: Any, scratch: Any) -> None:
        for i in range(len(x)):
            scratch[i] = x[i] * x[0]
        for i in range(len(x)):
            y[i] = scratch[-1 - i]

    scratch = di.Cache(np.empty(3))
    plan = di.prepare_jacobian(f, NUMBA, X, scratch, y=np.empty(3))
    points = [X * k for k in range(1, 200)]
    expected = [plan.execute(x, scratch) for x in points]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda x: plan.execute(x, scratch), points))
    np.testing.assert_array_equal(got, expected)


def test_dtypes_that_numba_lacks() -> None:
    with pytest.raises(di.UnsupportedError, match="Numba has no float16 for x"):
        di.jacobian(np.square, NUMBA, X.astype(np.float16))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "fast"])
def test_chunk_sizes_are_checked(size: Any) -> None:
    with pytest.raises(di.ArgumentError, match="chunk_size is not a size"):
        di.AutoNumba(chunk_size=size)


def test_other_backends_over_and_under() -> None:
    def f(x: Any) -> Any:
        return np.sum(x**3)

    differences = di.hessian(f, di.SecondOrder(di.AutoFiniteDiff(), NUMBA), X)
    np.testing.assert_allclose(differences, np.diag(6 * X), atol=1e-6)
    with pytest.raises(di.UnsupportedError, match="AutoNumba cannot differentiate through"):
        di.hessian(f, di.SecondOrder(NUMBA, di.AutoFiniteDiff()), X)


def test_an_exception_of_f_passes_through() -> None:
    def f(x: Any) -> Any:
        if x[0] < 0.0:
            raise ValueError("below zero")
        return x * x

    plan = di.prepare_jacobian(f, NUMBA, X)
    with pytest.raises(ValueError, match="below zero"):
        plan.execute(-X)
    with pytest.raises(ValueError, match="below zero"):
        plan.execute(-X, out=np.empty((3, 3)))
