"""Emitting: arithmetic of duals as LLVM instructions, from the expressions of the rules.

``Number`` is a value while code is emitted, with arithmetic as in Python: a float's is LLVM's,
a dual's is the float's and the rule of the operation, at every level of nesting.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir

from difint.engines.numba.dual import Dual, partial_of, parts_of, splat, value_of
from difint.rules import RULES

_FLOAT_OPERATIONS = {
    "add": "fadd",
    "subtract": "fsub",
    "multiply": "fmul",
    "divide": "fdiv",
}

_OPERATIONS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}


class Number(NamedTuple):
    """A value of a type while code is emitted."""

    ty: Any
    llvm: Any


@cache
def _partials(name: str) -> tuple[ast.expr, ...]:
    return tuple(ast.parse(text, mode="eval").body for text in RULES[name])


def binary(builder: Any, name: str, a: Number, b: Number) -> Number:
    """Emit an operation on two numbers; one of them may be of the base type of the other."""
    if a.ty != b.ty and (not isinstance(a.ty, Dual) or b.ty == Dual(a.ty, _size(b.ty))):
        ty = b.ty
    else:
        ty = a.ty
    if not isinstance(ty, Dual):
        return Number(ty, getattr(builder, _FLOAT_OPERATIONS[name])(a.llvm, b.llvm))
    values = [_value(builder, one, ty) for one in (a, b)]
    y = binary(builder, name, *values)
    env = {"a": values[0], "b": values[1], "y": y}
    pairs = zip((a, b), _partials(name), strict=True)
    terms = [(_evaluate(builder, rule, env), one) for one, rule in pairs if one.ty == ty]
    return chain(builder, ty, y, terms)


def negative(builder: Any, x: Number) -> Number:
    """Emit a number with the other sign."""
    if not isinstance(x.ty, Dual):
        return Number(x.ty, builder.fneg(x.llvm))
    y = negative(builder, Number(x.ty.base, value_of(builder, x.llvm)))
    return chain(builder, x.ty, y, [(-1.0, x)])


def _size(ty: Any) -> int:
    return ty.size if isinstance(ty, Dual) else 0


def _value(builder: Any, one: Number, ty: Dual) -> Number:
    return Number(ty.base, value_of(builder, one.llvm)) if one.ty == ty else one


def _evaluate(builder: Any, node: ast.expr, env: dict[str, Number]) -> Number | float:
    """Emit the expression of a rule."""
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]  # rules hold numbers alone
    if isinstance(node, ast.Name):
        return env[node.id]
    if isinstance(node, ast.UnaryOp):
        inner = _evaluate(builder, node.operand, env)
        return -inner if isinstance(inner, float) else negative(builder, inner)
    assert isinstance(node, ast.BinOp), "arithmetic rules hold arithmetic alone"
    sides = [_evaluate(builder, side, env) for side in (node.left, node.right)]
    bottom = _bottom(env["y"].ty)
    numbers = [
        Number(bottom, ir.Constant(_llvm_float(env["y"]), side))
        if isinstance(side, float)
        else side
        for side in sides
    ]
    return binary(builder, _OPERATIONS[type(node.op)], *numbers)


def _bottom(ty: Any) -> Any:
    return ty.float if isinstance(ty, Dual) else ty


def _llvm_float(one: Number) -> Any:
    ty = one.llvm.type
    while not isinstance(ty, ir.FloatType | ir.DoubleType):
        ty = ty.elements[0]
    return ty


Coefficient = Number | float


def chain(builder: Any, ty: Dual, y: Number, terms: list[tuple[Coefficient, Number]]) -> Number:
    """Emit the dual with value ``y`` and partials ``sum c_i * x_i.partials`` (the chain rule).

    A coefficient may be of the base type of duals, or a Python float.
    """
    if not isinstance(ty.base, Dual):
        partials = None
        for c, x in terms:
            scaled = _scaled_vector(builder, ty, c, builder.extract_value(x.llvm, 1))
            partials = scaled if partials is None else builder.fadd(partials, scaled)
        return Number(ty, _joined(builder, y.llvm, partials))
    sums = [_summed(builder, ty, i, terms) for i in range(ty.size)]
    return Number(ty, _joined(builder, y.llvm, _array(builder, sums)))


def _scaled_vector(builder: Any, ty: Dual, c: Coefficient, vector: Any) -> Any:
    if isinstance(c, float):
        if c in (1.0, -1.0):
            return vector if c == 1.0 else builder.fneg(vector)
        return builder.fmul(ir.Constant(vector.type, [c] * ty.size), vector)
    return builder.fmul(splat(builder, c.llvm, ty.size), vector)


def _summed(builder: Any, ty: Dual, i: int, terms: list[tuple[Coefficient, Number]]) -> Number:
    total: Number | None = None
    for c, x in terms:
        part = Number(ty.base, partial_of(builder, ty, x.llvm, i))
        scaled = _scaled(builder, c, part)
        total = scaled if total is None else binary(builder, "add", total, scaled)
    assert total is not None, "a chain has terms"
    return total


def _scaled(builder: Any, c: Coefficient, part: Number) -> Number:
    if not isinstance(c, float):
        return binary(builder, "multiply", c, part)
    if c in (1.0, -1.0):
        return part if c == 1.0 else negative(builder, part)
    return binary(builder, "multiply", Number(_bottom(part.ty), _constant(part, c)), part)


def _constant(like: Number, c: float) -> Any:
    return ir.Constant(_llvm_float(like), c)


def _array(builder: Any, numbers: list[Number]) -> Any:
    llvm = [one.llvm for one in numbers]
    packed = ir.Constant(ir.ArrayType(llvm[0].type, len(llvm)), ir.Undefined)
    for i, one in enumerate(llvm):
        packed = builder.insert_value(packed, one, i)
    return packed


def _joined(builder: Any, value: Any, partials: Any) -> Any:
    empty = ir.Constant(ir.LiteralStructType([value.type, partials.type]), ir.Undefined)
    return builder.insert_value(builder.insert_value(empty, value, 0), partials, 1)


__all__ = ["Number", "binary", "chain", "negative", "parts_of"]
