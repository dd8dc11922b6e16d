"""Arrays that ``f`` makes for numbers of its own: their entries are totals, or blends.

An array of terms has entries of certain slots, and of ``x`` of none but variables; what ``f`` will
store in an array that it makes is not known when its type is. They are made of zeros: a number that
nobody wrote would have a bank that is none.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr
from numba.extending import intrinsic, lower_builtin
from numba.np.arrayobj import make_array, numpy_empty_nd

from difint.engines.numba.dual import Active
from difint.engines.numba.element import Blend, Element, Term, Total
from difint.engines.numba.functions import overloading
from difint.engines.numba.reductions import compiled, is_none


def stored(ty: Any) -> Any:
    """Get the type of entries for what becomes of numbers of a type."""
    if not isinstance(ty, Term):
        return ty
    return Blend(ty.float, ty.room) if ty.room else Total(ty.float)


def _is_element_array(ty: Any) -> bool:
    return isinstance(ty, types.Array) and isinstance(ty.dtype, Element)


def _is_cleared(ty: Any) -> bool:
    """Tell whether a type is a dtype of numbers that no memory may hold by chance."""
    dtype = getattr(ty, "dtype", None)
    return isinstance(dtype, Active) and dtype.has_address


@overloading(np.empty)
def _choose_empty(shape: Any, dtype: Any = None) -> Any:
    if not _is_cleared(dtype) or not isinstance(shape, types.Integer | types.UniTuple):
        return None
    ndim = shape.count if isinstance(shape, types.UniTuple) else 1
    made = types.Array(stored(dtype.dtype), ndim, "C")

    def empty(shape: Any, dtype: Any = None) -> Any:
        array = numpy_empty_nd(shape, dtype, made)
        array._zero_fill()
        return array

    return empty


@overloading(np.empty_like)
def _choose_empty_like(arr: Any, dtype: Any = None) -> Any:
    if not _is_cleared(arr) or not (is_none(dtype) or _is_cleared(dtype)):
        return None
    return lambda arr, dtype=None: np.empty(arr.shape, arr.dtype)


@compiled
def _copied(a: Any) -> Any:
    copy = np.empty(a.shape, a.dtype)
    for index in np.ndindex(a.shape):
        copy[index] = a[index]
    return copy


def _is_of_variables(ty: Any) -> bool:
    return isinstance(ty, types.Array) and isinstance(ty.dtype, Term) and ty.dtype.room > 0


@overloading(np.copy)
def _choose_copy(a: Any) -> Any:
    return (lambda a: _copied(a)) if _is_of_variables(a) else None


@infer_getattr
class _ElementArrayAttributes(AttributeTemplate):
    """Attributes of arrays of elements, before Numba's own of all arrays."""

    key = types.Array
    metadata = {"target": "cpu"}

    def generic_resolve(self, typ: Any, attr: str) -> Any:
        if attr == "dtype" and _is_element_array(typ):
            return types.DType(stored(typ.dtype))
        if attr == "copy" and _is_of_variables(typ):
            return types.BoundFunction(_CopyMethod, typ)
        return None


class _CopyMethod(AbstractTemplate):
    key = ("difint", "copy")

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        sig = self.context.resolve_function_type(np.copy, (self.this, *args), kws)
        return None if sig is None else sig.as_method()


@lower_builtin(("difint", "copy"), types.Array)
def _emit_copy(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    typing = context.typing_context
    fnty = typing.resolve_value_type(np.copy)
    call = context.get_function(fnty, fnty.get_call_type(typing, sig.args, {}))
    context.add_linking_libs(getattr(call, "libs", ()))
    return call(builder, args)


@intrinsic
def _is_same(typingctx: Any, a: Any, b: Any) -> Any:
    """Tell whether two vectors are one: a square has half the slots of a product."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if a != b:
            return ir.Constant(ir.IntType(1), 0)
        one, other = (make_array(a)(context, builder, arg) for arg in args)
        steps = [cgutils.unpack_tuple(builder, each.strides)[0] for each in (one, other)]
        same = builder.icmp_unsigned("==", *steps)
        return builder.and_(same, builder.icmp_unsigned("==", one.data, other.data))

    return types.boolean(a, b), emit


@compiled
def _dot(a: Any, b: Any) -> Any:
    if a.size != b.size:
        raise ValueError("incompatible array sizes for a product")
    total = 0.0
    if _is_same(a, b):
        for i in range(a.size):
            total += a[i] ** 2
        return total
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled
def _matrix_vector(a: Any, x: Any, made: Any) -> Any:
    product = np.empty(a.shape[0], made.dtype)
    for i in range(a.shape[0]):
        product[i] = _dot(a[i], x)
    return product


def _choose_product(a: Any, b: Any) -> Any:
    if not any(map(_is_element_array, (a, b))):
        return None
    dims = getattr(a, "ndim", 0), getattr(b, "ndim", 0)
    if dims == (1, 1):
        return lambda a, b: _dot(a, b)
    first = _is_element_array(a)
    if dims == (2, 1):
        return lambda a, b: _matrix_vector(a, b, a if first else b)
    return (lambda a, b: _matrix_vector(b.T, a, a if first else b)) if dims == (1, 2) else None


for _function in (np.dot, np.matmul, operator.matmul, np.vdot):
    overloading(_function)(_choose_product)
