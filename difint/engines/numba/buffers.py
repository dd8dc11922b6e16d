"""Intrinsics of the kernels: buffers on the stack, seeds, and partials into results."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import _empty_nd_impl, make_array, populate_array

from difint.engines.numba.dual import Active, Dual, parts_of, splat

_I32 = ir.IntType(32)


def intp(number: int) -> Any:
    """Get a constant of 64 bits."""
    return ir.Constant(ir.IntType(64), number)


def vector_over(context: Any, builder: Any, ty: Any, data: Any, length: Any) -> Any:
    """Emit: a contiguous vector over memory that something else owns."""
    itemsize = intp(context.get_abi_sizeof(context.get_data_type(ty.dtype)))
    array = make_array(ty)(context, builder)
    populate_array(
        array,
        data=data,
        shape=[length],
        strides=[itemsize],
        itemsize=itemsize,
        meminfo=None,
        parent=None,
    )
    return array._getvalue()


_STACK = 8192
"""Bytes of a buffer up to which it lives on the stack: an allocation costs as much as Robertson."""


def buffer_of(count: int, dual: Dual, *, small: bool = True) -> Any:
    """Make an intrinsic ``() -> vector``: a new buffer of duals, on the stack if it is small.

    ``small=False`` for one that outlives the function that makes it.
    """
    bits = dual.width * dual.float.bitwidth
    return _room_of(count, dual, on_stack=small and count * bits // 8 <= _STACK)


def scratch_of(count: int, ty: Any) -> Any:
    """Make an intrinsic ``() -> vector`` of numbers of a type, on the stack if it is small."""
    return _room_of(count, ty, on_stack=count * ty.bitwidth // 8 <= _STACK)


def _room_of(count: int, ty: Any, *, on_stack: bool) -> Any:
    vector = types.Array(ty, 1, "C")

    @intrinsic
    def room(typingctx: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            if not on_stack:
                return _empty_nd_impl(context, builder, vector, [intp(count)])._getvalue()
            llvm = context.get_data_type(ty)
            block = cgutils.alloca_once(builder, ir.ArrayType(llvm, max(count, 1)))
            data = builder.bitcast(block, llvm.as_pointer())
            return vector_over(context, builder, vector, data, intp(count))

        return vector(), emit

    return room


def single_of(ty: Any) -> Any:
    """Make an intrinsic ``number -> vector``: of one entry, on the stack of who calls it."""
    vector = types.Array(ty, 1, "C")

    @intrinsic
    def single(typingctx: Any, number: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            value = context.cast(builder, args[0], number, ty)
            place = cgutils.alloca_once(builder, value.type)
            builder.store(value, place)
            return vector_over(context, builder, vector, place, intp(1))

        return vector(number), emit

    return single


@intrinsic
def floats_like(typingctx: Any, array: Any) -> Any:
    """Make an array of floats of the shape of an array of duals, without values."""
    ty = types.Array(getattr(array.dtype, "float", array.dtype), array.ndim, "C")

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source = make_array(array)(context, builder, args[0])
        shape = cgutils.unpack_tuple(builder, source.shape) if array.ndim else []
        return _empty_nd_impl(context, builder, ty, shape)._getvalue()

    return ty(array), emit


@intrinsic
def flattened(typingctx: Any, array: Any) -> Any:
    """View a contiguous array as a vector, which keeps the memory alive."""
    if array.layout != "C":
        return None
    vector = types.Array(array.dtype, 1, "C", readonly=not array.mutable)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source = make_array(array)(context, builder, args[0])
        made = make_array(vector)(context, builder)
        populate_array(
            made,
            data=source.data,
            shape=[source.nitems],
            strides=[source.itemsize],
            itemsize=source.itemsize,
            meminfo=source.meminfo,
            parent=source.parent,
        )
        context.nrt.incref(builder, vector, made._getvalue())
        return made._getvalue()

    return vector(array), emit


def fitting(ty: Any, shape: tuple[int, ...]) -> Any:
    """Make an intrinsic ``array -> bool``: whether it has this shape, and is contiguous."""

    @intrinsic
    def fits(typingctx: Any, array: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            source = make_array(array)(context, builder, args[0])
            step = context.get_abi_sizeof(context.get_data_type(array.dtype))
            lengths, strides = (
                cgutils.unpack_tuple(builder, one) for one in (source.shape, source.strides)
            )
            good = ir.Constant(ir.IntType(1), 1)
            for axis in reversed(range(len(shape))):
                same = builder.icmp_signed("==", lengths[axis], intp(shape[axis]))
                good = builder.and_(good, same)
                if shape[axis] > 1 and 0 not in shape:
                    near = builder.icmp_signed("==", strides[axis], intp(step))
                    good = builder.and_(good, near)
                step *= shape[axis]
            return good

        return types.boolean(array), emit

    return fits


def _borrowing(*, readonly: bool) -> Any:
    @intrinsic
    def borrow(typingctx: Any, array: Any) -> Any:
        vector = types.Array(array.dtype, 1, "C", readonly=readonly)

        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            source = make_array(array)(context, builder, args[0])
            return vector_over(context, builder, vector, source.data, source.nitems)

        return vector(array), emit

    return borrow


borrowed = _borrowing(readonly=False)
"""View a contiguous array as a vector that does not own the memory: no counting."""

read = _borrowing(readonly=True)
"""Likewise, to read only."""


@intrinsic
def frozen(typingctx: Any, array: Any) -> Any:
    """View an array as one that cannot be written to."""
    ty = array.copy(readonly=True)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        context.nrt.incref(builder, ty, args[0])
        return args[0]

    return ty(array), emit


@intrinsic
def apart(typingctx: Any, a: Any, b: Any) -> Any:
    """Tell whether two contiguous arrays share no memory."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bounds = []
        for ty, value in zip(sig.args, args, strict=True):
            array = make_array(ty)(context, builder, value)
            start = builder.ptrtoint(array.data, ir.IntType(64))
            size = builder.mul(array.nitems, array.itemsize)
            bounds.append((start, builder.add(start, size)))
        (start_a, end_a), (start_b, end_b) = bounds
        before = builder.icmp_unsigned("<=", end_a, start_b)
        return builder.or_(before, builder.icmp_unsigned("<=", end_b, start_a))

    return types.boolean(a, b), emit


