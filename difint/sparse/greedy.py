"""Which greedy colorings are tried, and which is kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.sparse import orders
from difint.sparse.bicoloring import COLORED, Bicoloring, arranged, total
from difint.sparse.graphs import without_diagonal
from difint.sparse.improving import improve
from difint.sparse.neutral import drop_unneeded, renumbered
from difint.sparse.partial_distance2 import color_members
from difint.sparse.pattern import Pattern

Order = tuple[str, ...] | None
Sides = tuple[Any, Any]

# The orders of the default. Those that are chosen by dynamic degrees are cheap on a graph.
ONE_SIDED = ("natural", "largest_first", "smallest_last", "incidence_degree")
SYMMETRIC = ("natural", "smallest_last", "incidence_degree", "largest_first", "random")
BIDIRECTIONAL = ("natural", "largest_first", "random")

PROMISING = 4
"""Of the ways to choose neutral vertices, so many are tried with the further orders."""


def count(colors: Any) -> int:
    """Count the colors, which are 0, 1, ..., and perhaps the neutral -1."""
    return int(colors.max(initial=-1)) + 1


def columns(pattern: Pattern, order: Order, seed: int, postprocessing: bool = False) -> Any:
    """Color the columns."""
    return _one_sided(*_sides(pattern), order, seed, postprocessing)


def rows(pattern: Pattern, order: Order, seed: int, postprocessing: bool = False) -> Any:
    """Color the rows."""
    return _one_sided(*_sides(pattern)[::-1], order, seed, postprocessing)


def _sides(pattern: Pattern) -> tuple[Sides, Sides]:
    turned = pattern.transposed()
    return (pattern.indptr, pattern.indices), (turned.indptr, turned.indices)


def _one_sided(
    vertices: Sides, groups: Sides, order: Order, seed: int, postprocessing: bool
) -> Any:
    ordered = orders.GroupOrders((*vertices, *groups), seed)

    def colored(sequence: Any, most: int = 0) -> Any:
        return color_members(sequence, *vertices, groups[0])

    names = order or ONE_SIDED
    best, bound = colored(ordered.order(names[0]))
    for name in names[1:]:
        # The degrees that dense rows or columns cause cost a square, which is for who asks.
        if count(best) <= bound or (order is None and ordered.neighbors is None):
            break
        best = min(best, colored(ordered.order(name))[0], key=count)
    if order is None:
        best = improve(best, lambda sequence, _: colored(sequence)[0], count, bound)
    if postprocessing:
        best[np.diff(vertices[0]) == 0] = -1
        best = renumbered(best)[0]
    return best


def symmetric(
    pattern: Pattern, decompression: str, order: Order, seed: int, postprocessing: bool
) -> Any:
    """Color the columns of a symmetric pattern."""
    graph = without_diagonal(pattern.indptr, pattern.indices)
    diagonal = np.diff(pattern.indptr) > np.diff(graph[0])

    color = COLORED[decompression]

    def colored(sequence: Any, most: int) -> Any:
        colors, done = color(sequence, *graph, 0, most)
        return colors if done else None

    def finished(colors: Any) -> Any:
        kept = colors.copy()
        drop_unneeded(kept, *graph, diagonal)
        return renumbered(kept)[0]

    counted = (lambda colors: count(finished(colors))) if postprocessing else count
    best = None
    for name in order or SYMMETRIC:
        most = pattern.shape[1] if best is None else count(best)
        attempt = colored(orders.of_graph(name, seed, graph), most)
        if attempt is not None and (best is None or counted(attempt) < counted(best)):
            best = attempt
    if order is None:
        best = improve(best, colored, counted, 2)
    return finished(best) if postprocessing else best


def bidirectional(pattern: Pattern, decompression: str, order: Order, seed: int) -> Sides:
    """Color rows and columns together, or one side alone where that takes no more colors."""
    sides = _sides(pattern)
    alone = _alone(pattern, sides, order, seed)
    graph, names = Bicoloring(*sides, decompression), order or BIDIRECTIONAL
    sequences = [orders.of_graph(name, seed, graph.graph) for name in names]
    # Where few colors suffice, an attempt that needs many would cost their number a vertex.
    most = min(256, total(alone))
    found = _attempts(graph, sequences, most)
    while not found and most < total(alone):
        most = min(8 * most, total(alone))
        found = _attempts(graph, sequences, most)
    if order is None:
        found[:3] = [improve(one, graph.colored, graph.count, 2) for one in found[:3]]
    best = min(map(graph.sides, found), key=total, default=alone)
    return best if total(best) < total(alone) else alone


def _attempts(graph: Bicoloring, sequences: list[Any], most: int) -> list[Any]:
    """Color with fewer than about ``most`` colors in several ways, the best first."""
    covers, found = graph.covers(most), list[Any]()
    for sequence in sequences:
        for cover in covers:
            colors = graph.colored(arranged(sequence, cover), most)
            if colors is not None:
                found.append((graph.count(colors), len(found), colors, cover))
                most = min(most, found[-1][0])
        found.sort(key=lambda one: one[:2])
        covers = [one[3] for one in found[:PROMISING]]
    return [one[2] for one in found]


def _alone(pattern: Pattern, sides: tuple[Sides, Sides], order: Order, seed: int) -> Sides:
    """Color rows or columns alone, whichever takes fewer colors."""
    rows_alone = _one_sided(*sides[::-1], order, seed, True)
    columns_alone = _one_sided(*sides, order, seed, True)
    if count(columns_alone) <= count(rows_alone):
        return np.full(pattern.shape[0], -1, np.int32), columns_alone
    return rows_alone, np.full(pattern.shape[1], -1, np.int32)
