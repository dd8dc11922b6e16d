"""Integrate a reaction with diffusion in two dimensions, its sparse Jacobian from a plan.

The Brusselator: two species on 32 x 32 cells, 2048 equations. Of the Jacobian's four million
entries all but six a row are zero, and everyone knows which: columns that share no row are
differentiated together, so that ten passes fill the matrix instead of 2048. E. Hairer and
G. Wanner, Solving Ordinary Differential Equations II, 2nd ed., Springer (1996), section IV.10.
"""

import time
import timeit

import numpy as np
from numba import njit
from scipy import sparse
from scipy.integrate import solve_ivp

import difint as di

N = 32
A, B, DIFFUSION = 1.0, 3.4, 0.1 * N**2


@njit
def rates(dy, y):
    u, v = y.reshape(2, N, N)
    du, dv = dy.reshape(2, N, N)
    for i in range(N):
        for j in range(N):
            # An index of -1 is the last one; so the boundary is periodic on either side.
            a, b, c, d = (i - 1, j), (i + 1 - N, j), (i, j - 1), (i, j + 1 - N)
            grown = u[i, j] ** 2 * v[i, j]
            spread_u = DIFFUSION * (u[a] + u[b] + u[c] + u[d] - 4.0 * u[i, j])
            spread_v = DIFFUSION * (v[a] + v[b] + v[c] + v[d] - 4.0 * v[i, j])
            du[i, j] = A + grown - (B + 1.0) * u[i, j] + spread_u
            dv[i, j] = B * u[i, j] - grown + spread_v


def right_hand_side(t, y):
    dy = np.empty_like(y)
    rates(dy, y)
    return dy


def pattern():
    """Where the Jacobian has entries: a cell's neighbors, and the other species in the cell."""
    one = sparse.eye_array(N)
    ring = sparse.diags_array([1.0] * 5, offsets=[1 - N, -1, 0, 1, N - 1], shape=(N, N))
    neighbors = sparse.kron(ring, one) + sparse.kron(one, ring)
    return sparse.block_array(
        [[neighbors, sparse.eye_array(N * N)], [sparse.eye_array(N * N), neighbors]], format="csc"
    )


def initial():
    side = np.arange(N) / N
    bump = np.broadcast_to(side * (1.0 - side) ** 1.5, (N, N))
    return np.concatenate([22.0 * bump.ravel(), 27.0 * bump.T.ravel()])


def solve(y0, **jacobian):
    began = time.perf_counter()
    solution = solve_ivp(right_hand_side, (0.0, 1.1), y0, method="BDF", rtol=1e-6, **jacobian)
    return solution.y[:, -1], time.perf_counter() - began, solution


def main():
    y0, known = initial(), pattern()
    backend = di.AutoSparse(di.AutoNumba(), di.KnownSparsityDetector(known))
    plan = di.prepare_jacobian(rates, backend, y0, y=np.empty_like(y0))
    print(plan)

    # A target makes no new matrix; a solver, which keeps what it gets, needs a new one each time.
    jacobian = plan.execute(y0)
    seconds = min(timeit.repeat(lambda: plan.execute(y0, out=jacobian), number=10, repeat=20)) / 10
    colors = plan.colors.columns.max() + 1
    print(f"{colors} colors; one Jacobian of {jacobian.nnz} entries in {1e6 * seconds:.0f} us")

    results = {
        "a plan's Jacobian": solve(y0, jac=lambda t, y: plan.execute(y)),
        "SciPy's differences of the same pattern": solve(y0, jac_sparsity=known),
    }
    for name, (_, seconds, solution) in results.items():
        print(f"{name}: {seconds:.2f} s, {solution.nfev} calls, {solution.njev} Jacobians")

    first, second = (end for end, _, _ in results.values())
    assert np.allclose(first, second, rtol=1e-4)
    assert np.allclose([first.min(), first.max()], [1.4981404, 1.8832702], rtol=1e-4)


if __name__ == "__main__":
    main()
