"""Random programs: AutoEnzyme, in both modes, against the dual numbers of AutoNumba.

``DIFINT_PROGRAMS=5000`` runs that many, other ones each time. Each costs some ten seconds, most of
them Numba's.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import difint as di

NUMBA = di.AutoNumba()
COUNT = int(os.environ.get("DIFINT_PROGRAMS", "0"))
X = np.array([0.4, -0.3, 0.7, 0.2])
POINTS = (X, np.array([-0.9, 1.1, 0.05, -0.6]))

SCALARS = [
    "{s} * {t}",
    "{s} - 0.5 * {t}",
    "math.sin({s})",
    "math.exp(-{s} * {s})",
    "{s} / (1.5 + {t} * {t})",
    "({s} if {t} > 0.1 else 0.3 * {t})",
    "max({s}, {t})",
    "{v}[{i}] * {s}",
    "{v}[j]",
    "np.sum({v})",
    "{v} @ {w}",
    "np.max({v}) * {s}",
]
VECTORS = [
    "{v} * {s}",
    "{v} + {w}",
    "{v} * {w}",
    "np.sin({v})",
    "{v}[::-1] * {w}",
    "np.cumsum({v})",
    "np.where({v} > {s}, {v}, {w})",
    "np.sort({v})",
    "np.abs({v}) + {s}",
    "np.outer({v}, {w})[{i}] + {v}",
    "np.outer({v}, {w}).T @ {v}",
    "np.concatenate(({v}[{i}:], {w}[:{i}]))",
]
STATEMENTS = [
    "s = {scalar}",
    "t = {scalar}",
    "s += {scalar}",
    "t *= math.tanh({scalar})",
    "v = {vector}",
    "w = {vector}",
    "w = w + 0.1 * np.sin({vector})",
    "v[{i}] = {scalar}",
    "v[1:] = w[:-1] * {s}",
    "w *= {v}",
    "s, t = t, s",
]
HEADS = [
    "for j in range(3):",
    "for j in range(4 if x[0] > 0.0 else 2):",
    "while abs(s) > 0.5:",
    "if {s} > {t}:",
    "if v[{i}] < 0.2:",
]


@st.composite
def programs(draw: Any) -> str:
    def one(table: list[str]) -> str:
        return draw(st.sampled_from(table))

    def filled(text: str) -> str:
        return text.format(
            s=one(["s", "t"]),
            t=one(["s", "t", "x[3]"]),
            i=draw(st.integers(0, 3)),
            v=one(["v", "w"]),
            w=one(["v", "w", "x"]),
        )

    def statement() -> str:
        parts = {"scalar": filled(one(SCALARS)), "vector": filled(one(VECTORS))}
        text = one(STATEMENTS)
        for name, value in parts.items():
            text = text.replace("{" + name + "}", value)
        return filled(text)

    lines = ["def f(x):", "    j = 1", "    s, t = x[0] * x[1], x[2] + 0.5"]
    lines += ["    v, w = x * x, 1.5 * x"]
    for _ in range(draw(st.integers(1, 3))):
        lines.append("    " + statement())
        head = filled(one(HEADS))
        lines.append("    " + head)
        if head.startswith("while"):
            lines.append("        s = 0.5 * s")
        elif head.startswith("for"):
            lines.append("        s, t = 0.5 * s, 0.5 * t")
        lines += ["        " + statement() for _ in range(draw(st.integers(1, 2)))]
        if head.startswith("while"):
            lines += ["        j = (j + 1) % 4", "        if j == 0:", "            break"]
    last = one(["s + v[0]", "t * np.sum(w)", "v @ w", "s * t + np.sum(v)"])
    return "\n".join([*lines, f"    return {last}", ""])


def agrees(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


@settings(
    max_examples=COUNT or 4,
    deadline=None,
    derandomize=not COUNT,
    suppress_health_check=list(HealthCheck),
)
@given(programs(), st.sampled_from(["gradient", "hessian"]))
def test_random_programs(program: str, operator: str) -> None:
    """Verification is off, so that nothing wrong is refused instead."""
    space: dict[str, Any] = {"np": np, "math": math}
    exec(program, space)
    f, prepare = space["f"], getattr(di, f"prepare_{operator}")
    expected = prepare(f, NUMBA, X)
    for mode in ("forward", "reverse"):
        plan = prepare(f, di.AutoEnzyme(mode, verify=False), X)
        for x in POINTS:
            agrees(plan.execute(x), expected.execute(x))
