"""Compare plans with their rivals: ``python -m tests.benchmarks [numba | jax | torch | ...]``.

Every line is a ratio of medians from one run, with the bound that it has to keep. Exits with 1
if one is not kept. ``coloring``, ``detection``, ``cutest``, ``chained_rosenbrock`` and ``scaling`` beside it
run on their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numba import njit
from scipy.optimize._numdiff import approx_derivative

import difint as di
from difint.cli import loops
from difint.cli.problems import PROBLEMS
from tests.benchmarks.enzyme import enzyme_lines
from tests.benchmarks.pytorch import torch_lines
from tests.benchmarks.timing import Line, times


def robertson(y: Any) -> Any:
    y1, y2, y3 = y
    slow, fast, faster = 0.04 * y1, 1e4 * y2 * y3, 3e7 * y2 * y2
    return np.array([-slow + fast, slow - fast - faster, faster])


def robertson_jax(y: Any) -> Any:
    y1, y2, y3 = y
    slow, fast, faster = 0.04 * y1, 1e4 * y2 * y3, 3e7 * y2 * y2
    return jnp.stack([-slow + fast, slow - fast - faster, faster])


Y = np.array([0.9, 2e-5, 0.1])


# fmt: off
def jacobian_lines() -> Iterator[Line]:
    plan = di.prepare_jacobian(robertson_jax, di.AutoJax(), Y)
    rival = jax.jit(jax.jacfwd(robertson_jax))
    out = np.empty((3, 3))
    step = plan.bind(Y, out=out)
    x64 = di.prepare_jacobian(robertson_jax, di.AutoJax(x64=True), Y)
    name = "np.asarray(jit(jacfwd(f))(x))"
    yield Line("AutoJax Robertson execute(x)", lambda: plan.execute(Y), lambda: np.asarray(rival(Y)), name, 1.10)
    yield Line("AutoJax Robertson execute(x, out=J)", lambda: plan.execute(Y, out=out), lambda: np.asarray(rival(Y)), name, None)
    yield Line("AutoJax Robertson bind(x, out=J)()", step, lambda: np.asarray(rival(Y)), name, None)
    yield Line("AutoJax(x64=True) Robertson execute(x)", lambda: x64.execute(Y), lambda: np.asarray(rival(Y)), name, None)


# fmt: on


def mlp_parameters() -> Any:
    rng = np.random.default_rng(0)
    sizes = (784, 128, 10)
    return [
        (jnp.asarray(rng.normal(0, n**-0.5, (n, m)), "f4"), jnp.zeros(m, "f4"))
        for n, m in zip(sizes, sizes[1:], strict=False)
    ]


def mlp_loss(parameters: Any, images: Any, labels: Any) -> Any:
    (w1, b1), (w2, b2) = parameters
    logits = jnp.tanh(images @ w1 + b1) @ w2 + b2
    picked = jnp.take_along_axis(logits, labels[:, None], axis=1)
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - picked[:, 0])


def gradient_lines() -> Iterator[Line]:
    """Time the gradient of an MLP: by a vector at batch 1, and by its tree of parameters."""
    tree = mlp_parameters()
    vector, unravel = ravel_pytree(tree)
    rng = np.random.default_rng(1)
    for batch, parameters, bound in ((1, vector, 1.05), (1, tree, 1.05), (64, tree, 1.05)):
        images = jnp.asarray(rng.uniform(size=(batch, 784)), "f4")
        labels = jnp.asarray(rng.integers(0, 10, batch))

        def loss(p: Any, images: Any, labels: Any, flat: bool = parameters is vector) -> Any:
            return mlp_loss(unravel(p) if flat else p, images, labels)

        contexts = di.Constant(images), di.Constant(labels)
        plan = di.prepare_gradient(loss, di.AutoJax(), parameters, *contexts)
        rival = jax.jit(jax.grad(loss))
        kind = "vector" if parameters is vector else "tree"
        yield Line(
            f"AutoJax MLP 784-128-10 batch {batch}, {kind}",
            lambda plan=plan, a=(parameters, *contexts): jax.block_until_ready(plan.execute(*a)),
            lambda rival=rival, a=(parameters, images, labels): jax.block_until_ready(rival(*a)),
            "jit(grad(f))(x)",
            bound,
        )


# fmt: off
def finite_difference_lines() -> Iterator[Line]:
    plan = di.prepare_jacobian(robertson, di.AutoFiniteDiff(), Y)
    forward = di.prepare_jacobian(robertson, di.AutoFiniteDiff("forward"), Y)
    yield Line("AutoFiniteDiff Robertson execute(x)", lambda: plan.execute(Y), lambda: approx_derivative(robertson, Y), "approx_derivative, 3-point", 1 / 4)
    yield Line("AutoFiniteDiff('forward') Robertson execute(x)", lambda: forward.execute(Y), lambda: approx_derivative(robertson, Y, method="2-point"), "approx_derivative, 2-point", None)


# fmt: on


def rates_of(name: str) -> tuple[Any, Any]:
    (problem,) = [one for one in PROBLEMS if one.name == name]
    return problem.fill, np.linspace(0.1, 0.9, len(problem.y0))


@njit
def robertson_by_hand(y: Any, J: Any) -> None:
    J[0, 0], J[0, 1], J[0, 2] = -0.04, 1e4 * y[2], 1e4 * y[1]
    J[1, 0], J[1, 1], J[1, 2] = 0.04, -1e4 * y[2] - 6e7 * y[1], -1e4 * y[1]
    J[2, 0], J[2, 1], J[2, 2] = 0.0, 6e7 * y[1], 0.0


def hires(dy: Any, y: Any) -> None:
    """Write the equations out, as a user who wants speed does."""
    bound = 280.0 * y[5] * y[7]
    dy[0] = -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007
    dy[1] = 1.71 * y[0] - 8.75 * y[1]
    dy[2] = -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4]
    dy[3] = 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3]
    dy[4] = -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6]
    dy[5] = -bound + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6]
    dy[6] = bound - 1.81 * y[6]
    dy[7] = -bound + 1.81 * y[6]


@njit
def hires_by_hand(y: Any, J: Any) -> None:
    J[:] = 0.0
    J[0, 0], J[0, 1], J[0, 2] = -1.71, 0.43, 8.32
    J[1, 0], J[1, 1] = 1.71, -8.75
    J[2, 2], J[2, 3], J[2, 4] = -10.03, 0.43, 0.035
    J[3, 1], J[3, 2], J[3, 3] = 8.32, 1.71, -1.12
    J[4, 4], J[4, 5], J[4, 6] = -1.745, 0.43, 0.43
    by_6, by_8 = 280.0 * y[7], 280.0 * y[5]
    J[5, 3], J[5, 4], J[5, 5], J[5, 6], J[5, 7] = 0.69, 1.71, -by_6 - 0.43, 0.69, -by_8
    J[6, 5], J[6, 6], J[6, 7] = by_6, -1.81, by_8
    J[7, 5], J[7, 6], J[7, 7] = -by_6, 1.81, -by_8


def pollution_written_out() -> tuple[Any, Any]:
    """Write Pollution's rates and their Jacobian out, a line for each entry, from its tables."""
    rates, entries = {}, {}
    for species, change in loops._CHANGES:
        sign, (rate, a, b) = "+" if change > 0 else "-", loops._REACTIONS[abs(change) - 1]
        one, other = f"y[{int(a) - 1}]", f"y[{int(b) - 1}]"
        rates.setdefault(species - 1, []).append(f"{sign} r{abs(change) - 1}")
        by_one = f"{sign} {float(rate)!r}" + (f" * {other}" if b else "")
        entries.setdefault((species - 1, int(a) - 1), []).append(by_one)
        if b:
            by_other = f"{sign} {float(rate)!r} * {one}"
            entries.setdefault((species - 1, int(b) - 1), []).append(by_other)
    lines = ["def rates(dy, y):"]
    for j, (rate, a, b) in enumerate(loops._REACTIONS):
        factor = f" * y[{int(b) - 1}]" if b else ""
        lines.append(f"    r{j} = {float(rate)!r} * y[{int(a) - 1}]{factor}")
    lines += [f"    dy[{i}] = {' '.join(terms)}" for i, terms in rates.items()]
    lines += ["def by_hand(y, J):", "    J[:] = 0.0"]
    lines += [f"    J[{i}, {j}] = {' '.join(terms)}" for (i, j), terms in entries.items()]
    space: dict[str, Any] = {}
    exec("\n".join(lines), space)
    return space["rates"], njit(space["by_hand"])


