"""Compare plans with their rivals: ``python -m tests.benchmarks``.

Every line is a ratio of medians from one run, with the bound that it has to keep. Exits with 1
if one is not kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize._numdiff import approx_derivative

import difint as di
from tests.benchmarks.timing import times


@dataclass(frozen=True)
class Line:
    """``ours`` against ``rival``: at most ``bound`` times its time, or at least ``1 / bound`` faster."""

    name: str
    ours: Callable[[], Any]
    rival: Callable[[], Any]
    rival_name: str
    bound: float | None


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
        (jnp.asarray(rng.normal(0, n**-0.5, (m, n)), "f4"), jnp.zeros(m, "f4"))
        for n, m in zip(sizes, sizes[1:], strict=False)
    ]


def mlp_loss(parameters: Any, x: Any, label: Any) -> Any:
    (w1, b1), (w2, b2) = parameters
    logits = w2 @ jnp.tanh(w1 @ x + b1) + b2
    return jax.nn.logsumexp(logits) - logits[label]


def gradient_lines() -> Iterator[Line]:
    parameters, x = mlp_parameters(), jnp.asarray(np.random.default_rng(1).uniform(size=784), "f4")
    label = jnp.asarray(3)
    contexts = di.Constant(x), di.Constant(label)
    plan = di.prepare_gradient(mlp_loss, di.AutoJax(), parameters, *contexts)
    rival = jax.jit(jax.grad(mlp_loss))
    yield Line(
        "AutoJax MLP 784-128-10 execute(x)",
        lambda: jax.block_until_ready(plan.execute(parameters, *contexts)),
        lambda: jax.block_until_ready(rival(parameters, x, label)),
        "jit(grad(f))(x)",
        1.05,
    )


# fmt: off
def finite_difference_lines() -> Iterator[Line]:
    plan = di.prepare_jacobian(robertson, di.AutoFiniteDiff(), Y)
    forward = di.prepare_jacobian(robertson, di.AutoFiniteDiff("forward"), Y)
    yield Line("AutoFiniteDiff Robertson execute(x)", lambda: plan.execute(Y), lambda: approx_derivative(robertson, Y), "approx_derivative, 3-point", 1 / 4)
    yield Line("AutoFiniteDiff('forward') Robertson execute(x)", lambda: forward.execute(Y), lambda: approx_derivative(robertson, Y, method="2-point"), "approx_derivative, 2-point", None)


# fmt: on


def main() -> int:
    jax.config.update("jax_enable_x64", True)
    kept = True
    for line in (*jacobian_lines(), *gradient_lines(), *finite_difference_lines()):
        seconds = times({"ours": line.ours, "rival": line.rival})
        ratio = seconds["ours"] / seconds["rival"]
        verdict = "" if line.bound is None else f"at most {line.bound:.2f}: "
        if line.bound is not None:
            verdict += "kept" if ratio <= line.bound else "NOT KEPT"
            kept &= ratio <= line.bound
        print(
            f"{line.name:46s} {seconds['ours'] * 1e6:8.2f} us  {ratio:5.3f} x {line.rival_name:32s} {verdict}"
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
