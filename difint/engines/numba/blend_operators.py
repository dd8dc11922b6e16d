"""Operators on blends: typed as one type, emitted as calls with addresses on the stack."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, lower_cast

from difint.engines.numba import blending
from difint.engines.numba.banks import i64
from difint.engines.numba.dual import REALS
from difint.engines.numba.element import (
    COUNT,
    FIRST,
    HOME,
    ROOT,
    SIZE,
    Blend,
    Term,
    Total,
    taken_apart,
)
from difint.engines.numba.operators import COMPARISONS
from difint.engines.numba.scattering import call

_ADDRESS = types.intp
_DOUBLE = ir.DoubleType()


def blend_of(args: tuple[Any, ...]) -> Blend | None:
    """Get the type of blends that operands become, of which some are variables or blends."""
    found = {(one.float, one.room) for one in args if isinstance(one, Blend) or _is_variable(one)}
    if len(found) != 1:
        return None
    blend = Blend(*found.pop())
    return blend if all(one == blend or blend.contains(one) for one in args) else None


def _is_variable(ty: Any) -> bool:
    return isinstance(ty, Term) and ty.room > 0


class _Template(AbstractTemplate):
    metadata = {"target": "cpu"}

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        blend = None if kws else blend_of(args)
        if blend is None:
            return None
        taken = (blend.float if isinstance(one, REALS) else blend for one in args)
        return signature(self.result(blend), *taken)

    def result(self, blend: Blend) -> Any:
        return blend


class _Comparison(_Template):
    def result(self, blend: Blend) -> Any:
        return types.boolean


def _install(op: Callable[..., Any], template: Any, emit: Any, count: int) -> None:
    infer_global(op)(type(f"Blend_{op.__name__}", (template,), {"key": op}))
    both = ((Blend, Blend), (Blend, types.Float), (types.Float, Blend))
    for form in both if count == 2 else ((Blend,),):
        lower_builtin(op, *form)(emit)


class Stack:
    """Places on the stack for blends that are passed by address."""

    def __init__(self, context: Any, builder: Any, blend: Blend) -> None:
        self.context, self.builder, self.blend = context, builder, blend
        self.llvm, self.room = context.get_value_type(blend), i64(blend.room)

    def place(self, value: Any = None) -> Any:
        """Emit: a place, with a value in it; get its address."""
        pointer = cgutils.alloca_once(self.builder, self.llvm)
        if value is not None:
            self.builder.store(value, pointer, align=8)
        return self.builder.ptrtoint(pointer, ir.IntType(64))

    def load(self, address: Any) -> Any:
        """Emit: the blend at an address."""
        pointer = self.builder.inttoptr(address, self.llvm.as_pointer())
        return self.builder.load(pointer, align=8)

    def word(self, address: Any, index: int) -> Any:
        """Emit: a pointer to a word."""
        at = self.builder.add(address, i64(8 * index))
        return self.builder.inttoptr(at, ir.IntType(64).as_pointer())

    def put(self, address: Any, index: int, value: Any) -> None:
        """Emit: store a word, or a number as a double."""
        place = self.word(address, index)
        if not isinstance(value.type, ir.IntType):
            place = self.builder.bitcast(place, _DOUBLE.as_pointer())
            value = self.double(value)
        self.builder.store(value, place, align=8)

    def double(self, value: Any) -> Any:
        """Emit: a number as a double."""
        return value if value.type == _DOUBLE else self.builder.fpext(value, _DOUBLE)

    def call(self, function: Any, *args: Any) -> None:
        """Emit: a call with addresses and numbers."""
        kinds = {ir.DoubleType(): types.float64, ir.FloatType(): types.float32}
        taken = tuple(kinds.get(one.type, _ADDRESS) for one in args)
        call(self.context, self.builder, function, taken, args)

    def finish(self, address: Any, value: Any) -> Any:
        """Emit: the blend at an address, with this value."""
        self.put(address, 0, value)
        return self.load(address)


def number_in(builder: Any, ty: Any, llvm: Any) -> Any:
    """Emit: the value of a blend; of a float, itself."""
    if not isinstance(ty, Blend):
        return llvm
    lanes = builder.extract_value(llvm, 0)
    double = builder.bitcast(builder.extract_element(lanes, ir.IntType(32)(0)), _DOUBLE)
    return double if ty.float == types.float64 else builder.fptrunc(double, ir.FloatType())


def curved(context: Any, builder: Any, ty: Blend, y: Any, d: Any, dd: Any, x: Any) -> Any:
    """Emit: a function of a blend."""
    stack = Stack(context, builder, ty)
    out = stack.place()
    told = stack.place(x), stack.room, stack.double(d), stack.double(dd)
    stack.call(blending.curved, out, *told)
    return stack.finish(out, y)


def combined(context: Any, builder: Any, ty: Blend, y: Any, by: Any, pair: tuple[Any, Any]) -> Any:
    """Emit: a function of two blends; ``by`` are the derivatives ``a, b, aa, ab, bb``."""
    stack = Stack(context, builder, ty)
    out, numbers = stack.place(), [stack.double(one) for one in by]
    places = [stack.place(one) for one in pair]
    stack.call(blending.combined, out, *places, stack.room, *numbers, stack.place())
    return stack.finish(out, y)


def _emit_sum(sign: float) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ty = sig.return_type
        x, y = (number_in(builder, *one) for one in zip(sig.args, args, strict=True))
        value = (builder.fadd if sign > 0 else builder.fsub)(x, y)
        stack = Stack(context, builder, ty)
        blends = [context.cast(builder, *one, ty) for one in zip(args, sig.args, strict=True)]
        out, places = stack.place(), [stack.place(one) for one in blends]
        told = ir.Constant(_DOUBLE, sign), stack.place(), ir.Constant(value.type, -1.0)
        stack.call(blending.added, out, *places, stack.room, *told)
        return stack.finish(out, value)

    return emit


def _scaled(context: Any, builder: Any, ty: Blend, x: Any, factor: Any, value: Any) -> Any:
    stack = Stack(context, builder, ty)
    out = stack.place()
    stack.call(blending.scaled, out, stack.place(x), stack.room, factor)
    return stack.finish(out, value)


def _emit_product(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    ty, (a_ty, b_ty), (a, b) = sig.return_type, sig.args, args
    x, y = number_in(builder, a_ty, a), number_in(builder, b_ty, b)
    value = builder.fmul(x, y)
    if not isinstance(a_ty, Blend):
        return _scaled(context, builder, ty, b, x, value)
    if not isinstance(b_ty, Blend):
        return _scaled(context, builder, ty, a, y, value)
    zero, one = (ir.Constant(value.type, number) for number in (0.0, 1.0))
    return combined(context, builder, ty, value, (y, x, zero, one, zero), (a, b))


def _emit_quotient(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    ty, (a_ty, b_ty), (a, b) = sig.return_type, sig.args, args
    x, y = number_in(builder, a_ty, a), number_in(builder, b_ty, b)
    value = builder.fdiv(x, y)
    zero, one = (ir.Constant(value.type, number) for number in (0.0, 1.0))
    inverse = builder.fdiv(one, y)
    if not isinstance(b_ty, Blend):
        return _scaled(context, builder, ty, a, inverse, value)
    down = builder.fneg(builder.fmul(value, inverse))
    twice = builder.fmul(ir.Constant(value.type, -2.0), builder.fmul(down, inverse))
    if not isinstance(a_ty, Blend):
        return curved(context, builder, ty, value, down, twice, b)
    both = builder.fneg(builder.fmul(inverse, inverse))
    return combined(context, builder, ty, value, (inverse, down, zero, both, twice), (a, b))


def _emit_negative(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    value = number_in(builder, sig.args[0], args[0])
    factor = ir.Constant(value.type, -1.0)
    return _scaled(context, builder, sig.return_type, args[0], factor, builder.fneg(value))


def _emit_positive(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


def _emit_comparison(symbol: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left, right = (number_in(builder, *one) for one in zip(sig.args, args, strict=True))
        compare = builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered
        return compare(symbol, left, right)

    return emit


for _ops, _emit in (
    ((operator.add, operator.iadd), _emit_sum(1.0)),
    ((operator.sub, operator.isub), _emit_sum(-1.0)),
    ((operator.mul, operator.imul), _emit_product),
    ((operator.truediv, operator.itruediv), _emit_quotient),
):
    for _op in _ops:
        _install(_op, _Template, _emit, 2)
for _op, _symbol in COMPARISONS.items():
    _install(_op, _Comparison, _emit_comparison(_symbol), 2)
_install(operator.neg, _Template, _emit_negative, 1)
_install(operator.pos, _Template, _emit_positive, 1)


@lower_cast(types.Integer, Blend)
@lower_cast(types.Float, Blend)
@lower_cast(types.Boolean, Blend)
@lower_cast(Term, Blend)
def _as_blend(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: a variable, or a number, as a blend."""
    stack, room = Stack(context, builder, toty), toty.room
    place = stack.place(ir.Constant(context.get_value_type(toty), None))
    if not isinstance(fromty, Term):
        return stack.finish(place, context.cast(builder, value, fromty, toty.float))
    parts = taken_apart(builder, fromty, value)
    stack.put(place, ROOT, parts.home)
    stack.put(place, SIZE, i64(1))
    stack.put(place, FIRST, parts.tags[0])
    stack.put(place, FIRST + room, parts.slopes[0])
    return stack.finish(place, parts.value)


@lower_cast(Blend, Total)
def _as_total(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: a blend as a total: all of it is added to a bank."""
    stack, number = Stack(context, builder, fromty), number_in(builder, fromty, value)
    place = stack.place(value)
    stack.call(blending.settled, place, stack.room, ir.Constant(number.type, -1.0))
    whole = ir.Constant(context.get_value_type(toty), ir.Undefined)
    words = [builder.load(stack.word(place, index)) for index in (HOME, COUNT)]
    for i, one in enumerate((number, *words)):
        whole = builder.insert_value(whole, one, i)
    return whole
