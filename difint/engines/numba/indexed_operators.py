"""Arithmetic, comparison and choice of numbers with index sets: typed here, and emitted."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, lower_cast

from difint.engines.numba.banks import i64
from difint.engines.numba.dual import REALS
from difint.engines.numba.indexed import (
    BEND,
    HOME,
    VALUE,
    Doubt,
    Indexed,
)
from difint.engines.numba.indexed_nodes import noted, paired, united
from difint.engines.numba.indexed_rules import counted, pairs
from difint.engines.numba.operators import ARITHMETIC, COMPARISONS, IN_PLACE


def joint(args: tuple[Any, ...]) -> Indexed | None:
    """Get the type that all of these become; ``None`` if none is of these families."""
    if not all(isinstance(one, (Indexed, Doubt, *REALS)) for one in args):
        return None
    found = [one for one in args if isinstance(one, Indexed)]
    found = found or [one.number for one in args if isinstance(one, Doubt)]
    if not found or len({one.manner for one in found}) > 1:
        return None
    return max(found, key=lambda one: one.float.bitwidth)


class Operand(NamedTuple):
    """A number while code is emitted.

    Attributes:
        value: the float.
        home: the address of the table; 0 in constants.
        node: the node of the index set.
        bend: the node of the pairs.
    """

    value: Any
    home: Any
    node: Any
    bend: Any


class Emitter:
    """Emits what becomes of numbers, as one type."""

    def __init__(self, context: Any, builder: Any, ty: Indexed) -> None:
        self.context, self.builder, self.ty = context, builder, ty

    def operand(self, ty: Any, llvm: Any) -> Operand:
        """Emit: the parts of a number, of which a real has none but its value."""
        if isinstance(ty, Doubt):
            ty, llvm = self.ty, self.context.cast(self.builder, llvm, ty, self.ty)
        if not isinstance(ty, Indexed):
            value = self.context.cast(self.builder, llvm, ty, self.ty.float)
            return Operand(value, i64(0), i64(0), i64(0))
        llvm = self.context.cast(self.builder, llvm, ty, self.ty)
        kept = range(BEND + 1 if ty.manner.curved else BEND)
        parts = [self.builder.extract_value(llvm, i) for i in kept]
        return Operand(*[*parts, i64(0)][: BEND + 1])

    def number(self, one: Operand) -> Any:
        """Emit: a number of its parts."""
        whole = ir.Constant(self.context.get_value_type(self.ty), ir.Undefined)
        for i in range(len(whole.type.elements)):
            whole = self.builder.insert_value(whole, one[i], i)
        return whole

    def unite(self, home: Any, nodes: list[Any]) -> Any:
        """Emit: the union of nodes, some of which may be seen to be 0."""
        whole = i64(0)
        for one in nodes:
            if _is_zero(whole):
                whole = one
            elif not _is_zero(one):
                whole = united(self.builder, home, whole, one)
        return whole

    def pair(self, home: Any, a: Any, b: Any) -> Any:
        """Emit: the pair of two nodes."""
        return i64(0) if _is_zero(a) or _is_zero(b) else paired(self.builder, home, a, b)

    def note(self, home: Any) -> None:
        """Emit: a note that a value was asked for."""
        noted(self.builder, home)

    def home(self, operands: list[Operand]) -> Any:
        """Emit: the home of all that have one."""
        whole = i64(0)
        for one in operands:
            whole = one.home if _is_zero(whole) else self.builder.or_(whole, one.home)
        return whole

    def dropped(self, one: Operand) -> Operand:
        """Emit: an operand that counts for nothing, except that it may not be known."""
        if _is_zero(one.node):
            return one
        open_ = self.builder.icmp_unsigned("!=", one.node, i64(0))
        return one._replace(node=self.builder.zext(open_, one.node.type), bend=i64(0))

    def either(self, condition: Any, a: Operand, b: Operand) -> Operand:
        """Emit: one of two operands, part by part."""
        return Operand(*(self.builder.select(condition, *pair) for pair in zip(a, b, strict=True)))

    def known_zero(self, one: Operand) -> Any:
        """Emit: whether a number is zero for every ``x``."""
        zero = self.builder.fcmp_ordered("==", one.value, ir.Constant(one.value.type, 0.0))
        return self.builder.and_(zero, self.builder.icmp_unsigned("==", one.node, i64(0)))


def _is_zero(node: Any) -> bool:
    return isinstance(node, ir.Constant) and node.constant == 0


def emit_result(emitter: Emitter, name: str, value: Any, operands: list[Operand]) -> Any:
    """Emit: what a function of the table of rules makes of its arguments, with this value."""
    home = emitter.home(operands)
    kept = [
        one if counts else emitter.dropped(one)
        for one, counts in zip(operands, counted(name), strict=True)
    ]
    if name in _EXTREMES and emitter.ty.manner.local:
        kept = [_unless_beaten(emitter, value, one) for one in kept]
    node = emitter.unite(home, [one.node for one in kept])
    bend = i64(0)
    if emitter.ty.manner.curved:
        bend = _bend(emitter, name, home, node, kept)
    made = Operand(value, home, node, bend)
    if name in _FACTORS and emitter.ty.manner.zeros:
        made = _unless_zero(emitter, made, operands[: _FACTORS[name]])
    return emitter.number(made)


_EXTREMES = ("maximum", "minimum")
_FACTORS = {"multiply": 2, "divide": 1}
"""Functions that are zero where one of so many arguments is."""


def _unless_beaten(emitter: Emitter, value: Any, one: Operand) -> Operand:
    beaten = emitter.builder.fcmp_ordered("!=", value, one.value)
    return emitter.either(beaten, emitter.dropped(one), one)


def _unless_zero(emitter: Emitter, made: Operand, factors: list[Operand]) -> Operand:
    zero, *rest = map(emitter.known_zero, factors)
    for one in rest:
        zero = emitter.builder.or_(zero, one)
    # Zero times what is infinite here is zero elsewhere: that is not known.
    builder, zeros = emitter.builder, ir.Constant(made.value.type, 0.0)
    strange = builder.fcmp_unordered("!=", builder.fsub(made.value, made.value), zeros)
    nothing = builder.zext(strange, made.node.type)
    return emitter.either(zero, made._replace(node=nothing, bend=i64(0)), made)


def _bend(emitter: Emitter, name: str, home: Any, node: Any, operands: list[Operand]) -> Any:
    """Emit: the pairs of the arguments, and those that the function adds."""
    bends, added = [one.bend for one in operands], pairs(name)
    if len(added) == len(operands) * (len(operands) + 1) // 2:
        made = [emitter.pair(home, node, node)]
    else:
        made = [emitter.pair(home, operands[i].node, operands[j].node) for i, j in sorted(added)]
    return emitter.unite(home, [*bends, *made])


def emit_chosen(emitter: Emitter, truth: Any, doubt: Any, a: Operand, b: Operand) -> Any:
    """Emit: one of two numbers by a truth value, or what both say if ``doubt`` is no home of 0."""
    builder, home = emitter.builder, emitter.home([a, b])
    value = builder.select(truth, a.value, b.value)
    open_ = builder.icmp_unsigned("!=", doubt, i64(0))
    nothing = Operand(value, home, builder.zext(open_, home.type), i64(0))
    counts = [builder.or_(open_, one) for one in (truth, builder.not_(truth))]
    kept = [emitter.either(count, one, nothing) for count, one in zip(counts, (a, b), strict=True)]
    kept.append(nothing)  # whatever is chosen in doubt is not known
    home = builder.or_(home, doubt)
    node = emitter.unite(home, [one.node for one in kept])
    curved = emitter.ty.manner.curved
    bend = emitter.unite(home, [one.bend for one in kept]) if curved else i64(0)
    return emitter.number(Operand(value, home, node, bend))


def emit_doubt(emitter: Emitter, truth: Any, operands: list[Operand]) -> Any:
    """Emit: what is true of numbers, as their manner has it: a doubt, or a truth value."""
    builder, home = emitter.builder, emitter.home(operands)
    manner, open_ = emitter.ty.manner, i64(0)
    for one in operands:
        open_ = builder.or_(open_, one.node)
    home = builder.select(builder.icmp_unsigned("==", open_, i64(0)), i64(0), home)
    if manner.doubts:
        return pack_doubt(builder, truth, home)
    if manner.notes:
        emitter.note(home)
    return truth


def pack_doubt(builder: Any, truth: Any, home: Any) -> Any:
    """Emit: a doubt of its parts."""
    empty = ir.Constant(ir.LiteralStructType([truth.type, home.type]), ir.Undefined)
    return builder.insert_value(builder.insert_value(empty, truth, VALUE), home, HOME)


def emit_step(emitter: Emitter, value: Any, home: Any) -> Any:
    """Emit: a number that depends on ``x`` in jumps alone, if at all."""
    open_ = emitter.builder.icmp_unsigned("!=", home, i64(0))
    node = emitter.builder.zext(open_, home.type)
    return emitter.number(Operand(value, home, node, i64(0)))


class _Template(AbstractTemplate):
    metadata = {"target": "cpu"}

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        ty = None if kws else joint(args)
        if ty is None:
            return None
        taken = (ty.float if isinstance(one, REALS) else ty for one in args)
        return signature(self.result(ty), *taken)

    def result(self, ty: Indexed) -> Any:
        return ty


class _Comparison(_Template):
    def result(self, ty: Indexed) -> Any:
        return truth_type(ty)


def truth_type(ty: Indexed) -> Any:
    """Get the type of what is true of numbers."""
    return Doubt(ty) if ty.manner.doubts else types.boolean


class _Logic(AbstractTemplate):
    metadata = {"target": "cpu"}

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        found = [one for one in args if isinstance(one, Doubt)]
        if kws or not found or not all(isinstance(one, Doubt | types.Boolean) for one in args):
            return None
        return signature(found[0], *(found[0] for _ in args))


def _install(op: Callable[..., Any], template: Any, emit: Any, forms: Any) -> None:
    infer_global(op)(type(f"Indexed_{op.__name__}", (template,), {"key": op}))
    for form in forms:
        lower_builtin(op, *form)(emit)


def _operands(context: Any, builder: Any, sig: Any, args: Any) -> tuple[Emitter, list[Operand]]:
    ty = next(one for one in sig.args if isinstance(one, Indexed))
    emitter = Emitter(context, builder, ty)
    return emitter, [emitter.operand(*one) for one in zip(sig.args, args, strict=True)]


_ON_FLOATS = {"add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv"}


def _emit_arithmetic(name: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emitter, operands = _operands(context, builder, sig, args)
        value = getattr(builder, _ON_FLOATS[name])(*(one.value for one in operands))
        return emit_result(emitter, name, value, operands)

    return emit


def _emit_comparison(symbol: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emitter, operands = _operands(context, builder, sig, args)
        compare = builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered
        truth = compare(symbol, *(one.value for one in operands))
        return emit_doubt(emitter, truth, operands)

    return emit


def _emit_negative(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    emitter, (one,) = _operands(context, builder, sig, args)
    return emitter.number(one._replace(value=builder.fneg(one.value)))


def _emit_positive(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


def _emit_logic(name: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        truths, homes = ([builder.extract_value(one, i) for one in args] for i in (VALUE, HOME))
        truth = getattr(builder, name)(*truths)
        return pack_doubt(builder, truth, homes[0] if len(args) == 1 else builder.or_(*homes))

    return emit


_PAIRS = ((Indexed, Indexed), (Indexed, types.Float), (types.Float, Indexed))
_LOGIC: dict[str, tuple[Callable[..., Any], ...]] = {
    "and_": (operator.and_, operator.iand),
    "or_": (operator.or_, operator.ior),
    "xor": (operator.xor, operator.ixor),
    "not_": (operator.invert, operator.not_),
}

for _op, _name in (ARITHMETIC | IN_PLACE).items():
    _install(_op, _Template, _emit_arithmetic(_name), _PAIRS)
for _op, _name in COMPARISONS.items():
    _install(_op, _Comparison, _emit_comparison(_name), _PAIRS)
_install(operator.neg, _Template, _emit_negative, ((Indexed,),))
_install(operator.pos, _Template, _emit_positive, ((Indexed,),))
for _name, _logical in _LOGIC.items():
    for _one in _logical:
        _install(_one, _Logic, _emit_logic(_name), ((Doubt,), (Doubt, Doubt)))


@lower_cast(types.Integer, Indexed)
@lower_cast(types.Float, Indexed)
@lower_cast(types.Boolean, Indexed)
def _as_known(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: a real as a number that is known."""
    emitter = Emitter(context, builder, toty)
    return emitter.number(emitter.operand(fromty, value))


@lower_cast(Indexed, Indexed)
def _as_other(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: a number over other floats."""
    if fromty == toty:
        return value
    one = Emitter(context, builder, fromty).operand(fromty, value)
    inner = context.cast(builder, one.value, fromty.float, toty.float)
    return Emitter(context, builder, toty).number(one._replace(value=inner))


@lower_cast(Doubt, Indexed)
def _as_step(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: a doubt as the number 0 or 1."""
    truth, home = (builder.extract_value(value, i) for i in (VALUE, HOME))
    inner = context.cast(builder, truth, types.boolean, toty.float)
    return emit_step(Emitter(context, builder, toty), inner, home)


@lower_cast(Doubt, types.Boolean)
def _decided(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: the truth value of a doubt at the example, and note that it was asked for."""
    Emitter(context, builder, fromty.number).note(builder.extract_value(value, HOME))
    return builder.extract_value(value, VALUE)


@lower_cast(types.Boolean, Doubt)
def _undoubted(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: a truth value that is known as a doubt."""
    return pack_doubt(builder, value, i64(0))


@lower_cast(Doubt, Doubt)
def _same(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return value
