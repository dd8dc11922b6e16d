"""Measure sparse plans up to a million unknowns, and plot: ``python -m tests.benchmarks.scaling``.

Each point is a process of its own, so that its peak of memory is its own too. Writes
``docs/sparse-scaling.svg`` and ``docs/sparse-scaling.json``; with ``--plot`` it draws the latter.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy import sparse

import difint as di
from difint.cli import brusselator
from difint.sparse import Pattern

DOCS = Path(__file__).parents[2] / "docs"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
ENGINES = ("AutoNumba", "AutoJax")
PROBLEMS = ("tridiagonal", "Brusselator")
REPEATS = 5
TITLES = {
    "prepare_s": "prepare, s",
    "execute_s": "execute(x, out=J), s",
    "memory_mb": "memory, MB",
}


def tridiagonal(engine: str, n: int) -> tuple[Any, Any, Any]:
    diagonals = sparse.diags_array([1.0, 1.0, 1.0], offsets=[-1, 0, 1], shape=(n, n))
    if engine == "AutoJax":
        import jax.numpy as jnp

        def f(x: Any) -> Any:
            padded = jnp.pad(x, 1)
            return padded[:-2] - 2 * x + padded[2:] + jnp.exp(x)

        return f, Pattern.of(diagonals), None

    def fill(y: Any, x: Any) -> None:
        for i in range(x.size):
            y[i] = np.exp(x[i]) - 2 * x[i]
            if i > 0:
                y[i] += x[i - 1]
            if i + 1 < x.size:
                y[i] += x[i + 1]

    return fill, Pattern.of(diagonals), np.empty(n)


def cells(engine: str, n: int) -> tuple[Any, Any, Any]:
    side = round((n / 2) ** 0.5)
    make = brusselator.in_jax if engine == "AutoJax" else brusselator.in_place
    y = None if engine == "AutoJax" else np.empty(2 * side * side)
    return make(side), brusselator.pattern(side), y


def measure(problem: str, engine: str, n: int) -> dict[str, Any]:
    """Prepare and execute in this process."""
    # What is compiled for any size, and imported, is no part of what grows.
    for size in (200, n):
        f, pattern, y = (tridiagonal if problem == "tridiagonal" else cells)(engine, size)
        dense = di.AutoJax("forward", x64=True) if engine == "AutoJax" else di.AutoNumba()
        x = np.random.default_rng(0).random(pattern.shape[1])
        before = _peak()
        backend = di.AutoSparse(dense, di.KnownSparsityDetector(pattern))
        plan = di.prepare_jacobian(f, backend, x, y=y)
        made, seconds = plan.execute(x), []
        for _ in range(REPEATS):
            began = time.perf_counter()
            plan.execute(x, out=made)
            seconds.append(time.perf_counter() - began)
    return {
        "problem": problem,
        "engine": engine,
        "n": pattern.shape[1],
        "prepare_s": plan.info.prepare_seconds,
        "execute_s": median(seconds),
        "memory_mb": _peak() - before,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure_all() -> list[dict[str, Any]]:
    found = []
    for problem in PROBLEMS:
        for engine in ENGINES:
            for n in SIZES:
                command = [sys.executable, "-m", __spec__.name, problem, engine, str(n)]
                run = subprocess.run(command, capture_output=True, check=True, text=True)
                found.append(json.loads(run.stdout))
                print(found[-1], flush=True)
    return found


def plot(points: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes, (key, title) in zip(figure.subplots(1, 3), TITLES.items(), strict=True):
        for problem in PROBLEMS:
            for engine in ENGINES:
                mine = [p for p in points if (p["problem"], p["engine"]) == (problem, engine)]
                style = "o-" if engine == "AutoNumba" else "s--"
                sizes, values = [p["n"] for p in mine], [max(p[key], 1e-9) for p in mine]
                axes.loglog(sizes, values, style, label=f"{problem}, {engine}")
        low, high = axes.get_xlim()
        top = max(p[key] for p in points)
        axes.loglog([low, high], [top * low / high, top], ":", color="gray", label="linear")
        axes.set(title=title, xlabel="unknowns")
    axes.legend(fontsize=7)
    figure.savefig(DOCS / "sparse-scaling.svg", metadata={"Date": None})


def main(args: list[str]) -> None:
    stored = DOCS / "sparse-scaling.json"
    if len(args) == 3:
        print(json.dumps(measure(args[0], args[1], int(args[2]))))
        return
    if args != ["--plot"]:
        stored.write_text(json.dumps(measure_all(), indent=1) + "\n")
    plot(json.loads(stored.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
