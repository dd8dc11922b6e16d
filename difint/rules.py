"""Rules: the derivatives of elementary functions in one table, for engines that apply them.

A partial derivative is an expression in the arguments, ``x``, or ``a`` and ``b``, and in the
result ``y``. It is written with arithmetic and with functions of this table, so that whoever can
evaluate the functions can evaluate the derivatives, of any order, in any arithmetic.

Where a function has a kink the value is JAX's: 1 at the kink of ``abs``, half for each of two
equal arguments of ``maximum``, and at ``a = 0`` a power's derivative by ``b`` is 0. Steps
(``floor``, ``sign``) have the derivative 0 everywhere. Where a derivative is infinite it is
``inf``, as ``1 / sqrt(x)`` at 0.

The formulas are those of Abramowitz and Stegun, *Handbook of Mathematical Functions* (1964),
chapters 4, 6 and 7; ``1 - x * x`` and ``1 - y * y`` are factored or replaced where they cancel.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_TABLE: dict[str, tuple[str, ...]] = {
    # Of x.
    "positive": ("1",),
    "negative": ("-1",),
    "absolute": ("where(x >= 0, 1, sign(x))",),
    "fabs": ("where(x >= 0, 1, sign(x))",),
    "square": ("2 * x",),
    "reciprocal": ("-y * y",),
    "sqrt": ("0.5 / y",),
    "cbrt": ("1 / (3 * y * y)",),
    "exp": ("y",),
    "exp2": ("y * LN2",),
    "expm1": ("exp(x)",),
    "log": ("1 / x",),
    "log2": ("1 / (LN2 * x)",),
    "log10": ("1 / (LN10 * x)",),
    "log1p": ("1 / (1 + x)",),
    "sin": ("cos(x)",),
    "cos": ("-sin(x)",),
    "tan": ("1 + y * y",),
    "arcsin": ("1 / sqrt((1 - x) * (1 + x))",),
    "arccos": ("-1 / sqrt((1 - x) * (1 + x))",),
    "arctan": ("1 / (1 + x * x)",),
    "sinh": ("cosh(x)",),
    "cosh": ("sinh(x)",),
    "tanh": ("1 / square(cosh(x))",),
    "arcsinh": ("1 / hypot(1, x)",),
    "arccosh": ("1 / (sqrt(x - 1) * sqrt(x + 1))",),
    "arctanh": ("1 / ((1 - x) * (1 + x))",),
    "deg2rad": ("DEGREE",),
    "rad2deg": ("1 / DEGREE",),
    "erf": ("2 / SQRT_PI * exp(-x * x)",),
    "erfc": ("-2 / SQRT_PI * exp(-x * x)",),
    "gamma": ("y * digamma(x)",),
    "lgamma": ("digamma(x)",),
    "floor": ("0",),
    "ceil": ("0",),
    "trunc": ("0",),
    "rint": ("0",),
    "sign": ("0",),
    # Of a and b.
    "add": ("1", "1"),
    "subtract": ("1", "-1"),
    "multiply": ("b", "a"),
    "divide": ("1 / b", "-y / b"),
    "floor_divide": ("0", "0"),
    "remainder": ("1", "-floor(a / b)"),
    "fmod": ("1", "-trunc(a / b)"),
    "power": ("b * power(a, where(b == 0, 1, b - 1))", "y * log(where(a == 0, 1, a))"),
    "hypot": ("a / y", "b / y"),
    "arctan2": ("b / (a * a + b * b)", "-a / (a * a + b * b)"),
    "maximum": (
        "where(a > b, 1, where(a == b, 0.5, 0))",
        "where(b > a, 1, where(a == b, 0.5, 0))",
    ),
    "minimum": (
        "where(a < b, 1, where(a == b, 0.5, 0))",
        "where(b < a, 1, where(a == b, 0.5, 0))",
    ),
    "copysign": ("sign(a) * copysign(1, b)", "0"),
    "logaddexp": ("exp(a - y)", "exp(b - y)"),
}

RULES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(_TABLE)
"""By the function's name in NumPy, or in ``math``: its partial derivatives, one an argument."""

CONSTANTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "LN2": 0.6931471805599453094,
        "LN10": 2.302585092994045684,
        "DEGREE": 0.01745329251994329577,
        "SQRT_PI": 1.772453850905516027,
    }
)
"""The constants that rules name: ``log(2)``, ``log(10)``, ``pi / 180``, ``sqrt(pi)``."""

STEPS: Final[frozenset[str]] = frozenset(
    name for name, partials in _TABLE.items() if set(partials) == {"0"}
)
"""Functions that are constant between jumps."""


def arguments(name: str) -> tuple[str, ...]:
    """Name the arguments of a function as its rule does.

    >>> arguments("hypot")
    ('a', 'b')
    """
    return ("x",) if len(RULES[name]) == 1 else ("a", "b")
