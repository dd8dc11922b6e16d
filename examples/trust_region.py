"""Minimize Rosenbrock's function in 50 variables by a trust-region Newton method.

SciPy asks for the value with the gradient, and for products of the Hessian with vectors: a
method of either plan fits as it is. The Hessian is never formed. Needs the extra ``jax``.
"""

import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

import difint as di


def rosenbrock(x):
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def main():
    x = np.zeros(50)
    backend = di.AutoJax(x64=True)
    gradient = di.prepare_gradient(rosenbrock, backend, x)
    product = di.prepare_hvp(rosenbrock, backend, x, x)
    print(product)

    result = minimize(
        gradient.value_and_gradient, x, jac=True, hessp=product.execute, method="trust-ncg"
    )
    print(f"{result.message} {result.nit} iterations, {result.nhev} Hessian-vector products")
    print(f"value {result.fun:.1e}, largest error {np.abs(result.x - 1.0).max():.1e}")
    assert result.success
    assert np.abs(result.x - 1.0).max() < 1e-4


if __name__ == "__main__":
    main()