def ring(dy: Any, y: Any) -> None:
    """Let neighbours exchange, faster one way than the other, and hot cells react (Arrhenius)."""
    n = len(y)
    for i in range(n):
        left, right = y[i - 1], y[i + 1 if i + 1 < n else 0]
        flow = left - 2.0 * y[i] + right
        heat = np.exp(-1.0 / y[i]) if y[i] > 0.2 else 0.0
        dy[i] = (flow if flow > 0.0 else 0.1 * flow) + heat


def repeated(function: Any) -> Callable[..., None]:
    """Call a function of two arrays a thousand times in compiled code."""

    @njit
    def loop(x: Any, out: Any) -> None:
        for _ in range(1000):
            x[0] += 1e-12
            function(x, out)

    return loop


# fmt: off
def kinetics_lines() -> Iterator[Line]:
    for name, (rates, by_hand) in {"HIRES": (hires, hires_by_hand), "Pollution": pollution_written_out()}.items():
        n = len(rates_of(name)[1])
        y, dy, J, expected = np.linspace(0.1, 0.9, n), np.empty(n), np.empty((n, n)), np.empty((n, n))
        plan = di.prepare_jacobian(rates, di.AutoNumba(), y, y=dy)
        by_hand(y, expected)
        np.testing.assert_allclose(plan.execute(y), expected, rtol=1e-12)
        step, ours, theirs = plan.bind(y, out=J), repeated(plan.kernel), repeated(by_hand)
        ours(y, J), theirs(y, J)
        yield Line(f"AutoNumba {name} bind(x, out=J)()", step, lambda by_hand=by_hand, y=y, J=J: by_hand(y, J), "njit Jacobian by hand", 2.0)
        yield Line(f"AutoNumba {name} kernel in njit, 1000 times", lambda ours=ours, y=y, J=J: ours(y, J), lambda theirs=theirs, y=y, J=J: theirs(y, J), "njit Jacobian by hand", 2.0)


