"""Scattering: derivatives of terms into the rows of a compressed Hessian.

At its *home* a call has a row for each variable, behind one for none: the entry of the gradient,
and the sums of the entries of the Hessian in the columns of each color. A *tag* is 0, or tells
where a variable's row starts, and, in its upper bits, where its color stands within every row.
Before the rows stand four numbers, of which the first three let ``Total`` be what it says.

Whatever is scattered gets a number that no sum of others' equals but by an accident of one in
2^64; a total has the sum of those of which it is the sum. So a result whose sum is not that of all
that was scattered has lost a part, or has one twice.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from difint.engines.numba.element import Element, Parts, Term, taken_apart

_I64 = ir.IntType(64)

SCATTERED, SUM, ERROR, FLOATS = range(4)
"""What stands before the rows: how many terms were scattered, the sum of their numbers, whether
something was done that a total does not allow, and how many floats the rows have."""

HEADER = 32
"""Bytes of it."""

COLOR_SHIFT = 48
MOST_COLORS = 8000
"""So that the place of a color within a row fits above the shift."""


def _i64(number: int) -> Any:
    return ir.Constant(_I64, number)


def header(builder: Any, home: Any, index: int) -> Any:
    """Emit: a pointer to one of the numbers before the rows."""
    address = builder.add(home, _i64(8 * index - HEADER))
    return builder.inttoptr(address, _I64.as_pointer())


def scatter(builder: Any, parts: Parts, *, minus: bool = False) -> Any:
    """Emit: add a term's derivatives, or subtract them; get the number of what was added."""
    here = builder.icmp_unsigned("!=", parts.home, _i64(0))
    before = builder.block
    with builder.if_then(here, likely=True):
        rows = [_row(builder, parts.home, tag) for tag in parts.tags]
        columns = [builder.lshr(tag, _i64(COLOR_SHIFT)) for tag in parts.tags]
        for row, slope in zip(rows, parts.slopes, strict=True):
            _add(builder, row, slope, minus=minus)
        for (p, q), bend in parts.bends.items():
            _add(builder, builder.add(rows[p], columns[q]), bend, minus=minus)
            if p != q:
                _add(builder, builder.add(rows[q], columns[p]), bend, minus=minus)
        number, inside = _numbered(builder, parts.home), builder.block
    found = builder.phi(_I64)
    found.add_incoming(_i64(0), before)
    found.add_incoming(number, inside)
    return found


def _row(builder: Any, home: Any, tag: Any) -> Any:
    return builder.add(home, builder.and_(tag, _i64((1 << COLOR_SHIFT) - 1)))


def _add(builder: Any, address: Any, number: Any, *, minus: bool) -> None:
    place = builder.inttoptr(address, number.type.as_pointer())
    change = builder.fsub if minus else builder.fadd
    builder.store(change(builder.load(place), number, flags=("contract",)), place)


def _numbered(builder: Any, home: Any) -> Any:
    """Emit: count what is scattered, and get a number for it: a hash of the count."""
    place, total = header(builder, home, SCATTERED), header(builder, home, SUM)
    count = builder.add(builder.load(place), _i64(1))
    builder.store(count, place)
    number = builder.mul(count, _i64(-0x61C8864680B583EB))  # SplitMix64's constants
    for factor in (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15):
        number = builder.mul(builder.xor(number, builder.lshr(number, _i64(29))), _i64(factor))
    number = builder.xor(number, builder.lshr(number, _i64(32)))
    builder.store(builder.add(builder.load(total), number), total)
    return number


def mark_error(builder: Any, home: Any) -> None:
    """Emit: say that what follows has no derivatives that can be told from the rows."""
    builder.store(_i64(1), header(builder, home, ERROR))


def rescale(builder: Any, home: Any, count: Any, factor: Any) -> Any:
    """Emit: multiply all that was scattered, and number it anew; get the count of the product.

    It is an error if it is not all in one total. The new number tells the product from the total.
    """
    before = builder.block
    with builder.if_then(builder.icmp_unsigned("!=", count, _i64(0))):
        total = header(builder, home, SUM)
        parted = builder.icmp_unsigned("!=", count, builder.load(total))
        with builder.if_then(parted, likely=False):
            mark_error(builder, home)
        rows = builder.inttoptr(home, factor.type.as_pointer())
        with cgutils.for_range(builder, builder.load(header(builder, home, FLOATS))) as loop:
            place = builder.gep(rows, [loop.index])
            builder.store(builder.fmul(builder.load(place), factor), place)
        number, inside = _numbered(builder, home), builder.block
        builder.store(number, total)
    found = builder.phi(_I64)
    found.add_incoming(_i64(0), before)
    found.add_incoming(number, inside)
    return found


@intrinsic
def settle(typingctx: Any, y: Any, home: Any) -> Any:
    """Scatter what is left of the result of ``f``; tell whether the rows hold its derivatives."""
    if not isinstance(y, Element):
        return None

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at = args[1]
        if isinstance(y, Term):
            count = scatter(builder, taken_apart(builder, y, args[0]))
        else:
            count = builder.extract_value(args[0], 2)
        whole = builder.icmp_unsigned("==", count, builder.load(header(builder, at, SUM)))
        error = builder.load(header(builder, at, ERROR))
        return builder.and_(whole, builder.icmp_unsigned("==", error, _i64(0)))

    return types.boolean(y, types.intp), emit


@intrinsic
def cleared(typingctx: Any, home: Any, size: Any, itemsize: Any) -> Any:
    """Set a home's rows of ``size`` floats to zero, and what stands before them."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        home, size, itemsize = args
        start = builder.inttoptr(builder.sub(home, _i64(HEADER)), cgutils.voidptr_t)
        length = builder.add(builder.mul(size, itemsize), _i64(HEADER))
        cgutils.memset(builder, start, length, 0)
        builder.store(size, header(builder, home, FLOATS))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), emit


@intrinsic
def place_variable(typingctx: Any, variables: Any, i: Any, x: Any, home: Any) -> Any:
    """Write the value of a variable, and its home; its tag stands there already."""
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = make_array(variables)(context, builder, args[0])
        place = builder.gep(array.data, [args[1]])
        zero = ir.Constant(ir.IntType(32), 0)
        builder.store(args[2], builder.gep(place, [zero, zero]))
        builder.store(args[3], builder.gep(place, [zero, ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(variables, types.intp, variables.dtype.float, types.intp), emit
