"""Integrate a stiff problem in compiled code alone, with a plan's kernel for the Jacobian.

Robertson's three reactions, by the linearly implicit Euler method with Richardson's extrapolation,
an L-stable Rosenbrock method of order 2 (Deuflhard, SIAM Review 27 (1985), 505-535). ``integrate``
calls the function and the kernel of its Jacobian from ``numba.njit`` code: no step enters Python.
"""

import numpy as np
from numba import njit

import difint as di


@njit
def rates(dy, y):
    slow, fast, faster = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] * y[1]
    dy[0] = -slow + fast
    dy[1] = slow - fast - faster
    dy[2] = faster


KERNEL = di.prepare_jacobian(rates, di.AutoNumba(), np.ones(3), y=np.empty(3)).kernel


@njit
def implicit_step(y, h):
    dy, jacobian = np.empty(3), np.empty((3, 3))
    rates(dy, y)
    KERNEL(y, jacobian)
    return y + h * np.linalg.solve(np.eye(3) - h * jacobian, dy)


@njit
def integrate(y, t_end, tolerance):
    t, h, steps = 0.0, 1e-6, 0
    while t < t_end:
        h = min(h, t_end - t)
        whole = implicit_step(y, h)
        halves = implicit_step(implicit_step(y, 0.5 * h), 0.5 * h)
        error = np.max(np.abs(halves - whole) / (1e-10 + tolerance * np.abs(halves)))
        if error <= 1.0:
            t, y = t + h, 2.0 * halves - whole
            steps += 1
        h *= min(5.0, max(0.2, 0.9 / np.sqrt(error + 1e-12)))
    return y, steps


def main():
    y, steps = integrate(np.array([1.0, 0.0, 0.0]), 40.0, 1e-5)
    print(f"y(40) = {y} after {steps} steps")
    # Hairer and Wanner, Solving Ordinary Differential Equations II, Springer (1996), section IV.1:
    # the problem; the value at 40 is from a solution by Radau's method at a tolerance of 1e-12.
    assert np.allclose(y, [0.7158270688, 9.185534765e-6, 0.2841637457], rtol=1e-4)


if __name__ == "__main__":
    main()
