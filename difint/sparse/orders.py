"""Orders in which the vertices of a graph are colored.

After Gebremedhin, Nguyen, Patwary and Pothen, "ColPack: Software for graph coloring and related
problems in scientific computing", ACM TOMS 40(1), 2013; ties are broken as ColPack breaks them.
A bipartite graph is given by the groups of each vertex and the members of each group (the rows
of each column and the columns of each row, or the reverse); members of a group are neighbors.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from difint.compiling import compiled, inlined

SMALLEST_LAST, INCIDENCE_DEGREE, DYNAMIC_LARGEST_FIRST = range(3)

MOST_NEIGHBORS = 32
"""Graphs in which members of a group are neighbors are made up to so many neighbors an entry."""

_DYNAMIC = {
    "smallest_last": SMALLEST_LAST,
    "incidence_degree": INCIDENCE_DEGREE,
    "dynamic_largest_first": DYNAMIC_LARGEST_FIRST,
}


class GroupOrders:
    """The orders of vertices that share groups; what several orders need is made once.

    Args:
        graph: the groups of each vertex and the members of each group, in compressed form.
        seed: where a random order starts.
    """

    def __init__(self, graph: tuple[Any, Any, Any, Any], seed: int) -> None:
        self._graph, self._seed = graph, seed

    @cached_property
    def neighbors(self) -> tuple[Any, Any] | None:
        """The graph in which members of a group are neighbors, unless it is large."""
        limit = MOST_NEIGHBORS * self._graph[1].size + 1000
        starts, neighbors = neighbors_by_groups(*self._graph, limit)
        return None if starts is None else (starts, neighbors)

    def order(self, name: str) -> Any:
        """Order the vertices."""
        if name in ("natural", "random"):
            return _static(name, self._seed, self._graph[0].size - 1)
        if self.neighbors is not None:
            return of_graph(name, self._seed, self.neighbors)
        degrees = group_degrees(*self._graph)
        if name == "largest_first":
            return _decreasing(degrees)
        return _dynamic_of_groups(*self._graph, degrees, _DYNAMIC[name])


def of_graph(name: str, seed: int, graph: tuple[Any, Any]) -> Any:
    """Order the vertices of a graph, given by the neighbors of each in compressed form."""
    if name == "largest_first":
        return _decreasing(np.diff(graph[0]))
    if name in _DYNAMIC:
        return _dynamic_of_graph(*graph, _DYNAMIC[name])
    return _static(name, seed, graph[0].size - 1)


def _static(name: str, seed: int, size: int) -> Any:
    if name == "random":
        return np.random.default_rng(seed).permutation(size).astype(np.int32)
    return np.arange(size, dtype=np.int32)


def _decreasing(degrees: Any) -> Any:
    return np.argsort(-degrees.astype(np.int64), kind="stable").astype(np.int32)


@compiled
def _is_new(member_starts: Any, members: Any) -> Any:
    """Find the groups that are not the same as the last one with the same first member."""
    new, recent = np.ones(member_starts.size - 1, np.bool_), np.full(members.size, -1, np.int32)
    for g in range(new.size):
        start, size = member_starts[g], member_starts[g + 1] - member_starts[g]
        if size < 2:
            new[g] = False
            continue
        first = members[start]
        other = recent[first % recent.size]
        if other >= 0 and member_starts[other + 1] - member_starts[other] == size:
            new[g] = False
            for m in range(size):
                if members[member_starts[other] + m] != members[start + m]:
                    new[g] = True
                    break
        recent[first % recent.size] = g
    return new


@compiled
def neighbors_by_groups(
    starts: Any, groups: Any, member_starts: Any, members: Any, limit: int
) -> Any:
    """List the others with which each vertex shares a group, or ``None`` if past the limit."""
    size, new = starts.size - 1, _is_new(member_starts, members)
    seen, ends = np.full(size, -1, np.int32), np.zeros(size + 1, np.int64)
    neighbors, free = np.empty(min(limit, 4 * groups.size + size), np.int32), 0
    for v in range(size):
        seen[v] = v
        if free + size > neighbors.size:
            neighbors = _with_room(neighbors, free + min(size, limit - free))
        for k in range(starts[v], starts[v + 1]):
            g = groups[k]
            if not new[g]:
                continue
            if free + member_starts[g + 1] - member_starts[g] > limit:
                return None, neighbors
            for m in range(member_starts[g], member_starts[g + 1]):
                w = members[m]
                if seen[w] != v:
                    seen[w] = v
                    neighbors[free] = w
                    free += 1
        ends[v + 1] = free
    return ends, neighbors[:free]


@compiled
def _with_room(array: Any, size: int) -> Any:
    """Copy to an array of at least ``size``, and of twice the old size."""
    if array.size >= size:
        return array
    wide = np.empty(max(2 * array.size, size), array.dtype)
    wide[: array.size] = array
    return wide


@compiled
def group_degrees(starts: Any, groups: Any, member_starts: Any, members: Any) -> Any:
    """Count the others with which each vertex shares a group."""
    size = starts.size - 1
    degrees, seen = np.zeros(size, np.int32), np.full(size, -1, np.int32)
    for v in range(size):
        seen[v] = v
        for k in range(starts[v], starts[v + 1]):
            g = groups[k]
            if member_starts[g + 1] - member_starts[g] == size:
                # A group of all, of which visiting the members would cost a square.
                degrees[v] = size - 1
                break
            for m in range(member_starts[g], member_starts[g + 1]):
                w = members[m]
                if seen[w] != v:
                    seen[w] = v
                    degrees[v] += 1
    return degrees


# Vertices wait in a list for each degree, of which only the last is found at once. A vertex is a
# row of ``nodes``: its degree, or -1 once it is taken, and its neighbors in the list.
DEGREE, BEFORE, AFTER = range(3)


@compiled
def _queue(degrees: Any, kind: int) -> Any:
    """Let all vertices wait; return the nodes and the last vertex of each degree."""
    largest = degrees.max() if degrees.size else 0
    nodes, last = np.full((degrees.size, 4), -1, np.int32), np.full(largest + 1, -1, np.int32)
    for v in range(degrees.size):
        _push(nodes, last, v, 0 if kind == INCIDENCE_DEGREE else degrees[v])
    return nodes, last


@inlined
def _push(nodes: Any, last: Any, v: int, degree: int) -> None:
    end = last[degree]
    nodes[v, DEGREE], nodes[v, BEFORE], nodes[v, AFTER] = degree, end, -1
    if end >= 0:
        nodes[end, AFTER] = v
    last[degree] = v


@inlined
def _pop(nodes: Any, last: Any, degree: int) -> Any:
    v = last[degree]
    last[degree] = nodes[v, BEFORE]
    if last[degree] >= 0:
        nodes[last[degree], AFTER] = -1
    nodes[v, DEGREE] = -1
    return v


@inlined
def _move(nodes: Any, last: Any, v: int, step: int) -> None:
    """Change a degree; the last of the old list has the free place there, as in ColPack."""
    degree, before, after = nodes[v, DEGREE], nodes[v, BEFORE], nodes[v, AFTER]
    end = _pop(nodes, last, degree)
    if end != v:
        nodes[end, DEGREE], nodes[end, BEFORE] = degree, before
        if before >= 0:
            nodes[before, AFTER] = end
        if after == end:
            nodes[end, AFTER] = -1
            last[degree] = end
        else:
            nodes[end, AFTER], nodes[after, BEFORE] = after, end
    _push(nodes, last, v, degree + step)


@inlined
def _next(last: Any, start: int, kind: int) -> int:
    """Find the first degree that some vertex has, upwards for smallest last.

    Since the last one, which was ``start``, degrees have changed by one at most.
    """
    if kind == SMALLEST_LAST:
        start = max(start - 1, 0)
    elif kind == INCIDENCE_DEGREE:
        start = min(start + 1, last.size - 1)
    while last[start] < 0:
        start += 1 if kind == SMALLEST_LAST else -1
    return start


@compiled
def _dynamic_of_groups(
    starts: Any, groups: Any, member_starts: Any, members: Any, degrees: Any, kind: int
) -> Any:
    size = starts.size - 1
    order, seen = np.empty(size, np.int32), np.full(size, -1, np.int32)
    nodes, last = _queue(degrees, kind)
    step, degree = 1 if kind == INCIDENCE_DEGREE else -1, last.size - 1
    for position in range(size):
        degree = _next(last, 0 if position == 0 and kind == SMALLEST_LAST else degree, kind)
        v = _pop(nodes, last, degree)
        order[size - 1 - position if kind == SMALLEST_LAST else position] = v
        for k in range(starts[v], starts[v + 1]):
            for m in range(member_starts[groups[k]], member_starts[groups[k] + 1]):
                w = members[m]
                if seen[w] != v and nodes[w, DEGREE] >= 0:
                    seen[w] = v
                    _move(nodes, last, w, step)
    return order


@compiled
def _dynamic_of_graph(starts: Any, neighbors: Any, kind: int) -> Any:
    size = starts.size - 1
    order = np.empty(size, np.int32)
    nodes, last = _queue(starts[1:] - starts[:-1], kind)
    step, degree = 1 if kind == INCIDENCE_DEGREE else -1, last.size - 1
    for position in range(size):
        degree = _next(last, 0 if position == 0 and kind == SMALLEST_LAST else degree, kind)
        v = _pop(nodes, last, degree)
        order[size - 1 - position if kind == SMALLEST_LAST else position] = v
        for k in range(starts[v], starts[v + 1]):
            if nodes[neighbors[k], DEGREE] >= 0:
                _move(nodes, last, neighbors[k], step)
    return order
