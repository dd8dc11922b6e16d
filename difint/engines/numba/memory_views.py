"""Intrinsics of workspaces: vectors at addresses, duals as floats, values between partials."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from difint.engines.numba.buffers import intp, vector_over


def dynamic(address: int) -> Any:
    """Make an intrinsic ``() -> address`` of this process: code with it is never kept on disk."""

    @intrinsic
    def place(typingctx: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = context.add_dynamic_addr(builder, address, info="difint")
            return builder.ptrtoint(pointer, ir.IntType(64))

        return types.intp(), emit

    return place


def moved(count: int) -> Any:
    """Make an intrinsic ``pointer -> pointer`` to the entry that many places further on."""

    @intrinsic
    def move(typingctx: Any, pointer: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.gep(args[0], [intp(count)])

        return pointer(pointer), emit

    return move


def vector_at(ty: Any) -> Any:
    """Make an intrinsic ``(address, length) -> vector`` of entries of a type, owned by nobody."""
    vector = types.Array(ty, 1, "C")

    @intrinsic
    def at(typingctx: Any, address: Any, length: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], context.get_data_type(ty).as_pointer())
            return vector_over(context, builder, vector, pointer, args[1])

        return vector(types.intp, types.intp), emit

    return at


@intrinsic
def set_value(typingctx: Any, duals: Any, i: Any, x: Any) -> Any:
    """Store the value of a dual over floats in a vector of them, and leave its partials."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array, ty = make_array(duals)(context, builder, args[0]), duals.dtype
        number = context.cast(builder, args[2], x, ty.base)
        whole = builder.gep(array.data, [args[1]])
        place = builder.bitcast(whole, number.type.as_pointer())
        builder.store(number, place, align=ty.base.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(duals, types.intp, x), emit


@intrinsic
def as_floats(typingctx: Any, duals: Any) -> Any:
    """View a contiguous vector of duals as the floats in its memory, which it keeps alive."""
    if not isinstance(duals, types.Array) or duals.layout != "C":
        return None
    ty = duals.dtype
    vector = types.Array(ty.float, 1, "C")

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source = make_array(duals)(context, builder, args[0])
        made = make_array(vector)(context, builder)
        itemsize = intp(ty.float.bitwidth // 8)
        data = builder.bitcast(source.data, context.get_data_type(ty.float).as_pointer())
        populate_array(
            made,
            data=data,
            shape=[builder.mul(source.nitems, intp(ty.width))],
            strides=[itemsize],
            itemsize=itemsize,
            meminfo=source.meminfo,
            parent=source.parent,
        )
        context.nrt.incref(builder, vector, made._getvalue())
        return made._getvalue()

    return vector(duals), emit
