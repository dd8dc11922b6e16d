"""Star coloring: no path on four vertices has only two colors.

After Gebremedhin, Tarafdar, Manne and Pothen, "New acyclic and star coloring algorithms with
application to computing Hessians", SIAM J. Sci. Comput. 29(3), 2007, algorithm 4.1. The edges of
two colors make stars there. Here a star is known by what its vertices know of their neighbors'
colors, so that a vertex with many neighbors of one color costs its neighbors nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.compiling import compiled

NEUTRAL, WAITING = -1, -2
"""Instead of a color: of a vertex that stays without one, and of one that gets one later."""

MANY = -1

# What each vertex knows of the colors among its neighbors, a row of ``known`` for each color from
# where its neighbors start: the color; its only neighbor of that color, or MANY; and whether this
# neighbor is the hub of a star that holds the edge, that is, has further ones of the vertex's
# color. ``counts`` says how many colors a vertex knows.
COLOR, ONLY, HUB = range(3)


@compiled
def _find(counts: Any, known: Any, start: int, v: int, color: int) -> int:
    """Find where a vertex keeps what it knows of a color, or return -1."""
    for k in range(start, start + counts[v]):
        if known[k, COLOR] == color:
            return k
    return -1


@compiled
def _append(counts: Any, known: Any, k: int, v: int, color: int, only: int, hub: bool) -> None:
    known[k + counts[v], COLOR], known[k + counts[v], ONLY] = color, only
    known[k + counts[v], HUB] = hub
    counts[v] += 1


@compiled
def color_star(order: Any, starts: Any, neighbors: Any, split: int, most: int) -> Any:
    """Color vertices one by one, each with the least color that leaves all paths allowed.

    Args:
        order: the vertices to color, in the order in which they are colored. Others are neutral:
            all their neighbors get different colors. In a bipartite graph, so are vertices whose
            neighbors already have different colors.
        starts: where the neighbors of each vertex start in ``neighbors``.
        neighbors: the neighbors of each vertex, without itself.
        split: 0, or the first vertex of the other side of a bipartite graph: then the sides have
            colors of their own, the first even ones and the other odd ones.
        most: a number of colors past which to give up.

    Returns:
        The colors, and whether they are complete.
    """
    size, used = starts.size - 1, np.zeros(2, np.int64)
    colors = np.full(size, NEUTRAL, np.int32)
    colors[order] = WAITING
    counts, known = np.zeros(size, np.int32), np.empty((starts[-1], 3), np.int32)
    forbidden, tally = np.full(2 * size + 2, -1, np.int32), np.zeros(2 * size + 2, np.int32)
    for v in order:
        count_colors(tally, colors, starts, neighbors, v, 1)
        if split > 0 and are_different(tally, colors, starts, neighbors, v):
            colors[v] = NEUTRAL
        else:
            _forbid(forbidden, tally, counts, known, colors, starts, neighbors, v)
            colors[v] = least(forbidden, v, split)
            _learn(tally, counts, known, colors, starts, neighbors, v)
        count_colors(tally, colors, starts, neighbors, v, 0)
        if exceeds(used, colors[v], split, most):
            return colors, False
    return colors, True


@compiled
def are_different(tally: Any, colors: Any, starts: Any, neighbors: Any, v: int) -> bool:
    """Whether all neighbors of ``v`` have colors, and different ones."""
    for k in range(starts[v], starts[v + 1]):
        if colors[neighbors[k]] < 0 or tally[colors[neighbors[k]]] > 1:
            return False
    return True


@compiled
def exceeds(used: Any, color: int, split: int, most: int) -> Any:
    """Note that a color is in use, and tell whether there are more than ``most``."""
    if color >= 0:
        side = color & 1 if split > 0 else 0
        used[side] = max(used[side], (color >> 1 if split > 0 else color) + 1)
    return used[0] + used[1] > most


@compiled
def least(forbidden: Any, v: int, split: int) -> int:
    """Find the least color that is not forbidden to ``v``."""
    color = 1 if v >= split and split > 0 else 0
    while forbidden[color] == v:
        color += 2 if split > 0 else 1
    return color


@compiled
def count_colors(tally: Any, colors: Any, starts: Any, neighbors: Any, v: int, weight: int) -> None:
    """Count the colors of the neighbors; with ``weight`` 0, forget the counts."""
    for k in range(starts[v], starts[v + 1]):
        c = colors[neighbors[k]]
        if c >= 0:
            tally[c] = (tally[c] + 1) * weight


@compiled
def _forbid(
    forbidden: Any,
    tally: Any,
    counts: Any,
    known: Any,
    colors: Any,
    starts: Any,
    neighbors: Any,
    v: int,
) -> None:
    for k in range(starts[v], starts[v + 1]):
        w = neighbors[k]
        if colors[w] == WAITING:
            continue
        leaf = False
        if colors[w] != NEUTRAL:
            forbidden[colors[w]] = v
            # Beside a second neighbor of its color, w must not have a third vertex of v's color;
            # alone, it must not be a leaf of a star of v's color.
            leaf = tally[colors[w]] == 1
        for e in range(starts[w], starts[w] + counts[w]):
            if known[e, HUB] or not leaf:
                forbidden[known[e, COLOR]] = v


@compiled
def _learn(
    tally: Any, counts: Any, known: Any, colors: Any, starts: Any, neighbors: Any, v: int
) -> None:
    """Note the new color of ``v`` at its neighbors, and their colors at ``v``."""
    color, own = colors[v], starts[v]
    for k in range(own, starts[v + 1]):
        w = neighbors[k]
        if colors[w] == WAITING:
            continue
        if colors[w] == NEUTRAL:
            _append(counts, known, starts[w], w, color, v, False)
            continue
        many, e = tally[colors[w]] > 1, _find(counts, known, starts[w], w, color)
        if e < 0:
            _append(counts, known, starts[w], w, color, v, many)
        elif known[e, ONLY] != MANY:
            only = known[e, ONLY]
            known[_find(counts, known, starts[only], only, colors[w]), HUB] = True
            known[e, ONLY], known[e, HUB] = MANY, False
        if not many:
            _append(counts, known, own, v, colors[w], w, e >= 0)
        elif _find(counts, known, own, v, colors[w]) < 0:
            _append(counts, known, own, v, colors[w], MANY, False)
