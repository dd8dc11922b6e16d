"""Elementary functions of scalar duals: every rule of the table, under all the names it has."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload

from difint.engines.numba.access import chained, chained2, constant, primal, value
from difint.engines.numba.dual import Dual
from difint.engines.numba.operators import ARITHMETIC, common
from difint.engines.numba.pipeline import PART
from difint.engines.numba.source import from_source
from difint.engines.numba.special import digamma
from difint.rules import CONSTANTS, RULES, STEPS, arguments

_SHORT = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "arctan2": "atan2",
    "deg2rad": "radians",
    "rad2deg": "degrees",
    "power": "pow",
}
"""What ``math`` calls the functions that it names otherwise than NumPy."""

_ALSO: dict[str, tuple[Callable[..., Any], ...]] = {
    "absolute": (abs,),
    "power": (operator.pow, operator.ipow, pow, np.float_power),
    "remainder": (operator.mod, operator.imod),
    "floor_divide": (operator.floordiv, operator.ifloordiv),
    "deg2rad": (np.radians,),
    "rad2deg": (np.degrees,),
}

PRIMAL = (
    *(math.floor, math.ceil, math.trunc, int, round, bool),
    *(math.isnan, math.isinf, math.isfinite, np.isnan, np.isinf, np.isfinite, np.signbit),
)
"""Functions to integers and truth values, which have no derivative."""

OPERATORS = (*ARITHMETIC, operator.neg, operator.pos)
"""What is emitted without a call."""

_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: op for op, name in ARITHMETIC.items()},
    "negative": operator.neg,
    "positive": operator.pos,
    "absolute": abs,
    "power": operator.pow,
    "remainder": operator.mod,
    "floor_divide": operator.floordiv,
}


def overloading(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Overload a function for duals, before Numba's own implementations."""
    how = overload(function, jit_options=PART, target="cpu", strict=False, **options)
    return how


def names_of(name: str) -> tuple[Callable[..., Any], ...]:
    """List what users call a function of the table by."""
    in_math = getattr(math, _SHORT.get(name, name), None)
    rounds = in_math in PRIMAL
    found = (getattr(np, name, None), None if rounds else in_math)
    return (*(one for one in found if one is not None), *_ALSO.get(name, ()))


@njit(**PART)
def _where(condition: Any, a: Any, b: Any) -> Any:
    if condition:
        return a
    return b


_HELPERS = {"where": _where, "digamma": digamma}


def _compute(name: str) -> Callable[..., Any]:
    """Choose what computes a function on the values of duals."""
    if name in _OPERATIONS:
        return _OPERATIONS[name]
    of_math = getattr(math, _SHORT.get(name, name), None)
    lacking = None, math.cbrt, math.exp2, math.fmod, *PRIMAL
    return getattr(np, name) if of_math in lacking else of_math


@cache
def differentiated(name: str, which: tuple[int, ...], depth: int) -> Callable[..., Any]:
    """Compile ``(arguments) -> (y, partial derivatives by some of them)``.

    Each depth of nesting has a function of its own: Numba takes a function that is called while
    it is compiled, though for other types, for a recursion.
    """
    env = {**COMPUTE, **CONSTANTS, **_HELPERS}
    names = ", ".join(arguments(name))
    results = ", ".join(RULES[name][i] for i in which)
    source = f"def rule({names}):\n    y = {name}({names})\n    return y, {results}\n"
    return njit(**PART)(from_source(source, "rule", env))


def _depth(x: Any) -> int:
    return 1 + _depth(x.base) if isinstance(x, Dual) else 0


def _unary(name: str) -> Callable[..., Any]:
    compute = COMPUTE[name]

    def step(x: Any) -> Any:
        return constant(compute(value(x)), x)

    def choose(x: Any) -> Any:
        if not isinstance(x, Dual):
            return None
        if name in STEPS:
            return step
        rule = differentiated(name, (0,), _depth(x))

        def smooth(x: Any) -> Any:
            y, c = rule(value(x))
            return chained(y, c, x)

        return smooth

    return choose


