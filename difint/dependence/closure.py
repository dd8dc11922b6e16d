"""Closures: what entries depend on after any number of rounds of a loop, in compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.compiling import compiled
from difint.dependence.nodes import added, either


@compiled
def components(starts: Any, heads: Any) -> Any:
    """Find the strongly connected components of a graph, numbered so that edges lead to lower ones.

    R. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1(2), 1972,
    without recursion.
    """
    size = starts.size - 1
    label, low, place = np.full(size, -1), np.full(size, -1), np.full(size, -1)
    path, open_, next_edge = np.empty(size, np.int64), np.empty(size, np.int64), starts[:-1].copy()
    seen = count = waiting = 0
    for root in range(size):
        if place[root] >= 0:
            continue
        path[0], depth = root, 1
        while depth:
            v = path[depth - 1]
            if place[v] < 0:
                place[v] = low[v] = seen
                seen += 1
                open_[waiting] = v
                waiting += 1
            down = -1
            while next_edge[v] < starts[v + 1] and down < 0:
                w = heads[next_edge[v]]
                if place[w] < 0:
                    down = w
                else:
                    next_edge[v] += 1
                    if label[w] < 0:
                        low[v] = min(low[v], low[w])
            if down >= 0:
                path[depth] = down
                depth += 1
                continue
            if low[v] == place[v]:
                while True:
                    waiting -= 1
                    label[open_[waiting]] = count
                    if open_[waiting] == v:
                        break
                count += 1
            depth -= 1
    return label, count


@compiled
def close(
    left: Any, right: Any, count: int, starts: Any, heads: Any, label: Any, groups: int, own: Any
) -> Any:
    """Unite the nodes of all that can be reached from each vertex; room must be there.

    ``starts``, ``heads`` are the edges, ``label`` and ``groups`` from ``components``; ``own`` is
    the node of each vertex itself. A node for each vertex and one for each edge may be appended.
    """
    made = np.zeros(groups, np.int32)
    order = np.argsort(label)
    for v in order:
        group = label[v]
        node = either(left, right, count, made[group], own[v])
        count = added(node, count)
        for k in range(starts[v], starts[v + 1]):
            other = label[heads[k]]
            if other != group:
                node = either(left, right, count, node, made[other])
                count = added(node, count)
        made[group] = node
    return count, made[label]


@compiled
def step(
    left: Any, right: Any, count: int, starts: Any, members: Any, first: int, inner: Any
) -> Any:
    """Put nodes in the place of atoms: those numbered from ``first`` on; room must be there."""
    out = np.empty(starts.size - 1, np.int32)
    for i in range(out.size):
        node = 0
        for k in range(starts[i], starts[i + 1]):
            member = members[k]
            if member >= first:
                member = inner[member - first]
            node = either(left, right, count, node, member)
            count = added(node, count)
        out[i] = node
    return count, out
