"""Partial distance-2 coloring: members of a group have different colors.

After Gebremedhin, Manne and Pothen, "What color is your Jacobian? Graph coloring for computing
derivatives", SIAM Review 47(4), 2005, section 3. The vertices are columns and the groups rows, or
the reverse.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.compiling import compiled

_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)


@compiled
def lowest_zero(word: Any) -> Any:
    """Find the lowest bit that is not set; some bit must not be."""
    ones = ~word & (word + np.uint64(1))
    x = ones - np.uint64(1)
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def color_members(order: Any, starts: Any, groups: Any, member_starts: Any) -> Any:
    """Color vertices one by one, each with the least color that no other of its groups has.

    Args:
        order: the vertices, in the order in which they are colored.
        starts: where the groups of each vertex start in ``groups``.
        groups: the groups of each vertex.
        member_starts: the differences of these are the sizes of the groups.

    Returns:
        The colors, and the size of the largest group, which no coloring can go below.
    """
    largest = 1
    for g in range(member_starts.size - 1):
        largest = max(largest, member_starts[g + 1] - member_starts[g])
    words = (largest + largest // 4) // 64 + 1
    while True:
        done, colors = _colored(order, starts, groups, member_starts, words)
        if done:
            return colors, largest
        words *= 2


@compiled
def _places(member_starts: Any, words: int) -> Any:
    """Lay out what is known of each group's colors.

    A group with as many members as a set of colors has words gets such a set, so that all sets
    take no more memory than the members; other groups get a list, with negative places.
    """
    places = np.empty(member_starts.size - 1, np.int64)
    free = 0
    for g in range(places.size):
        size = member_starts[g + 1] - member_starts[g]
        if size >= words and size > 1:
            places[g] = free
            free += words
        else:
            places[g] = -1
    return places, free


@compiled
def _colored(order: Any, starts: Any, groups: Any, member_starts: Any, words: int) -> Any:
    """Color with at most ``64 * words`` colors, or say that they do not suffice."""
    places, free = _places(member_starts, words)
    sets = np.zeros(free, np.uint64)
    listed = np.empty(member_starts[-1] if words > 1 else 0, np.int32)
    # In a set, words before this one are full; in a list, so many colors are known.
    filled = np.zeros(places.size, np.int32)
    taken, stamps = np.zeros(words, np.uint64), np.full(words, -1, np.int32)
    colors = np.full(order.size, -1, np.int32)
    for v in order:
        first = 0
        for k in range(starts[v], starts[v + 1]):
            g = groups[k]
            if places[g] >= 0:
                first = max(first, filled[g])
            elif member_starts[g + 1] - member_starts[g] > 1:
                for m in range(member_starts[g], member_starts[g] + filled[g]):
                    word = listed[m] >> 6
                    if stamps[word] != v:
                        stamps[word], taken[word] = v, np.uint64(0)
                    taken[word] |= np.uint64(1) << np.uint64(listed[m] & 63)
        color = -1
        for word in range(first, words):
            union = taken[word] if stamps[word] == v else np.uint64(0)
            for k in range(starts[v], starts[v + 1]):
                if places[groups[k]] >= 0:
                    union |= sets[places[groups[k]] + word]
            if union != _FULL:
                color = 64 * word + lowest_zero(union)
                break
        if color < 0:
            return False, colors
        colors[v] = color
        for k in range(starts[v], starts[v + 1]):
            g = groups[k]
            if places[g] >= 0:
                sets[places[g] + (color >> 6)] |= np.uint64(1) << np.uint64(color & 63)
                while filled[g] < words and sets[places[g] + filled[g]] == _FULL:
                    filled[g] += 1
            elif member_starts[g + 1] - member_starts[g] > 1:
                listed[member_starts[g] + filled[g]] = color
                filled[g] += 1
    return True, colors
