"""The bar chart of a benchmark, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from difint.errors import ArgumentError, PackageUnavailableError, message
from difint.text import duration

if TYPE_CHECKING:
    from difint.testing.table import BenchmarkRow

# Inches.
_BAR, _GAP, _MARGIN, _WIDTH = 0.28, 0.3, 1.3, 9.0


def draw(rows: Sequence[BenchmarkRow], path: Any, variant: str) -> Any:
    """Draw horizontal bars, grouped by scenario, colored by backend; return the figure."""
    if path is not None:
        check_chart(path)
    Figure = _figure()
    chosen = [row for row in rows if row.variant == variant]
    if not chosen:
        raise ArgumentError(_no_rows(rows, variant))
    scenarios = list(dict.fromkeys(row.scenario for row in chosen))
    backends = list(dict.fromkeys(row.backend for row in chosen))
    figure = Figure(figsize=(_WIDTH, _height(chosen, scenarios)), layout="constrained")
    axes = figure.add_subplot()
    ticks, place, labelled = [], 0.0, set()
    for scenario in scenarios:
        group = [row for row in chosen if row.scenario == scenario]
        ticks.append(place + (len(group) - 1) / 2)
        for row in group:
            label = None if row.backend in labelled else row.backend
            labelled.add(row.backend)
            color = f"C{backends.index(row.backend) % 10}"
            axes.barh(place, row.time, height=0.8, color=color, label=label)
            axes.annotate(f" {duration(row.time)}", (row.time, place), va="center", fontsize=8)
            place += 1
        place += _GAP / _BAR
    axes.set_yticks(ticks, scenarios)
    _finish(axes, [row.time for row in chosen], variant)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def check_chart(path: Any) -> None:
    """Refuse a chart that cannot be drawn or saved.

    Raises:
        PackageUnavailableError: matplotlib is not installed.
        ArgumentError: it does not write files of this kind.
    """
    kinds = _figure()().canvas.get_supported_filetypes()
    ending = str(path).rpartition(".")[2]
    if ending not in kinds:
        text = message(
            "plot",
            "a chart cannot be saved as a file of this kind",
            expected=", ".join(sorted(kinds)),
            got=str(path),
            remedy="Name a file such as times.png.",
        )
        raise ArgumentError(text)


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        text = message(
            "plot",
            "the package matplotlib is not installed",
            remedy="Install it with: pip install 'difint[plot]'",
        )
        raise PackageUnavailableError(text, name="matplotlib") from error
    return Figure


def _height(rows: Sequence[Any], scenarios: Sequence[str]) -> float:
    return _MARGIN + _BAR * len(rows) + _GAP * (len(scenarios) - 1)


def _finish(axes: Any, times: Sequence[float], variant: str) -> None:
    """Set the axes: logarithmic, from the decade below the shortest, with room for labels."""
    axes.set_xscale("log")
    low, high = min(times) / 3, max(times) * 4
    axes.set_xlim(low, high)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda seconds, _: duration(seconds))
    axes.xaxis.set_minor_formatter("")
    axes.grid(axis="x", which="major", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"time of one {variant}, logarithmic")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=8)


def _no_rows(rows: Sequence[BenchmarkRow], variant: str) -> str:
    known = ", ".join(dict.fromkeys(repr(row.variant) for row in rows))
    return message(
        "plot",
        f"no row has the variant {variant!r}",
        expected=known or "a table with rows",
        remedy="Pass variant= one of those.",
    )
