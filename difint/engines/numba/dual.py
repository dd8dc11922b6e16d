"""Dual numbers as a Numba scalar type: a value and ``n`` partials, which may be duals again.

A dual is ``v + p1 e1 + ... + pn en`` with ``ei ej = 0`` (Griewank and Walther, *Evaluating
Derivatives*, 2008, ch. 13); with dual values and partials it carries second derivatives
(Fike and Alonso, AIAA 2011-886). In memory it is ``n + 1`` numbers, so that an array of duals is
a view of an array of floats; in registers the partials are one vector.
"""

from __future__ import annotations

from typing import Any, final

from llvmlite import ir
from numba.core import types
from numba.core.typeconv import Conversion
from numba.extending import lower_cast, models, register_model

REALS = (types.Integer, types.Float, types.Boolean)
"""Types of the numbers that mix with duals."""

_I32 = ir.IntType(32)


class Active(types.Type):
    """A type of numbers with derivatives, which loops over arrays take as they take floats.

    Attributes:
        has_address: numbers hold an address, so that memory which nobody wrote must be zeros.
    """

    has_address = True


@final
class Dual(Active):
    """The type of duals with ``size`` partials over ``base``, a float type or a type of duals."""

    has_address = False

    def __init__(self, base: Any, size: int) -> None:
        self.base = base
        self.size = size
        super().__init__(f"Dual({base}, {size})")

    @property
    def key(self) -> Any:
        """What makes two of these types the same."""
        return self.base, self.size

    @property
    def float(self) -> Any:
        """The float type at the bottom."""
        return self.base.float if isinstance(self.base, Dual) else self.base

    @property
    def width(self) -> int:
        """How many floats it takes in memory."""
        inner = self.base.width if isinstance(self.base, Dual) else 1
        return int(inner * (self.size + 1))

    def with_float(self, dtype: Any) -> Dual:
        """Make the same type over another float type."""
        deep = isinstance(self.base, Dual)
        return Dual(self.base.with_float(dtype) if deep else dtype, self.size)

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Say that reals become duals without partials."""
        if isinstance(other, REALS) or other == self.base:
            return Conversion.safe
        if _narrower(other, self):
            return Conversion.promote
        return Conversion.unsafe if _narrower(self, other) else None

    def unify(self, typingctx: Any, other: Any) -> Any:
        """Say that a variable that holds a real here and a dual there is a dual."""
        fits = isinstance(other, REALS) or other == self.base or _narrower(other, self)
        return self if fits else None


def _narrower(one: Any, other: Any) -> bool:
    """Tell whether ``one`` is the same type of duals over shorter floats."""
    if not isinstance(one, Dual) or not isinstance(other, Dual):
        return False
    if one.with_float(other.float) != other:
        return False
    return bool(one.float.bitwidth < other.float.bitwidth)


@final
@register_model(Dual)
class _DualModel(models.DataModel):
    """Duals in LLVM: ``{value, partials}`` in registers, one float after the other in memory.

    Partials of floats are an LLVM vector, so that one instruction works on several of them. They
    are stored as they are loaded, as vectors: what was stored number by number and is loaded at
    once has to wait until it has left the processor's store buffer.
    """

    def __init__(self, manager: Any, fe_type: Dual) -> None:
        super().__init__(manager, fe_type)
        self._base = manager.lookup(fe_type.base)
        self._deep = isinstance(fe_type.base, Dual)

    def get_value_type(self) -> Any:
        base, size = self._base.get_value_type(), self._fe_type.size
        partials = ir.ArrayType(base, size) if self._deep else ir.VectorType(base, size)
        return ir.LiteralStructType([base, partials])

    def get_data_type(self) -> Any:
        base, size = self._base.get_data_type(), self._fe_type.size
        if self._deep:
            return ir.ArrayType(base, size + 1)
        return ir.LiteralStructType(
            [base, *(_span(base, one) for one in _spans(size))], packed=True
        )

    def as_data(self, builder: Any, value: Any) -> Any:
        whole = ir.Constant(self.get_data_type(), ir.Undefined)
        if self._deep:
            for i, part in enumerate(parts_of(builder, self._fe_type, value)):
                whole = builder.insert_value(whole, self._base.as_data(builder, part), i)
            return whole
        whole = builder.insert_value(whole, value_of(builder, value), 0)
        vector, start = builder.extract_value(value, 1), 0
        for i, size in enumerate(_spans(self._fe_type.size), start=1):
            whole = builder.insert_value(whole, _cut(builder, vector, start, size), i)
            start += size
        return whole

    def from_data(self, builder: Any, value: Any) -> Any:
        if self._deep:
            count = self._fe_type.size + 1
            parts = [builder.extract_value(value, i) for i in range(count)]
            parts = [self._base.from_data(builder, part) for part in parts]
            return pack(builder, self._fe_type, parts[0], parts[1:])
        spans = range(1, 1 + len(_spans(self._fe_type.size)))
        parts = [builder.extract_value(value, i) for i in spans]
        return _whole(
            builder,
            builder.extract_value(value, 0),
            _joined(builder, parts, self._fe_type.size),
        )

    def load_from_data_pointer(self, builder: Any, ptr: Any, align: Any = None) -> Any:
        if self._deep:
            return self.from_data(builder, builder.load(ptr))
        width = self._fe_type.base.bitwidth // 8
        count = 1 + len(_spans(self._fe_type.size))
        places = [builder.gep(ptr, [_I32(0), _I32(i)]) for i in range(count)]
        first, *parts = [builder.load(place, align=width) for place in places]
        return _whole(builder, first, _joined(builder, parts, self._fe_type.size))

    def get_argument_type(self) -> Any:
        return self.get_value_type()

    def as_argument(self, builder: Any, value: Any) -> Any:
        return value

    def from_argument(self, builder: Any, value: Any) -> Any:
        return value

    def get_return_type(self) -> Any:
        return self.get_data_type()

    def as_return(self, builder: Any, value: Any) -> Any:
        return self.as_data(builder, value)

    def from_return(self, builder: Any, value: Any) -> Any:
        return self.from_data(builder, value)

    def traverse(self, builder: Any) -> list[Any]:
        return []

    def traverse_types(self) -> list[Any]:
        return []

    def inner_types(self) -> list[Any]:
        return []


def _spans(size: int) -> list[int]:
    """Split partials into vectors whose length is a power of two: others are padded in memory."""
    return [1 << bit for bit in reversed(range(size.bit_length())) if size >> bit & 1]


def _span(base: Any, size: int) -> Any:
    return base if size == 1 else ir.VectorType(base, size)


def _cut(builder: Any, vector: Any, start: int, size: int) -> Any:
    """Emit: a part of a vector, or a number."""
    if size == 1:
        return builder.extract_element(vector, _I32(start))
    places = ir.Constant(ir.VectorType(_I32, size), list(range(start, start + size)))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), places)


def _joined(builder: Any, parts: list[Any], size: int) -> Any:
    """Emit: a vector of its parts, vectors and a number, one after the other."""
    if getattr(parts[0].type, "count", 1) == size > 1:
        return parts[0]
    base = getattr(parts[0].type, "element", parts[0].type)
    whole, start = ir.Constant(ir.VectorType(base, size), ir.Undefined), 0
    for part in parts:
        if not isinstance(part.type, ir.VectorType):
            return builder.insert_element(whole, part, _I32(start))  # the last one, if any
        stop = start + part.type.count
        here = [start <= i < stop for i in range(size)]
        spread = [i - start if mine else 0 for i, mine in enumerate(here)]
        places = ir.Constant(ir.VectorType(_I32, size), spread)
        wide = builder.shuffle_vector(part, ir.Constant(part.type, ir.Undefined), places)
        chosen = [size + i if mine else i for i, mine in enumerate(here)]
        whole = builder.shuffle_vector(whole, wide, ir.Constant(ir.VectorType(_I32, size), chosen))
        start = stop
    return whole


def value_of(builder: Any, dual: Any) -> Any:
    """Emit: the value of a dual."""
    return builder.extract_value(dual, 0)


def partial_of(builder: Any, ty: Dual, dual: Any, i: int) -> Any:
    """Emit: one partial of a dual, a value of the base type."""
    partials = builder.extract_value(dual, 1)
    if isinstance(ty.base, Dual):
        return builder.extract_value(partials, i)
    return builder.extract_element(partials, _I32(i))


def parts_of(builder: Any, ty: Dual, dual: Any) -> list[Any]:
    """Emit: the value and the partials of a dual."""
    return [
        value_of(builder, dual),
        *(partial_of(builder, ty, dual, i) for i in range(ty.size)),
    ]


def pack(builder: Any, ty: Dual, value: Any, partials: list[Any]) -> Any:
    """Emit: a dual from its parts."""
    deep = isinstance(ty.base, Dual)
    shape = ir.ArrayType if deep else ir.VectorType
    packed = ir.Constant(shape(value.type, ty.size), ir.Undefined)
    for i, partial in enumerate(partials):
        if deep:
            packed = builder.insert_value(packed, partial, i)
        else:
            packed = builder.insert_element(packed, partial, _I32(i))
    return _whole(builder, value, packed)


def _whole(builder: Any, value: Any, partials: Any) -> Any:
    empty = ir.Constant(ir.LiteralStructType([value.type, partials.type]), ir.Undefined)
    return builder.insert_value(builder.insert_value(empty, value, 0), partials, 1)


def lift(builder: Any, llvm_type: Any, value: Any) -> Any:
    """Emit: a dual without partials, from a value of its base type."""
    return builder.insert_value(ir.Constant(llvm_type, None), value, 0)


def splat(builder: Any, scalar: Any, size: int) -> Any:
    """Emit: a vector with one number in all its places."""
    vector = ir.VectorType(scalar.type, size)
    undefined = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(undefined, scalar, _I32(0))
    places = ir.Constant(ir.VectorType(_I32, size), [0] * size)
    return builder.shuffle_vector(one, undefined, places)


@lower_cast(types.Integer, Dual)
@lower_cast(types.Float, Dual)
@lower_cast(types.Boolean, Dual)
@lower_cast(Dual, Dual)
def _cast(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Emit: a real as a dual, an inner dual as an outer one, or a dual over other floats."""
    if fromty == toty:
        return value
    if isinstance(fromty, Dual) and fromty != toty.base:
        parts = parts_of(builder, fromty, value)
        parts = [context.cast(builder, part, fromty.base, toty.base) for part in parts]
        return pack(builder, toty, parts[0], parts[1:])
    inner = context.cast(builder, value, fromty, toty.base)
    return lift(builder, context.get_value_type(toty), inner)
