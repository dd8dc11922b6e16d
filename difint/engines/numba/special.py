"""The derivative of the logarithm of the gamma function, which Numba lacks."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from difint.engines.numba.pipeline import PART

_FAR = 10.0
"""Where the asymptotic series below is exact to double precision."""


@njit(**PART)
def digamma(x: Any) -> Any:
    """Compute the logarithmic derivative of gamma, of a float or a dual; ``nan`` at its poles.

    By the recurrence to large arguments and the asymptotic series there; by reflection for
    negative ones (Abramowitz and Stegun, 6.3.5, 6.3.7, 6.3.18).
    """
    if x <= 0.0:
        if x == math.floor(x):
            return math.nan
        return digamma(1.0 - x) - math.pi / math.tan(math.pi * x)
    total = 0.0
    while x < _FAR:
        total -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    tail = z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * (691 / 32760 - z / 12))))
    return total + math.log(x) - 0.5 / x - z * (1 / 12 - z * (1 / 120 - tail))
