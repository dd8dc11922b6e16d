"""Nodes: index sets as a graph of unions, in compiled code.

A node is a number. Node 0 is the empty set of what is known, node 1 that of what is not known but
does not depend on ``x``. Another node is an atom (``left`` is -1), the union of two nodes, or a
pair of them (``right`` is ``-1 - node``): the product of two sets, a block of a Hessian. Both parts
of a node are older than it is, so that their order is an order of evaluation.

A union costs two numbers, whatever the sizes of the sets; sets are written down at the end, for
those nodes alone that are asked for or are part of several others: as runs of 64-bit words, sorted,
words without members left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.compiling import compiled, inlined


@inlined
def either(left: Any, right: Any, count: int, a: int, b: int) -> Any:
    """Unite two nodes; append a node if neither holds the other at sight. Room must be there."""
    small, large = (a, b) if a < b else (b, a)
    node = large
    if small > 1 and small != large:
        holds = left[large] == small or right[large] == small
        if not (holds and right[large] >= 0 and left[large] >= 0):
            left[count], right[count] = small, large
            node = count
    return node


@inlined
def added(node: int, count: int) -> int:
    """Get the number of nodes after ``either`` has returned this one."""
    return count + 1 if node == count else count


@compiled
def unite(left: Any, right: Any, count: int, a: Any, b: Any) -> Any:
    """Unite entry by entry; there is room for as many nodes. Return the count and the nodes."""
    out = np.empty(a.size, np.int32)
    for i in range(a.size):
        out[i] = either(left, right, count, a[i], b[i])
        count = added(out[i], count)
    return count, out


@compiled
def unite_runs(left: Any, right: Any, count: int, starts: Any, members: Any) -> Any:
    """Unite the members of each run; there is room for as many nodes as members."""
    out = np.empty(starts.size - 1, np.int32)
    for i in range(out.size):
        node = 0
        for k in range(starts[i], starts[i + 1]):
            node = either(left, right, count, node, members[k])
            count = added(node, count)
        out[i] = node
    return count, out


@compiled
def unite_along(left: Any, right: Any, count: int, nodes: Any, turned: bool) -> Any:
    """Unite each entry of a row with those before it, or behind it; likewise there is room."""
    out = np.empty_like(nodes)
    for i in range(nodes.shape[0]):
        node = 0
        for step in range(nodes.shape[1]):
            k = nodes.shape[1] - 1 - step if turned else step
            node = either(left, right, count, node, nodes[i, k])
            count = added(node, count)
            out[i, k] = node
    return count, out


@compiled
def pair(left: Any, right: Any, count: int, a: Any, b: Any) -> Any:
    """Pair entry by entry; empty sets have none. There is room for as many nodes."""
    out = np.zeros(a.size, np.int32)
    for i in range(a.size):
        if a[i] > 1 and b[i] > 1:
            if i and a[i] == a[i - 1] and b[i] == b[i - 1]:
                out[i] = out[i - 1]
                continue
            left[count], right[count] = a[i], -1 - b[i]
            out[i] = count
            count += 1
    return count, out


@inlined
def grown(array: Any, room: int) -> Any:
    """Copy an array into one that is at least twice as long."""
    longer = np.empty(max(2 * array.size, room), array.dtype)
    longer[: array.size] = array
    return longer


@compiled
def contract(left: Any, right: Any, count: int, a: Any, b: Any, lacks: Any, misses: Any) -> Any:
    """Unite, for each row of ``a`` and column of ``b``, what stands at the same places of both.

    Where ``lacks`` of ``a`` or ``misses`` of ``b`` is set, the product is zero.
    """
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    out = np.zeros((rows, columns), np.int32)
    for i in range(rows):
        for j in range(columns):
            if count + 2 * inner > left.size:
                left, right = grown(left, 2 * inner), grown(right, 2 * inner)
            node = 0
            for k in range(inner):
                if not (lacks[i, k] or misses[k, j]):
                    node = either(left, right, count, node, a[i, k])
                    count = added(node, count)
                    node = either(left, right, count, node, b[k, j])
                    count = added(node, count)
            out[i, j] = node
    return left, right, count, out


@compiled
def contract_pairs(left: Any, right: Any, count: int, a: Any, b: Any) -> Any:
    """Unite, for each row of ``a`` and column of ``b``, the pairs of what stands at one place."""
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    out = np.zeros((rows, columns), np.int32)
    for i in range(rows):
        for j in range(columns):
            if count + 2 * inner > left.size:
                left, right = grown(left, 2 * inner), grown(right, 2 * inner)
            node = 0
            for k in range(inner):
                if a[i, k] > 1 and b[k, j] > 1:
                    left[count], right[count] = a[i, k], -1 - b[k, j]
                    count += 1
                    node = either(left, right, count, node, count - 1)
                    count = added(node, count)
            out[i, j] = node
    return left, right, count, out


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
        if part < floor:
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
    """Write down the sets of ``outputs``, whose members are nodes below ``floor``.

    Return where the words of each begin, how many there are, their numbers, and the words.
    """
    uses = _uses(left, right, count, outputs, floor)
    shared = uses > 1
    starts, sizes = np.zeros(count, np.int64), np.zeros(count, np.int32)
    words = np.empty(4 * outputs.size + 64, np.int32)
    masks = np.empty(words.size, np.uint64)
    dense, touched = np.zeros(floor // 64 + 1, np.uint64), np.empty(floor // 64 + 1, np.int32)
    stack, roots = np.empty(64, np.int32), np.empty(count, np.int32)
    filled = dead = known = 0
    for node in range(2, count):
        if not (uses[node] >= _ASKED or (node >= floor and shared[node])):
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
    members of both are numbered from 2 on.
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
    return _rows(size, counts, partners, starts, sizes, words, masks)


@compiled
def _rows(
    size: int, counts: Any, partners: Any, starts: Any, sizes: Any, words: Any, masks: Any
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
        if free + total > columns.size:
            columns = grown(columns, free + total)
        for k in range(met):
            free = _write_members(touched[k], dense[touched[k]], columns, free)
            dense[touched[k]] = 0
        indptr[i + 1] = free
    return indptr, columns[:free] - np.int32(2)
