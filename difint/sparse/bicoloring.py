"""Bicoloring: colors for rows and for columns, of which every entry needs only one.

After Gebremedhin, Manne and Pothen, "What color is your Jacobian? Graph coloring for computing
derivatives", SIAM Review 47(4), 2005, sections 3 and 6: star and acyclic bicoloring. Which
vertices are neutral from the start is decided by degrees, as dense rows are to be told by colors
of their own and sparse ones by the columns' colors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from difint.sparse.acyclic import color_acyclic
from difint.sparse.graphs import bipartite
from difint.sparse.neutral import drop_unneeded, renumbered
from difint.sparse.star import color_star

COLORED = {"direct": color_star, "substitution": color_acyclic}

Sides = tuple[Any, Any]


class Bicoloring:
    """The graph of the columns and the rows of a pattern, and how it is colored.

    Args:
        columns: the rows of each column in compressed form.
        rows: the columns of each row in compressed form.
        decompression: ``"direct"`` or ``"substitution"``.
    """

    def __init__(self, columns: Sides, rows: Sides, decompression: str) -> None:
        self.split = columns[0].size - 1
        self.graph = bipartite(*columns, *rows)
        self.degrees = np.diff(self.graph[0])
        self._colored = COLORED[decompression]
        self._free = np.zeros(self.degrees.size, np.bool_)

    def colored(self, order: Any) -> Any:
        """Color the vertices of ``order``, the others being neutral."""
        return self._colored(order, *self.graph, self.split)

    def sides(self, colors: Any) -> Sides:
        """Take the unneeded colors away, and return those of the rows and of the columns."""
        kept = colors.copy()
        drop_unneeded(kept, *self.graph, self._free)
        columns, rows = kept[: self.split], kept[self.split :]
        return renumbered(rows)[0], renumbered(columns)[0]

    def count(self, colors: Any) -> int:
        """Count the colors that are needed."""
        return total(self.sides(colors))

    def covers(self, below: int) -> Iterator[Any]:
        """Choose which vertices get colors: one side, and the vertices of the other by degree.

        A neutral vertex needs as many colors as it has neighbors, which must be ``below`` the
        colors that are known to suffice.
        """
        is_row = np.arange(self.degrees.size) >= self.split
        for other in (is_row, ~is_row):
            degrees = self.degrees[other]
            limit = below - 1
            while limit > 0:
                limit = int(degrees[degrees <= limit].max(initial=0))
                yield (self.degrees > limit) | ((self.degrees > 0) & ~other)
                limit = limit * 3 // 4


def total(sides: Sides) -> int:
    """Count the colors of both sides."""
    return sum(int(colors.max(initial=-1)) + 1 for colors in sides)
