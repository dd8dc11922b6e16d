"""Train a network of PyTorch on scikit-learn's digits: Adam, then Newton's method with CG.

The gradient is traced once, and written where the optimizer looks for it; the Hessian-vector
product is traced once too. Both are held against loops with ``loss.backward()``: after 300 steps
the losses are the same to rounding. Needs the extra ``torch``, and scikit-learn.
"""

import functools
import time

import numpy as np
import torch
from sklearn.datasets import load_digits

import difint as di

STEPS, BATCH = 300, 128
CG_STEPS, DAMPING = 6, 0.1
# Smoothed labels: no loss of zero, at which rounding would be all that there is to compare.
cross_entropy = functools.partial(torch.nn.functional.cross_entropy, label_smoothing=0.1)


def data():
    digits = load_digits()
    images = torch.tensor(digits.data / 16.0)
    return images, torch.tensor(digits.target)


def network():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10))
    return model.double()


def batches(images, labels):
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        chosen = torch.tensor(rng.choice(len(labels), BATCH, replace=False))
        yield images[chosen], labels[chosen]


def adam_with_backward(images, labels):
    model = network()
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for inputs, targets in batches(images, labels):
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def adam_with_a_plan(images, labels):
    model = network()
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    f = di.ModuleLoss(model, cross_entropy)
    parameters = f.parameters()
    example = di.Constant(images[:BATCH]), di.Constant(labels[:BATCH])
    plan = di.prepare_gradient(f, di.AutoTorch(), parameters, *example)
    print(plan)
    for inputs, targets in batches(images, labels):
        batch = di.Constant(inputs), di.Constant(targets)
        loss, _ = plan.value_and_gradient(parameters, *batch, out=f.gradients())
        optimizer.step()
        losses.append(loss.item())
    return losses


def inner(a, b):
    return sum((a[name] * b[name]).sum() for name in a)


def plus(a, scale, b):
    return {name: a[name] + scale * b[name] for name in a}


def newton_step(gradient, product, damping):
    """Solve ``(H + damping) step = -gradient`` by a few steps of conjugate gradients."""
    step = {name: torch.zeros_like(part) for name, part in gradient.items()}
    residual = {name: -part for name, part in gradient.items()}
    direction, size = residual, inner(residual, residual)
    for _ in range(CG_STEPS):
        curved = plus(product(direction), damping, direction)
        curvature = inner(direction, curved)
        if curvature <= 0:
            break
        length = size / curvature
        step, residual = plus(step, length, direction), plus(residual, -length, curved)
        before, size = size, inner(residual, residual)
        direction = plus(residual, size / before, direction)
    return step


def newton(loss_and_gradient, product, parameters):
    """Take a step where it lowers the loss; damp more where it does not, less where it does."""
    damping, losses = 1.0, []
    loss, gradient = loss_and_gradient(parameters)
    for _ in range(STEPS):
        here = functools.partial(product, parameters)
        moved = plus(parameters, 1.0, newton_step(gradient, here, damping))
        new_loss, new_gradient = loss_and_gradient(moved)
        if new_loss < loss:
            parameters, loss, gradient = moved, new_loss, new_gradient
        damping = max(DAMPING, 0.7 * damping) if new_loss <= loss else 4.0 * damping
        losses.append(loss.item())
    return losses


def newton_with_backward(f, batch, parameters):
    values = [one.value for one in batch]

    def differentiated(parameters):
        leaves = {name: part.detach().requires_grad_() for name, part in parameters.items()}
        loss = f(leaves, *values)
        gradient = torch.autograd.grad(loss, list(leaves.values()), create_graph=True)
        return leaves, loss.detach(), dict(zip(leaves, gradient, strict=True))

    def loss_and_gradient(parameters):
        _, loss, gradient = differentiated(parameters)
        return loss, {name: part.detach() for name, part in gradient.items()}

    def product(parameters, t):
        leaves, _, gradient = differentiated(parameters)
        slope = sum((gradient[name] * t[name]).sum() for name in t)
        result = torch.autograd.grad(slope, list(leaves.values()))
        return dict(zip(leaves, result, strict=True))

    return newton(loss_and_gradient, product, parameters)


def newton_with_plans(f, batch, parameters):
    gradient = di.prepare_gradient(f, di.AutoTorch(), parameters, *batch)
    product = di.prepare_hvp(f, di.AutoTorch(), parameters, parameters, *batch)
    print(product)
    return newton(
        lambda parameters: gradient.value_and_gradient(parameters, *batch),
        lambda parameters, t: product.execute(parameters, t, *batch),
        parameters,
    )


def compared(name, ours, rival):
    start = time.perf_counter()
    mine = ours()
    middle = time.perf_counter()
    theirs = rival()
    seconds, others = middle - start, time.perf_counter() - middle
    print(f"{name}: loss {mine[0]:.4f} -> {mine[-1]:.6f}; ", end="")
    print(f"plans {seconds:.2f} s with prepare, loss.backward() {others:.2f} s")
    np.testing.assert_allclose(mine, theirs, rtol=1e-8)
    assert mine[-1] < 0.4 * mine[0]


def main():
    images, labels = data()
    compared(
        "Adam",
        lambda: adam_with_a_plan(images, labels),
        lambda: adam_with_backward(images, labels),
    )
    f = di.ModuleLoss(network(), cross_entropy)
    start = {name: part.detach() for name, part in f.parameters().items()}
    batch = di.Constant(images[:BATCH]), di.Constant(labels[:BATCH])
    compared(
        "Newton-CG",
        lambda: newton_with_plans(f, batch, start),
        lambda: newton_with_backward(f, batch, start),
    )


if __name__ == "__main__":
    main()
