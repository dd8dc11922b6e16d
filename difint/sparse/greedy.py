"""Which greedy colorings are tried, and which is kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.sparse import orders
from difint.sparse.bicoloring import COLORED, Bicoloring, arranged, total
from difint.sparse.graphs import fewest_possible, without_diagonal
from difint.sparse.improving import grouped, improve
from difint.sparse.neutral import drop_unneeded, renumbered
from difint.sparse.partial_distance2 import color_members
from difint.sparse.pattern import Pattern

Order = tuple[str, ...] | None
Sides = tuple[Any, Any]

# The orders of the default, the first of which are the best on their own. Orders of the graph in
# which columns with a common row are neighbors serve other colorings too.
ONE_SIDED = ("natural", "largest_first", "smallest_last", "incidence_degree")
SYMMETRIC = ("natural", "smallest_last", "incidence_degree", "largest_first", "random")
BIDIRECTIONAL = ("incidence_degree", "natural", "largest_first", "random")
DISTANCE_2 = ("smallest_last", "largest_first", "incidence_degree")

PROMISING = 4
"""Of the ways to choose neutral vertices, so many are tried with the further orders."""

IMPROVED = 3
"""Of the colorings found, so many are improved on."""

MANY_ENTRIES = 1_000_000
"""With more entries, where an attempt takes a second, fewer are made."""


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
    return _without_empty(best, vertices) if postprocessing else best


def _without_empty(colors: Any, vertices: Sides) -> Any:
    """Take the colors of vertices without entries away."""
    return renumbered(np.where(np.diff(vertices[0]) > 0, colors, -1))[0]


def symmetric(
    pattern: Pattern, decompression: str, order: Order, seed: int, postprocessing: bool
) -> Any:
    """Color the columns of a symmetric pattern."""
    graph = without_diagonal(pattern.indptr, pattern.indices)
    diagonal = np.diff(pattern.indptr) > np.diff(graph[0])
    color: Any = COLORED[decompression]

    def colored(sequence: Any, most: int = pattern.shape[1]) -> Any:
        colors, done = color(sequence, *graph, 0, most)
        return colors if done else None

    def finished(colors: Any) -> Any:
        kept = colors.copy()
        drop_unneeded(kept, *graph, diagonal)
        return renumbered(kept)[0]

    def counted(colors: Any) -> int:
        return count(finished(colors) if postprocessing else colors)

    found = [colored(orders.of_graph(name, seed, graph)) for name in order or SYMMETRIC[:1]]
    bound = fewest_possible(*graph, decompression == "direct")
    if order is None and count(found[0]) > bound:
        few = pattern.nnz > MANY_ENTRIES
        names = SYMMETRIC[1:2] if few else SYMMETRIC[1:]
        sequences = [orders.of_graph(name, seed, graph) for name in names]
        if not few:
            sides = (pattern.indptr, pattern.indices)
            sequences += _of_distance_2(sides, sides, columns(pattern, None, seed))
        found = sorted([*found, *map(colored, sequences)], key=counted)
        kept = 0 if few else IMPROVED
        found[:kept] = [improve(one, colored, counted, bound) for one in found[:kept]]
    best = min(found, key=counted)
    return finished(best) if postprocessing else best


def _of_distance_2(vertices: Sides, groups: Sides, colors: Any) -> list[Any]:
    """Order vertices by the graph in which members of a group are neighbors."""
    ordered = orders.GroupOrders((*vertices, *groups), 0)
    # Without that graph, which dense rows or columns make too large, these stand for the orders.
    names = DISTANCE_2 if ordered.neighbors is not None else ("natural",) * len(DISTANCE_2)
    sequences = [ordered.order(name) for name in names]
    falling = np.arange(count(colors) - 1, -1, -1, dtype=np.int32)
    return [*sequences, grouped(colors, falling)]


def bidirectional(pattern: Pattern, decompression: str, order: Order, seed: int) -> Sides:
    """Color rows and columns together, or one side alone where that takes no more colors."""
    of_columns, of_rows = _sides(pattern)
    by_rows = _one_sided(of_rows, of_columns, order, seed, False)
    by_columns = _one_sided(of_columns, of_rows, order, seed, False)
    graph = Bicoloring(of_columns, of_rows, decompression)
    default = order is None and pattern.nnz <= MANY_ENTRIES
    names = order or (BIDIRECTIONAL if default else BIDIRECTIONAL[:1])
    sequences = [orders.of_graph(name, seed, graph.graph) for name in names]
    if default:
        first = _of_distance_2(of_columns, of_rows, by_columns)
        second = _of_distance_2(of_rows, of_columns, by_rows)
        both = zip(first, second, strict=True)
        sequences += [np.concatenate([one, graph.split + other]) for one, other in both]
    alone = min(count(by_columns), count(by_rows))
    # A color brings an equation for each row or each column, of which every entry needs one.
    bound = -(-pattern.nnz // max(*pattern.shape, 1))
    found = _attempts(graph, sequences, alone) if alone > bound else []
    kept = IMPROVED if default else 0
    found[:kept] = [improve(one, graph.colored, graph.count, bound) for one in found[:kept]]
    best = min(map(graph.sides, found), key=total, default=None)
    if best is not None and total(best) < alone:
        return best
    no_rows, no_columns = (np.full(size, -1, np.int32) for size in pattern.shape)
    if count(by_columns) == alone:
        return no_rows, _without_empty(by_columns, of_columns)
    return _without_empty(by_rows, of_rows), no_columns


def _attempts(graph: Bicoloring, sequences: list[Any], alone: int) -> list[Any]:
    """Color with fewer than about ``alone`` colors in several ways, the best first.

    Many colors cost much time, so that few are tried first.
    """
    most, found = min(256, alone), list[Any]()
    while not found:
        covers, least = graph.covers(most), most
        for sequence in sequences:
            for cover in covers:
                colors = graph.colored(arranged(sequence, cover), least)
                if colors is not None:
                    found.append((graph.count(colors), len(found), colors, cover))
                    least = min(least, found[-1][0])
            found.sort(key=lambda one: one[:2])
            covers = [one[3] for one in found[:PROMISING]] or covers
        if most >= alone:
            break
        most = min(8 * most, alone)
    return [one[2] for one in found]
