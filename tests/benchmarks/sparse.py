"""Sparse Jacobians and Hessians against CasADi, asdex and fills by hand, in one run.

The rivals are no dependency of anything: ``pip install asdex casadi`` brings them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import asdex
import casadi
import jax
import jax.numpy as jnp
import numpy as np
from numba import njit

import difint as di
from difint.cli import brusselator
from difint.sparse import Pattern
from tests.benchmarks.timing import Line

SIZES = (12, 24, 48, 96)
KEPT: list[Any] = []
"""What CasADi's evaluations work on, which they do not keep alive."""


@njit
def by_hand(n: int, pointers: Any, y: Any, data: Any) -> None:
    """Fill the Brusselator's entries, whose places are known: seven a cell and species."""
    cells = n * n
    for k in range(cells):
        u, v = y[k], y[cells + k]
        # Of a cell and species: the five of the Laplacian, itself the first, then the other.
        data[pointers[k, 0]] = 2.0 * u * v - 2.0 - 4.0
        data[pointers[cells + k, 0]] = -u * u - 4.0
        for q in range(1, 5):
            data[pointers[k, q]] = 1.0
            data[pointers[cells + k, q]] = 1.0
        data[pointers[k, 5]] = u * u
        data[pointers[cells + k, 5]] = 1.0 - 2.0 * u * v


def places(n: int, pattern: Pattern) -> Any:
    """List for each row where its entries are in the data of the matrix."""
    cells, grid = n * n, np.arange(n * n).reshape(n, n)
    shifts = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    near = [np.roll(grid, shift, (0, 1)).ravel() for shift in shifts]
    rows = np.arange(2 * cells)
    columns = [np.concatenate([one, cells + one]) for one in near]
    columns.append(np.concatenate([cells + grid.ravel(), grid.ravel()]))
    keys = pattern.columns.astype(np.int64) * 2 * cells + pattern.indices
    wanted = [one.astype(np.int64) * 2 * cells + rows for one in columns]
    return np.stack([np.searchsorted(keys, one) for one in wanted], 1).astype(np.int32)


def in_casadi(n: int, pattern: Pattern, y: Any, data: Any) -> Callable[[], Any]:
    """Build CasADi's buffered evaluation into the data of the same matrix."""
    x = casadi.SX.sym("y", 2 * n * n)
    u, v = x[: n * n], x[n * n :]
    grid = np.arange(n * n).reshape(n, n)

    def spread(z: Any) -> Any:
        shifts = ((1, 0), (-1, 0), (0, 1), (0, -1))
        return sum(z[np.roll(grid, s, (0, 1)).ravel().tolist()] for s in shifts) - 4 * z

    f = casadi.vertcat(1 + u * u * v - 2 * u + spread(u), u - u * u * v + spread(v))
    jacobian = casadi.Function("jacobian", [x], [casadi.jacobian(f, x)])
    assert jacobian.sparsity_out(0).nnz() == pattern.nnz
    buffer, evaluate = jacobian.buffer()
    buffer.set_arg(0, memoryview(y))
    buffer.set_res(0, memoryview(data))
    KEPT.append((jacobian, buffer, y, data))
    return evaluate


def in_asdex(n: int, pattern: Pattern, output: str) -> Callable[[Any], Any]:
    """Build asdex's Jacobian of the same function, from the same pattern."""
    theirs = asdex.SparsityPattern.from_coo(pattern.indices, pattern.columns, pattern.shape)
    coloring = asdex.jacobian_coloring_from_sparsity(theirs)
    return asdex.jacobian_from_coloring(brusselator.in_jax(n), coloring, output)


def brusselator_lines() -> Iterator[Line]:
    """Compare the compiled fill with CasADi, with asdex, and with a fill by hand."""
    for n in SIZES:
        y = np.random.default_rng(0).random(2 * n * n)
        pattern = brusselator.pattern(n)
        backend = di.AutoSparse(di.AutoNumba(), di.KnownSparsityDetector(pattern))
        plan = di.prepare_jacobian(brusselator.in_place(n), backend, y, y=np.empty_like(y))
        made, theirs, mine = plan.execute(y), np.empty(pattern.nnz), np.empty(pattern.nnz)
        rival = in_casadi(n, pattern, y, theirs)
        hand = partial(by_hand, n, places(n, pattern), y, mine)
        csc = partial(in_asdex(n, pattern, "scipy_csc"), y)
        rival()
        hand()
        for one in (theirs, mine, csc().data):
            np.testing.assert_allclose(one, made.data, atol=1e-13)
        name, ours = f"AutoNumba Brusselator N={n}", partial(plan.execute, y, out=made)
        step = plan.bind(y, out=made)
        yield Line(f"{name} execute(y, out=J)", ours, rival, "CasADi, buffered", 1.0)
        yield Line(f"{name} execute(y, out=J)", ours, csc, "asdex to scipy CSC", 1 / 2.5)
        yield Line(f"{name} execute(y, out=J)", ours, hand, "a fill by hand in njit", 6.0)
        yield Line(f"{name} bind(y, out=J)()", step, hand, "a fill by hand in njit", None)


def jax_lines() -> Iterator[Line]:
    """Compare AutoJax with asdex, both of the same function."""
    for n in SIZES[1::2]:
        y = jnp.asarray(np.random.default_rng(0).random(2 * n * n))
        pattern = brusselator.pattern(n)
        backend = di.AutoSparse(di.AutoJax(), di.KnownSparsityDetector(pattern))
        plan = di.prepare_jacobian(brusselator.in_jax(n), backend, y)
        made, bcoo = plan.execute(y), jax.jit(in_asdex(n, pattern, "bcoo"))
        csc = partial(in_asdex(n, pattern, "scipy_csc"), y)
        np.testing.assert_allclose(csc().data, made.data, atol=1e-13)
        name, ours = f"AutoJax Brusselator N={n}", partial(plan.execute, y, out=made)
        bounds = (1.2, 1 / 2) if n == 96 else (None, None)
        waited = partial(_waited, bcoo, y)
        yield Line(f"{name} execute(y, out=J)", ours, waited, "asdex to BCOO, jitted", bounds[0])
        yield Line(f"{name} execute(y, out=J)", ours, csc, "asdex to scipy CSC", bounds[1])


def _waited(function: Callable[[Any], Any], y: Any) -> Any:
    return function(y).data.block_until_ready()
