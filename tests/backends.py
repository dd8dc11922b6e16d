"""The backends under test, with the accuracy that each one promises."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import jax.numpy as jnp
import numpy as np

import difint as di


@dataclass(frozen=True)
class Row:
    """A backend, the writing of functions that it takes, and its errors relative to eps.

    ``first`` and ``second`` are powers of the machine epsilon: the error of a derivative of
    that order is about ``eps ** power``, times a constant that the tests set once.
    """

    backend: di.Backend
    space: ModuleType
    first: float = 1.0
    second: float = 1.0

    def __str__(self) -> str:
        return repr(self.backend)

    def tolerance(self, order: int, dtype: str) -> float:
        return 50 * float(np.finfo(dtype).eps) ** (self.first if order == 1 else self.second)


FD = di.AutoFiniteDiff
JAX = di.AutoJax

ROWS = (
    Row(FD(), np, 2 / 3, 1 / 2),
    Row(FD("forward"), np, 1 / 2, 1 / 3),
    Row(FD("complex_step"), np, 1.0, 2 / 3),
    Row(di.PrimitiveOnly(FD(), "forward"), np, 2 / 3, 1 / 3),
    Row(di.SecondOrder(FD(), FD("complex_step")), np, 1.0, 2 / 3),
    Row(JAX(), jnp),
    Row(di.PrimitiveOnly(JAX(), "forward"), jnp),
    Row(di.PrimitiveOnly(JAX(), "reverse"), jnp),
    Row(di.SecondOrder(JAX("reverse"), JAX("forward")), jnp),
    Row(di.SecondOrder(FD(), JAX()), jnp, 1.0, 2 / 3),
    Row(di.SecondOrder(JAX(), FD()), jnp, 2 / 3, 2 / 3),
)
