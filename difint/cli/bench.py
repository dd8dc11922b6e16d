"""``python -m difint bench``: a user's own function on every backend that can take it."""

from __future__ import annotations

import argparse
from pathlib import Path

from difint.cli.target import load
from difint.testing.benchmark import benchmark_differentiation
from difint.testing.table import BenchmarkTable


def main(options: argparse.Namespace) -> int:
    """Measure, print the table, and save what is asked for; return the exit code."""
    scenario, backends = load(options)
    measured = benchmark_differentiation(
        backends,
        scenario,
        benchmark="full" if options.full else "prepared",
        seconds=options.seconds,
    )
    print(_text(measured))
    if not measured.rows:
        return 1
    if options.json is not None:
        Path(options.json).write_text(measured.to_json() + "\n")
    if options.plot is not None:
        measured.plot(options.plot)
    return 0


def _text(measured: BenchmarkTable) -> str:
    lines = [f"{one.backend} could not: {one.reason}" for one in measured.left_out]
    if not measured.rows:
        return "\n".join([*lines, "No backend could."])
    table = str(BenchmarkTable(measured.rows, ()))
    return "\n".join([table, *(["", *lines] if lines else [])])
