"""Bicoloring: colors for rows and for columns, of which every entry needs only one.

After Gebremedhin, Manne and Pothen, "What color is your Jacobian? Graph coloring for computing
derivatives", SIAM Review 47(4), 2005, sections 3 and 6: star and acyclic bicoloring. Which
vertices are neutral from the start is decided by degrees, as dense rows are to be told by colors
of their own and sparse ones by the columns' colors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.sparse.acyclic import color_acyclic
from difint.sparse.graphs import bipartite, has_neighbor
from difint.sparse.neutral import drop_unneeded, renumbered
from difint.sparse.star import color_star

COLORED: dict[str, Any] = {"direct": color_star, "substitution": color_acyclic}

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
        self._degrees = np.diff(self.graph[0])
        self._colored = COLORED[decompression]
        self._free = np.zeros(self._degrees.size, np.bool_)

    def colored(self, order: Any, most: int) -> Any:
        """Color the vertices of ``order``, the others being neutral; ``None`` past ``most``."""
        # Colors that turn out to be unneeded are taken away later.
        colors, done = self._colored(order, *self.graph, self.split, most * 5 // 4 + 4)
        return colors if done else None

    def sides(self, colors: Any) -> Sides:
        """Take the unneeded colors away, and return those of the rows and of the columns."""
        kept = colors.copy()
        drop_unneeded(kept, *self.graph, self._free)
        columns, rows = kept[: self.split], kept[self.split :]
        return renumbered(rows)[0], renumbered(columns)[0]

    def count(self, colors: Any) -> int:
        """Count the colors that are needed."""
        return total(self.sides(colors))

    def covers(self, below: int) -> list[Sides]:
        """Choose which vertices get colors: dense ones of one side, and those of the other.

        On the other side only vertices are needed that have an entry elsewhere; for acyclic
        colorings the rest is colored too, which takes fewer colors in experience. A neutral
        vertex needs as many colors as it has neighbors, which must be ``below`` the colors that
        are known to suffice.

        Returns:
            Pairs of what the one and the other side have to color.
        """
        is_row, found = np.arange(self._degrees.size) >= self.split, []
        for side in (is_row, ~is_row):
            limit = below - 1
            while limit > 0:
                limit = int(self._degrees[side & (self._degrees <= limit)].max(initial=0))
                dense = side & (self._degrees > limit)
                among = side & ~dense if self._colored is color_star else side
                found.append((dense, has_neighbor(*self.graph, among)))
                limit = limit * 3 // 4
        return found


def arranged(order: Any, cover: Sides) -> Any:
    """Order the vertices of a cover, the dense ones last: then some of them need no color."""
    dense, others = cover
    return np.concatenate([order[others[order]], order[dense[order]]])


def total(sides: Sides) -> int:
    """Count the colors of both sides."""
    return sum(int(colors.max(initial=-1)) + 1 for colors in sides)
