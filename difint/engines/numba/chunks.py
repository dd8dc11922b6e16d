"""Chunks: how many seeds a sweep takes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from timeit import Timer
from typing import Any, Literal

import numpy as np
from llvmlite import binding

ChunkSize = int | Literal["measure"] | None

_ROUND, _ROUNDS = 2e-3, 7
"""Seconds of a round when sizes are measured, and rounds."""

_REGISTERS = 2
"""Vector registers that the partials of one dual should fill at most."""


@cache
def lanes(bits: int) -> int:
    """Count the floats in a vector register of this machine."""
    features = binding.get_host_cpu_features()
    width = 256 if features.get("avx") or features.get("avx512f") else 128
    return width // bits


def chunk_of(seeds: int, ty: Any, chosen: ChunkSize, *, second: bool) -> int:
    """Choose the size of a chunk: all seeds if they are few, else what fills vector registers.

    In second order a dual holds the square of a chunk: one register's worth for each partial.
    """
    most = lanes(ty.bitwidth) * (1 if second else _REGISTERS)
    return max(1, min(seeds, most if chosen is None or chosen == "measure" else chosen))


def candidates(seeds: int, usual: int) -> list[int]:
    """List sizes that are worth measuring: around the usual one, and those that leave no rest."""
    near = {max(1, min(seeds, size)) for size in (usual // 2, usual, 2 * usual)}
    return sorted(near | {-(-seeds // -(-seeds // size)) for size in near})


def fastest(calls: Sequence[Callable[[], Any]]) -> int:
    """Find the call that takes least time: its index."""
    return int(np.argmin([_seconds(call) for call in calls]))


def _seconds(call: Callable[[], Any]) -> float:
    """Time a call: the best of several rounds, each long enough for the clock."""
    timer = Timer(call)
    number = max(1, int(_ROUND / max(timer.timeit(1), timer.timeit(1), 1e-7)))
    return min(timer.repeat(_ROUNDS, number)) / number