@intrinsic
def lifted(typingctx: Any, x: Any, like: Any) -> Any:
    """Make a dual like ``like`` with this value and no partials, at any depth."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[0], x, like)

    return like(x, like), emit


@intrinsic
def lifted_like(typingctx: Any, x: Any, array: Any) -> Any:
    """Make a dual of the type of an array's entries, with this value and no partials."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[0], x, array.dtype)

    return array.dtype(x, array), emit


@intrinsic
def seeded(typingctx: Any, x: Any, k: Any) -> Any:
    """Set partial ``k`` of a dual to one."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _with_partial(context, builder, x, args[0], args[1], _one(context, x.base))

    return x(x, types.intp), emit


@intrinsic
def unit_at(typingctx: Any, x: Any, k: Any) -> Any:
    """Replace the partials of a dual over floats by zeros, and a one at ``k`` if it is there."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        llvm = context.get_value_type(x.base)
        lanes = ir.Constant(ir.VectorType(ir.IntType(64), x.size), list(range(x.size)))
        here = builder.icmp_signed("==", lanes, splat(builder, args[1], x.size))
        ones = ir.Constant(ir.VectorType(llvm, x.size), [1.0] * x.size)
        zeros = ir.Constant(ir.VectorType(llvm, x.size), [0.0] * x.size)
        return builder.insert_value(args[0], builder.select(here, ones, zeros), 1)

    return x(x, types.intp), emit


