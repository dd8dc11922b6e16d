"""Views: an array of duals as an array of floats with one axis more, and back."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from difint.engines.numba.dual import Active, Dual


@intrinsic
def as_floats(typingctx: Any, duals: Any) -> Any:
    """View a contiguous array of duals as floats: value and partials are the last axis."""
    dual = duals.dtype
    if not isinstance(dual, Dual) or duals.layout != "C":
        return None
    floats = types.Array(dual.float, duals.ndim + 1, "C")

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source = make_array(duals)(context, builder, args[0])
        shape = [*cgutils.unpack_tuple(builder, source.shape), _intp(dual.width)]
        view = _view(context, builder, floats, source, shape)
        context.nrt.incref(builder, floats, view)
        return view

    return floats(duals), emit


@intrinsic
def as_duals(typingctx: Any, floats: Any, like: Any) -> Any:
    """View contiguous floats as duals of the type of the entries of ``like``."""
    if floats.layout != "C" or floats.dtype != like.dtype.float:
        return None
    duals = types.Array(like.dtype, floats.ndim - 1, "C")

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source = make_array(floats)(context, builder, args[0])
        shape = cgutils.unpack_tuple(builder, source.shape)[:-1]
        view = _view(context, builder, duals, source, shape)
        context.nrt.incref(builder, duals, view)
        return view

    return duals(floats, like), emit


def _intp(number: int) -> Any:
    return ir.Constant(ir.IntType(64), number)


def _view(context: Any, builder: Any, ty: Any, source: Any, shape: list[Any]) -> Any:
    """Emit: an array over the memory of another, contiguous."""
    llvm = context.get_data_type(ty.dtype)
    itemsize = context.get_abi_sizeof(llvm)
    strides = [_intp(itemsize)]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    array = make_array(ty)(context, builder)
    populate_array(
        array,
        data=builder.bitcast(source.data, llvm.as_pointer()),
        shape=shape,
        strides=strides if shape else [],
        itemsize=_intp(itemsize),
        meminfo=source.meminfo,
        parent=source.parent,
    )
    return array._getvalue()


@intrinsic
def uniform(typingctx: Any, display: Any) -> Any:
    """Make the members of a tuple of duals and reals, or of such tuples, all duals."""
    leaves = leaves_of(display)
    dual = _widest(leaves) or _joint(typingctx, leaves)
    if dual is None:
        return None
    ty = _filled(display, dual)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[0], display, ty)

    return ty(display), emit


def leaves_of(display: Any) -> list[Any]:
    """List the types in a tuple, or in a tuple of tuples."""
    if not isinstance(display, types.BaseTuple):
        return [display]
    return [leaf for one in display.types for leaf in leaves_of(one)]


def _widest(leaves: list[Any]) -> Dual | None:
    duals = [one for one in leaves if isinstance(one, Dual)]
    return max(duals, key=lambda one: one.float.bitwidth, default=None)


def _joint(typingctx: Any, leaves: list[Any]) -> Any:
    """Get what all of these numbers can be."""
    if not any(isinstance(one, Active) for one in leaves):
        return None
    return typingctx.unify_types(*leaves)


def _filled(display: Any, dual: Any) -> Any:
    if not isinstance(display, types.BaseTuple):
        return dual
    return types.Tuple([_filled(one, dual) for one in display.types])
