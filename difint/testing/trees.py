"""Scenarios whose ``x`` or ``f(x)`` is a tree: dict, list, tuple, named tuple, nested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, final

import numpy as np

from difint.testing.scenario import Scenario


class Pair(NamedTuple):
    """A named tuple, for scenarios."""

    left: Any
    right: Any


@final
@dataclass(frozen=True, slots=True)
class _Tree:
    """How a weight, a bias and a number stand in a tree."""

    name: str
    join: Callable[[Any, Any, Any], Any]
    parts: Callable[[Any], tuple[Any, Any, Any]]


_TREES = (
    _Tree(
        "dict",
        lambda w, b, s: {"w": w, "b": b, "s": s},
        lambda x: (x["w"], x["b"], x["s"]),
    ),
    _Tree("list", lambda w, b, s: [w, b, s], lambda x: (x[0], x[1], x[2])),
    _Tree("tuple", lambda w, b, s: (w, b, s), lambda x: (x[0], x[1], x[2])),
    _Tree(
        "named tuple",
        lambda w, b, s: Pair(w, Pair(b, s)),
        lambda x: (x.left, x.right.left, x.right.right),
    ),
    _Tree(
        "nested",
        lambda w, b, s: {"a": [w, (b,)], "c": {"d": s}},
        lambda x: (x["a"][0], x["a"][1][0], x["c"]["d"]),
    ),
)

_W, _B, _S = np.array([[1.0, -2.0, 0.5], [0.3, 0.7, -0.4]]), np.array([0.1, -0.2]), 2.0
_Z = np.array([0.5, 1.5, -1.0])
_TANGENT = np.array([[0.5, 0.75, -1.0], [1.25, -0.5, 0.25]]), np.array([1.0, -1.5]), 0.25


def _loss(xp: Any, tree: _Tree) -> Callable[[Any], Any]:
    """Square the residual ``r = s w z + b``."""

    def f(x: Any) -> Any:
        w, b, s = tree.parts(x)
        r = w @ xp.asarray(_Z, dtype=w.dtype) * s + b
        return xp.sum(r * r)

    return f


def _gradient() -> tuple[Any, Any, float]:
    r = _S * _W @ _Z + _B
    return 2 * _S * np.outer(r, _Z), 2 * r, float(2 * r @ (_W @ _Z))


def _hvp(tw: Any, tb: Any, ts: float) -> tuple[Any, Any, float]:
    """Derive the gradient along a tangent, by the product rule."""
    r = _S * _W @ _Z + _B
    dr = _S * tw @ _Z + ts * _W @ _Z + tb
    dw = 2 * _S * np.outer(dr, _Z) + 2 * ts * np.outer(r, _Z)
    return dw, 2 * dr, float(2 * dr @ (_W @ _Z) + 2 * r @ (tw @ _Z))


Make = Callable[[Any], Any]
"""Turns a NumPy array or a float into a value of an array library."""


def tree_inputs(xp: Any, make: Make, settle: Make) -> Iterator[Scenario]:
    """Make scenarios with a tree as ``x``, of every structure.

    Args:
        xp: the namespace of the library.
        make: turns inputs into values of the library.
        settle: gives results their precision.
    """
    r = _S * _W @ _Z + _B
    value = settle(np.array(r @ r))[()]
    along = sum(float(np.sum(g * t)) for g, t in zip(_gradient(), _TANGENT, strict=True))
    for tree in _TREES:
        f = _loss(xp, tree)
        x, t = (tree.join(*map(make, parts)) for parts in ((_W, _B, _S), _TANGENT))
        gradient = tree.join(*map(settle, _gradient()))
        product = tree.join(*map(settle, _hvp(*_TANGENT)))
        slope, c = settle(np.array(along))[()], make(np.array(0.5))
        pulled = tree.join(*(settle(0.5 * one) for one in _gradient()))
        name = f"{tree.name}->number"
        first = partial(Scenario, lower=(value,), name=name)
        yield first("gradient", f, x, result=gradient)
        yield first("pushforward", f, x, t=t, result=slope)
        yield first("pullback", f, x, t=c, result=pulled)
        yield Scenario("hvp", f, x, t=t, lower=(gradient,), result=product, name=name)


def _spread(x: Any) -> Any:
    return {"square": x**2, "rest": [x[0] * x[1], (x[2:],)]}


def tree_outputs(make: Make, settle: Make) -> Iterator[Scenario]:
    """Make scenarios with a tree as ``f(x)``; arguments as for ``tree_inputs``."""
    x, t = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])
    cotangent = {"square": make(t), "rest": [make(np.array(2.0)), (make(np.array([3.0])),)]}

    def outlined(square: Any, product: float, last: float) -> Any:
        rest = [settle(np.array(product))[()], (settle(np.array([last])),)]
        return {"square": settle(square), "rest": rest}

    value = outlined(x**2, 2.0, 3.0)
    pushed = outlined(2 * x * t, 1.0 * -1.0 + 2.0 * 0.5, 2.0)
    pulled = settle(2 * x * t + np.array([2.0 * 2.0, 2.0 * 1.0, 3.0]))
    make_one = partial(Scenario, lower=(value,), name="vector->tree")
    yield make_one("pushforward", _spread, make(x), t=make(t), result=pushed)
    yield make_one("pullback", _spread, make(x), t=cotangent, result=pulled)
