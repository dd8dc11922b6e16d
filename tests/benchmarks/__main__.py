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
from jax.flatten_util import ravel_pytree
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
