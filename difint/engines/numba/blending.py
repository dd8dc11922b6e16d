"""Blending: what is done to numbers with derivatives by variables that are told at run time.

Blends are passed by their addresses (``out`` and others), with their ``room``, which tells where in
their words the derivatives are.
"""

from __future__ import annotations

from typing import Any

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
from difint.engines.numba.element import COUNT, FIRST, HOME, MOST_ROOM, ROOT, SIZE, Blend
from difint.engines.numba.memory_views import vector_at
from difint.engines.numba.reductions import compiled
from difint.engines.numba.scattering import COLOR_SHIFT

_WORDS = Blend(types.float64, MOST_ROOM).words
_MASK = (1 << COLOR_SHIFT) - 1

_floats_in = vector_at(types.float64)


@compiled
def _pair(p: Any, q: Any) -> Any:
    """Number a pair of variables; the number does not depend on how many there are."""
    low, high = min(p, q), max(p, q)
    return high * (high + 1) // 2 + low


@compiled
def _fail(out: Any, root: Any) -> None:
    """Say that derivatives are lost."""
    cleared(out, root)
    if root != 0:
        words_at(root - HEADER, 8)[ERROR] = 1


@compiled
def cleared(out: Any, root: Any) -> None:
    """Make a blend of no variables."""
    words = words_at(out, _WORDS)
    words[ROOT], words[HOME], words[COUNT], words[SIZE] = root, 0, 0, 0


@compiled
def _located(out: Any, room: Any, tag: Any) -> Any:
    """Find a variable, or add it; -1 if there is no room."""
    words, floats = words_at(out, _WORDS), _floats_in(out, _WORDS)
    count = words[SIZE]
    for p in range(count):
        if words[FIRST + p] == tag:
            return p
    if count == room:
        return -1
    words[SIZE], words[FIRST + count], floats[FIRST + room + count] = count + 1, tag, 0.0
    for p in range(count + 1):
        floats[FIRST + 2 * room + _pair(p, count)] = 0.0
    return count


@compiled
def curved(out: Any, x: Any, room: Any, d: Any, dd: Any) -> None:
    """Make a function of a blend, of which these are the derivatives; not of a total."""
    words, floats = words_at(out, _WORDS), _floats_in(out, _WORDS)
    given, numbers = words_at(x, _WORDS), _floats_in(x, _WORDS)
    slopes, bends = FIRST + room, FIRST + 2 * room
    cleared(out, given[ROOT])
    if given[COUNT] != 0:
        _fail(out, given[ROOT])
        return
    words[SIZE] = given[SIZE]
    for q in range(given[SIZE]):
        words[FIRST + q] = given[FIRST + q]
        slope = numbers[slopes + q]
        floats[slopes + q] = d * slope
        for p in range(q + 1):
            k = bends + _pair(p, q)
            floats[k] = d * numbers[k] + dd * slope * numbers[slopes + p]


@compiled
def _merged(out: Any, b: Any, room: Any, db: Any, dbb: Any, places: Any) -> Any:
    """Add what a second blend contributes by itself; tell whether there was room.

    Its variables get places in ``out``, which are written down at an address.
    """
    floats, given, numbers = _floats_in(out, _WORDS), words_at(b, _WORDS), _floats_in(b, _WORDS)
    slopes, bends, place = FIRST + room, FIRST + 2 * room, words_at(places, room)
    for q in range(given[SIZE]):
        place[q] = _located(out, room, given[FIRST + q])
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
    out: Any,
    a: Any,
    b: Any,
    room: Any,
    da: Any,
    db: Any,
    daa: Any,
    dab: Any,
    dbb: Any,
    places: Any,
) -> None:
    """Make a function of two blends, of which these are the derivatives."""
    one, other = words_at(a, _WORDS), words_at(b, _WORDS)
    root = one[ROOT] | other[ROOT]
    curved(out, a, room, da, daa)
    words_at(out, _WORDS)[ROOT] = root
    if other[COUNT] != 0 or not _merged(out, b, room, db, dbb, places):
        _fail(out, root)
        return
    floats, first, second = (_floats_in(out, _WORDS), _floats_in(a, _WORDS), _floats_in(b, _WORDS))
    slopes, place = FIRST + room, words_at(places, room)
    for p in range(one[SIZE]):
        half = dab * first[slopes + p]
        for q in range(other[SIZE]):
            both = half * second[slopes + q]
            if place[q] == p:
                both *= 2.0
            floats[FIRST + 2 * room + _pair(p, place[q])] += both


@compiled
def _scattered(x: Any, room: Any, weight: Any, like: Any) -> None:
    """Add the derivatives to the blend's bank: it is a total then."""
    words, floats = words_at(x, _WORDS), _floats_in(x, _WORDS)
    if words[SIZE] == 0 or words[ROOT] == 0:
        return
    if words[HOME] == 0:
        words[HOME] = allocated(words[ROOT])
    for q in range(words[SIZE]):
        row, column = words[HOME] + (words[FIRST + q] & _MASK), words[FIRST + q] >> COLOR_SHIFT
        floats_at(like, row, 1)[0] += weight * floats[FIRST + room + q]
        for p in range(q + 1):
            bend, other = weight * floats[FIRST + 2 * room + _pair(p, q)], words[FIRST + p]
            floats_at(like, row + (other >> COLOR_SHIFT), 1)[0] += bend
            if p != q:
                floats_at(like, words[HOME] + (other & _MASK) + column, 1)[0] += bend
    words[COUNT] += numbered(words[HOME])
    words[SIZE] = 0


@compiled
def scaled(out: Any, x: Any, room: Any, factor: Any) -> None:
    """Make a product with a number."""
    words, given = words_at(out, _WORDS), words_at(x, _WORDS)
    if given[COUNT] == 0:
        curved(out, x, room, factor, 0.0)
        return
    cleared(out, given[ROOT])
    words[HOME] = given[HOME]
    words[COUNT] = multiplied(given[HOME], given[COUNT], factor)


@compiled
def added(out: Any, a: Any, b: Any, room: Any, sign: Any, places: Any, minus: Any) -> None:
    """Make a sum, or a difference: a total, where there are more variables than room.

    ``minus`` is -1 in the float type of the banks.
    """
    words, one, other = words_at(out, _WORDS), words_at(a, _WORDS), words_at(b, _WORDS)
    root = one[ROOT] | other[ROOT]
    if one[COUNT] == 0 and other[COUNT] == 0:
        curved(out, a, room, 1.0, 0.0)
        words[ROOT] = root
        if _merged(out, b, room, sign, 0.0, places):
            return
    cleared(out, root)
    one[ROOT] = other[ROOT] = root
    if other[COUNT] != 0 and sign < 0.0:
        other[COUNT] = multiplied(other[HOME], other[COUNT], minus)
    if one[COUNT] == 0 and other[COUNT] != 0:
        one[HOME], one[COUNT], other[COUNT] = other[HOME], other[COUNT], 0
        other[HOME] = 0
    _scattered(a, room, 1.0, minus)
    if other[COUNT] != 0:
        words[HOME], words[COUNT] = united(one[HOME], one[COUNT], other[HOME], other[COUNT], minus)
        return
    if other[SIZE] != 0:
        other[HOME], other[COUNT] = one[HOME], one[COUNT]
        _scattered(b, room, sign, minus)
        one[HOME], one[COUNT] = other[HOME], other[COUNT]
    words[HOME], words[COUNT] = one[HOME], one[COUNT]


@compiled
def settled(x: Any, room: Any, minus: Any) -> None:
    """Make a total."""
    _scattered(x, room, 1.0, minus)
