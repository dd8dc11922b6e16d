"""What may be chosen about a coloring, and the checks of it."""

from __future__ import annotations

from typing import Any, Literal

from difint.backends import check_choice
from difint.errors import ArgumentError, message
from difint.sparse.pattern import Pattern

Decompression = Literal["direct", "substitution"]

DECOMPRESSIONS = ("direct", "substitution")
ORDERS = (
    "natural",
    "largest_first",
    "smallest_last",
    "incidence_degree",
    "dynamic_largest_first",
    "random",
)


def orders_of(where: str, order: Any) -> tuple[str, ...] | None:
    """Read one order or several; ``None`` is the default."""
    if order is None:
        return None
    several = tuple(order) if isinstance(order, tuple | list) else (order,)
    if not several:
        text = message(
            where,
            "order holds no order",
            expected="one order or more",
            got=repr(order),
            remedy="Leave order= out for the default.",
        )
        raise ArgumentError(text)
    for one in several:
        check_choice(where, "order", one, ORDERS)
    return several


def check_seed(where: str, seed: Any) -> None:
    """Require a number from which a random order can start."""
    if type(seed) is int and seed >= 0:
        return
    text = message(
        where,
        "seed is not a seed",
        expected="an integer from 0",
        got=repr(seed),
        remedy="Leave seed= out for 0.",
    )
    raise ArgumentError(text)


def symmetric_pattern(where: str, value: Any) -> Pattern:
    """Read a pattern, and require that it is its own transpose."""
    pattern = Pattern.of(value)
    if pattern.is_symmetric:
        return pattern
    rows, columns = pattern.shape
    lonely = "entries without a counterpart beyond the diagonal"
    text = message(
        where,
        "the pattern is not symmetric",
        expected="an entry (j, i) for each entry (i, j)",
        got=lonely if rows == columns else f"a pattern of shape ({rows}, {columns})",
        remedy="Color its columns or its rows alone, or both with color_bidirectional.",
    )
    raise ArgumentError(text)
