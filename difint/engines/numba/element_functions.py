"""Elementary functions of terms: first and second derivatives, from the one table of rules.

A rule is evaluated on duals that have the function's arguments for values: the partials of what
it says are the second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from difint.engines.numba.blend_operators import blend_of, combined, curved, number_in
from difint.engines.numba.buffers import lifted, seeded, zero_of
from difint.engines.numba.dual import Dual, partial_of, value_of
from difint.engines.numba.element import (
    MOST_SLOTS,
    Blend,
    Element,
    Term,
    Total,
    all_pairs,
    merged,
    put_together,
    shifted,
    taken_apart,
)
from difint.engines.numba.element_operators import (
    Curvatures,
    composed,
    composed2,
    float_of,
    operand,
)
from difint.engines.numba.functions import (
    COMPUTE,
    differentiated,
    install,
)
from difint.engines.numba.reductions import compiled
from difint.rules import STEPS

_DEPTH = 2
"""Rules of terms are functions of their own, as those of each depth of nested duals are."""


@intrinsic
def number_of(typingctx: Any, x: Any) -> Any:
    """Get the value of a term or a total; of a real, itself."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if isinstance(x, Blend):
            return number_in(builder, x, args[0])
        return builder.extract_value(args[0], 0) if isinstance(x, Element) else args[0]

    return (x.float if isinstance(x, Element) else x)(x), emit


def _derivatives(context: Any, builder: Any, number: Any, ty: Any, llvm: Any) -> list[Any]:
    """Emit: the value and the partials of what a rule says; ``None`` for no partials."""
    if not isinstance(ty, Dual):
        return [context.cast(builder, llvm, ty, number), None, None]
    partials = [partial_of(builder, ty, llvm, i) for i in range(ty.size)]
    return [value_of(builder, llvm), *partials, None][:3]


def _value(context: Any, builder: Any, number: Any, ty: Any, llvm: Any) -> Any:
    inner = value_of(builder, llvm) if isinstance(ty, Dual) else llvm
    return inner if isinstance(ty, Dual) else context.cast(builder, inner, ty, number)


@intrinsic
def _chained(typingctx: Any, y: Any, c: Any, x: Any) -> Any:
    """Make a function of one number: ``c`` is the derivative, a dual or a real."""
    blend = blend_of((x,))
    curved_pairs = all_pairs(x.slots) if blend is None and isinstance(c, Dual) else ()
    result: Any = blend or Term(x.float, x.slots, curved_pairs or x.pairs)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = _value(context, builder, x.float, y, args[0])
        d, dd, _ = _derivatives(context, builder, x.float, c, args[1])
        if blend is not None:
            dd = ir.Constant(value.type, 0.0) if dd is None else dd
            inner = context.cast(builder, args[2], x, blend)
            return curved(context, builder, blend, value, d, dd, inner)
        parts = composed(builder, value, d, dd, taken_apart(builder, x, args[2]))
        return put_together(context, builder, result, parts)

    return result(y, c, x), emit


def _joint_type(a: Any, b: Any, *, flat: bool) -> Any:
    if (blend := blend_of((a, b))) is not None:
        return blend
    slots = a.slots + b.slots
    pairs = merged(a.pairs, shifted(b.pairs, a.slots)) if flat else all_pairs(slots)
    return Term(a.float, slots, pairs) if slots <= MOST_SLOTS else None


@intrinsic
def _chained2(typingctx: Any, y: Any, c: Any, d: Any, a: Any, b: Any) -> Any:
    """Make a function of two numbers, with its derivatives by each of them."""
    flat = not isinstance(c, Dual) and not isinstance(d, Dual)
    result = _joint_type(a, b, flat=flat)
    if result is None:
        return None

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = _value(context, builder, a.float, y, args[0])
        by_a, aa, ab = _derivatives(context, builder, a.float, c, args[1])
        by_b, ba, bb = _derivatives(context, builder, a.float, d, args[2])
        zero = ir.Constant(value.type, 0.0)
        cross = ab if ab is not None else ba if ba is not None else zero
        if isinstance(result, Blend):
            pair = [context.cast(builder, args[3 + i], (a, b)[i], result) for i in range(2)]
            by = [zero if one is None else one for one in (by_a, by_b, aa, cross, bb)]
            return combined(context, builder, result, value, by, (pair[0], pair[1]))
        first, second = operand(builder, a, args[3]), operand(builder, b, args[4])
        parts = composed2(builder, value, Curvatures(by_a, by_b, aa, cross, bb), first, second)
        if flat:
            parts.bends = {pair: parts.bends[pair] for pair in result.pairs}
        return put_together(context, builder, result, parts)

    return result(y, c, d, a, b), emit


