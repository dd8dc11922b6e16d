"""Neutral colors: vertices whose colors no decompression needs.

After Gebremedhin, Manne and Pothen, "What color is your Jacobian? Graph coloring for computing
derivatives", SIAM Review 47(4), 2005, section 6. All entries of a vertex can be told by its
neighbors' colors if these are different, and then its own color tells nothing new.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.compiling import compiled
from difint.sparse.star import NEUTRAL


@compiled
def drop_unneeded(colors: Any, starts: Any, neighbors: Any, fixed: Any) -> None:
    """Make vertices neutral: whole colors where that can be, then single vertices.

    Args:
        colors: a color for each vertex, changed in place; -1 is neutral.
        starts: where the neighbors of each vertex start in ``neighbors``.
        neighbors: the neighbors of each vertex, without itself.
        fixed: vertices that have to keep their colors.
    """
    size, largest = colors.size, colors.max() if colors.size else -1
    needed, seen = np.zeros(largest + 1, np.bool_), np.full(largest + 1, -1, np.int64)
    for v in range(colors.size):
        if colors[v] >= 0 and not _can_be_neutral(seen, v, colors, starts, neighbors, fixed, v):
            needed[colors[v]] = True
    # The rarest color first would cost a sort; the last ones are the rarest mostly.
    first, members = by_color(colors, largest)
    for color in range(largest, -1, -1):
        if needed[color]:
            continue
        one_class = members[first[color] : first[color + 1]]
        drop = True
        for v in one_class:
            drop &= _can_be_neutral(seen, size + v, colors, starts, neighbors, fixed, v)
        if drop:
            colors[one_class] = NEUTRAL
    for v in range(size):
        if colors[v] >= 0 and _can_be_neutral(
            seen, 2 * size + v, colors, starts, neighbors, fixed, v
        ):
            colors[v] = NEUTRAL


@compiled
def by_color(colors: Any, largest: int) -> Any:
    """List the vertices of each color up to ``largest``, in compressed form."""
    first = np.zeros(largest + 2, np.int64)
    for color in colors:
        if color >= 0:
            first[color + 1] += 1
    for color in range(largest + 1):
        first[color + 1] += first[color]
    free, members = first.copy(), np.empty(first[-1], np.int32)
    for v in range(colors.size):
        if colors[v] >= 0:
            members[free[colors[v]]] = v
            free[colors[v]] += 1
    return first, members


@compiled
def _can_be_neutral(
    seen: Any, stamp: int, colors: Any, starts: Any, neighbors: Any, fixed: Any, v: int
) -> bool:
    """Whether all neighbors have different colors; ``stamp`` is a number not used before."""
    if fixed[v]:
        return False
    for k in range(starts[v], starts[v + 1]):
        color = colors[neighbors[k]]
        if color < 0 or seen[color] == stamp:
            return False
        seen[color] = stamp
    return True


@compiled
def renumbered(colors: Any) -> Any:
    """Number the colors in use 0, 1, ..., and keep their order; the neutral color stays -1."""
    largest = colors.max() if colors.size else -1
    names = np.full(largest + 1, -1, np.int32)
    for color in colors:
        if color >= 0:
            names[color] = 0
    count = 0
    for color in range(largest + 1):
        if names[color] == 0:
            names[color] = count
            count += 1
    numbered = np.full(colors.size, NEUTRAL, np.int32)
    for v in range(colors.size):
        if colors[v] >= 0:
            numbered[v] = names[colors[v]]
    return numbered, count
