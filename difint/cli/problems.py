"""Stiff problems of the IVP test set, written once for every array library.

Equations and end values are those of F. Mazzia and C. Magherini, *Test Set for Initial Value
Problem Solvers*, release 2.4, University of Bari and INdAM (2008).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.cli import loops
from difint.sparse.pattern import Pattern

# What a library computes with: a float, a complex number, a traced value.
_Rates = Callable[..., tuple[Any, ...]]
_Function = Callable[[Any], Any]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StiffProblem:
    """An autonomous initial value problem ``y' = f(y)``, ``y(t0) = y0``.

    Attributes:
        name: its usual name.
        source: where the problem was first published.
        in_numpy: computes ``f(y)`` of a NumPy vector, real or complex.
        in_jax: the same of a JAX vector.
        in_torch: the same of a PyTorch vector.
        fill: ``fill(dy, y)``: the same, as a plain loop over arrays.
        y0: the initial values.
        t_span: the interval of integration.
        published: the end values, where some were published.
        pattern: where the Jacobian may have entries; ``None`` for a small one, kept dense.
        methods: the solvers that suit it.
        reference: the solver of the reference, and its relative tolerance.
    """

    name: str
    source: str
    in_numpy: _Function
    in_jax: _Function
    in_torch: _Function
    fill: Callable[[Any, Any], None]
    y0: tuple[float, ...]
    t_span: tuple[float, float]
    published: tuple[float, ...] | None = None
    pattern: Pattern | None = None
    methods: tuple[str, ...] = ("BDF", "Radau")
    reference: tuple[str, float] = ("Radau", 1e-12)


def in_libraries(rates: _Rates) -> dict[str, Any]:
    """Write rates as functions of a vector, under the names that ``StiffProblem`` has for them.

    Args:
        rates: ``rates(y1, y2, ...) -> (y1', y2', ...)``, with arithmetic alone.

    >>> in_libraries(lambda y1, y2: (-y1, y1))["in_numpy"](np.array([2.0, 0.0]))
    array([-2.,  2.])
    """

    def in_numpy(y: Any) -> Any:
        return np.array(rates(*y.tolist()))

    def in_jax(y: Any) -> Any:
        import jax.numpy as jnp

        return jnp.stack(rates(*y))

    def in_torch(y: Any) -> Any:
        import torch

        return torch.stack(rates(*y))

    return {"in_numpy": in_numpy, "in_jax": in_jax, "in_torch": in_torch}


def robertson(y1: Any, y2: Any, y3: Any) -> tuple[Any, ...]:
    """Compute the rates of Robertson's three autocatalytic reactions."""
    slow, fast, faster = 0.04 * y1, 1e4 * y2 * y3, 3e7 * y2 * y2
    return -slow + fast, slow - fast - faster, faster


def hires(
    y1: Any, y2: Any, y3: Any, y4: Any, y5: Any, y6: Any, y7: Any, y8: Any
) -> tuple[Any, ...]:
    """Compute the rates of the high irradiance response of phytochrome."""
    bound = 280.0 * y6 * y8
    return (
        -1.71 * y1 + 0.43 * y2 + 8.32 * y3 + 0.0007,
        1.71 * y1 - 8.75 * y2,
        -10.03 * y3 + 0.43 * y4 + 0.035 * y5,
        8.32 * y2 + 1.71 * y3 - 1.12 * y4,
        -1.745 * y5 + 0.43 * y6 + 0.43 * y7,
        -bound + 0.69 * y4 + 1.71 * y5 - 0.43 * y6 + 0.69 * y7,
        bound - 1.81 * y7,
        -bound + 1.81 * y7,
    )


