"""``python -m difint bench``: a user's own function on every backend that can take it."""

from __future__ import annotations

import argparse
from pathlib import Path

from difint.cli.target import could_not, load
from difint.errors import ArgumentError, message
from difint.testing.benchmark import benchmark_differentiation
from difint.testing.chart import check_chart
from difint.testing.table import BenchmarkTable


def main(options: argparse.Namespace) -> int:
    """Measure, print the table, and save what is asked for; return the exit code."""
    for option in ("json", "plot"):
        _check_folder(f"--{option}", getattr(options, option))
    if options.plot is not None:
        check_chart(options.plot)
    scenario, backends = load(options)
    measured = benchmark_differentiation(
        backends,
        scenario,
        benchmark="full" if options.full else "prepared",
        seconds=options.seconds,
    )
    refused = could_not([(one.backend, one.reason) for one in measured.left_out])
    table = [str(BenchmarkTable(measured.rows, ()))] if measured.rows else []
    print("\n\n".join([*table, *(["\n".join(refused)] if refused else [])]))
    if not measured.rows:
        print("No backend could.")
        return 1
    _save(options, measured)
    return 0


def _save(options: argparse.Namespace, measured: BenchmarkTable) -> None:
    if options.json is not None:
        Path(options.json).write_text(measured.to_json() + "\n")
    if options.plot is not None:
        measured.plot(options.plot)
    saved = [path for path in (options.json, options.plot) if path is not None]
    if saved:
        print(f"\nSaved {' and '.join(saved)}.")


def _check_folder(option: str, path: str | None) -> None:
    """Refuse a file that cannot be written, before anything is measured."""
    if path is None or Path(path).absolute().parent.is_dir():
        return
    text = message(
        "difint",
        f"{option} {path!r} cannot be written",
        expected="a file in a folder that exists",
        remedy="Make the folder first, or name another one.",
    )
    raise ArgumentError(text)
