"""Banks: the rows of compressed Hessians that totals add their terms to.

A bank has a row for each variable, behind one for none: an entry of the gradient, and the sums of
the entries of the Hessian in the columns of each color. The first total of a call adds to the first
bank. Another one that begins while it lives adds to a bank of its own, so that it may be multiplied
by a number before the two are added; then its bank is free again.

Before the rows of a bank stand eight numbers, which let totals be what they say. Whatever is added
to a bank gets a number that no sum of others' equals but by an accident of one in 2^64, and a total
has the sum of the numbers of all that it is the sum of. Where that is not the sum of the bank, a
part of it has been lost, or is in it twice: that is an error, and nothing is returned.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from difint.engines.numba.memory_views import vector_at
from difint.engines.numba.reductions import compiled

_I64 = ir.IntType(64)

ADDED, SUM, ROOT, ERROR, USED, WORDS, STRIDE, COST = range(8)
"""What stands before a bank's rows: how often something was added to it, the sum of the numbers of
it, the first bank; and in the first one, whether there was an error, which banks are in use, the
words of 8 bytes in the rows, the bytes from bank to bank, how many went over whole banks."""

HEADER = 64
"""Bytes of it."""

BANKS = 4

MOST_PASSES = 24
"""Passes over whole banks in a call at most: with one for each term they would take too long."""

words_at = vector_at(types.int64)


def i64(number: int) -> Any:
    """Get a constant."""
    return ir.Constant(_I64, number)


def header(builder: Any, home: Any, index: int) -> Any:
    """Emit: a pointer to one of the numbers before the rows."""
    address = builder.add(home, i64(8 * index - HEADER))
    return builder.inttoptr(address, _I64.as_pointer())


def emit_number(builder: Any, home: Any) -> Any:
    """Emit: a number for what is added to a bank: a hash of how often that was done."""
    place, total = header(builder, home, ADDED), header(builder, home, SUM)
    count = builder.add(builder.load(place), i64(1))
    builder.store(count, place)
    number = builder.mul(count, i64(-0x61C8864680B583EB))  # SplitMix64's constants
    for factor in (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15):
        number = builder.mul(builder.xor(number, builder.lshr(number, i64(29))), i64(factor))
    number = builder.xor(number, builder.lshr(number, i64(32)))
    builder.store(builder.add(builder.load(total), number), total)
    return number


@intrinsic
def numbered(typingctx: Any, home: Any) -> Any:
    """Get a number for what is added to a bank."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit_number(builder, args[0])

    return types.intp(types.intp), emit


@intrinsic
def floats_at(typingctx: Any, like: Any, address: Any, length: Any) -> Any:
    """View memory as a vector of floats of the type of ``like``."""
    at = vector_at(like)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        inner, emit_inner = at._defn(typingctx, address, length)
        return emit_inner(context, builder, inner, args[1:])

    return types.Array(like, 1, "C")(like, types.intp, types.intp), emit


@compiled
def prepared(root: Any, words: Any, stride: Any) -> None:
    """Write what stands before the rows of all banks, for a new call."""
    for bank in range(BANKS):
        head = words_at(root + bank * stride - HEADER, 8)
        head[ADDED], head[ROOT] = bank << 40, root
        head[ERROR], head[USED], head[WORDS], head[STRIDE], head[COST] = 0, 0, words, stride, 0


@compiled
def allocated(root: Any) -> Any:
    """Take a bank that is not in use, and clear it."""
    first = words_at(root - HEADER, 8)
    for bank in range(BANKS):
        if first[USED] >> bank & 1 == 0:
            first[USED] |= 1 << bank
            home = root + bank * first[STRIDE]
            words_at(home - HEADER, 8)[SUM] = 0
            words = words_at(home, first[WORDS])
            for i in range(words.size):
                words[i] = 0
            return home
    first[ERROR] = 1
    return root


@compiled
def _passed(home: Any, count: Any) -> Any:
    """Begin to go over a bank, all of which belongs to one total."""
    head = words_at(home - HEADER, 8)
    first = words_at(head[ROOT] - HEADER, 8)
    first[COST] += 1
    if head[SUM] != count or first[COST] > MOST_PASSES:
        first[ERROR] = 1
    return first


@compiled
def multiplied(home: Any, count: Any, factor: Any) -> Any:
    """Multiply a total's derivatives; get its new number, which tells it from the old one."""
    if home == 0 or count == 0:
        return count
    first = _passed(home, count)
    if first[ERROR] == 0:
        rows = floats_at(factor, home, first[WORDS] * (8 // factor_size(factor)))
        for i in range(rows.size):
            rows[i] *= factor
    words_at(home - HEADER, 8)[SUM] = 0
    return numbered(home)


@intrinsic
def factor_size(typingctx: Any, factor: Any) -> Any:
    """Get the bytes of a float."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return i64(factor.bitwidth // 8)

    return types.intp(factor), emit


@compiled
def united(home: Any, count: Any, other: Any, other_count: Any, like: Any) -> Any:
    """Add two totals: if they are in two banks, one is added to the other."""
    if home == 0:
        return other, other_count
    if other == 0 or other_count == 0:
        return home, count
    if home == other:
        return home, count + other_count
    first = _passed(other, other_count)
    if first[ERROR] == 0:
        size = first[WORDS] * (8 // factor_size(like))
        rows, added = floats_at(like, home, size), floats_at(like, other, size)
        for i in range(size):
            rows[i] += added[i]
    words_at(other - HEADER, 8)[SUM] = 0
    first[USED] &= ~(1 << (other - words_at(other - HEADER, 8)[ROOT]) // first[STRIDE])
    return home, count + numbered(home)


@compiled
def whole(home: Any, count: Any, root: Any) -> Any:
    """Tell the bank in which all derivatives of a result are; 0 if there is none."""
    if home == 0:
        home = allocated(root)
    if words_at(root - HEADER, 8)[ERROR] != 0 or words_at(home - HEADER, 8)[SUM] != count:
        return 0
    return home
