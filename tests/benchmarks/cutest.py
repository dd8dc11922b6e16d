"""Patterns of the CUTEst problems in JAX against asdex: ``python -m tests.benchmarks.cutest``.

Of free and bounded problems the Hessian of the objective, of all others the Jacobian of the
constraints; with ``--lagrangians`` the Hessians of the latter's Lagrangians. Each pattern is held
against the entries that are not zero at any of some points. ``pip install asdex sif2jax`` brings
what is needed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

MEMORY = 6 << 30
STAGES = ("difint", "truth", "asdex")
FINDERS = ("difint", "asdex")
SLOW = 1000.0
TASKS_OF_A_WORKER = 60
"""A worker is replaced now and then: XLA keeps what it has compiled."""
# What compiles fast is good enough for a few points.
ENVIRONMENT = {
    "JAX_ENABLE_X64": "1",
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_multi_thread_eigen=false",
}


def entries(matrix: Any) -> Any:
    """List the entries of a dense pattern, as numbers."""
    return np.flatnonzero(matrix)


def in_difint(case: Any) -> Any:
    import difint as di

    find = di.hessian_pattern if case.curved else di.jacobian_pattern
    return find(lambda x: case.f(x), di.AutoJax(), case.x).toarray()


def in_asdex(case: Any) -> Any:
    import asdex

    find = asdex.hessian_sparsity if case.curved else asdex.jacobian_sparsity
    return find(lambda x: case.f(x), case.x).todense()


def found(finder: Callable[[Any], Any], case: Any) -> dict[str, Any]:
    """Find a pattern and take the time, with what was said on the way."""
    import jax

    # What jax.numpy has traced before is there for both.
    jax.make_jaxpr(lambda x: case.f(x))(case.x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        matrix = finder(case)
        seconds = time.perf_counter() - start
    said = [f"{one.category.__name__}: {one.message}" for one in caught]
    return {"entries": entries(matrix), "ms": round(1e3 * seconds, 2), "said": " / ".join(said)}


def true(case: Any, count: int) -> dict[str, Any]:
    from tests.engines.cutest_problems import truth

    nonzero, number = truth(case, count)
    shape, unseen = nonzero.shape, int((~number).sum())
    return {"entries": entries(nonzero), "m": shape[0], "n": shape[1], "unseen": unseen}


def answers(request: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Work on one function of one problem, stage by stage."""
    from tests.engines import cutest_problems

    name, module = request["name"], request["module"]
    size = cutest_problems.size_of(name, module)
    case = None
    if size <= request["largest"]:
        case = cutest_problems.case_of(name, module, curved=request["curved"])
    yield "size", {"n": size, "what": None if case is None else case.what}
    if case is None:
        return
    stages: dict[str, Callable[[], dict[str, Any]]] = {
        "difint": lambda: found(in_difint, case),
        "truth": lambda: true(case, request["points"]),
        "asdex": lambda: found(in_asdex, case),
    }
    for stage in request["stages"]:
        try:
            yield stage, stages[stage]()
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            yield stage, {"raised": text[:300]}


def warm_up() -> None:
    """Compile what either finder compiles for itself, which no problem should be charged."""
    import jax.numpy as jnp

    from tests.engines.cutest_problems import Case

    def products(x: Any) -> Any:
        square = jnp.outer(x, x)
        return (square @ square @ jnp.tri(3)).ravel()

    for what, f in (("objective", lambda x: products(x).sum()), ("constraints", products)):
        case = Case("", what, f, np.ones(3))
        in_difint(case)
        in_asdex(case)


def serve(pipe: Any) -> None:
    """Answer requests: the main function of a worker."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warm_up()
    pipe.send(("ready", {}))
    while True:
        request = pipe.recv()
        try:
            for answer in answers(request):
                pipe.send(answer)
        except Exception as error:
            pipe.send(("size", {"raised": f"{type(error).__name__}: {error}"[:300]}))
        pipe.send(("done", {}))


class Worker:
    """A process that may run out of time or memory, and is then replaced."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.tasks = 0
        self.process: Any = None

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
        self.process = None

    def _ready(self) -> None:
        if self.tasks % TASKS_OF_A_WORKER == 0:
            self.close()
        self.tasks += 1
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=serve, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
            self._next(300.0)

    def _next(self, seconds: float) -> tuple[str, dict[str, Any]]:
        """Wait for an answer; a process that has none is at its end."""
        try:
            if self.pipe.poll(seconds):
                answer: tuple[str, dict[str, Any]] = self.pipe.recv()
                return answer
            lost = {"raised": f"more than {seconds:g} s"}
        except EOFError:
            lost = {"raised": "the process died"}
        self.close()
        return "lost", lost

    def ask(self, **request: Any) -> dict[str, Any]:
        """Go through the stages; one that is not come back from is left out the next time."""
        collected: dict[str, Any] = {}
        stages = list(STAGES)
        while stages:
            self._ready()
            self.pipe.send({**request, "stages": stages})
            stage, answer = self._next(self.seconds)
            while stage not in ("done", "lost"):
                collected[stage] = answer
                stages = [one for one in stages if one != stage]
                stage, answer = self._next(self.seconds)
            if stage == "done":
                return collected
            missing = stages.pop(0) if "size" in collected else "size"
            collected[missing] = answer
            if missing == "size":
                return collected
        return collected


