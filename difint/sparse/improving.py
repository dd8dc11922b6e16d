"""Coloring again, color by color, for fewer colors.

After Culberson, "Iterated greedy graph coloring and the difficulty landscape", technical report
92-07, University of Alberta, 1992: if the vertices of each color follow each other, the greedy
partial distance-2 coloring needs no color more than before, and often fewer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from difint.compiling import compiled
from difint.sparse.neutral import by_color


@compiled
def grouped(colors: Any, sequence: Any) -> Any:
    """Order the colored vertices by color, in the sequence of the colors."""
    first, members = by_color(colors, sequence.size - 1)
    order = np.empty(members.size, np.int32)
    free = 0
    for color in sequence:
        for k in range(first[color], first[color + 1]):
            order[free] = members[k]
            free += 1
    return order


def improve(
    best: Any,
    colored: Callable[[Any, int], Any],
    count: Callable[[Any], int],
    bound: int,
    patience: int = 6,
) -> Any:
    """Color again in orders by color, until ``patience`` attempts in a row bring nothing.

    Args:
        best: colors to start from, and to return if none are better.
        colored: makes colors from an order; it may give up past a number of colors.
        count: says how many colors there are.
        bound: so many colors cannot be improved.
        patience: how many attempts without success are made, every other at random.
    """
    generator, left, current = np.random.default_rng(0), patience, best
    least = count(best)
    while left > 0 and least > bound:
        sequence = np.arange(current.max(), -1, -1, dtype=np.int32)
        if left % 2 == 0:
            generator.shuffle(sequence)
        attempt, left = colored(grouped(current, sequence), least), left - 1
        found = least + 1 if attempt is None else count(attempt)
        if found <= least:
            left = left if found == least else patience
            current, least = attempt, found
    return current
