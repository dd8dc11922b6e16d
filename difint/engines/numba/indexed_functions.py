"""Elementary functions of numbers with index sets, from the one table of rules."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from difint.engines.numba.banks import i64
from difint.engines.numba.creation import clipped, select
from difint.engines.numba.elementwise import register
from difint.engines.numba.functions import COMPUTE, install, overloading
from difint.engines.numba.indexed import HOME, VALUE, Doubt, Indexed
from difint.engines.numba.indexed_operators import (
    Emitter,
    emit_chosen,
    emit_doubt,
    emit_result,
    joint,
    truth_type,
)
from difint.rules import RULES

_ROUNDING = (math.floor, math.ceil, math.trunc, round)
_TESTING = (math.isnan, math.isinf, math.isfinite, np.isnan, np.isinf, np.isfinite, np.signbit)


def _of(args: tuple[Any, ...]) -> Indexed:
    ty = joint(args)
    assert ty is not None, "overloads have looked at the types"
    return ty


@intrinsic
def number_of(typingctx: Any, x: Any) -> Any:
    """Get the value of a number or a doubt, as a float; of a real, itself."""
    ours = isinstance(x, Indexed | Doubt)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not ours:
            return args[0]
        inner = types.boolean if isinstance(x, Doubt) else x.float
        return context.cast(builder, builder.extract_value(args[0], VALUE), inner, x.float)

    return (x.float if ours else x)(x), emit


@intrinsic
def _asked(typingctx: Any, x: Any) -> Any:
    """Get the value of a number or a doubt, and note that it was asked for."""
    of_number = isinstance(x, Indexed)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not of_number:
            return context.cast(builder, args[0], x, types.boolean)
        if x.manner.notes:
            emitter = Emitter(context, builder, x)
            one = emitter.operand(x, args[0])
            known = builder.icmp_unsigned("==", one.node, i64(0))
            emitter.note(builder.select(known, i64(0), one.home))
        return builder.extract_value(args[0], VALUE)

    return (x.float if of_number else types.boolean)(x), emit


@intrinsic
def _true_of(typingctx: Any, truth: Any, x: Any) -> Any:
    """Make what is true of a number, as its manner has it."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        inner = context.cast(builder, args[0], truth, types.boolean)
        emitter = Emitter(context, builder, x)
        return emit_doubt(emitter, inner, [emitter.operand(x, args[1])])

    return truth_type(x)(truth, x), emit


@cache
def made_by(name: str) -> Any:
    """Make an intrinsic ``(y, arguments...) -> number``: the result of a function, with value y."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emitter = Emitter(context, builder, sig.return_type)
        value = context.cast(builder, args[0], sig.args[0], sig.return_type.float)
        pairs = zip(sig.args[1:], args[1:], strict=True)
        return emit_result(emitter, name, value, [emitter.operand(*one) for one in pairs])

    @intrinsic
    def of_one(typingctx: Any, y: Any, x: Any) -> Any:
        return _of((x,))(y, x), emit

    @intrinsic
    def of_two(typingctx: Any, y: Any, a: Any, b: Any) -> Any:
        return _of((a, b))(y, a, b), emit

    return of_one if len(RULES[name]) == 1 else of_two


@intrinsic
def as_number(typingctx: Any, x: Any) -> Any:
    """Make a number of a doubt: 0 or 1."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[0], x, sig.return_type)

    return _of((x,))(x), emit


def _unary(name: str) -> Callable[..., Any]:
    compute, made = COMPUTE[name], made_by(name)

    def of_one(x: Any) -> Any:
        return made(compute(number_of(x)), x)

    def choose(x: Any) -> Any:
        return of_one if isinstance(x, Indexed) else None

    return choose


def _binary(name: str) -> Callable[..., Any]:
    return _of_two(COMPUTE[name], made_by(name))


def _of_two(compute: Callable[..., Any], made: Any) -> Callable[..., Any]:
    def of_two(a: Any, b: Any) -> Any:
        return made(compute(number_of(a), number_of(b)), a, b)

    def choose(a: Any, b: Any) -> Any:
        return of_two if joint((a, b)) is not None else None

    return choose


def _of_primal(function: Callable[..., Any]) -> Callable[..., Any]:
    def asked(x: Any) -> Any:
        return function(_asked(x))

    def rounded(x: Any) -> Any:
        return step(float(function(number_of(x))), x)

    def tested(x: Any) -> Any:
        return _true_of(function(number_of(x)), x)

    step = made_by("floor")

    def choose(x: Any) -> Any:
        if not isinstance(x, Indexed | Doubt):
            return None
        if isinstance(x, Indexed) and x.manner.doubts and function in _ROUNDING:
            return rounded
        return tested if isinstance(x, Indexed) and function in _TESTING else asked

    return choose


def _identity(x: Any) -> Any:
    if isinstance(x, Doubt):
        return lambda x: as_number(x)
    return (lambda x: x) if isinstance(x, Indexed) else None


def _extreme(name: str) -> Callable[..., Any]:
    return _of_two({"maximum": max, "minimum": min}[name], made_by(name))


install(lambda a, b: joint((a, b)), _of_primal, _identity, _unary, _binary, _extreme)


@intrinsic
def _chosen(typingctx: Any, condition: Any, x: Any, y: Any) -> Any:
    """Choose between numbers; in doubt, the result has the sets of both."""
    ty = _of((condition, x, y) if isinstance(condition, Doubt) else (x, y))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        truth, doubt = args[0], i64(0)
        if isinstance(condition, Doubt):
            truth, doubt = (builder.extract_value(args[0], i) for i in (VALUE, HOME))
        else:
            truth = context.cast(builder, truth, condition, types.boolean)
        emitter = Emitter(context, builder, ty)
        both = [emitter.operand(*one) for one in zip(sig.args[1:], args[1:], strict=True)]
        return emit_chosen(emitter, truth, doubt, both[0], both[1])

    return ty(condition, x, y), emit


@overloading(select)
def _choose_select(condition: Any, x: Any, y: Any) -> Any:
    if joint((condition, x, y)) is None or isinstance(condition, Indexed):
        return None
    return lambda condition, x, y: _chosen(condition, x, y)


overloading(np.where)(_choose_select)


@overloading(clipped)
def _choose_clipped(a: Any, a_min: Any, a_max: Any) -> Any:
    if joint((a, a_min, a_max)) is None:
        return None
    return lambda a, a_min, a_max: np.minimum(np.maximum(a, a_min), a_max)


overloading(np.clip)(_choose_clipped)


def _logical(combine: Callable[..., Any]) -> Callable[..., Any]:
    def choose(a: Any, b: Any) -> Any:
        both = isinstance(a, Doubt | types.Boolean) and isinstance(b, Doubt | types.Boolean)
        return combine if both and joint((a, b)) is not None else None

    return choose


overloading(np.logical_and)(_logical(lambda a, b: a & b))
overloading(np.logical_or)(_logical(lambda a, b: a | b))
overloading(np.logical_xor)(_logical(lambda a, b: a ^ b))


@overloading(np.logical_not)
def _choose_not(a: Any) -> Any:
    return (lambda a: ~a) if isinstance(a, Doubt) else None


for _function in (np.logical_and, np.logical_or, np.logical_xor, np.logical_not):
    register(_function, _function.nin)
