"""Scattering: derivatives of terms into the rows of a bank.

A *tag* tells where a variable's row starts in a bank, and, in its upper bits, where its color
stands within every row. 0 is the tag of no variable.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from difint.engines.numba.banks import allocated, emit_number, i64
from difint.engines.numba.element import Parts

COLOR_SHIFT = 48
MOST_COLORS = 4000
"""So that the place of a color within a row fits above the shift, and no tag is negative."""

_I64 = ir.IntType(64)


def call(context: Any, builder: Any, dispatcher: Any, taken: tuple[Any, ...], args: Any) -> Any:
    """Emit: a call of a compiled function of ours."""
    dispatcher.compile(taken)
    compiled = dispatcher.overloads[taken]
    context.active_code_library.add_linking_library(compiled.library)
    described = compiled.fndesc
    function = context.declare_function(builder.module, described)
    status, result = context.call_conv.call_function(
        builder, function, described.restype, described.argtypes, args
    )
    with builder.if_then(status.is_error, likely=False):
        context.call_conv.return_status_propagate(builder, status)
    return result


def scatter(
    context: Any, builder: Any, into: tuple[Any, Any], parts: Parts, *, minus: bool = False
) -> tuple[Any, Any]:
    """Emit: add a term's derivatives to a total, given as home and count, or subtract them."""
    home, count = _with_home(context, builder, into[0], parts.home), into[1]
    before = builder.block
    with builder.if_then(builder.icmp_unsigned("!=", home, i64(0)), likely=True):
        _add_all(builder, home, parts, minus=minus)
        more, inside = builder.add(count, emit_number(builder, home)), builder.block
    found = builder.phi(_I64)
    found.add_incoming(count, before)
    found.add_incoming(more, inside)
    return home, found


def _with_home(context: Any, builder: Any, home: Any, root: Any) -> Any:
    """Emit: the bank of a total; a new one, if it has none, for what is no constant."""
    before = builder.block
    lacks = builder.icmp_unsigned("==", home, i64(0))
    needed = builder.and_(lacks, builder.icmp_unsigned("!=", root, i64(0)))
    with builder.if_then(needed, likely=False):
        new, inside = call(context, builder, allocated, (types.intp,), [root]), builder.block
    found = builder.phi(_I64)
    found.add_incoming(home, before)
    found.add_incoming(new, inside)
    return found


def _add_all(builder: Any, home: Any, parts: Parts, *, minus: bool) -> None:
    mask = i64((1 << COLOR_SHIFT) - 1)
    rows = [builder.add(home, builder.and_(tag, mask)) for tag in parts.tags]
    columns = [builder.lshr(tag, i64(COLOR_SHIFT)) for tag in parts.tags]
    for row, slope in zip(rows, parts.slopes, strict=True):
        _add(builder, row, slope, minus=minus)
    for (p, q), bend in parts.bends.items():
        _add(builder, builder.add(rows[p], columns[q]), bend, minus=minus)
        if p != q:
            _add(builder, builder.add(rows[q], columns[p]), bend, minus=minus)


def _add(builder: Any, address: Any, number: Any, *, minus: bool) -> None:
    place = builder.inttoptr(address, number.type.as_pointer())
    change = builder.fsub if minus else builder.fadd
    builder.store(change(builder.load(place), number, flags=("contract",)), place)


@intrinsic
def place_variable(typingctx: Any, variables: Any, i: Any, x: Any, root: Any) -> Any:
    """Write the value of a variable, and where the banks are; its tag stands there already."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = make_array(variables)(context, builder, args[0])
        place = builder.gep(array.data, [args[1]])
        first, second = (ir.Constant(ir.IntType(32), k) for k in range(2))
        builder.store(args[2], builder.gep(place, [first, first]))
        builder.store(args[3], builder.gep(place, [first, second]))
        return context.get_dummy_value()

    return types.void(variables, types.intp, variables.dtype.float, types.intp), emit
