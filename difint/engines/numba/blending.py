"""Blending: what is done to numbers with derivatives by variables that are told at run time.

Where terms would need ever more slots, as in a loop that sums over a stencil before the sum goes
through another function, or have to share an array with others, ``f`` is compiled for blends
instead. A blend has up to ``room`` variables, told apart by their tags, and grows while code runs.
What has more of them is added to a bank, and is a total from then on.

A blend is a record of words of 8 bytes; what is done to it is written as functions of addresses.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from numba.core import types

from difint.engines.numba.banks import (
    ERROR,
    HEADER,
    allocated,
    floats_at,
    multiplied,
    numbered,
    united,
    words_at,
)
from difint.engines.numba.buffers import vector_at
from difint.engines.numba.element import COUNT, FIRST, HOME, ROOT, SIZE, Blend
from difint.engines.numba.reductions import compiled


class Operations(NamedTuple):
    """What is done to blends of a room, by address.

    Attributes:
        curved: ``(out, x, d, dd)``: a function of one blend, of which these are the derivatives.
        combined: ``(out, a, b, da, db, daa, dab, dbb, scratch)``: a function of two.
        added: ``(out, a, b, sign, scratch, minus)``: a sum, or a difference; ``minus`` is -1.0 of
            the float type.
        scaled: ``(out, x, factor)``: a product with a number.
        settled: ``(x, minus)``: adds what is left of the derivatives to a bank.
    """

    curved: Any
    combined: Any
    added: Any
    scaled: Any
    settled: Any


@compiled
def _fail(root: Any) -> None:
    if root != 0:
        words_at(root - HEADER, 8)[ERROR] = 1


@compiled
def _pair(p: Any, q: Any) -> Any:
    """Number a pair of variables; the number does not depend on how many there are."""
    low, high = min(p, q), max(p, q)
    return high * (high + 1) // 2 + low


_values_at = vector_at(types.float64)


@cache
def operations(room: int) -> Operations:
    """Compile what is done to blends of a room."""
    size, slopes, bends = Blend(types.float64, room).words, FIRST + room, FIRST + 2 * room

    @compiled
    def located(out: Any, tag: Any) -> Any:
        """Find a variable, or add it; -1 if there is no room."""
        words, floats = words_at(out, size), _values_at(out, size)
        count = words[SIZE]
        for p in range(count):
            if words[FIRST + p] == tag:
                return p
        if count == room:
            return -1
        words[SIZE], words[FIRST + count], floats[slopes + count] = count + 1, tag, 0.0
        for p in range(count + 1):
            floats[bends + _pair(p, count)] = 0.0
        return count

    @compiled
    def cleared(out: Any, root: Any) -> None:
        words = words_at(out, size)
        words[ROOT], words[HOME], words[COUNT], words[SIZE] = root, 0, 0, 0

    @compiled
    def curved(out: Any, x: Any, d: Any, dd: Any) -> None:
        words, floats = words_at(out, size), _values_at(out, size)
        given, numbers = words_at(x, size), _values_at(x, size)
        cleared(out, given[ROOT])
        if given[COUNT] != 0:
            _fail(given[ROOT])
            return
        count = given[SIZE]
        words[SIZE] = count
        for q in range(count):
            words[FIRST + q] = given[FIRST + q]
            slope = numbers[slopes + q]
            floats[slopes + q] = d * slope
            for p in range(q + 1):
                k = bends + _pair(p, q)
                floats[k] = d * numbers[k] + dd * slope * numbers[slopes + p]

    @compiled
    def merged(out: Any, b: Any, db: Any, dbb: Any, scratch: Any) -> Any:
        """Add what a second blend contributes by itself; tell whether there was room."""
        floats, given, numbers = _values_at(out, size), words_at(b, size), _values_at(b, size)
        place = words_at(scratch, room)
        for q in range(given[SIZE]):
            place[q] = located(out, given[FIRST + q])
            if place[q] < 0:
                return False
        for q in range(given[SIZE]):
            slope = numbers[slopes + q]
            floats[slopes + place[q]] += db * slope
            for p in range(q + 1):
                own = db * numbers[bends + _pair(p, q)] + dbb * slope * numbers[slopes + p]
                floats[bends + _pair(place[p], place[q])] += own
        return True

    @compiled
    def combined(
        out: Any, a: Any, b: Any, da: Any, db: Any, daa: Any, dab: Any, dbb: Any, scratch: Any
    ) -> None:
        one, other = words_at(a, size), words_at(b, size)
        root = one[ROOT] | other[ROOT]
        curved(out, a, da, daa)
        words_at(out, size)[ROOT] = root
        if other[COUNT] != 0 or not merged(out, b, db, dbb, scratch):
            _fail(root)
            cleared(out, root)
            return
        floats, first, second = _values_at(out, size), _values_at(a, size), _values_at(b, size)
        place = words_at(scratch, room)
        for p in range(one[SIZE]):
            half = dab * first[slopes + p]
            for q in range(other[SIZE]):
                both = half * second[slopes + q]
                if place[q] == p:
                    both *= 2.0
                floats[bends + _pair(p, place[q])] += both

    @compiled
    def scattered(x: Any, weight: Any, like: Any) -> None:
        """Add the derivatives to the blend's bank; it has none by itself then."""
        words, floats = words_at(x, size), _values_at(x, size)
        if words[SIZE] == 0 or words[ROOT] == 0:
            return
        if words[HOME] == 0:
            words[HOME] = allocated(words[ROOT])
        mask = (1 << 48) - 1
        for q in range(words[SIZE]):
            tag = words[FIRST + q]
            row, column = words[HOME] + (tag & mask), tag >> 48
            floats_at(like, row, 1)[0] += weight * floats[slopes + q]
            for p in range(q + 1):
                bend, other = weight * floats[bends + _pair(p, q)], words[FIRST + p]
                floats_at(like, row + (other >> 48), 1)[0] += bend
                if p != q:
                    floats_at(like, words[HOME] + (other & mask) + column, 1)[0] += bend
        words[COUNT] += numbered(words[HOME])
        words[SIZE] = 0

    @compiled
    def scaled(out: Any, x: Any, factor: Any) -> None:
        words, given = words_at(out, size), words_at(x, size)
        if given[COUNT] == 0:
            curved(out, x, factor, 0.0)
            return
        cleared(out, given[ROOT])
        words[HOME] = given[HOME]
        words[COUNT] = multiplied(given[HOME], given[COUNT], factor)

    @compiled
    def added(out: Any, a: Any, b: Any, sign: Any, scratch: Any, minus: Any) -> None:
        words, one, other = words_at(out, size), words_at(a, size), words_at(b, size)
        root = one[ROOT] | other[ROOT]
        if one[COUNT] == 0 and other[COUNT] == 0:
            curved(out, a, 1.0, 0.0)
            words[ROOT] = root
            if merged(out, b, sign, 0.0, scratch):
                return
        cleared(out, root)
        one[ROOT] = other[ROOT] = root
        if other[COUNT] != 0 and sign < 0.0:
            other[COUNT] = multiplied(other[HOME], other[COUNT], minus)
        if one[COUNT] != 0 and other[COUNT] != 0:
            home, count = united(one[HOME], one[COUNT], other[HOME], other[COUNT], minus)
        elif other[COUNT] != 0:
            one[HOME], one[COUNT] = other[HOME], other[COUNT]
            scattered(a, 1.0, minus)
            home, count = one[HOME], one[COUNT]
        else:
            scattered(a, 1.0, minus)
            other[HOME], other[COUNT] = one[HOME], one[COUNT]
            scattered(b, sign, minus)
            home, count = other[HOME], other[COUNT]
        words[HOME], words[COUNT] = home, count

    @compiled
    def settled(x: Any, minus: Any) -> None:
        scattered(x, 1.0, minus)

    return Operations(curved, combined, added, scaled, settled)
