"""Drawings of colored patterns."""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.errors import PackageUnavailableError, message
from difint.sparse.choosing import Choice
from difint.sparse.decompression import program_of
from difint.sparse.pattern import Pattern


def spy(pattern: Pattern, choice: Choice, axes: Any = None) -> Any:
    """Draw each entry in the color of the pass that tells it, and where the passes hold it."""
    figure, axes = _axes(axes)
    every = np.arange(pattern.nnz)
    columns, rows = choice.colors.columns, choice.colors.rows
    program = program_of(
        pattern, every, columns, rows, symmetric=choice.symmetric, direct=choice.direct
    )
    passes = sum(choice.counts)
    forward = program.passes < choice.counts.columns
    marker = max(0.5, 60.0 / max(*pattern.shape, 1))
    how = {"cmap": "turbo", "vmin": 0, "vmax": max(passes - 1, 1), "s": marker**2, "marker": "s"}
    colors = program.passes
    _scatter(axes[0], pattern.columns, pattern.indices, colors, pattern.shape, how)
    axes[0].set_title(f"{pattern.shape[0]} x {pattern.shape[1]}, {pattern.nnz} entries")
    size = max(
        pattern.shape[0] if forward.any() else 0, pattern.shape[1] if rows is not None else 0
    )
    _scatter(axes[1], program.passes, program.places, colors, (size, passes), how)
    axes[1].set_title(f"compressed: {passes} passes")
    axes[1].set_aspect("auto")
    return figure


def _scatter(axes: Any, across: Any, down: Any, colors: Any, shape: Any, how: Any) -> None:
    axes.scatter(across, down, c=colors, linewidths=0, **how)
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(shape[0] - 0.5, -0.5)
    axes.set_aspect("equal")


def _axes(axes: Any) -> tuple[Any, Any]:
    if axes is not None:
        return axes[0].figure, axes
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        text = message(
            "spy",
            "the package matplotlib is not installed",
            remedy="Install it with: pip install 'difint[plot]'",
        )
        raise PackageUnavailableError(text, name="matplotlib") from error
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    return figure, figure.subplots(1, 2, width_ratios=(2, 1))
