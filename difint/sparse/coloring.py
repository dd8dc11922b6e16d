"""Colorings: which columns or rows are told from one product.

The algorithms are those of Gebremedhin, Manne and Pothen, "What color is your Jacobian? Graph
coloring for computing derivatives", SIAM Review 47(4), 2005, and of Gebremedhin, Tarafdar, Manne
and Pothen, "New acyclic and star coloring algorithms with application to computing Hessians",
SIAM J. Sci. Comput. 29(3), 2007.
"""

from __future__ import annotations

from typing import Any

from difint.backends import check_choice
from difint.sparse.algorithms import (
    ColoringAlgorithm,
    ConstantColoring,
    GreedyColoring,
    OptimalColoring,
)
from difint.sparse.choices import (
    DECOMPRESSIONS,
    Decompression,
    check_seed,
    orders_of,
    symmetric_pattern,
)
from difint.sparse.pattern import Pattern

__all__ = [
    "ColoringAlgorithm",
    "ConstantColoring",
    "GreedyColoring",
    "OptimalColoring",
    "color_acyclic",
    "color_bidirectional",
    "color_columns",
    "color_rows",
    "color_star",
]


def color_columns(pattern: Any, order: Any = None, seed: int = 0) -> Any:
    """Color columns so that those with an entry in a common row differ.

    Partial distance-2 coloring; Gebremedhin, Manne and Pothen (2005), section 3.

    Args:
        pattern: the pattern of a matrix of shape ``(m, n)``: a ``scipy.sparse`` array, a dense one,
            or a ``Pattern``.
        order: the order in which columns are colored, or several, of which the best is kept:
            ``"natural"``, ``"largest_first"``, ``"smallest_last"``, ``"incidence_degree"``,
            ``"dynamic_largest_first"`` or ``"random"``. By default several are tried, and the
            best result is improved on.
        seed: where ``"random"`` starts.

    Returns:
        The color of each column, shape ``(n,)``, int32: 0, 1, ...

    Raises:
        ArgumentError: an unknown order, or something else than a pattern.

    >>> import numpy as np
    >>> color_columns(np.eye(3) + np.eye(3, k=1))
    array([0, 1, 0], dtype=int32)
    """
    pattern = Pattern.of(pattern)
    chosen = orders_of("color_columns", order)
    check_seed("color_columns", seed)
    from difint.sparse import greedy

    return greedy.columns(pattern, chosen, seed)


def color_rows(pattern: Any, order: Any = None, seed: int = 0) -> Any:
    """Color rows so that those with an entry in a common column differ.

    Partial distance-2 coloring; Gebremedhin, Manne and Pothen (2005), section 3.

    Args:
        pattern: the pattern of a matrix of shape ``(m, n)``: a ``scipy.sparse`` array, a dense one,
            or a ``Pattern``.
        order: as for ``color_columns``.
        seed: where ``"random"`` starts.

    Returns:
        The color of each row, shape ``(m,)``, int32: 0, 1, ...

    Raises:
        ArgumentError: an unknown order, or something else than a pattern.

    >>> import numpy as np
    >>> color_rows(np.ones((3, 1)))
    array([0, 1, 2], dtype=int32)
    """
    pattern = Pattern.of(pattern)
    chosen = orders_of("color_rows", order)
    check_seed("color_rows", seed)
    from difint.sparse import greedy

    return greedy.rows(pattern, chosen, seed)


def color_star(pattern: Any, order: Any = None, seed: int = 0) -> Any:
    """Color columns so that a symmetric matrix can be read from its products directly.

    Star coloring; Gebremedhin, Tarafdar, Manne and Pothen (2007), algorithm 4.1.

    Args:
        pattern: the pattern of a symmetric matrix of shape ``(n, n)``, likewise.
        order: as for ``color_columns``.
        seed: where ``"random"`` starts.

    Returns:
        The color of each column, shape ``(n,)``, int32: 0, 1, ...

    Raises:
        ArgumentError: an unknown order, or a pattern that is not symmetric.

    >>> import numpy as np
    >>> arrow = np.eye(4)
    >>> arrow[0] = arrow[:, 0] = 1
    >>> color_star(arrow)
    array([0, 1, 1, 1], dtype=int32)
    """
    return _symmetric("color_star", "direct", pattern, order, seed)


def color_acyclic(pattern: Any, order: Any = None, seed: int = 0) -> Any:
    """Color columns so that a symmetric matrix follows from its products by substitution.

    Acyclic coloring; Gebremedhin, Tarafdar, Manne and Pothen (2007), algorithm 3.1.

    Args:
        pattern: the pattern of a symmetric matrix of shape ``(n, n)``, likewise.
        order: as for ``color_columns``.
        seed: where ``"random"`` starts.

    Returns:
        The color of each column, shape ``(n,)``, int32: 0, 1, ...

    Raises:
        ArgumentError: an unknown order, or a pattern that is not symmetric.

    >>> import numpy as np
    >>> color_acyclic(np.eye(4) + np.eye(4, k=1) + np.eye(4, k=-1))
    array([0, 1, 0, 1], dtype=int32)
    """
    return _symmetric("color_acyclic", "substitution", pattern, order, seed)


def _symmetric(where: str, decompression: str, pattern: Any, order: Any, seed: int) -> Any:
    pattern = symmetric_pattern(where, pattern)
    chosen = orders_of(where, order)
    check_seed(where, seed)
    from difint.sparse import greedy

    return greedy.symmetric(pattern, decompression, chosen, seed, postprocessing=False)


def color_bidirectional(
    pattern: Any, decompression: Decompression = "direct", order: Any = None, seed: int = 0
) -> tuple[Any, Any]:
    """Color rows and columns together, so that each entry is told by its row or its column.

    Star or acyclic bicoloring; Gebremedhin, Manne and Pothen (2005), sections 3 and 6. Where
    columns or rows alone take no more colors, only they are colored.

    Args:
        pattern: the pattern of a matrix of shape ``(m, n)``: a ``scipy.sparse`` array, a dense one,
            or a ``Pattern``.
        decompression: ``"direct"``, or ``"substitution"`` for fewer colors.
        order: as for ``color_columns``.
        seed: where ``"random"`` starts.

    Returns:
        The color of each row, shape ``(m,)``, and of each column, shape ``(n,)``, int32: on each
        side 0, 1, ..., or -1 where no color is needed.

    Raises:
        ArgumentError: an unknown order or decompression, or something else than a pattern.

    >>> import numpy as np
    >>> arrow = np.eye(4)
    >>> arrow[0] = arrow[:, 0] = 1
    >>> rows, columns = color_bidirectional(arrow)
    >>> int(rows.max() + 1), int(columns.max() + 1)
    (1, 2)
    """
    where = "color_bidirectional"
    pattern = Pattern.of(pattern)
    check_choice(where, "decompression", decompression, DECOMPRESSIONS)
    chosen = orders_of(where, order)
    check_seed(where, seed)
    from difint.sparse import greedy

    return greedy.bidirectional(pattern, decompression, chosen, seed)
