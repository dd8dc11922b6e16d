"""Time the sparse Hessian of the chained Rosenbrock function beside its rivals.

``python -m tests.benchmarks.chained_rosenbrock [n]``: every line is a ratio of medians from one
run, of a plan that fills prepared data. CasADi and asdex are compared with where they are
installed.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import njit
from scipy import sparse

import difint as di
from difint.sparse import Pattern
from tests.benchmarks.timing import times


def loop(x: Any) -> Any:
    s = 0.0
    for i in range(x.size - 1):
        s += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return s


def vectorised(x: Any) -> Any:
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@njit
def by_hand(x: Any, data: Any) -> None:
    """Fill the entries of the Hessian, in CSC or CSR order."""
    n, k = x.size, 0
    for i in range(n):
        if i > 0:
            data[k] = -400.0 * x[i - 1]
            k += 1
        last, first = i == n - 1, i == 0
        data[k] = (0.0 if first else 200.0) + (
            0.0 if last else 1200.0 * x[i] ** 2 - 400.0 * x[i + 1] + 2.0
        )
        k += 1
        if not last:
            data[k] = -400.0 * x[i]
            k += 1


def tridiagonal(n: int) -> Any:
    ones = np.ones(n)
    return sparse.diags_array([ones[1:], ones, ones[1:]], offsets=[-1, 0, 1]).tocsc()


def ours(x: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    pattern = di.KnownSparsityDetector(Pattern.of(tridiagonal(x.size)))
    expected = np.empty(3 * x.size - 2)
    by_hand(x, expected)
    for f in (loop, vectorised):
        plan = di.prepare_hessian(f, di.AutoSparse(di.AutoNumba(), pattern), x)
        out = plan.execute(x)
        np.testing.assert_allclose(out.data, expected, rtol=1e-9)
        yield f"{f.__name__}, by {plan.route}: bound", plan.bind(x, out=out)
        yield (
            f"{f.__name__}, by {plan.route}: execute",
            lambda plan=plan, out=out: plan.execute(x, out=out),
        )


def casadi_call(x: Any) -> Callable[[], Any]:
    import casadi

    s = casadi.MX.sym("x", x.size)
    y = casadi.sum1(100 * (s[1:] - s[:-1] ** 2) ** 2 + (1 - s[:-1]) ** 2)
    hessian = casadi.Function("hessian", [s], [casadi.hessian(y, s)[0]])
    buffer, evaluate = hessian.buffer()
    out = np.empty(hessian.nnz_out(0))
    buffer.set_arg(0, memoryview(x))
    buffer.set_res(0, memoryview(out))
    kept = hessian, buffer, out  # which evaluate does not keep alive
    return lambda kept=kept: evaluate()


def asdex_call(x: Any) -> Callable[[], Any]:
    import asdex
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def f(x: Any) -> Any:
        return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    point = jnp.asarray(x)
    hessian = jax.jit(asdex.hessian(f, point))
    return lambda: hessian(point).data.block_until_ready()


def ratios(n: int = 10**4) -> Iterator[str]:
    """Tell the times of our plans as multiples of those of rivals."""
    x = np.sin(1.0 + np.arange(n))
    data = np.empty(3 * n - 2)
    rivals: dict[str, Callable[[], Any]] = {"a fill by hand": lambda: by_hand(x, data)}
    for name, make in (("casadi", casadi_call), ("asdex", asdex_call)):
        if importlib.util.find_spec(name) is None:
            yield f"{name} is not installed"
            continue
        try:
            rivals[name] = make(x)
        except Exception as error:  # of a version with another interface
            yield f"{name} was not called: {type(error).__name__}: {error}"
    plans = dict(ours(x))
    medians = times({**rivals, **plans})
    for name in rivals:
        yield f"{name:60} {1e6 * medians[name]:8.1f} us"
    for name in plans:
        told = ", ".join(f"{medians[name] / medians[rival]:.2f} × {rival}" for rival in rivals)
        yield f"{name:60} {1e6 * medians[name]:8.1f} us = {told}"


if __name__ == "__main__":
    for line in ratios(*map(int, sys.argv[1:])):
        print(line)
