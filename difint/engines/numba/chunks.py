"""Chunks: how many seeds a sweep takes at once."""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import binding

_REGISTERS = 2
"""Vector registers that the partials of one dual should fill at most."""


@cache
def lanes(bits: int) -> int:
    """Count the floats in a vector register of this machine."""
    features = binding.get_host_cpu_features()
    width = 256 if features.get("avx") or features.get("avx512f") else 128
    return width // bits


def chunk_of(seeds: int, ty: Any, chosen: int | None, *, second: bool) -> int:
    """Choose the size of a chunk: all seeds if they are few, else what fills vector registers.

    In second order a dual holds the square of a chunk: one register's worth for each partial.
    """
    most = lanes(ty.bitwidth) * (1 if second else _REGISTERS)
    return max(1, min(seeds, most if chosen is None else chosen))
