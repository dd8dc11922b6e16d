"""Integrate a reaction with diffusion in two dimensions, its sparse Jacobian from a plan.

The Brusselator: two species on 32 x 32 cells, 2048 equations. Of the Jacobian's four million
entries all but six a row are zero; which, is found by tracing the loops. Columns that share no row
are differentiated together, so that a few passes fill the matrix instead of 2048. E. Hairer and
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
            # An index of -1 is the last one: the boundary is periodic on either side.
            k, m = i + 1 - N, j + 1 - N
            lap_u = u[i - 1, j] + u[k, j] + u[i, j - 1] + u[i, m] - 4.0 * u[i, j]
            lap_v = v[i - 1, j] + v[k, j] + v[i, j - 1] + v[i, m] - 4.0 * v[i, j]
            grown = u[i, j] * u[i, j] * v[i, j]
            du[i, j] = A + grown - (B + 1.0) * u[i, j] + DIFFUSION * lap_u
            dv[i, j] = B * u[i, j] - grown + DIFFUSION * lap_v


def right_hand_side(t, y):
    dy = np.empty_like(y)
    rates(dy, y)
    return dy


def pattern():
    """Where the Jacobian has entries: a cell's neighbors, and the other species in the cell."""
    ring = sparse.diags_array([1.0] * 5, offsets=[1 - N, -1, 0, 1, N - 1], shape=(N, N))
    one = sparse.eye_array(N)
    neighbors = sparse.kron(ring, one) + sparse.kron(one, ring)
    same_cell = sparse.eye_array(N * N)
    return sparse.block_array([[neighbors, same_cell], [same_cell, neighbors]], format="csc")


def initial():
    side = np.arange(N) / N
    bump = np.broadcast_to(side * (1.0 - side) ** 1.5, (N, N))
    return np.concatenate([22.0 * bump.ravel(), 27.0 * bump.T.ravel()])


def solve(y0, **jacobian):
    right_hand_side(0.0, y0)  # compiled before the clock starts
    began = time.perf_counter()
    solution = solve_ivp(right_hand_side, (0.0, 1.1), y0, method="BDF", rtol=1e-6, **jacobian)
    return solution.y[:, -1], time.perf_counter() - began, solution


def main():
    y0, known = initial(), pattern()
    plan = di.prepare_jacobian(rates, di.AutoSparse(di.AutoNumba()), y0, y=np.empty_like(y0))
    print(plan)
    assert plan.pattern == di.sparse.Pattern.of(known)  # found by tracing the loops

    # A target saves a new matrix; a solver, which may keep what it gets, is given new ones.
    jacobian = plan.execute(y0)
    seconds = min(timeit.repeat(lambda: plan.execute(y0, out=jacobian), number=10, repeat=20)) / 10
    colors = plan.colors.columns.max() + 1
    print(f"{colors} colors; one Jacobian of {jacobian.nnz} entries in {1e6 * seconds:.0f} us")

    results = {
        "a plan's Jacobian": solve(y0, jac=lambda t, y: plan.execute(y)),
        "SciPy's differences of the same pattern": solve(y0, jac_sparsity=known),
    }
    for name, (_, seconds, solution) in results.items():
        print(f"{name}: {seconds:.2f} s, {solution.t.size} steps, {solution.njev} Jacobians")

    first, second = (end for end, _, _ in results.values())
    assert np.allclose(first, second, rtol=1e-4)
    assert np.allclose([first.min(), first.max()], [1.4981404, 1.8832702], rtol=1e-4)


if __name__ == "__main__":
    main()
