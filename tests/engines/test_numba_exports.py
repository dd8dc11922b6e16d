"""What AutoNumba's plans offer to code that is not Python: kernels, C functions, SciPy's."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import numpy as np
import pytest
from numba import njit
from scipy.integrate import quad

import difint as di
from difint.engines.numba.lowering import _functions

NUMBA = di.AutoNumba()
X = np.array([0.5, 2.0, 3.0])


def test_kernel_in_compiled_code() -> None:
    def f(y: Any, x: Any, rate: Any, weights: Any) -> None:
        for i in range(len(x)):
            y[i] = rate * weights[0][i] * x[i] ** 2

    weights = (np.array([1.0, 2.0, 3.0]), 5)
    contexts = di.Constant(2.0), di.Constant(weights)
    kernel = di.prepare_jacobian(f, NUMBA, X, *contexts, y=np.empty(3)).kernel

    @njit
    def trace(x: Any, weights: Any) -> Any:
        out = np.empty((3, 3))
        kernel(x, 2.0, weights, out)
        return out[0, 0] + out[1, 1] + out[2, 2]

    assert trace(X, weights) == np.sum(4.0 * weights[0] * X)
    with pytest.raises(ValueError, match="another shape than at prepare"):
        kernel(X, 2.0, weights, np.empty((3, 2)))


def test_kernels_refuse_other_layouts_and_shared_memory() -> None:
    kernel = di.prepare_gradient(np.sum, NUMBA, X).kernel
    strided = np.arange(6.0)[::2]
    for x, out in ((strided, np.empty(3)), (X, strided), (X, X)):
        with pytest.raises(ValueError, match="not contiguous, or out shares memory"):
            kernel(x, out)
    whole = di.prepare_jacobian(lambda x: x * x[0], NUMBA, X).kernel
    with pytest.raises(ValueError, match="not contiguous"):
        whole(X, np.empty((3, 3), order="F"))


def test_kernels_of_operators_with_tangents() -> None:
    def f(x: Any) -> Any:
        return np.sum(x**3)

    out = np.empty(3)
    di.prepare_hvp(f, NUMBA, X, X).kernel(X, np.ones(3), out)
    np.testing.assert_allclose(out, 6 * X)


def test_the_c_function() -> None:
    plan = di.prepare_jacobian(lambda x, a: a * x * x, NUMBA, X, di.Constant(2.0))
    out = np.empty((3, 3))
    pointer = ctypes.POINTER(ctypes.c_double)
    called = plan.ctypes
    called(X.ctypes.data_as(pointer), 2.0, out.ctypes.data_as(pointer))
    np.testing.assert_array_equal(out, np.diag(4 * X))
    assert plan.address == ctypes.cast(called, ctypes.c_void_p).value


def test_numbers_are_passed_by_value_and_returned() -> None:
    plan = di.prepare_derivative(lambda x, a: np.sin(a * x), NUMBA, 1.0, di.Constant(2.0))
    expected = 3.0 * np.cos(3.0 * 0.7)
    assert plan.kernel(0.7, 3.0) == pytest.approx(expected, rel=1e-15)
    assert plan.ctypes(0.7, 3.0) == pytest.approx(expected, rel=1e-15)
    several = di.prepare_second_derivative(lambda x: np.array([x**2, x**3]), NUMBA, 1.0)
    out = np.empty(2)
    several.kernel(2.0, out)
    np.testing.assert_array_equal(out, [2.0, 12.0])
    pushed = di.prepare_pushforward(lambda x: x**2, NUMBA, np.float32(1.0), np.float32(1.0))
    assert pushed.kernel(2.0, 3.0) == pushed.ctypes(2.0, 3.0) == 12.0


def test_the_c_function_outlives_its_plan() -> None:
    called = di.prepare_derivative(lambda x: x * 3.25, NUMBA, 1.0).ctypes
    _functions.clear()
    gc.collect()
    assert called(1.0) == 3.25


def test_scipy_integrates_a_derivative() -> None:
    """The integral of a derivative is known from the function."""
    alone = di.prepare_derivative(lambda x: np.sin(x) * x, NUMBA, 1.0).low_level_callable
    assert quad(alone, 0.0, 2.0)[0] == pytest.approx(2.0 * np.sin(2.0), rel=1e-12)

    def f(x: Any, a: Any, b: Any) -> Any:
        return np.exp(a * x) * b["b"]

    contexts = di.Constant(0.5), di.Constant({"b": 3.0})
    twice = di.prepare_second_derivative(f, NUMBA, 1.0, *contexts).low_level_callable
    got = quad(twice, 0.0, 1.0, args=(0.25, 2.0))[0]
    assert got == pytest.approx(0.5 * (np.exp(0.25) - 1.0), rel=1e-12)


NOT_FOR_SCIPY = [
    (lambda x: np.array([x, x]), 1.0, ()),
    (lambda x: x * x, np.float32(1.0), ()),
    (lambda x, n: x**n, 1.0, (di.Constant(3),)),
    (lambda x, a: x * a[0], 1.0, (di.Constant(np.ones(1)),)),
]


@pytest.mark.parametrize(("f", "x", "contexts"), NOT_FOR_SCIPY)
def test_what_scipy_has_no_signature_for(f: Any, x: Any, contexts: Any) -> None:
    plan = di.prepare_derivative(f, NUMBA, x, *contexts)
    with pytest.raises(di.UnsupportedError, match="no signature of a LowLevelCallable") as caught:
        _ = plan.low_level_callable
    assert "plan.address" in str(caught.value)


WITHOUT = {
    "another backend": lambda: di.prepare_jacobian(np.square, di.AutoFiniteDiff(), X),
    "a tree": lambda: di.prepare_gradient(lambda x: x["a"] ** 2, NUMBA, {"a": 1.0}),
    "a result that is a tree": lambda: di.prepare_pushforward(lambda x: (x, x), NUMBA, X, X),
    "several tangents": lambda: di.prepare_hvp(np.sum, NUMBA, X, (X, X)),
}


@pytest.mark.parametrize("case", WITHOUT)
@pytest.mark.parametrize("name", ["kernel", "ctypes", "address", "low_level_callable"])
def test_plans_without_a_kernel(case: str, name: str) -> None:
    with pytest.raises(di.UnsupportedError, match=f"this plan has no {name}"):
        getattr(WITHOUT[case](), name)
