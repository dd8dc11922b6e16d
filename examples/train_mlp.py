"""Train a small neural network whose parameters are a dict of arrays.

The gradient is compiled once. The batch is a context, ``Constant``, so that each step passes a
new one; the gradient comes back as a dict like the parameters. Needs the extra ``jax``.
"""

import jax.numpy as jnp
import numpy as np

import difint as di

WIDTH, BATCH, STEPS, RATE = 32, 128, 1500, 0.05


def loss(parameters, batch):
    inputs, targets = batch
    hidden = jnp.tanh(inputs @ parameters["w1"] + parameters["b1"])
    outputs = hidden @ parameters["w2"] + parameters["b2"]
    return jnp.mean((outputs - targets) ** 2)


def draw(rng):
    inputs = rng.uniform(-np.pi, np.pi, (BATCH, 1)).astype(np.float32)
    return inputs, np.sin(inputs)


def initial(rng):
    return {
        "w1": rng.normal(size=(1, WIDTH)).astype(np.float32),
        "b1": rng.normal(size=WIDTH).astype(np.float32),
        "w2": (rng.normal(size=(WIDTH, 1)) / WIDTH**0.5).astype(np.float32),
        "b2": np.zeros(1, np.float32),
    }


def main():
    rng = np.random.default_rng(0)
    parameters = initial(rng)
    plan = di.prepare_gradient(loss, di.AutoJax(), parameters, di.Constant(draw(rng)))
    print(plan)

    losses = []
    for step in range(STEPS):
        value, gradient = plan.value_and_gradient(parameters, di.Constant(draw(rng)))
        for name, part in gradient.items():
            parameters[name] -= RATE * part
        losses.append(float(value))
        if step % 300 == 0:
            print(f"step {step:4}: loss {value:.4f}")

    final = np.mean(losses[-50:])
    print(f"the last 50 steps: loss {final:.4f}")
    assert final < 0.05 * losses[0]


if __name__ == "__main__":
    main()
