"""The Brusselator in two dimensions: a problem whose Jacobian is large and sparse.

``u' = a + u^2 v - (b + 1) u + alpha lap(u)`` and ``v' = b u - u^2 v + alpha lap(v)`` on ``n x n``
cells of width ``dx`` with a periodic boundary; ``y`` holds ``u``, then ``v``, in C order.

E. Hairer and G. Wanner, *Solving Ordinary Differential Equations II*, 2nd ed., Springer (1996),
section IV.10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from difint.cli.problems import StiffProblem
from difint.sparse.pattern import Pattern

_Function = Callable[[Any], Any]


def in_place(
    n: int, a: float = 1.0, b: float = 1.0, alpha: float = 1.0, dx: float = 1.0
) -> Callable[[Any, Any], None]:
    """Write the Brusselator as a plain loop.

    Args:
        n: how many cells a side has.
        a: the feed of ``u``.
        b: the rate at which ``u`` becomes ``v``.
        alpha: the diffusion of both.
        dx: the width of a cell.

    Returns:
        ``f(dy, y)``, which fills ``dy``.
    """
    spread, cells = alpha / dx**2, n * n

    def f(dy: Any, y: Any) -> None:
        for i in range(n):
            row = i * n
            above = row - n if i > 0 else cells - n
            below = row + n if i < n - 1 else 0
            for j in range(n):
                k = row + j
                left = k - 1 if j > 0 else row + n - 1
                right = k + 1 if j < n - 1 else row
                u, v = y[k], y[cells + k]
                near_u = y[above + j] + y[below + j] + y[left] + y[right]
                near_v = y[cells + above + j] + y[cells + below + j]
                near_v = near_v + y[cells + left] + y[cells + right]
                grown = u * u * v
                dy[k] = a + grown - (b + 1.0) * u + spread * (near_u - 4.0 * u)
                dy[cells + k] = b * u - grown + spread * (near_v - 4.0 * v)

    return f


def in_numpy(
    n: int, a: float = 1.0, b: float = 1.0, alpha: float = 1.0, dx: float = 1.0
) -> _Function:
    """Write the Brusselator as ``f(y)`` of a NumPy vector, real or complex; as ``in_place``."""
    spread = alpha / dx**2

    def f(y: Any) -> Any:
        return np.stack(_rates(np.roll, y.reshape(2, n, n), a, b, spread)).ravel()

    return f


def in_jax(
    n: int, a: float = 1.0, b: float = 1.0, alpha: float = 1.0, dx: float = 1.0
) -> _Function:
    """Write the Brusselator as ``f(y)`` of a JAX vector; as ``in_place``."""
    spread = alpha / dx**2

    def f(y: Any) -> Any:
        import jax.numpy as jnp

        rates = _rates(jnp.roll, y.reshape(2, n, n), a, b, spread)
        return jnp.concatenate([one.ravel() for one in rates])

    return f


def in_torch(
    n: int, a: float = 1.0, b: float = 1.0, alpha: float = 1.0, dx: float = 1.0
) -> _Function:
    """Write the Brusselator as ``f(y)`` of a PyTorch vector; as ``in_place``."""
    spread = alpha / dx**2

    def f(y: Any) -> Any:
        import torch

        return torch.stack(_rates(torch.roll, y.reshape(2, n, n), a, b, spread)).ravel()

    return f


def _rates(
    roll: Callable[..., Any], grids: Any, a: float, b: float, spread: float
) -> tuple[Any, Any]:
    def lap(z: Any) -> Any:
        return roll(z, 1, 0) + roll(z, -1, 0) + roll(z, 1, 1) + roll(z, -1, 1) - 4.0 * z

    u, v = grids
    grown = u * u * v
    return a + grown - (b + 1.0) * u + spread * lap(u), b * u - grown + spread * lap(v)


def pattern(n: int) -> Pattern:
    """Get the pattern of the Jacobian: of each entry its cell in both species, and its neighbors.

    >>> pattern(32)
    Pattern(2048 x 2048, 12288 entries)
    """
    cells = np.arange(n * n)
    grid = cells.reshape(n, n)
    shifts = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    near = np.concatenate([np.roll(grid, shift, (0, 1)).ravel() for shift in shifts])
    own, u, v = np.tile(cells, len(shifts)), cells, n * n + cells
    rows = np.concatenate([own, n * n + own, u, v])
    columns = np.concatenate([near, n * n + near, v, u])
    return Pattern.of((rows, columns), (2 * n * n, 2 * n * n))


def initial(n: int) -> Any:
    """Get the initial values, where ``u`` varies along the second axis and ``v`` along the first.

    >>> initial(2)[:4].round(6)
    array([0.      , 3.889087, 0.      , 3.889087])
    """
    side = np.arange(n) / n
    bump = np.broadcast_to(side * (1.0 - side) ** 1.5, (n, n))
    return np.concatenate([22.0 * bump.ravel(), 27.0 * bump.T.ravel()])


def problem(n: int) -> StiffProblem:
    """Get the book's problem, with ``n x n`` cells, up to where its source term sets in."""
    values = {"a": 1.0, "b": 3.4, "alpha": 0.1, "dx": 1.0 / n}
    return StiffProblem(
        name="Brusselator",
        source="E. Hairer and G. Wanner, Solving Ordinary Differential Equations II, "
        "2nd ed., Springer (1996), section IV.10",
        in_numpy=in_numpy(n, **values),
        in_jax=in_jax(n, **values),
        in_torch=in_torch(n, **values),
        fill=in_place(n, **values),
        y0=tuple(initial(n).tolist()),
        t_span=(0.0, 1.1),
        pattern=pattern(n),
        methods=("BDF",),
        reference=("BDF", 1e-9),
    )
