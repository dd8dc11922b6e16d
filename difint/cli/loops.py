"""The demo's problems as plain loops over NumPy arrays, which fill their first argument."""

from __future__ import annotations

from typing import Any

import numpy as np


def robertson(dy: Any, y: Any) -> None:
    """Fill ``dy`` with the rates of Robertson's three reactions."""
    slow, fast, faster = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] * y[1]
    dy[0] = -slow + fast
    dy[1] = slow - fast - faster
    dy[2] = faster


# Row by row: the species, the one that it comes from, and the rate.
_HIRES = np.array(
    [
        *[(0, 0, -1.71), (0, 1, 0.43), (0, 2, 8.32)],
        *[(1, 0, 1.71), (1, 1, -8.75)],
        *[(2, 2, -10.03), (2, 3, 0.43), (2, 4, 0.035)],
        *[(3, 1, 8.32), (3, 2, 1.71), (3, 3, -1.12)],
        *[(4, 4, -1.745), (4, 5, 0.43), (4, 6, 0.43)],
        *[(5, 3, 0.69), (5, 4, 1.71), (5, 5, -0.43), (5, 6, 0.69)],
        *[(6, 6, -1.81), (7, 6, 1.81)],
    ]
)


def hires(dy: Any, y: Any) -> None:
    """Fill ``dy`` with the rates of the high irradiance response of phytochrome."""
    dy[:] = 0.0
    for i in range(len(_HIRES)):
        dy[int(_HIRES[i, 0])] += _HIRES[i, 2] * y[int(_HIRES[i, 1])]
    bound = 280.0 * y[5] * y[7]
    dy[0] += 0.0007
    dy[5] -= bound
    dy[6] += bound
    dy[7] -= bound


# A reaction a row: its rate, and what reacts, counted from 1; 0 stands for nothing.
_REACTIONS = np.array(
    [
        *[(0.35, 1, 0), (26.6, 2, 4), (1.23e4, 5, 2), (8.6e-4, 7, 0), (8.2e-4, 7, 0)],
        *[(1.5e4, 7, 6), (1.3e-4, 9, 0), (2.4e4, 9, 6), (1.65e4, 11, 2), (9.0e3, 11, 1)],
        *[(0.022, 13, 0), (1.2e4, 10, 2), (1.88, 14, 0), (1.63e4, 1, 6), (4.8e6, 3, 0)],
        *[(3.5e-4, 4, 0), (0.0175, 4, 0), (1.0e8, 16, 0), (4.44e11, 16, 0), (1.24e3, 17, 6)],
        *[(2.1, 19, 0), (5.78, 19, 0), (0.0474, 1, 4), (1.78e3, 19, 1), (3.12, 20, 0)],
    ]
)

# What gains and loses by each reaction: species and reaction, counted from 1; losses are negative.
_CHANGES = np.array(
    [
        *[(1, -1), (1, -10), (1, -14), (1, -23), (1, -24), (1, 2), (1, 3), (1, 9), (1, 11)],
        *[(1, 12), (1, 22), (1, 25), (2, -2), (2, -3), (2, -9), (2, -12), (2, 1), (2, 21)],
        *[(3, -15), (3, 1), (3, 17), (3, 19), (3, 22), (4, -2), (4, -16), (4, -17), (4, -23)],
        *[(4, 15), (5, -3), (5, 4), (5, 4), (5, 6), (5, 7), (5, 13), (5, 20), (6, -6), (6, -8)],
        *[(6, -14), (6, -20), (6, 3), (6, 18), (6, 18), (7, -4), (7, -5), (7, -6), (7, 13)],
        *[(8, 4), (8, 5), (8, 6), (8, 7), (9, -7), (9, -8), (10, -12), (10, 7), (10, 9)],
        *[(11, -9), (11, -10), (11, 8), (11, 11), (12, 9), (13, -11), (13, 10), (14, -13)],
        *[(14, 12), (15, 14), (16, -18), (16, -19), (16, 16), (17, -20), (18, 20), (19, -21)],
        *[(19, -22), (19, -24), (19, 23), (19, 25), (20, -25), (20, 24)],
    ]
)


def pollution(dy: Any, y: Any) -> None:
    """Fill ``dy`` with the rates of 20 species of air pollution from their 25 reactions."""
    speeds = np.empty(len(_REACTIONS), y.dtype)
    for j in range(len(_REACTIONS)):
        speed = _REACTIONS[j, 0] * y[int(_REACTIONS[j, 1]) - 1]
        if _REACTIONS[j, 2] > 0:
            speed = speed * y[int(_REACTIONS[j, 2]) - 1]
        speeds[j] = speed
    dy[:] = 0.0
    for k in range(len(_CHANGES)):
        species, reaction = _CHANGES[k, 0] - 1, abs(_CHANGES[k, 1]) - 1
        if _CHANGES[k, 1] > 0:
            dy[species] += speeds[reaction]
        else:
            dy[species] -= speeds[reaction]
