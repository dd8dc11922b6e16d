"""Arithmetic of terms and totals: typed by their slots, emitted as straight-line code."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, lower_cast

from difint.engines.numba.banks import i64, multiplied, united
from difint.engines.numba.dual import REALS
from difint.engines.numba.element import (
    MOST_SLOTS,
    Element,
    Parts,
    Term,
    Total,
    all_pairs,
    merged,
    put_together,
    shifted,
    taken_apart,
)
from difint.engines.numba.operators import COMPARISONS
from difint.engines.numba.scattering import call, scatter

_CONTRACT = ("contract",)
"""Products and sums of derivatives may be one instruction: what is rounded less is as good."""


def float_of(args: tuple[Any, ...]) -> Any:
    """Get the float type of operands, of which one is an element and the others fit it."""
    found = {one.float for one in args if isinstance(one, Element)}
    fit = all(isinstance(one, (Term, Total, *REALS)) for one in args)
    fit = fit and not any(isinstance(one, Term) and one.room for one in args)
    return found.pop() if len(found) == 1 and fit else None


def _sum_type(a: Any, b: Any) -> Any:
    if isinstance(a, Total) or isinstance(b, Total):
        return Total(float_of((a, b)))
    if not isinstance(b, Term):
        return Term(a.float, a.slots, a.pairs)
    if not isinstance(a, Term):
        return Term(b.float, b.slots, b.pairs)
    if a.slots + b.slots > MOST_SLOTS:
        return Total(a.float)
    return Term(a.float, a.slots + b.slots, merged(a.pairs, shifted(b.pairs, a.slots)))


def _product_type(a: Any, b: Any) -> Any:
    if isinstance(a, Total) or isinstance(b, Total):
        one = isinstance(a, REALS) or isinstance(b, REALS)
        return Total(float_of((a, b))) if one else None
    if not isinstance(a, Term) or not isinstance(b, Term):
        return _sum_type(a, b)
    if a.slots + b.slots > MOST_SLOTS:
        return None
    cross = [(p, a.slots + q) for p in range(a.slots) for q in range(b.slots)]
    return Term(a.float, a.slots + b.slots, merged(_sum_type(a, b).pairs, cross))


def _quotient_type(a: Any, b: Any) -> Any:
    if isinstance(b, REALS):
        return _product_type(a, b)
    if isinstance(a, Total) or isinstance(b, Total):
        return None
    slots = b.slots + (a.slots if isinstance(a, Term) else 0)
    if slots > MOST_SLOTS:
        return None
    own = a.pairs if isinstance(a, Term) else ()
    first = a.slots if isinstance(a, Term) else 0
    curved = [pair for pair in all_pairs(slots) if pair[1] >= first]
    return Term(b.float, slots, merged(own, curved))


class _Template(AbstractTemplate):
    metadata = {"target": "cpu"}
    result: Callable[..., Any]  # the type of the result; each operator has its own

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        number = None if kws else float_of(args)
        result = None if number is None else self.result(args)
        if result is None:
            return None
        return signature(result, *(one if isinstance(one, Element) else number for one in args))


def _install(op: Callable[..., Any], result: Callable[..., Any], emit: Any, count: int) -> None:
    body = {"key": op, "result": lambda self, args: result(*args)}
    infer_global(op)(type(f"Element_{op.__name__}", (_Template,), body))
    kinds = (Term, Total)
    forms: list[Any] = [(one,) for one in kinds]
    if count == 2:
        forms = [(one, other) for one in kinds for other in (*kinds, types.Float)]
        forms += [(types.Float, one) for one in kinds]
    for form in forms:
        lower_builtin(op, *form)(emit)


def operand(builder: Any, ty: Any, llvm: Any) -> Parts:
    """Emit: the parts of a term, or of a number, which has no slots."""
    if isinstance(ty, Term):
        return taken_apart(builder, ty, llvm)
    return Parts(llvm, ir.Constant(ir.IntType(64), 0), [], [], {})


def joined(builder: Any, value: Any, a: Parts, b: Parts, maps: tuple[Any, Any]) -> Parts:
    """Emit: a term with the slots of two; ``maps`` give their derivatives, scaled."""
    by, (first, second) = len(a.tags), maps
    home = builder.or_(a.home, b.home)  # the same, or one of them 0
    slopes = [*map(first, a.slopes), *map(second, b.slopes)]
    bends = {pair: first(one) for pair, one in a.bends.items()}
    bends |= {(p + by, q + by): second(one) for (p, q), one in b.bends.items()}
    return Parts(value, home, [*a.tags, *b.tags], slopes, bends)


def scaled(builder: Any, factor: Any) -> Callable[[Any], Any]:
    """Make a function that emits a product with a factor."""
    return lambda one: builder.fmul(factor, one, flags=_CONTRACT)


def _same(one: Any) -> Any:
    return one


def plus(builder: Any, total: Any, term: Any) -> Any:
    """Emit: a sum of derivatives; ``None`` for no derivative."""
    return term if total is None else builder.fadd(total, term, flags=_CONTRACT)


def times(builder: Any, *factors: Any) -> Any:
    """Emit: a product of derivatives."""
    first, *rest = factors
    for one in rest:
        first = builder.fmul(first, one, flags=_CONTRACT)
    return first


def _emit_sum(*, minus: bool) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if isinstance(sig.return_type, Total):
            return _total(context, builder, sig, args, minus=minus)
        a, b = (operand(builder, *one) for one in zip(sig.args, args, strict=True))
        value = (builder.fsub if minus else builder.fadd)(a.value, b.value)
        parts = joined(builder, value, a, b, (_same, builder.fneg if minus else _same))
        return put_together(context, builder, sig.return_type, parts)

    return emit


def _total(context: Any, builder: Any, sig: Any, args: Any, *, minus: bool) -> Any:
    """Emit: a sum of which one part is a total, or which has more slots than a term."""
    (a_ty, b_ty), (a, b) = sig.args, args
    flipped = minus and isinstance(b_ty, Total)
    if flipped:
        b = _rescaled(context, builder, b_ty, b)
    into = _joint_home(context, builder, sig, (a, b))
    for ty, one, negative in ((a_ty, a, False), (b_ty, b, minus)):
        if isinstance(ty, Term):
            parts = taken_apart(builder, ty, one)
            into = scatter(context, builder, into, parts, minus=negative)
    x, y = (_number(builder, *one) for one in zip(sig.args, (a, b), strict=True))
    value = (builder.fsub if minus and not flipped else builder.fadd)(x, y)
    return _made(context, builder, sig.return_type, value, into)


def _number(builder: Any, ty: Any, llvm: Any) -> Any:
    return builder.extract_value(llvm, 0) if isinstance(ty, Element) else llvm


def _made(context: Any, builder: Any, ty: Any, value: Any, into: tuple[Any, Any]) -> Any:
    whole = ir.Constant(context.get_value_type(ty), ir.Undefined)
    for i, one in enumerate((value, *into)):
        whole = builder.insert_value(whole, one, i)
    return whole


def _joint_home(context: Any, builder: Any, sig: Any, args: Any) -> tuple[Any, Any]:
    """Emit: home and count of the totals among two summands."""
    pairs = zip(sig.args, args, strict=True)
    found = [_rest(builder, one) for ty, one in pairs if isinstance(ty, Total)]
    if len(found) < 2:
        return (*found, (i64(0), i64(0)))[0]
    number = sig.return_type.float
    taken = (*[types.intp] * 4, number)
    like = ir.Constant(context.get_value_type(number), 0.0)
    both = call(context, builder, united, taken, [*found[0], *found[1], like])
    return builder.extract_value(both, 0), builder.extract_value(both, 1)


def _rest(builder: Any, total: Any) -> tuple[Any, Any]:
    return builder.extract_value(total, 1), builder.extract_value(total, 2)


def _rescaled(context: Any, builder: Any, ty: Any, total: Any, factor: Any = None) -> Any:
    """Emit: a total times a factor; its negative, without one."""
    value = builder.extract_value(total, 0)
    number = ir.Constant(value.type, -1.0) if factor is None else factor
    taken = types.intp, types.intp, ty.float
    home, count = _rest(builder, total)
    count = call(context, builder, multiplied, taken, [home, count, number])
    return _made(context, builder, ty, builder.fmul(value, number), (home, count))


def _emit_product(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    (a_ty, b_ty), (a, b) = sig.args, args
    if isinstance(a_ty, Total):
        return _rescaled(context, builder, a_ty, a, b)
    if isinstance(b_ty, Total):
        return _rescaled(context, builder, b_ty, b, a)
    a, b = operand(builder, a_ty, a), operand(builder, b_ty, b)
    value = builder.fmul(a.value, b.value)
    parts = joined(builder, value, a, b, (scaled(builder, b.value), scaled(builder, a.value)))
    for p, one in enumerate(a.slopes):
        for q, other in enumerate(b.slopes):
            parts.bends[p, len(a.tags) + q] = times(builder, one, other)
    return put_together(context, builder, sig.return_type, parts)


def _emit_quotient(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    (a_ty, b_ty), (a, b) = sig.args, args
    if isinstance(a_ty, Total):
        return _divided(context, builder, a_ty, a, b)
    a, b = operand(builder, a_ty, a), operand(builder, b_ty, b)
    y = builder.fdiv(a.value, b.value)
    inverse = builder.fdiv(ir.Constant(y.type, 1.0), b.value)
    if not isinstance(b_ty, Term):
        parts = joined(builder, y, a, b, (scaled(builder, inverse), _same))
        return put_together(context, builder, sig.return_type, parts)
    down = builder.fneg(times(builder, y, inverse))
    both = builder.fneg(times(builder, inverse, inverse))
    twice = times(builder, ir.Constant(y.type, -2.0), down, inverse)
    curved = Curvatures(inverse, down, None, both, twice)
    parts = composed2(builder, y, curved, a, b)
    return put_together(context, builder, sig.return_type, parts)


def _divided(context: Any, builder: Any, ty: Any, total: Any, number: Any) -> Any:
    """Emit: a total over a number; the value is what a division yields."""
    inverse = builder.fdiv(ir.Constant(number.type, 1.0), number)
    value = builder.fdiv(builder.extract_value(total, 0), number)
    return builder.insert_value(_rescaled(context, builder, ty, total, inverse), value, 0)


class Curvatures:
    """The partial derivatives of a function of two arguments; ``None`` for one that is zero."""

    __slots__ = ("a", "aa", "ab", "b", "bb")

    def __init__(self, a: Any, b: Any, aa: Any, ab: Any, bb: Any) -> None:
        self.a, self.b, self.aa, self.ab, self.bb = a, b, aa, ab, bb


def composed(builder: Any, y: Any, d: Any, dd: Any, x: Parts) -> Parts:
    """Emit: a function of a term, by the chain rule; ``dd`` is ``None`` where it is linear."""
    bends = {pair: times(builder, d, one) for pair, one in x.bends.items()}
    slopes = [times(builder, d, one) for one in x.slopes]
    if dd is not None:
        curved = [times(builder, dd, one) for one in x.slopes]
        for p, q in all_pairs(len(x.tags)):
            product = times(builder, curved[p], x.slopes[q])
            bends[p, q] = plus(builder, bends.get((p, q)), product)
    return Parts(y, x.home, x.tags, slopes, bends)


def composed2(builder: Any, y: Any, by: Curvatures, a: Parts, b: Parts) -> Parts:
    """Emit: a function of two terms, or of one and a number."""
    first = composed(builder, y, by.a, by.aa, a) if a.tags else a
    second = composed(builder, y, by.b, by.bb, b) if b.tags else b
    parts = joined(builder, y, first, second, (_same, _same))
    if a.tags and b.tags:
        for p, one in enumerate(a.slopes):
            half = times(builder, by.ab, one)
            for q, other in enumerate(b.slopes):
                parts.bends[p, len(a.tags) + q] = times(builder, half, other)
    return parts


def _emit_negative(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    (ty,), (x,) = sig.args, args
    if isinstance(ty, Total):
        return _rescaled(context, builder, ty, x)
    parts = taken_apart(builder, ty, x)
    nothing = Parts(None, ir.Constant(ir.IntType(64), 0), [], [], {})
    negative = joined(builder, builder.fneg(parts.value), parts, nothing, (builder.fneg, _same))
    return put_together(context, builder, sig.return_type, negative)


def _emit_positive(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


def _emit_comparison(symbol: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pairs = zip(sig.args, args, strict=True)
        left, right = (
            builder.extract_value(one, 0) if isinstance(ty, Element) else one for ty, one in pairs
        )
        compare = builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered
        return compare(symbol, left, right)

    return emit


def _boolean(a: Any, b: Any) -> Any:
    return types.boolean


def _negative_type(x: Any) -> Any:
    return Term(x.float, x.slots, x.pairs) if isinstance(x, Term) else x


for _ops, _result, _emit in (
    ((operator.add, operator.iadd), _sum_type, _emit_sum(minus=False)),
    ((operator.sub, operator.isub), _sum_type, _emit_sum(minus=True)),
    ((operator.mul, operator.imul), _product_type, _emit_product),
    ((operator.truediv, operator.itruediv), _quotient_type, _emit_quotient),
):
    for _op in _ops:
        _install(_op, _result, _emit, 2)
for _op, _symbol in COMPARISONS.items():
    _install(_op, _boolean, _emit_comparison(_symbol), 2)
_install(operator.neg, _negative_type, _emit_negative, 1)
_install(operator.pos, lambda x: x, _emit_positive, 1)


@lower_cast(types.Integer, Term)
@lower_cast(types.Float, Term)
@lower_cast(types.Boolean, Term)
@lower_cast(Term, Term)
def _as_term(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: a number without slots as a term, or a term with some more."""
    if fromty == toty:
        return value
    if not isinstance(fromty, Term):
        value = context.cast(builder, value, fromty, toty.float)
    return put_together(context, builder, toty, operand(builder, fromty, value))


@lower_cast(types.Integer, Total)
@lower_cast(types.Float, Total)
@lower_cast(types.Boolean, Total)
@lower_cast(Term, Total)
def _as_total(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: the start of a total."""
    into = i64(0), i64(0)
    if isinstance(fromty, Term):
        parts = taken_apart(builder, fromty, value)
        return _made(context, builder, toty, parts.value, scatter(context, builder, into, parts))
    return _made(context, builder, toty, context.cast(builder, value, fromty, toty.float), into)
