"""Detection of patterns against asdex, in one run: ``python -m tests.benchmarks.detection``.

asdex is no dependency of anything: ``pip install asdex`` brings it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import asdex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import difint as di
from difint.cli import brusselator
from difint.operator import Operator
from difint.operators.hessian import HESSIAN
from difint.operators.jacobian import JACOBIAN
from difint.planner import lower

Call = Callable[[], Any]
REPEATS = 7


def chained(x: Any) -> Any:
    """Compute the chained Rosenbrock function."""
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def diffused(x: Any) -> Any:
    """Take a thousand steps of the heat equation on a ring."""

    def step(c: Any, _: None) -> Any:
        return c + 0.1 * (jnp.roll(c, 1) - 2 * c + jnp.roll(c, -1)), None

    return lax.scan(step, x, None, length=1000)[0]


def convolved(x: Any) -> Any:
    """Convolve a square of 128 cells a side with three by three."""
    weights = jnp.ones((1, 1, 3, 3))
    return lax.conv_general_dilated(x.reshape(1, 1, 128, 128), weights, (1, 1), "SAME").ravel()


class Case(NamedTuple):
    """A pattern to find: in at most so many ms, and in how many by asdex when bounds were set."""

    name: str
    operator: Operator
    f: Callable[[Any], Any]
    size: int
    bound: float
    published: float


CASES = (
    Case("Brusselator N=96", JACOBIAN, brusselator.in_jax(96), 2 * 96**2, 40, 388),
    Case("chained Rosenbrock Hessian n=10^4", HESSIAN, chained, 10**4, 30, 308),
    Case("scan of 1000 steps n=200", JACOBIAN, diffused, 200, 200, 4900),
    Case("convolution 128 x 128", JACOBIAN, convolved, 128**2, 300, 3300),
)


def ours(operator: Operator, f: Callable[[Any], Any], x: Any) -> Any:
    """Find the pattern of a function that was never seen before."""
    find = di.jacobian_pattern if operator is JACOBIAN else di.hessian_pattern
    return find(lambda x: f(x), di.AutoJax(), x)


def theirs(operator: Operator, f: Callable[[Any], Any], x: Any) -> Any:
    """Find the same pattern by asdex."""
    find = asdex.jacobian_sparsity if operator is JACOBIAN else asdex.hessian_sparsity
    return find(lambda x: f(x), x)


def compare(name: str, mine: Call, rival: Call, bound: float | None = None) -> bool:
    """Time two in turns, as a program would meet them: garbage is collected as usual."""
    seconds: dict[Call, list[float]] = {mine: [], rival: []}
    for _ in range(REPEATS):
        for call, found in seconds.items():
            start = perf_counter()
            call()
            found.append(perf_counter() - start)
    one, other = (1e3 * float(np.median(found)) for found in seconds.values())
    kept = bound is None or one / other <= bound
    verdict = "" if bound is None else f"  at most {bound:.3f}: {'kept' if kept else 'NOT KEPT'}"
    print(f"{name:54} {one:8.1f} ms {other:8.1f} ms  {one / other:6.3f} x asdex{verdict}")
    return kept


def patterns() -> Iterator[bool]:
    """Compare the time to a pattern with asdex's, and with the bounds' share of it."""
    for name, operator, f, size, bound, published in CASES:
        x = jnp.asarray(np.random.default_rng(0).normal(size=size))
        mine, rival = partial(ours, operator, f, x), partial(theirs, operator, f, x)
        assert mine().nnz == rival().nnz, name
        yield compare(f"AutoJax pattern, {name}", mine, rival, bound / published)


def first_jacobians() -> Iterator[bool]:
    """Compare the time from a function to its first sparse Jacobian."""
    x = np.random.default_rng(0).random(2 * 96**2)

    def mine() -> Any:
        f = brusselator.in_jax(96)
        return di.prepare_jacobian(f, di.AutoSparse(di.AutoJax()), x).execute(x)

    def rival() -> Any:
        made = jax.jit(asdex.jacobian(brusselator.in_jax(96), jnp.asarray(x)))
        return made(x).data.block_until_ready()

    mine()
    yield compare("AutoJax from a plain call to the first Jacobian, N=96", mine, rival, 0.5 / 0.6)


def compiled_first() -> None:
    """Print what an ``njit`` loop's first sparse Jacobian takes, and how much of it Numba does."""
    x = np.random.default_rng(0).random(2 * 96**2)
    for detector in (
        di.KnownSparsityDetector(brusselator.pattern(96)),
        di.TracerSparsityDetector(),
    ):
        start = perf_counter()
        backend = di.AutoSparse(di.AutoNumba(), detector)
        f, y = brusselator.in_place(96), np.empty_like(x)
        di.prepare_jacobian(f, backend, x, y=y).execute(x)
        name = type(detector).__name__
        print(f"AutoNumba to the first Jacobian, {name}: {1e3 * (perf_counter() - start):.0f} ms")


def median(function: Call) -> float:
    """Time a function, in ms."""
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        function()
        seconds.append(perf_counter() - start)
    return 1e3 * float(np.median(seconds))


def growth() -> None:
    """Print how the time to the Brusselator's pattern grows, in JAX and as an ``njit`` loop."""
    detector = di.TracerSparsityDetector()
    for n in (24, 48, 96, 192):
        x = np.random.default_rng(0).random(2 * n * n)
        jaxpr = lower(JACOBIAN, brusselator.in_jax(n), di.AutoJax(), (x,), None)
        loop = lower(JACOBIAN, brusselator.in_place(n), di.AutoNumba(), (x,), np.empty_like(x))
        detector.jacobian(*loop)
        times = [median(partial(detector.jacobian, *one)) for one in (jaxpr, loop)]
        print(f"N={n:4}  AutoJax {times[0]:7.2f} ms  AutoNumba {times[1]:7.2f} ms")


def main() -> int:
    """Compare everything."""
    jax.config.update("jax_enable_x64", True)
    kept = [*patterns(), *first_jacobians()]
    compiled_first()
    growth()
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