def pollution(*y: Any) -> tuple[Any, ...]:
    """Compute the rates of 20 species of air pollution from their 25 reactions."""
    r = (None, *_reactions(*y))  # the literature counts reactions from 1
    return (
        -r[1] - r[10] - r[14] - r[23] - r[24] + r[2] + r[3] + r[9] + r[11] + r[12] + r[22] + r[25],
        -r[2] - r[3] - r[9] - r[12] + r[1] + r[21],
        -r[15] + r[1] + r[17] + r[19] + r[22],
        -r[2] - r[16] - r[17] - r[23] + r[15],
        -r[3] + 2.0 * r[4] + r[6] + r[7] + r[13] + r[20],
        -r[6] - r[8] - r[14] - r[20] + r[3] + 2.0 * r[18],
        -r[4] - r[5] - r[6] + r[13],
        r[4] + r[5] + r[6] + r[7],
        -r[7] - r[8],
        -r[12] + r[7] + r[9],
        -r[9] - r[10] + r[8] + r[11],
        r[9],
        -r[11] + r[10],
        -r[13] + r[12],
        r[14],
        -r[18] - r[19] + r[16],
        -r[20],
        r[20],
        -r[21] - r[22] - r[24] + r[23] + r[25],
        -r[25] + r[24],
    )


def _reactions(*y: Any) -> tuple[Any, ...]:
    y1, y2, y3, y4, y5, y6, y7, y8, y9, y10, y11, y12, y13, y14, y15, y16, y17, y18, y19, y20 = y
    return (
        0.35 * y1,
        26.6 * y2 * y4,
        1.23e4 * y5 * y2,
        8.6e-4 * y7,
        8.2e-4 * y7,
        1.5e4 * y7 * y6,
        1.3e-4 * y9,
        2.4e4 * y9 * y6,
        1.65e4 * y11 * y2,
        9.0e3 * y11 * y1,
        0.022 * y13,
        1.2e4 * y10 * y2,
        1.88 * y14,
        1.63e4 * y1 * y6,
        4.8e6 * y3,
        3.5e-4 * y4,
        0.0175 * y4,
        1.0e8 * y16,
        4.44e11 * y16,
        1.24e3 * y17 * y6,
        2.1 * y19,
        5.78 * y19,
        0.0474 * y1 * y4,
        1.78e3 * y19 * y1,
        3.12 * y20,
    )


PROBLEMS: tuple[StiffProblem, ...] = (
    StiffProblem(
        name="Robertson",
        source="H. H. Robertson, in Numerical Analysis: An Introduction, Academic Press (1966)",
        **in_libraries(robertson),
        fill=loops.robertson,
        y0=(1.0, 0.0, 0.0),
        t_span=(0.0, 1e11),
        published=(0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050),
    ),
    StiffProblem(
        name="HIRES",
        source="E. Schäfer, Journal of Mathematical Biology 2 (1975), 41-56",
        **in_libraries(hires),
        fill=loops.hires,
        y0=(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0057),
        t_span=(0.0, 321.8122),
        published=(
            0.7371312573325668e-3,
            0.1442485726316185e-3,
            0.5888729740967575e-4,
            0.1175651343283149e-2,
            0.2386356198831331e-2,
            0.6238968252742796e-2,
            0.2849998395185769e-2,
            0.2850001604814231e-2,
        ),
    ),
    StiffProblem(
        name="Pollution",
        source="J. G. Verwer, SIAM Journal on Scientific Computing 15 (1994), 1243-1250",
        **in_libraries(pollution),
        fill=loops.pollution,
        y0=(0.0, 0.2, 0.0, 0.04, 0.0, 0.0, 0.1, 0.3, 0.01, *[0.0] * 7, 0.007, 0.0, 0.0, 0.0),
        t_span=(0.0, 60.0),
        published=(
            0.5646255480022769e-1,
            0.1342484130422339,
            0.4139734331099427e-8,
            0.5523140207484359e-2,
            0.2018977262302196e-6,
            0.1464541863493966e-6,
            0.7784249118997964e-1,
            0.3245075353396018,
            0.7494013383880406e-2,
            0.1622293157301561e-7,
            0.1135863833257075e-7,
            0.2230505975721359e-2,
            0.2087162882798630e-3,
            0.1396921016840158e-4,
            0.8964884856898295e-2,
            0.4352846369330103e-17,
            0.6899219696263405e-2,
            0.1007803037365946e-3,
            0.1772146513969984e-5,
            0.5682943292316392e-4,
        ),
    ),
)