def judged(name: str, answers: dict[str, Any]) -> dict[str, Any]:
    """Compare patterns with the truth; one that is not to be had says why."""
    size, true = answers["size"], answers.get("truth", {})
    wanted = true.get("entries")
    line: dict[str, Any] = {"name": name, "what": size.get("what"), "n": size.get("n")}
    line |= {key: true[key] for key in ("m", "unseen") if key in true}
    line["nnz"] = None if wanted is None else wanted.size
    if wanted is None:
        line["lost"] = size.get("raised") or true.get("raised")
    for finder in FINDERS:
        answer = dict(answers.get(finder, {"raised": "not asked"}))
        had = answer.pop("entries", None)
        if had is not None:
            answer["nnz"] = had.size
        if had is not None and wanted is not None:
            answer["missed"] = np.setdiff1d(wanted, had).size
            answer["surplus"] = np.setdiff1d(had, wanted).size
        line[finder] = answer
    return line


def is_exact(answer: dict[str, Any]) -> bool:
    return answer.get("missed") == 0 and answer.get("surplus") == 0


def is_notable(line: dict[str, Any]) -> bool:
    """Tell whether a line is one to look at: not exact, or slow, or of no known truth."""
    ours = line["difint"]
    slow = ours.get("ms", 0.0) > SLOW
    return not is_exact(ours) or bool(ours.get("said")) or slow or "lost" in line


def shown(line: dict[str, Any]) -> str:
    what, sizes = line["what"] or "", (line.get("m") or "", line["n"] or "")
    nonzero = "?" if line["nnz"] is None else line["nnz"]
    cells = [f"{line['name']:<12}{what:<12}{sizes[0]:>6}{sizes[1]:>5}{nonzero:>8}"]
    for finder in FINDERS:
        one = line[finder]
        if "raised" in one:
            cells.append(f" | {one['raised'][:30]:<30}")
        else:
            counts = f"{one.get('missed', '?'):>7}{one.get('surplus', '?'):>9}"
            cells.append(f" | {counts}{one['ms']:>11.1f}{'  !' if one['said'] else '   '}")
    return "".join(cells) + (f" | {line['lost'][:60]}" if "lost" in line else "")


def totals(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Sum up: counts of both finders, and how their times compare."""
    yield f"{len(lines)} functions of {len({line['name'] for line in lines})} problems"
    yield f"{sum('lost' in line for line in lines)} without a known truth"
    for finder in FINDERS:
        every = [line[finder] for line in lines]
        told = [one for one in every if "ms" in one]
        times = sorted(one["ms"] for one in told) or [0.0]
        yield (
            f"{finder}: exact {sum(map(is_exact, every))}, "
            f"missed {sum(one.get('missed', 0) for one in every)} entries of "
            f"{sum(one.get('missed', 0) > 0 for one in every)} functions, "
            f"surplus {sum(one.get('surplus', 0) for one in every)}, "
            f"raised {sum('raised' in one for one in every)}; "
            f"{sum(times) / 1e3:.1f} s in all, median {median(times):.2f} ms, most {times[-1]:.0f}"
        )
    both = [line for line in lines if all("ms" in line[finder] for finder in FINDERS)]
    ratios = [line["difint"]["ms"] / line["asdex"]["ms"] for line in both] or [float("nan")]
    yield f"median of difint's time to asdex's: {median(ratios):.2f}"


def report(lines: list[dict[str, Any]]) -> None:
    one = "missed  surplus         ms"
    print(f"{'problem':<12}{'of':<12}{'m':>6}{'n':>5}{'nonzero':>8} |  {one}    |  {one}")
    for line in filter(is_notable, lines):
        print(shown(line))
    print(*totals(lines), sep="\n")


def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Go through the problems, and write a line about each function."""
    from tests.engines.cutest_problems import problems

    worker, lines, large = Worker(options.seconds), [], 0
    limits = {"largest": options.largest, "points": options.points}
    with Path(options.out).open("w") as out:
        for name, module in problems().items():
            if options.only and name not in options.only:
                continue
            curved = options.lagrangians
            answers = worker.ask(name=name, module=module, curved=curved, **limits)
            large += answers["size"].get("n", 0) > options.largest
            if answers["size"].get("what", "") is None:
                continue
            lines.append(judged(name, answers))
            print(json.dumps(lines[-1]), file=out, flush=True)
    worker.close()
    print(f"{large} problems of more than {options.largest} variables are left out")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=500, help="the most variables")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these problems alone")
    parser.add_argument("--seconds", type=float, default=60.0, help="the most a stage may take")
    parser.add_argument("--points", type=int, default=16, help="where derivatives are looked at")
    parser.add_argument("--lagrangians", action="store_true", help="instead of the constraints")
    parser.add_argument("--out", default=str(Path(tempfile.gettempdir()) / "cutest.jsonl"))
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    report(measured(options))


if __name__ == "__main__":
    main()