def numba_lines() -> Iterator[Line]:
    y, out = Y.copy(), np.empty((3, 3))
    plan = di.prepare_jacobian(rates_of("Robertson")[0], di.AutoNumba(), y, y=np.empty(3))
    step, rival = plan.bind(y, out=out), jax.jit(jax.jacfwd(robertson_jax))
    yield Line("AutoNumba Robertson execute(x, out=J)", lambda: plan.execute(y, out=out), lambda: robertson_by_hand(y, out), "njit Jacobian by hand", 3.5)
    yield Line("AutoNumba Robertson execute(x, out=J)", lambda: plan.execute(y, out=out), lambda: np.asarray(rival(Y)), "np.asarray(jit(jacfwd(f))(x))", 1 / 7)
    yield Line("AutoNumba Robertson execute(x)", lambda: plan.execute(y), lambda: robertson_by_hand(y, out), "njit Jacobian by hand", None)
    yield Line("AutoNumba Robertson bind(x, out=J)()", step, lambda: robertson_by_hand(y, out), "njit Jacobian by hand", 1.5)
    ours, theirs = repeated(plan.kernel), repeated(robertson_by_hand)
    ours(y, out), theirs(y, out)
    yield Line("AutoNumba Robertson kernel in njit, 1000 times", lambda: ours(y, out), lambda: theirs(y, out), "njit Jacobian by hand", 1.5)
    cells, dy, J = np.linspace(0.0, 1.0, 100) ** 2, np.empty(100), np.empty((100, 100))
    whole, primal = di.prepare_jacobian(ring, di.AutoNumba(), cells, y=dy), njit(ring)
    many, once = repeated(whole.kernel), repeated(primal)
    many(cells, J), once(cells, dy)
    yield Line("AutoNumba ring of 100 cells, kernel in njit", lambda: many(cells, J), lambda: once(cells, dy), "evaluations of f", 20.0)


# fmt: on


def sparse_lines() -> Iterator[Line]:
    """Compare sparse plans with rivals that nothing else needs."""
    try:
        from tests.benchmarks import sparse
    except ModuleNotFoundError as error:
        print(f"sparse: NOT RUN, for {error.name} is not installed: pip install asdex casadi")
        return
    yield from sparse.brusselator_lines()
    yield from sparse.jax_lines()


GROUPS: dict[str, tuple[Callable[[], Iterator[Line]], ...]] = {
    "numba": (numba_lines, kinetics_lines),
    "enzyme": (enzyme_lines,),
    "jax": (jacobian_lines, gradient_lines),
    "differences": (finite_difference_lines,),
    "torch": (torch_lines,),
    "sparse": (sparse_lines,),
}


def main(chosen: list[str]) -> int:
    unknown = set(chosen) - set(GROUPS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
        return 2
    jax.config.update("jax_enable_x64", True)
    kept = True
    makers = [make for name in chosen or GROUPS for make in GROUPS[name]]
    for line in (line for make in makers for line in make()):
        seconds = times({"ours": line.ours, "rival": line.rival})
        ratio = seconds["ours"] / seconds["rival"]
        verdict = "" if line.bound is None else f"at most {line.bound:.3f}: "
        if line.bound is not None:
            verdict += "kept" if ratio <= line.bound else "NOT KEPT"
            kept &= ratio <= line.bound
        print(
            f"{line.name:60s} {seconds['ours'] * 1e6:8.2f} us  {ratio:5.3f} x {line.rival_name:32s} {verdict}",
            flush=True,
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
