"""Members: the sets that nodes stand for, written down, in compiled code.

A set is a run of 64-bit words, sorted, words without members left out: where the words of each set
begin, how many there are, their numbers, and the words. Sets are written down for those nodes alone
that are asked for or are part of several others; what no other needs any more is forgotten.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.compiling import compiled, inlined
from difint.dependence.nodes import grown

_ASKED = 1 << 30
"""Added to the uses of a node that is asked for: it is never done with."""


@compiled
def _uses(left: Any, right: Any, count: int, outputs: Any, floor: int) -> Any:
    """Count how often each node is a part of one that is needed, or asked for itself."""
    uses = np.zeros(count, np.int32)
    for node in outputs:
        uses[node] = _ASKED
    for node in range(count - 1, floor - 1, -1):
        if uses[node] and left[node] >= 0 and right[node] >= 0:
            uses[left[node]] += 1
            uses[right[node]] += 1
    return uses


@inlined
def _mark(dense: Any, touched: Any, met: int, word: int, mask: Any) -> int:
    """Add a word's members to a dense set; get how many words have some."""
    if dense[word] == 0:
        touched[met] = word
        met += 1
    dense[word] |= mask
    return met


@compiled
def _gather(
    left: Any,
    right: Any,
    node: int,
    floor: int,
    uses: Any,
    shared: Any,
    starts: Any,
    sizes: Any,
    words: Any,
    masks: Any,
    dense: Any,
    touched: Any,
    stack: Any,
) -> Any:
    """Unite the parts of a node in a dense set: atoms, and sets that are written down already.

    Return how many words have members, how many words nobody needs any more, and the stack.
    """
    met, freed, top = 0, 0, 0
    part = node
    while True:
        if part < floor or left[part] < 0 or right[part] < 0:
            met = _mark(dense, touched, met, part >> 6, np.uint64(1) << np.uint64(part & 63))
        elif part == node or not shared[part]:
            if top + 1 >= stack.size:
                stack = grown(stack, top + 2)
            # The older part last: a sum that began long ago is deep on one side.
            stack[top], stack[top + 1] = right[part], left[part]
            top += 2
        else:
            for k in range(starts[part], starts[part] + sizes[part]):
                met = _mark(dense, touched, met, words[k], masks[k])
            uses[part] -= 1
            if uses[part] == 0:
                freed += sizes[part]
        if top == 0:
            return met, freed, stack
        top -= 1
        part = stack[top]


@compiled
def _sort(array: Any, size: int) -> None:
    if size > 24:
        array[:size] = np.sort(array[:size])
        return
    for i in range(1, size):
        one, k = array[i], i
        while k and array[k - 1] > one:
            array[k] = array[k - 1]
            k -= 1
        array[k] = one


@compiled
def _compact(
    roots: Any, known: int, uses: Any, starts: Any, sizes: Any, words: Any, masks: Any
) -> Any:
    """Move the sets that are still needed to the front; get how many, and their words."""
    kept = filled = 0
    for r in range(known):
        node = roots[r]
        if uses[node]:
            start, size = starts[node], sizes[node]
            for k in range(size):
                words[filled + k], masks[filled + k] = words[start + k], masks[start + k]
            starts[node] = filled
            filled += size
            roots[kept] = node
            kept += 1
    return kept, filled


