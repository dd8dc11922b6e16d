"""Tracing of random NumPy programs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dependence.tracing import found, seen, seen_twice

UNARY = {
    "sin": np.sin,
    "square": np.square,
    "roll": lambda a: np.roll(a, 1),
    "reverse": lambda a: a[::-1],
    "cumsum": lambda a: np.cumsum(a) / 4,
    "maximum": lambda a: np.maximum(a, 0.2),
    "sort": lambda a: np.sort(a),
    "mask": lambda a: a * np.array([1.0, 0.0, 1.0, 1.0]),
    "matrix": lambda a: np.array([[1.0, 0, 0, 2], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]) @ a,
    "where": lambda a: np.where(a > 0.31, a, 0.3),
    "pairs": lambda a: (a.reshape(2, 2) @ a.reshape(2, 2).T).ravel() / 2,
    "sum": lambda a: np.broadcast_to(a.mean(), 4),
    "fill": lambda a: np.concatenate([a[:2], np.ones(2)]),
    "constant": lambda a: np.full_like(a, 0.5),
    "step": lambda a: np.floor(a * 2),
}

BINARY = {
    "add": np.add,
    "subtract": lambda a, b: a - b,
    "multiply": np.multiply,
    "divide": lambda a, b: a / (2 + b * b),
    "minimum": np.minimum,
    "outer": lambda a, b: np.outer(a[:2], b[2:]).ravel(),
    "choose": lambda a, b: np.where([True, False, True, False], a, b),
    "write": lambda a, b: written(a, b),
    "einsum": lambda a, b: np.einsum("ij,jk->ki", a.reshape(2, 2), b.reshape(2, 2)).ravel() / 2,
}


def written(a, b):
    out = np.zeros(4)
    out[:2] = a[1:3]
    view = out[1:]
    view *= 2
    view[-1] = b[0]
    return out


def program(steps):
    def f(x):
        made = [x]
        for name, i, j in steps:
            a, b = made[i % len(made)], made[j % len(made)]
            made.append(UNARY[name](a) if name in UNARY else BINARY[name](a, b))
        return made[-1]

    return f


STEPS = st.tuples(
    st.sampled_from([*UNARY, *BINARY]), st.integers(0, 7), st.sampled_from([0, 1, 2, 5])
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(STEPS, min_size=1, max_size=8), st.booleans())
def test_random_programs(steps, local):
    f, x = program(steps), np.array([0.3, 1.1, -0.7, 0.85])
    samples = 1 if local else 3
    assert np.all(found(f, x, local=local) >= seen(f, x, samples=samples))

    def scalar(x):
        y = f(x)
        return np.sum(y * np.array([1.0, -0.5, 2.0, 0.7]) + np.sin(y[0]) * y)

    pattern = found(scalar, x, curved=True, local=local)
    assert np.all(pattern >= seen_twice(scalar, x, samples=samples, smooth=True))
