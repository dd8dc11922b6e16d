"""Acyclic coloring: no cycle has only two colors.

After Gebremedhin, Tarafdar, Manne and Pothen, "New acyclic and star coloring algorithms with
application to computing Hessians", SIAM J. Sci. Comput. 29(3), 2007, algorithm 3.1. The edges of
two colors make trees, kept as disjoint sets. All edges from a vertex to neighbors of one color
are in one tree, so that the elements of the sets are vertices with a color, not edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.compiling import compiled
from difint.sparse.star import (
    COLOR,
    NEUTRAL,
    WAITING,
    are_different,
    count_colors,
    exceeds,
    least,
)

# Elements are rows of ``trees`` from where a vertex's neighbors start, one for each color among
# them: the color; the parent in a tree of the disjoint sets; for a set as a whole, by which vertex
# it was last reached, and by way of which of its neighbors. ``counts`` says how many there are.
PARENT, REACHED, WAY = 1, 2, 3


@compiled
def _root(trees: Any, k: int) -> int:
    """Find the element that stands for the set of ``k``, and shorten the way to it."""
    while trees[k, PARENT] != k:
        trees[k, PARENT] = trees[trees[k, PARENT], PARENT]
        k = trees[k, PARENT]
    return k


@compiled
def _element(counts: Any, trees: Any, start: int, v: int, color: int) -> Any:
    """Find the element of a vertex with a color among its neighbors, or make it."""
    end = start + counts[v]
    for k in range(start, end):
        if trees[k, COLOR] == color:
            return k
    trees[end, COLOR], trees[end, PARENT] = color, end
    counts[v] += 1
    return end


@compiled
def color_acyclic(order: Any, starts: Any, neighbors: Any, split: int, most: int) -> Any:
    """Color vertices one by one, each with the least color that closes no cycle.

    The arguments and results are those of ``color_star``.
    """
    size, used = starts.size - 1, np.zeros(2, np.int64)
    colors = np.full(size, NEUTRAL, np.int32)
    colors[order] = WAITING
    forbidden, counts = np.full(2 * size + 2, -1, np.int32), np.zeros(size, np.int32)
    trees, tally = np.full((starts[-1], 4), -1, starts.dtype), np.zeros(2 * size + 2, np.int32)
    for v in order:
        count_colors(tally, colors, starts, neighbors, v, 1)
        if split > 0 and are_different(tally, colors, starts, neighbors, v):
            colors[v] = NEUTRAL
        else:
            _forbid(forbidden, counts, trees, colors, starts, neighbors, v)
            colors[v] = least(forbidden, v, split)
            _join(counts, trees, colors, starts, neighbors, v)
        count_colors(tally, colors, starts, neighbors, v, 0)
        if exceeds(used, colors[v], split, most):
            return colors, False
    return colors, True


@compiled
def _forbid(
    forbidden: Any, counts: Any, trees: Any, colors: Any, starts: Any, neighbors: Any, v: int
) -> None:
    for k in range(starts[v], starts[v + 1]):
        w = neighbors[k]
        if colors[w] == WAITING:
            continue
        neutral = colors[w] == NEUTRAL
        if not neutral:
            forbidden[colors[w]] = v
        for e in range(starts[w], starts[w] + counts[w]):
            tree = _root(trees, e)
            if neutral or (trees[tree, REACHED] == v and trees[tree, WAY] != w):
                forbidden[trees[e, COLOR]] = v
            trees[tree, REACHED], trees[tree, WAY] = v, w


@compiled
def _join(counts: Any, trees: Any, colors: Any, starts: Any, neighbors: Any, v: int) -> None:
    """Join the trees that meet in ``v``, which has its color now."""
    for k in range(starts[v], starts[v + 1]):
        w = neighbors[k]
        if colors[w] != WAITING:
            one = _element(counts, trees, starts[w], w, colors[v])
            if colors[w] != NEUTRAL:
                other = _element(counts, trees, starts[v], v, colors[w])
                trees[_root(trees, one), PARENT] = _root(trees, other)
