"""Pictures of patterns in text: Unicode's braille, eight dots a character."""

from __future__ import annotations

import numpy as np

from difint.sparse.pattern import Pattern

_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of each dot, four rows of two."""


def braille(pattern: Pattern, height: int = 32, width: int = 48) -> str:
    """Draw a pattern, a dot for each entry; of a large one, for each cell that has an entry.

    Args:
        pattern: what to draw.
        height: the number of dots above each other, at most.
        width: the number of dots beside each other, at most.

    >>> print(braille(Pattern.of(np.tri(8))))
    ⣷⣄⠀⠀
    ⣿⣿⣷⣄
    """
    rows, columns = pattern.shape
    if not rows or not columns:
        return ""
    scale = max(rows / height, columns / width, 1.0)
    dots = np.zeros((-(-_cells(rows, scale) // 4) * 4, -(-_cells(columns, scale) // 2) * 2), int)
    dots[(pattern.indices / scale).astype(int), (pattern.columns / scale).astype(int)] = 1
    blocks = dots.reshape(dots.shape[0] // 4, 4, dots.shape[1] // 2, 2)
    codes = 0x2800 + np.einsum("ipjq,pq->ij", blocks, _BITS)
    return "\n".join("".join(map(chr, line)) for line in codes)


def _cells(size: int, scale: float) -> int:
    return int((size - 1) / scale) + 1
