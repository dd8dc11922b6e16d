"""Time colorings and count colors: ``python -m tests.benchmarks.coloring [folder]``.

The folder, or ``DIFINT_MATRICES``, holds matrices as ``*.mtx.gz``. Every time is a ratio of
medians from one run, with the bound that it has to keep; so is every number of colors. Exits
with 1 if one is not kept.
"""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asdex
import numpy as np
from scipy.io import mmread

from difint.sparse.coloring import (
    color_acyclic,
    color_bidirectional,
    color_columns,
    color_rows,
    color_star,
)
from difint.sparse.pattern import Pattern
from tests.benchmarks.timing import times

Patterns = dict[str, Pattern]


def read(folder: Path) -> Patterns:
    files = sorted(folder.glob("*.mtx.gz"))
    if not files:
        raise SystemExit(f"no *.mtx.gz in {folder}: pass a folder, or set DIFINT_MATRICES")
    return {file.name[: -len(".mtx.gz")]: Pattern.of(mmread(gzip.open(file))) for file in files}


def count(*colors: Any) -> int:
    return sum(int(side.max(initial=-1)) + 1 for side in colors)


def counts(patterns: Patterns, order: str | None) -> Iterator[tuple[str, int]]:
    """Total the colors of each problem, of the columns or rows whichever takes fewer."""
    symmetric = [pattern for pattern in patterns.values() if pattern.is_symmetric]
    alone = {
        name: min(count(color_columns(one, order)), count(color_rows(one, order)))
        for name, one in patterns.items()
    }
    yield "columns or rows", sum(alone.values())
    yield "star", sum(count(color_star(one, order)) for one in symmetric)
    yield "acyclic", sum(count(color_acyclic(one, order)) for one in symmetric)
    for decompression in ("direct", "substitution"):
        both = {
            name: count(*color_bidirectional(one, decompression, order))
            for name, one in patterns.items()
        }
        worse = [name for name in both if both[name] > alone[name]]
        if worse:
            raise SystemExit(f"bidirectional is worse than one side for {', '.join(worse)}")
        yield f"bidirectional, {decompression}", sum(both.values())


BOUNDS = {
    "columns or rows": 7710,
    "star": 834,
    "acyclic": 471,
    "bidirectional, direct": 1951,
}
"""The best of ColPack's four orders, in total over 101 matrices, of which 49 are symmetric."""


PUBLISHED = {
    "lp_cre_a": (360, 16),
    "lp_ken_11": (130, 5),
    "lp_maros_r7": (74, 72),
    "e40r0100": (95, 87),
}
"""Colors of columns and of rows in natural order: Gebremedhin, Nguyen, Patwary and Pothen, ACM TOMS
40(1), 2013, tables VI and VII."""


def print_published(patterns: Patterns) -> bool:
    kept = True
    for name, want in PUBLISHED.items():
        if name not in patterns:
            print(f"{name} is not there: its published counts are not checked")
            continue
        colored = [color(patterns[name], "natural") for color in (color_columns, color_rows)]
        got = tuple(map(count, colored))
        kept &= got == want
        print(f"{name:32s} {got} colors in natural order, published {want}")
    return kept


def print_counts(patterns: Patterns) -> bool:
    kept, natural = True, dict(counts(patterns, "natural"))
    for name, total in counts(patterns, None):
        bound = BOUNDS.get(name) if len(patterns) == 101 else None
        verdict = "" if bound is None else f"at most {bound}: "
        if bound is not None:
            verdict += "kept" if total <= bound else "NOT KEPT"
            kept &= total <= bound
        print(f"{name:32s} {total:6d} colors, natural order {natural[name]:6d}  {verdict}")
    return kept


def arrow(n: int) -> Pattern:
    i = np.arange(n)
    return Pattern.of((np.r_[i, 0 * i, i], np.r_[i, i, 0 * i]), (n, n))


def tridiagonal(n: int) -> Pattern:
    i = np.arange(n - 1)
    return Pattern.of((np.r_[i, i + 1, i, n - 1], np.r_[i + 1, i, i, n - 1]), (n, n))


def both_sides(patterns: Patterns, order: str | None) -> Callable[[], None]:
    def call() -> None:
        for pattern in patterns.values():
            color_columns(pattern, order)
            color_rows(pattern, order)

    return call


def rival(patterns: Patterns) -> Callable[[], None]:
    theirs = [
        asdex.SparsityPattern.from_coo(one.indices, one.columns, one.shape)
        for one in patterns.values()
    ]

    def call() -> None:
        for pattern in theirs:
            asdex.color_cols(pattern)
            asdex.color_rows(pattern)

    return call


def print_times(patterns: Patterns) -> bool:
    calls = {
        "asdex.color_cols and color_rows": rival(patterns),
        "natural order": both_sides(patterns, "natural"),
        "largest first, as asdex": both_sides(patterns, "largest_first"),
        "smallest last": both_sides(patterns, "smallest_last"),
        "incidence degree": both_sides(patterns, "incidence_degree"),
        "the default's several orders": both_sides(patterns, None),
    }
    seconds = times(calls)
    theirs = seconds["asdex.color_cols and color_rows"]
    mean = np.mean([seconds[name] for name in list(calls)[1:5]])
    for name, one in seconds.items():
        print(f"columns and rows, {name:32s} {one:7.3f} s  {one / theirs:6.3f} x asdex")
    several = seconds["the default's several orders"]
    limits = {
        "natural order / asdex": (seconds["natural order"] / theirs, 1.0),
        "default / mean of its orders": (several / mean, 5.0),
        "default / natural order": (several / seconds["natural order"], None),
        "default / largest first": (several / seconds["largest first, as asdex"], None),
    }
    return all([within(name, *one) for name, one in limits.items()])


def within(name: str, value: float, bound: float | None, unit: str = "x") -> bool:
    kept = bound is None or value <= bound
    verdict = "" if bound is None else f"at most {bound:g}: {'kept' if kept else 'NOT KEPT'}"
    print(f"{name:42s} {value:8.3f} {unit:2s}  {verdict}", flush=True)
    return kept


def print_large() -> bool:
    small, large = arrow(10_000), tridiagonal(1_000_000)
    calls: dict[str, Callable[[], Any]] = {
        "star, arrow, n=10^4": lambda: color_star(small, "natural")
    }
    for color in (color_columns, color_star, color_acyclic):
        name = f"{color.__name__}, tridiagonal, n=10^6"
        calls[name] = lambda color=color: color(large, "natural")
    for call in calls.values():
        call()
    bounds = [10.0, 1000.0, 1000.0, 1000.0]
    each = [(name, times({name: call})[name] * 1e3) for name, call in calls.items()]
    return all(
        [within(name, one, bound, "ms") for (name, one), bound in zip(each, bounds, strict=True)]
    )


def main(folder: str) -> int:
    patterns = read(Path(folder))
    symmetric = sum(pattern.is_symmetric for pattern in patterns.values())
    print(f"{len(patterns)} matrices, {symmetric} symmetric")
    checks = [print_published(patterns), print_counts(patterns), print_times(patterns)]
    return 0 if all([*checks, print_large()]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DIFINT_MATRICES", ".")))
