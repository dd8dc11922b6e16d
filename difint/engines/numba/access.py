"""Intrinsics: what compiled code does with a dual beyond arithmetic."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from difint.engines.numba.dual import Dual, lift, value_of
from difint.engines.numba.emitting import Number, chain


@intrinsic
def value(typingctx: Any, x: Any) -> Any:
    """Get the value of a dual, of its base type."""
    if not isinstance(x, Dual):
        return None

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return value_of(builder, args[0])

    return x.base(x), emit


@intrinsic
def primal(typingctx: Any, x: Any) -> Any:
    """Get the float at the bottom of a dual; of a real, itself."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ty, inner = x, args[0]
        while isinstance(ty, Dual):
            ty, inner = ty.base, value_of(builder, inner)
        return inner

    return (x.float if isinstance(x, Dual) else x)(x), emit


@intrinsic
def constant(typingctx: Any, x: Any, like: Any) -> Any:
    """Make a dual of the type of ``like`` without partials."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return lift(builder, context.get_value_type(like), args[0])

    return like(like.base, like), emit


@intrinsic
def chained(typingctx: Any, y: Any, c: Any, x: Any) -> Any:
    """Make the dual with value ``y`` and partials ``c * x.partials``."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        y, c = (Number(x.base, arg) for arg in args[:2])
        return chain(builder, x, y, [(c, Number(x, args[2]))]).llvm

    return x(x.base, x.base, x), emit


@intrinsic
def chained2(typingctx: Any, y: Any, c: Any, a: Any, d: Any, b: Any) -> Any:
    """Make the dual with value ``y`` and partials ``c * a.partials + d * b.partials``."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        y, c, d = (Number(a.base, args[i]) for i in (0, 1, 3))
        return chain(builder, a, y, [(c, Number(a, args[2])), (d, Number(a, args[4]))]).llvm

    return a(a.base, a.base, a, a.base, a), emit


@intrinsic
def dtype_of(typingctx: Any, x: Any) -> Any:
    """Get what NumPy calls the dtype of a scalar: for ``numpy.empty``."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return types.DType(x)(x), emit
