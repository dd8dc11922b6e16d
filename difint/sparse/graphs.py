"""Graphs of a pattern: adjacency in compressed form, for both sides of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.compiling import compiled


@compiled
def transposed(indptr: Any, indices: Any, size: int) -> Any:
    """Transpose a pattern in compressed form, whose indices are below ``size``.

    The result is sorted, whatever the order within the given one.
    """
    starts = np.zeros(size + 1, indptr.dtype)
    for index in indices:
        starts[index + 1] += 1
    for i in range(size):
        starts[i + 1] += starts[i]
    free, turned = starts[:-1].copy(), np.empty_like(indices)
    for j in range(indptr.size - 1):
        for k in range(indptr[j], indptr[j + 1]):
            i = indices[k]
            turned[free[i]] = j
            free[i] += 1
    return starts, turned


@compiled
def without_diagonal(indptr: Any, indices: Any) -> Any:
    """Drop the entries on the diagonal: what is left are the neighbors in a graph."""
    starts, kept = np.empty_like(indptr), np.empty_like(indices)
    free = 0
    for j in range(indptr.size - 1):
        starts[j] = free
        for k in range(indptr[j], indptr[j + 1]):
            if indices[k] != j:
                kept[free] = indices[k]
                free += 1
    starts[-1] = free
    return starts, kept[:free].copy()


@compiled
def fewest_possible(starts: Any, neighbors: Any, star: bool) -> int:
    """Bound the colors of an acyclic or star coloring from below, at sight.

    The vertices of two colors make a forest, which has fewer edges than vertices; summed over all
    pairs of colors this bounds the edges. A path on four vertices makes three colors of a star
    coloring.
    """
    size, edges, colors = starts.size - 1, neighbors.size // 2, 1
    while edges > (colors - 1) * size - colors * (colors - 1) // 2 and colors < size:
        colors += 1
    if star and colors < 3:
        for v in range(size):
            if starts[v + 1] - starts[v] > 1:
                for k in range(starts[v], starts[v + 1]):
                    w = neighbors[k]
                    if starts[w + 1] - starts[w] > 1:
                        return 3
    return colors


@compiled
def bipartite(indptr: Any, indices: Any, row_starts: Any, columns: Any) -> Any:
    """Make one graph of columns and rows: the rows follow the columns."""
    size, entries = indptr.size - 1, indices.size
    starts = np.empty(size + row_starts.size, indptr.dtype)
    neighbors = np.empty(2 * entries, indices.dtype)
    for v in range(starts.size):
        starts[v] = indptr[v] if v < size else entries + row_starts[v - size]
    for k in range(entries):
        neighbors[k], neighbors[entries + k] = size + indices[k], columns[k]
    return starts, neighbors


@compiled
def has_neighbor(starts: Any, neighbors: Any, among: Any) -> Any:
    """Find the vertices that have a neighbor among some."""
    found = np.zeros(starts.size - 1, np.bool_)
    for v in range(found.size):
        for k in range(starts[v], starts[v + 1]):
            if among[neighbors[k]]:
                found[v] = True
                break
    return found
