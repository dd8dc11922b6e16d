"""AutoTorch against PyTorch's own ways: of small systems, a network, a Hessian."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

import difint as di
from tests.benchmarks.timing import Line

GRAPH, INDUCTOR, AOT = (di.AutoTorch(compile=how) for how in ("graph", "inductor", "aot"))
Y = torch.tensor([0.9, 2e-5, 0.1], dtype=torch.float64)


def robertson(y: Any) -> Any:
    y1, y2, y3 = y
    slow, fast, faster = 0.04 * y1, 1e4 * y2 * y3, 3e7 * y2 * y2
    return torch.stack([-slow + fast, slow - fast - faster, faster])


def robertson_lines() -> Iterator[Line]:
    def rival() -> Any:
        return torch.func.jacrev(robertson)(Y)

    for backend, bound in ((GRAPH, 1 / 8), (INDUCTOR, 1 / 50), (AOT, None)):
        plan = di.prepare_jacobian(robertson, backend, Y)
        torch.testing.assert_close(plan.execute(Y), rival())
        name = f"{backend} Robertson execute(x)"
        yield Line(name, lambda plan=plan: plan.execute(Y), rival, "torch.func.jacrev", bound)
    x = Y.numpy()
    plan = di.prepare_jacobian(robertson, INDUCTOR, x)
    name = f"{INDUCTOR} Robertson, NumPy in and out"
    yield Line(name, lambda: plan.execute(x), rival, "torch.func.jacrev", None)


def network() -> tuple[Any, Any]:
    """Make the network 784-128-10 in float32, and its loss."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 128), torch.nn.Tanh(), torch.nn.Linear(128, 10)
    )
    return model, di.ModuleLoss(model, torch.nn.functional.cross_entropy)


def network_lines() -> Iterator[Line]:
    model, loss = network()
    parameters = loss.parameters()
    for size in (1, 256):
        images, labels = torch.rand(size, 784), torch.randint(10, (size,))
        batch = di.Constant(images), di.Constant(labels)

        def rival(images: Any = images, labels: Any = labels) -> Any:
            value = torch.nn.functional.cross_entropy(model(images), labels)
            return torch.autograd.grad(value, list(model.parameters()))

        for backend, bound in ((GRAPH, 1.0), (AOT, 1 / 3 if size == 1 else None)):
            plan = di.prepare_gradient(loss, backend, parameters, *batch)
            for got, right in zip(plan.execute(parameters, *batch).values(), rival(), strict=True):
                torch.testing.assert_close(got, right, rtol=1e-4, atol=1e-6)
            yield Line(
                f"{backend} MLP 784-128-10, batch {size}",
                lambda plan=plan, batch=batch: plan.execute(parameters, *batch),
                rival,
                "torch.autograd.grad",
                bound,
            )


def chained(x: Any) -> Any:
    """Compute Rosenbrock's function, with a coupling of all variables."""
    valley = torch.sum((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2)
    return valley + torch.sin(x).prod() + torch.exp(-(x @ x))


def hessian_lines() -> Iterator[Line]:
    x = torch.linspace(-1.0, 1.0, 20, dtype=torch.float64)

    def rival() -> Any:
        return torch.func.hessian(chained)(x)

    for backend, bound in ((GRAPH, None), (INDUCTOR, 1 / 10)):
        plan = di.prepare_hessian(chained, backend, x)
        torch.testing.assert_close(plan.execute(x), rival())
        name = f"{backend} Hessian of 20 variables"
        yield Line(name, lambda plan=plan: plan.execute(x), rival, "torch.func.hessian", bound)


def training_lines() -> Iterator[Line]:
    """Time a training step's gradient, written where the optimizer looks for it."""
    model, loss = network()
    images, labels = torch.rand(64, 784), torch.randint(10, (64,))
    batch = di.Constant(images), di.Constant(labels)
    plan = di.prepare_gradient(loss, GRAPH, loss.parameters(), *batch)
    step = plan.bind(loss.parameters(), *batch, out=loss.gradients())

    def rival() -> None:
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()

    yield Line(f"{GRAPH} MLP bind(x, out=.grad), batch 64", step, rival, "loss.backward()", None)


def torch_lines() -> Iterator[Line]:
    yield from robertson_lines()
    yield from network_lines()
    yield from hessian_lines()
    yield from training_lines()
