"""Integrate a stiff oscillator with SciPy, its Jacobian from a plan.

The right-hand side is written once, for NumPy and JAX alike. The Jacobian is compiled once, and
executed for two values of the parameter, which is a context: an argument of the compiled code,
free to change between calls. Needs the extra ``jax``.
"""

import numpy as np
from scipy.integrate import solve_ivp

import difint as di


def van_der_pol(y, stiffness):
    position, speed = y
    force = stiffness * (1.0 - position**2) * speed - position
    return y.__array_namespace__().stack([speed, force])


def main():
    y0 = np.array([2.0, 0.0])
    plan = di.prepare_jacobian(van_der_pol, di.AutoJax(x64=True), y0, di.Constant(1.0))
    print(plan)

    for stiffness in (10.0, 1000.0):
        solution = solve_ivp(
            lambda t, y, stiffness: van_der_pol(y, stiffness),
            (0.0, 2.0 * stiffness),
            y0,
            method="Radau",
            jac=lambda t, y, stiffness: plan.execute(y, di.Constant(stiffness)),
            args=(stiffness,),
            rtol=1e-6,
            atol=1e-9,
        )
        print(
            f"stiffness {stiffness:6g}: {solution.t.size} steps, {solution.njev} Jacobians, "
            f"position {solution.y[0, -1]:.6f} at the end"
        )

    # The end value in the IVP test set, problem VDPOL.
    assert abs(solution.y[0, -1] - 1.7061677) < 1e-5


if __name__ == "__main__":
    main()