@cache
def _seed(number: Any) -> Any:
    """Make a function that gives a float the derivative 1 by itself."""
    zero = zero_of(Dual(number, 1))

    def seed(x: Any) -> Any:
        return seeded(lifted(x, zero()), 0)

    return compiled(seed)


@intrinsic
def as_total(typingctx: Any, x: Any) -> Any:
    """Make a total of a term, or of a real number."""
    total = Total(x.float) if isinstance(x, Element) else None

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[0], x, total)

    return None if total is None else (total(x), emit)


@intrinsic
def home_of(typingctx: Any, total: Any) -> Any:
    """Get home and count of a total."""
    pair = types.UniTuple(types.intp, 2)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = [builder.extract_value(args[0], i) for i in (1, 2)]
        return context.make_tuple(builder, pair, parts)

    return pair(total), emit


def _unary(name: str) -> Callable[..., Any]:
    compute = COMPUTE[name]

    def choose(x: Any) -> Any:
        if not isinstance(x, Term | Blend):
            return None
        if name in STEPS:
            return lambda x: compute(number_of(x))
        rule, seed = differentiated(name, (0,), _DEPTH), _seed(x.float)

        def smooth(x: Any) -> Any:
            y, c = rule(seed(number_of(x)))
            return _chained(y, c, x)

        return smooth

    return choose


def joint_float(*args: Any) -> Any:
    """Get the float type of numbers that are terms, or blends, and reals; ``None`` of others."""
    blend = blend_of(args)
    return float_of(args) if blend is None else blend.float


def _binary(name: str) -> Callable[..., Any]:
    compute = COMPUTE[name]

    def choose(a: Any, b: Any) -> Any:
        number = joint_float(a, b)
        if number is None or isinstance(a, Total) or isinstance(b, Total):
            return None
        if name in STEPS:
            return lambda a, b: compute(number_of(a), number_of(b))
        if not isinstance(b, Term | Blend):
            return _squared(name, number) if name == "power" else _of_first(name, number)
        return _of_both(name, number) if isinstance(a, Term | Blend) else _of_second(name, number)

    return choose


def _of_first(name: str, number: Any) -> Any:
    rule, seed = differentiated(name, (0,), _DEPTH), _seed(number)

    def of_first(a: Any, b: Any) -> Any:
        y, c = rule(seed(number_of(a)), b)
        return _chained(y, c, a)

    return of_first


def _of_second(name: str, number: Any) -> Any:
    rule, seed = differentiated(name, (1,), _DEPTH), _seed(number)

    def of_second(a: Any, b: Any) -> Any:
        y, d = rule(a, seed(number_of(b)))
        return _chained(y, d, b)

    return of_second


def _of_both(name: str, number: Any) -> Any:
    rule, zero = differentiated(name, (0, 1), _DEPTH), zero_of(Dual(number, 2))

    def of_both(a: Any, b: Any) -> Any:
        first = seeded(lifted(number_of(a), zero()), 0)
        second = seeded(lifted(number_of(b), zero()), 1)
        y, c, d = rule(first, second)
        return _chained2(y, c, d, a, b)

    return of_both


@cache
def _squared(name: str, number: Any) -> Any:
    """Build powers with a number for exponent, of which 2 needs no call of ``power``."""
    general = compiled(_of_first(name, number))
    rule, seed = differentiated("square", (0,), _DEPTH), _seed(number)

    def power(a: Any, b: Any) -> Any:
        if b == 2:
            y, c = rule(seed(number_of(a)))
            return _chained(y, c, a)
        return general(a, b)

    return power


def _of_number(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: (lambda x: function(number_of(x))) if isinstance(x, Element) else None


def _identity(x: Any) -> Any:
    return (lambda x: x) if isinstance(x, Element) else None


install(joint_float, _of_number, _identity, _unary, _binary)