@compiled
def evaluate(left: Any, right: Any, count: int, outputs: Any, floor: int) -> Any:
    """Write down the sets of ``outputs``, of atoms, pairs, and nodes below ``floor``.

    Return where the words of each begin, how many there are, their numbers, and the words.
    """
    uses = _uses(left, right, count, outputs, floor)
    shared = uses > 1
    starts, sizes = np.zeros(count, np.int64), np.zeros(count, np.int32)
    words = np.empty(4 * outputs.size + 64, np.int32)
    masks = np.empty(words.size, np.uint64)
    dense, touched = np.zeros(count // 64 + 1, np.uint64), np.empty(count // 64 + 1, np.int32)
    stack, roots = np.empty(64, np.int32), np.empty(count, np.int32)
    filled = dead = known = 0
    for node in range(2, count):
        # Atoms and pairs are members, wherever they stand.
        inner = node >= floor and left[node] >= 0 and right[node] >= 0
        if not (uses[node] >= _ASKED or (inner and shared[node])):
            continue
        met, freed, stack = _gather(
            *(left, right, node, floor, uses, shared),
            *(starts, sizes, words, masks, dense, touched, stack),
        )
        dead += freed
        if filled + met > words.size and 2 * dead > filled:
            known, filled = _compact(roots, known, uses, starts, sizes, words, masks)
            dead = 0
        if filled + met > words.size:
            words, masks = grown(words, filled + met), grown(masks, filled + met)
        _sort(touched, met)
        starts[node], sizes[node] = filled, met
        for k in range(met):
            words[filled + k], masks[filled + k] = touched[k], dense[touched[k]]
            dense[touched[k]] = 0
        filled += met
        roots[known] = node
        known += 1
    return starts[outputs], sizes[outputs], words, masks


@inlined
def _write_members(word: int, mask: Any, members: Any, free: int) -> int:
    """Write down the members of a word, in order."""
    while mask:
        low = mask & (~mask + np.uint64(1))
        members[free] = (word << 6) + _exponent(low)
        free += 1
        mask ^= low
    return free


@compiled
def _exponent(power: Any) -> int:
    """Get the binary logarithm of a power of two."""
    exponent = 0
    for step in (32, 16, 8, 4, 2, 1):
        if power >> np.uint64(step):
            power >>= np.uint64(step)
            exponent += step
    return exponent


@compiled
def _population(mask: Any) -> int:
    """Count the members of a word."""
    mask -= (mask >> np.uint64(1)) & np.uint64(0x5555555555555555)
    quarter = np.uint64(0x3333333333333333)
    mask = (mask & quarter) + ((mask >> np.uint64(2)) & quarter)
    mask = (mask + (mask >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((mask * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def count_members(starts: Any, sizes: Any, words: Any, masks: Any) -> int:
    """Count the members of sets, all together."""
    found = 0
    for i in range(starts.size):
        for k in range(starts[i], starts[i] + sizes[i]):
            found += _population(masks[k])
    return found


@compiled
def are_alike(starts: Any, sizes: Any, words: Any, masks: Any) -> bool:
    """Tell whether the first half of some sets are the same as the second half, one by one."""
    half = starts.size // 2
    for i in range(half):
        if sizes[i] != sizes[i + half]:
            return False
        for k in range(sizes[i]):
            one, other = starts[i] + k, starts[i + half] + k
            if words[one] != words[other] or masks[one] != masks[other]:
                return False
    return True


@compiled
def expand(starts: Any, sizes: Any, words: Any, masks: Any) -> Any:
    """List the members of sets, one set after the other: where each begins, and all of them."""
    indptr = np.zeros(starts.size + 1, np.int64)
    for i in range(starts.size):
        total = 0
        for k in range(starts[i], starts[i] + sizes[i]):
            total += _population(masks[k])
        indptr[i + 1] = indptr[i] + total
    members = np.empty(indptr[-1], np.int32)
    for i in range(starts.size):
        free = indptr[i]
        for k in range(starts[i], starts[i] + sizes[i]):
            free = _write_members(words[k], masks[k], members, free)
    return indptr, members


@compiled
def pairs_in(left: Any, right: Any, count: int, outputs: Any) -> Any:
    """List the pairs of nodes that any of these outputs is a union of."""
    needed = np.zeros(count, np.bool_)
    for node in outputs:
        needed[node] = node > 1
    first, second = np.empty(64, np.int32), np.empty(64, np.int32)
    found = 0
    for node in range(count - 1, 1, -1):
        if not needed[node]:
            continue
        if right[node] >= 0:
            needed[left[node]] = needed[right[node]] = True
            continue
        if found == first.size:
            first, second = grown(first, 0), grown(second, 0)
        first[found], second[found] = left[node], -1 - right[node]
        found += 1
    return first[:found], second[:found]


@compiled
def spread(
    size: int,
    most: int,
    indptr: Any,
    members: Any,
    starts: Any,
    sizes: Any,
    words: Any,
    masks: Any,
    first: Any,
    second: Any,
) -> Any:
    """Get the symmetric pattern of all products of a set by another, row by row.

    ``indptr``, ``members`` list the sets, ``starts`` and the following are their words; the
    members of both are numbered from 2 on. Stops where there are more than ``most`` entries.
    """
    counts = np.zeros(size + 1, np.int64)
    for p in range(first.size):
        for s in (first[p], second[p]):
            for k in range(indptr[s], indptr[s + 1]):
                counts[members[k] - 1] += 1
    for i in range(size):
        counts[i + 1] += counts[i]
    free, partners = counts[:-1].copy(), np.empty(counts[-1], np.int32)
    for p in range(first.size):
        for s, other in ((first[p], second[p]), (second[p], first[p])):
            for k in range(indptr[s], indptr[s + 1]):
                i = members[k] - 2
                partners[free[i]] = other
                free[i] += 1
    return _rows(size, most, counts, partners, starts, sizes, words, masks)


@compiled
def _rows(
    size: int,
    most: int,
    counts: Any,
    partners: Any,
    starts: Any,
    sizes: Any,
    words: Any,
    masks: Any,
) -> Any:
    """Unite the partners of each variable."""
    wide = (size + 2) // 64 + 1
    dense, touched = np.zeros(wide, np.uint64), np.empty(wide, np.int32)
    seen = np.full(starts.size, -1, np.int64)
    indptr, columns = np.zeros(size + 1, np.int64), np.empty(4 * size + 64, np.int32)
    free = 0
    for i in range(size):
        met = total = 0
        for k in range(counts[i], counts[i + 1]):
            s = partners[k]
            if seen[s] != i:
                seen[s] = i
                for w in range(starts[s], starts[s] + sizes[s]):
                    met = _mark(dense, touched, met, words[w], masks[w])
        _sort(touched, met)
        for k in range(met):
            total += _population(dense[touched[k]])
        if free + total > most:
            indptr[-1] = free + total
            break
        if free + total > columns.size:
            columns = grown(columns, free + total)
        for k in range(met):
            free = _write_members(touched[k], dense[touched[k]], columns, free)
            dense[touched[k]] = 0
        indptr[i + 1] = free
    return indptr, columns[:free] - np.int32(2)
