"""Which greedy colorings are tried, and which is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from difint.sparse import orders
from difint.sparse.acyclic import color_acyclic
from difint.sparse.bicoloring import COLORED, Bicoloring, total
from difint.sparse.graphs import without_diagonal
from difint.sparse.improving import improve
from difint.sparse.neutral import drop_unneeded, renumbered
from difint.sparse.partial_distance2 import color_members
from difint.sparse.pattern import Pattern
from difint.sparse.star import color_star

Order = tuple[str, ...] | None

ONE_SIDED = ("natural", "largest_first", "smallest_last", "incidence_degree")
SYMMETRIC = ("natural", "smallest_last", "incidence_degree", "largest_first", "random")
BIDIRECTIONAL = ("natural", "largest_first", "incidence_degree")


def count(colors: Any) -> int:
    """Count the colors, which are 0, 1, ..., and perhaps the neutral -1."""
    return int(colors.max(initial=-1)) + 1


def columns(pattern: Pattern, order: Order, seed: int, postprocessing: bool = False) -> Any:
    """Color the columns."""
    sides = _sides(pattern)
    return _one_sided(*sides, order, seed, postprocessing)


def rows(pattern: Pattern, order: Order, seed: int, postprocessing: bool = False) -> Any:
    """Color the rows."""
    sides = _sides(pattern)
    return _one_sided(*sides[::-1], order, seed, postprocessing)


def _sides(pattern: Pattern) -> tuple[Any, Any]:
    turned = pattern.transposed()
    return (pattern.indptr, pattern.indices), (turned.indptr, turned.indices)


def _one_sided(vertices: Any, groups: Any, order: Order, seed: int, postprocessing: bool) -> Any:
    best, bound = None, 0
    ordered = orders.GroupOrders((*vertices, *groups), seed)
    for name in order or ONE_SIDED:
        if order is None and best is not None and ordered.neighbors is None:
            break  # dense rows or columns, of which the degrees cost a square
        colors, bound = color_members(ordered.order(name), *vertices, groups[0])
        if best is None or count(colors) < count(best):
            best = colors
        if count(best) <= bound:
            break
    if order is None:
        best = improve(
            best,
            lambda sequence: color_members(sequence, *vertices, groups[0])[0],
            count,
            bound=bound,
            patience=6,
        )
    if postprocessing:
        best[np.diff(vertices[0]) == 0] = -1
        best, _ = renumbered(best)
    return best


def symmetric(
    pattern: Pattern, decompression: str, order: Order, seed: int, postprocessing: bool
) -> Any:
    """Color the columns of a symmetric pattern."""
    graph = without_diagonal(pattern.indptr, pattern.indices)
    diagonal = np.diff(pattern.indptr) > np.diff(graph[0])
    colored = COLORED[decompression]

    def finished(colors: Any) -> Any:
        if not postprocessing:
            return colors
        kept = colors.copy()
        drop_unneeded(kept, *graph, diagonal)
        return renumbered(kept)[0]

    def counted(colors: Any) -> int:
        return count(finished(colors))

    found = (colored(orders.of_graph(name, seed, graph), *graph, 0) for name in order or SYMMETRIC)
    best = min(found, key=counted)
    if order is None:
        best = improve(
            best, lambda sequence: colored(sequence, *graph, 0), counted, bound=1, patience=6
        )
    return finished(best)


def bidirectional(pattern: Pattern, decompression: str, order: Order, seed: int) -> tuple[Any, Any]:
    """Color rows and columns together, or one side alone where that takes no more colors."""
    sides = _sides(pattern)
    best = _fallback(pattern, sides, order, seed)
    graph = Bicoloring(*sides, decompression)
    start = None
    for cover in graph.covers(total(best)):
        for name in order or BIDIRECTIONAL:
            sequence = orders.of_graph(name, seed, graph.graph)
            colors = graph.colored(sequence[cover[sequence]])
            found = graph.sides(colors)
            if total(found) < total(best):
                best, start = found, colors
    if order is None and start is not None:
        start = improve(start, graph.colored, graph.count, bound=1, patience=6)
        best = graph.sides(start)
    return best


def _fallback(pattern: Pattern, sides: Any, order: Order, seed: int) -> tuple[Any, Any]:
    rows_alone = _one_sided(*sides[::-1], order, seed, True)
    columns_alone = _one_sided(*sides, order, seed, True)
    if count(columns_alone) <= count(rows_alone):
        return np.full(pattern.shape[0], -1, np.int32), columns_alone
    return rows_alone, np.full(pattern.shape[1], -1, np.int32)
