"""Random programs in JAX: a list of steps, each of which makes a vector of the ones before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax

from tests.engines.jax_functions import own_exp, straight_forward

SIZE = 6
SPARSE = np.array([[1.0, 0, 0, 2, 0, 0], [0, 0, 3, 0, 0, 0], [0] * 6, [0, 0, 0, 0, 1, 1]] * 2)[:6]
MASK = np.array([True, False, True, True, False, False])


def counted(a: Any, k: int) -> Any:
    """Write to one place after the other, some of which a loop counter tells."""
    return lax.fori_loop(0, k + 1, lambda i, c: c.at[i].set(c[i] * a[(i + k) % SIZE]), a)


def until(a: Any, b: Any) -> Any:
    """Repeat until a value says so."""

    def body(state: Any) -> Any:
        i, c = state
        return i + 1, c + 0.5 * jnp.roll(c, 1) * b

    return lax.while_loop(lambda s: (s[0] < 3) & (jnp.sum(s[1]) < 5), body, (0, a))[1]


def long_scan(a: Any, b: Any) -> Any:
    """Repeat more often than is followed round by round."""
    return lax.scan(lambda c, t: (0.5 * jnp.roll(c, 1) + t, c[0]), a, jnp.tile(b, (11, 1)))[0]


def scan_in_scan(a: Any, b: Any) -> Any:
    """Repeat what is repeated, more often than is followed round by round."""

    def inner(c: Any, _: None) -> Any:
        return 0.5 * jnp.roll(c, 1), c[1]

    def outer(c: Any, t: Any) -> Any:
        return lax.scan(inner, c, None, length=9)[0] + t, c[2]

    return lax.scan(outer, a, jnp.tile(b, (10, 1)), reverse=True)[0]


STEPS: dict[str, Callable[[Any, Any, int], Any]] = {
    "add": lambda a, b, k: a + b,
    "subtract": lambda a, b, k: a - b,
    "multiply": lambda a, b, k: a * b,
    "divide": lambda a, b, k: a / (2.0 + jnp.abs(b)),
    "sine": lambda a, b, k: jnp.sin(a),
    "square": lambda a, b, k: a**2 / 4,
    "scale": lambda a, b, k: k * a,
    "roll": lambda a, b, k: jnp.roll(a, k),
    "join": lambda a, b, k: jnp.concatenate([a[:k], b[k:]]),
    "take": lambda a, b, k: a[(np.arange(SIZE) * k) % SIZE],
    "take anywhere": lambda a, b, k: a[jnp.int32(jnp.abs(b) * 3) % SIZE],
    "put": lambda a, b, k: a.at[np.array([k, (k + 2) % SIZE])].add(b[:2]),
    "put anywhere": lambda a, b, k: a.at[jnp.int32(jnp.abs(b[k]) * 3) % SIZE].set(b[0]),
    "choose": lambda a, b, k: jnp.where(MASK, a, b),
    "choose by value": lambda a, b, k: jnp.where(a > b, a, b * a),
    "branch": lambda a, b, k: lax.cond(a[k] > 0, lambda: a * b, lambda: b),
    "sum": lambda a, b, k: jnp.full(SIZE, jnp.sum(a[:k])),
    "cumulate": lambda a, b, k: jnp.cumsum(a),
    "product": lambda a, b, k: jnp.prod(a[: k + 1]) * b,
    "matrix": lambda a, b, k: SPARSE @ a,
    "quadratic": lambda a, b, k: (SPARSE * a) @ b,
    "transpose": lambda a, b, k: a.reshape(2, 3).T.reshape(-1),
    "maximum": lambda a, b, k: jnp.maximum(a, b),
    "sort": lambda a, b, k: jnp.sort(a),
    "floor": lambda a, b, k: jnp.floor(a) + b,
    "round": lambda a, b, k: straight_forward(a) * b,
    "exponential": lambda a, b, k: own_exp(jnp.clip(a, -2, 2)),
    "counted": lambda a, b, k: counted(a, k),
    "until": lambda a, b, k: until(a, b),
    "scan in scan": lambda a, b, k: scan_in_scan(a, b),
    "scan": lambda a, b, k: long_scan(a, b),
}


@st.composite
def programs(draw: Any) -> Callable[[Any], Any]:
    """Draw a function of a vector."""
    count = draw(st.integers(1, 6))
    places = st.integers(-3, -1)
    names = st.sampled_from(sorted(STEPS))
    steps = [
        (draw(names), draw(places), draw(places), draw(st.integers(0, SIZE - 1)))
        for _ in range(count)
    ]

    def f(x: Any) -> Any:
        made = [x, jnp.arange(1.0, SIZE + 1), x]
        for name, i, j, k in steps:
            made.append(jnp.clip(STEPS[name](made[i], made[j], k), -1e3, 1e3))
        return made[-1]

    f.__name__ = f.__qualname__ = repr(steps)
    return f