def _binary(name: str) -> Callable[..., Any]:
    forms = _STEP_FORMS if name in STEPS else _SMOOTH_FORMS

    def choose(a: Any, b: Any) -> Any:
        dual = common((a, b))
        if dual is None:
            return None
        duals = isinstance(a, Dual), isinstance(b, Dual)
        if all(duals) and a != b:
            return _widened(COMPUTE[name])
        return forms[duals](name, _depth(dual))

    return choose


def _of_both(name: str, depth: int) -> Callable[..., Any]:
    rule = differentiated(name, (0, 1), depth)

    def of_both(a: Any, b: Any) -> Any:
        y, c, d = rule(value(a), value(b))
        return chained2(y, c, a, d, b)

    return of_both


def _of_first(name: str, depth: int) -> Callable[..., Any]:
    rule = differentiated(name, (0,), depth)

    def of_first(a: Any, b: Any) -> Any:
        y, c = rule(value(a), b)
        return chained(y, c, a)

    return of_first


def _of_second(name: str, depth: int) -> Callable[..., Any]:
    rule = differentiated(name, (1,), depth)

    def of_second(a: Any, b: Any) -> Any:
        y, d = rule(a, value(b))
        return chained(y, d, b)

    return of_second


def _step(name: str, depth: int) -> Callable[..., Any]:
    compute = COMPUTE[name]
    return lambda a, b: constant(compute(primal(a), primal(b)), a)


def _step_of_second(name: str, depth: int) -> Callable[..., Any]:
    compute = COMPUTE[name]
    return lambda a, b: constant(compute(a, primal(b)), b)


_SMOOTH_FORMS = {(True, True): _of_both, (True, False): _of_first, (False, True): _of_second}
_STEP_FORMS = {(True, True): _step, (True, False): _step, (False, True): _step_of_second}


def _widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """Call a function on two duals of one type, where the floats of one are shorter."""
    return lambda a, b: function(a + 0 * b, b + 0 * a)


COMPUTE: dict[str, Callable[..., Any]] = {name: _compute(name) for name in RULES}


def _of_primal(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: (lambda x: function(primal(x))) if isinstance(x, Dual) else None


def _identity(x: Any) -> Any:
    return (lambda x: x) if isinstance(x, Dual) else None


def install(
    joint: Callable[[Any, Any], Any],
    of_primal: Callable[..., Any],
    identity: Callable[..., Any],
    unary: Callable[[str], Any],
    binary: Callable[[str], Any],
    extreme: Callable[[str], Any] | None = None,
) -> None:
    """Overload the functions of the table, and what is beside them, for a family of numbers.

    Args:
        joint: tells whether two arguments are numbers of which one is of the family.
        of_primal: makes the overload of a function to integers and truth values.
        identity: the overload of functions that change nothing.
        unary: makes the overload of a function of one argument, by its name.
        binary: likewise of two.
        extreme: makes the overload of Python's own ``max`` and ``min``, by NumPy's name for it;
            ``None`` for one that compares.
    """

    def larger(a: Any, b: Any) -> Any:
        return (lambda a, b: b if b > a else a) if joint(a, b) else None

    def smaller(a: Any, b: Any) -> Any:
        return (lambda a, b: b if b < a else a) if joint(a, b) else None

    for function in PRIMAL:
        overloading(function)(of_primal(function))
    for same in (float, np.real, np.conjugate):
        overloading(same)(identity)
    overloading(max)(larger if extreme is None else extreme("maximum"))
    overloading(min)(smaller if extreme is None else extreme("minimum"))
    for name in RULES:
        make = unary(name) if len(RULES[name]) == 1 else binary(name)
        for function in names_of(name):
            if function not in OPERATORS:
                overloading(function)(make)


install(lambda a, b: common((a, b)), _of_primal, _identity, _unary, _binary)
