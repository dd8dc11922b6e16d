"""Text for people and programs: aligned tables, JSON, times and sizes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Lay out a table in plain text.

    Args:
        head: the columns' names.
        rows: the cells of each row.
        align: for each column ``<`` (left) or ``>`` (right).

    Returns:
        Lines without trailing blanks: the head, a rule, the rows.

    >>> print(table(["backend", "ms"], [["AutoJax()", "12.5"], ["AutoFiniteDiff()", "0.3"]], "<>"))
    backend             ms
    ----------------  ----
    AutoJax()         12.5
    AutoFiniteDiff()   0.3
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(_line(cells, widths, align) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int], align: str) -> str:
    padded = [f"{c:{side}{width}}" for c, side, width in zip(cells, align, widths, strict=True)]
    return "  ".join(padded).rstrip()


def document(value: Any) -> str:
    """Write a value as JSON, indented; NaN and infinity, which JSON lacks, are refused."""
    return json.dumps(value, indent=2, allow_nan=False)


_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def duration(seconds: float) -> str:
    """Write a time with three digits, in the unit that suits it.

    >>> duration(1.234e-5), duration(0.0), duration(250.0)
    ('12.3 us', '0 ns', '250 s')
    """
    scale, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    return f"{_three_digits(seconds / scale)} {unit}"


def memory(count: int) -> str:
    """Write a number of bytes with three digits, in the unit that suits it.

    >>> memory(800), memory(1536), memory(3 * 2**20)
    ('800 B', '1.5 KiB', '3 MiB')
    """
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{_three_digits(size)} {unit}"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"