@intrinsic
def with_partial(typingctx: Any, x: Any, k: Any, partial: Any) -> Any:
    """Set partial ``k`` of a dual, to a float or to a value of its base type."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        inner = context.cast(builder, args[2], partial, x.base)
        return _with_partial(context, builder, x, args[0], args[1], inner)

    return x(x, types.intp, partial), emit


def _one(context: Any, ty: Any) -> Any:
    if not isinstance(ty, Dual):
        return ir.Constant(context.get_value_type(ty), 1.0)
    return ir.Constant(context.get_value_type(ty), [_one(context, ty.base), None])


def _with_partial(context: Any, builder: Any, ty: Any, dual: Any, k: Any, partial: Any) -> Any:
    partials = builder.extract_value(dual, 1)
    if not isinstance(ty.base, Dual):
        partials = builder.insert_element(partials, partial, builder.trunc(k, _I32))
        return builder.insert_value(dual, partials, 1)
    # An array in registers has no variable index: choose in each place.
    for i in range(ty.size):
        here = builder.icmp_signed("==", k, intp(i))
        kept = builder.extract_value(partials, i)
        partials = builder.insert_value(partials, builder.select(here, partial, kept), i)
    return builder.insert_value(dual, partials, 1)


@intrinsic
def partial_at(typingctx: Any, x: Any, k: Any) -> Any:
    """Get partial ``k`` of a dual."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not isinstance(x.base, Dual):
            vector = builder.extract_value(args[0], 1)
            return builder.extract_element(vector, builder.trunc(args[1], _I32))
        _, found, *rest = parts_of(builder, x, args[0])
        for i, one in enumerate(rest, start=1):
            here = builder.icmp_signed("==", args[1], intp(i))
            found = builder.select(here, one, found)
        return found

    return x.base(x, types.intp), emit


@intrinsic
def store_partials(typingctx: Any, x: Any, out: Any, start: Any, width: Any) -> Any:
    """Store the first ``width`` partials of a dual over floats in a vector, from ``start`` on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = make_array(out)(context, builder, args[1])
        vector, into = (
            builder.extract_value(args[0], 1),
            context.get_data_type(out.dtype),
        )
        if vector.type.element != into:
            cast = builder.fpext if into == ir.DoubleType() else builder.fptrunc
            vector = cast(vector, ir.VectorType(into, x.size))
        place = builder.gep(array.data, [args[2]])
        with builder.if_else(builder.icmp_signed("==", args[3], intp(x.size))) as (
            all_,
            some,
        ):
            with all_:
                whole = builder.bitcast(place, vector.type.as_pointer())
                builder.store(vector, whole, align=out.dtype.bitwidth // 8)
            with some, cgutils.for_range(builder, args[3]) as loop:
                one = builder.extract_element(vector, builder.trunc(loop.index, _I32))
                builder.store(one, builder.gep(place, [loop.index]))
        return context.get_dummy_value()

    return types.void(x, out, types.intp, types.intp), emit


@intrinsic(prefer_literal=True)
def no_array(typingctx: Any, like: Any) -> Any:
    """Make an empty vector of the type of ``like``: for a result that is not wanted."""
    vector = types.Array(like.dtype, 1, "C")

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = context.get_data_type(like.dtype).as_pointer()
        return vector_over(context, builder, vector, ir.Constant(pointer, None), intp(0))

    return vector(like), emit


def zero_of(dual: Active) -> Any:
    """Make an intrinsic without arguments that is the zero of a type of duals, or the like."""

    @intrinsic
    def zero(typingctx: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return ir.Constant(context.get_value_type(dual), None)

        return dual(), emit

    return zero


def array_at(ty: Any, shape: tuple[int, ...]) -> Any:
    """Make an intrinsic ``(pointer) -> array`` of this type and shape, which owns nothing."""

    @intrinsic
    def array(typingctx: Any, pointer: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            itemsize = context.get_abi_sizeof(context.get_data_type(ty.dtype))
            order = range(len(shape)) if ty.layout == "F" else range(len(shape) - 1, -1, -1)
            strides, step = [0] * len(shape), itemsize
            for axis in order:
                strides[axis], step = step, step * shape[axis]
            made = make_array(ty)(context, builder)
            populate_array(
                made,
                data=args[0],
                shape=[intp(length) for length in shape],
                strides=[intp(stride) for stride in strides],
                itemsize=intp(itemsize),
                meminfo=None,
                parent=None,
            )
            return made._getvalue()

        return ty(types.CPointer(ty.dtype)), emit

    return array


def slot_at(ty: Any, index: int) -> Any:
    """Make an intrinsic ``(block) -> value`` that reads a slot of 8 bytes at an address."""

    @intrinsic
    def slot(typingctx: Any, block: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            address = builder.add(args[0], ir.Constant(args[0].type, 8 * index))
            llvm = context.get_data_type(ty)
            stored = builder.load(builder.inttoptr(address, llvm.as_pointer()))
            return context.data_model_manager[ty].from_data(builder, stored)

        return ty(types.intp), emit

    return slot
