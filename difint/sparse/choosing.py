"""Choosing: which passes compute a matrix at the least cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from difint.engine import Engine, Sides
from difint.errors import ArgumentError, UnsupportedError, message
from difint.sparse.algorithms import ColoringAlgorithm
from difint.sparse.pattern import Pattern


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """Colors, and why they were chosen.

    Attributes:
        colors: of rows and columns; ``None`` for a side without passes.
        direct: each entry is just read.
        symmetric: an entry equals its mirror image.
        reason: in words.
    """

    colors: Sides
    direct: bool
    symmetric: bool
    reason: str

    @property
    def counts(self) -> Sides:
        """The number of passes of each side."""
        return Sides(*map(count_of, self.colors))


def count_of(colors: Any | None) -> int:
    """Count colors."""
    return 0 if colors is None else int(colors.max(initial=-1)) + 1


_ENOUGH = 2
"""Passes for each entry of an average line, up to which one side alone is colored."""


@final
@dataclass(frozen=True, slots=True)
class _Candidate:
    colors: Sides
    direct: bool
    passes: int
    cost: float
    text: str


def for_hessian(pattern: Pattern, algorithm: ColoringAlgorithm) -> Choice:
    """Color the columns of a symmetric matrix."""
    colors = algorithm.symmetric(pattern)
    kind = "star" if algorithm.decompression == "direct" else "acyclic"
    reason = f"{_counted(count_of(colors), 'product')} ({kind} coloring) instead of {colors.size}"
    return Choice(Sides(None, colors), algorithm.decompression == "direct", True, reason)


def for_jacobian(engine: Engine, pattern: Pattern, algorithm: ColoringAlgorithm) -> Choice:
    """Color columns for pushforwards, rows for pullbacks, or both, whatever costs least."""
    forward, reverse = engine.pushforward is not None, engine.pullback is not None
    # A single pass cannot be beaten; and what takes little more passes than a line has entries
    # has no dense lines, which alone make it worth while to color both sides.
    few = _ENOUGH * pattern.nnz / max(*pattern.shape, 1)
    tries: list[tuple[float | None, Callable[[], Sides]]] = [
        (1 if forward else None, lambda: Sides(None, algorithm.columns(pattern))),
        (1 if reverse else None, lambda: Sides(algorithm.rows(pattern), None)),
        (few if forward and reverse else None, lambda: _both(algorithm, pattern)),
    ]
    found: list[_Candidate] = []
    failed: list[Exception] = []
    for most, attempt in tries:
        if most is None or (found and min(one.passes for one in found) <= most):
            continue
        try:
            found.append(_weighed(engine, algorithm, attempt()))
        except (ArgumentError, UnsupportedError) as error:
            failed.append(error)
    if not found:
        _refuse(algorithm, failed)
    best = min(found, key=lambda one: one.cost)
    return Choice(best.colors, best.direct, False, _reason(pattern, best, found))


def _both(algorithm: ColoringAlgorithm, pattern: Pattern) -> Sides:
    rows, columns = algorithm.bidirectional(pattern)
    return Sides(rows if count_of(rows) else None, columns if count_of(columns) else None)


def _weighed(engine: Engine, algorithm: ColoringAlgorithm, colors: Sides) -> _Candidate:
    rows, columns = map(count_of, colors)
    parts = [_counted(columns, "pushforward")] if colors.columns is not None else []
    parts += [_counted(rows, "pullback")] if colors.rows is not None else []
    direct = len(parts) == 1 or algorithm.decompression == "direct"
    cost = columns + engine.pullback_cost * rows
    return _Candidate(colors, direct, columns + rows, cost, " + ".join(parts))


def _reason(pattern: Pattern, best: _Candidate, found: list[_Candidate]) -> str:
    """Say what was chosen, and what the others would have cost."""
    size = pattern.shape[0] if best.colors.columns is None else pattern.shape[1]
    text = f"{best.text} instead of {size}"
    others = [f"{one.text} (cost {one.cost:g})" for one in found if one.text != best.text]
    return f"{text}; cost {best.cost:g}, not {', '.join(others)}" if others else text


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's' if name[-1] != 's' else 'es'}"


def _refuse(algorithm: ColoringAlgorithm, failed: list[Exception]) -> None:
    if failed:
        raise failed[0]
    text = message(
        "jacobian",
        "the backend has neither primitive that these colors need",
        got=repr(algorithm),
        remedy="Use AutoJax() or AutoTorch(), which have both.",
    )
    raise UnsupportedError(text)
