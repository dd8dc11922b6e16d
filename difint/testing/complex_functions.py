"""Functions that compute with complex numbers, with analytic derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from difint.testing.functions import Function


def _spectrum(xp: Any) -> Callable[[Any], Any]:
    """Get the power spectrum: real numbers to real numbers, by way of complex ones."""

    def f(x: Any) -> Any:
        z = xp.fft.fft(x)[:3]
        return z.real**2 + z.imag**2

    return f


def _spectrum_jacobian(x: Any) -> Any:
    # y_k = |sum_j F_kj x_j|^2, hence dy_k / dx_j = 2 Re(conj((F x)_k) F_kj).
    f = np.fft.fft(np.eye(x.size))[:3]
    return 2 * (np.conj(f @ x)[:, None] * f).real


def _energy(xp: Any) -> Callable[[Any], Any]:
    """Weigh the power spectrum: real numbers to a real number."""
    spectrum = _spectrum(xp)
    return lambda x: xp.sum(spectrum(x) * xp.asarray([1.0, 2.0, 4.0], dtype=x.dtype))


def _energy_hessian(x: Any) -> Any:
    f = np.fft.fft(np.eye(x.size))[:3]
    return 2 * (np.conj(f).T @ (np.array([[1.0], [2.0], [4.0]]) * f)).real


_REAL = np.array([0.5, -1.0, 2.0, 0.25])
_COMPLEX = np.array([1.0 + 2.0j, -0.5j, 0.75 - 1.0j])

THROUGH_COMPLEX = (
    Function("spectrum", _spectrum, _REAL, _spectrum_jacobian, features=("not analytic",)),
    Function(
        "energy of a spectrum",
        _energy,
        _REAL,
        lambda x: (_energy_hessian(x) @ x)[None, :],
        _energy_hessian,
        features=("not analytic",),
    ),
)
"""Real ``x`` and ``y``, complex numbers between them."""

HOLOMORPHIC = (
    Function(
        "holomorphic vector",
        lambda xp: lambda z: z[:2] * z[1:] ** 2,
        _COMPLEX,
        lambda z: np.array([[z[1] ** 2, 2 * z[0] * z[1], 0], [0, z[2] ** 2, 2 * z[1] * z[2]]]),
        features=("complex x",),
    ),
    Function(
        "holomorphic number",
        lambda xp: lambda z: z**3,
        1.0 + 2.0j,
        lambda z: np.array([[3 * z**2]]),
        features=("complex x",),
    ),
)
"""Complex ``x`` and ``y``; the derivative is the complex one, for pushforward and its like."""
