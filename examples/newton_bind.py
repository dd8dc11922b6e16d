"""Solve a nonlinear boundary value problem by Newton's method, with a bound plan.

Bratu's problem is ``u'' + exp(u) = 0`` with ``u(0) = u(1) = 0``. Its residual is written in
place, and so is everything in the loop: ``step()`` re-reads ``u`` and refills ``residual`` and
``matrix``. No package besides difint's own is needed.
"""

import numpy as np

import difint as di

SIZE = 63


def bratu(residual, u):
    spacing = 1.0 / (SIZE + 1)
    residual[:] = -2.0 * u + spacing**2 * np.exp(u)
    residual[1:] += u[:-1]
    residual[:-1] += u[1:]


def main():
    u, residual, matrix = np.zeros(SIZE), np.zeros(SIZE), np.zeros((SIZE, SIZE))
    plan = di.prepare_jacobian(bratu, di.AutoFiniteDiff("complex_step"), u, y=residual)
    step = plan.bind(u, out=matrix, y=residual)

    for iteration in range(10):
        step()
        size = np.abs(residual).max()
        print(f"iteration {iteration}: residual {size:.1e}")
        if size < 1e-14:
            break
        u -= np.linalg.solve(matrix, residual)

    # The exact solution's value at 1/2; the grid errs by a multiple of its spacing squared.
    middle = u[SIZE // 2]
    print(f"u(1/2) = {middle:.6f}")
    assert iteration <= 5, "Newton's method converges quadratically with an exact Jacobian"
    assert abs(middle - 0.1405392) < 1e-5


if __name__ == "__main__":
    main()
