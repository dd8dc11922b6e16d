"""Modifiers: scenarios made from scenarios, to try one more thing on all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from difint.contexts import Cache, Constant, ConstantOrCache, Context
from difint.kinds import TORCH
from difint.testing.scenario import Scenario
from difint.testing.values import (
    dense,
    fillable_like,
    in_numpy,
    is_tree,
    leaves_of,
    like,
    mapped,
    moved,
    scaled,
)

_FACTOR = 3.0


def batchify(scenario: Scenario) -> Scenario | None:
    """Take a tuple of tangents instead of one: ``t`` and ``-2 t``.

    ``None`` for an operator without a tangent.

    >>> import numpy as np
    >>> t = np.ones(2)
    >>> s = batchify(Scenario("hvp", lambda x: x @ x, np.ones(2), t=t, result=2 * t))
    >>> s.result
    (array([2., 2.]), array([-4., -4.]))
    """
    if scenario.record.tangent is None or isinstance(scenario.t, tuple):
        return None
    x, t, *contexts = scenario.prepare_args
    result = scenario.result
    return scenario.replace(
        t=_pair(scenario.t),
        result=None if result is None else _pair(result),
        prepare_args=(x, _pair(t), *contexts),
        name=f"{scenario.name}/batchify",
    )


def _pair(value: Any) -> Any:
    return value, scaled(value, -2.0)


def constantify(scenario: Scenario) -> Scenario | None:
    """Multiply ``f`` by a ``Constant``, a number, and divide it by another one, an array.

    ``None`` where ``f(x)`` is a tree.
    """

    def weigh(value: Any, factor: Any, divisor: Any) -> Any:
        return factor * value / divisor

    contexts = Constant(2 * _FACTOR), Constant(_array(scenario, 2.0))
    return _with_contexts(scenario, weigh, contexts, "constantify")


def cachify(scenario: Scenario, *, writes: bool = True) -> Scenario | None:
    """Let ``f`` compute in a ``Cache``.

    ``None`` where ``f(x)`` is a tree.

    Args:
        scenario: what to modify.
        writes: ``f`` writes to the cache; ``False`` for functions of immutable arrays, which
            can only leave it alone.
    """

    def through(value: Any, cache: Any) -> Any:
        if not writes:
            return value
        cache[...] = value
        return cache * 1.0

    cache = _buffer(scenario)
    if cache is None:
        return None
    return _with_contexts(scenario, through, (Cache(cache),), "cachify", 1.0)


def constantorcachify(scenario: Scenario, *, writes: bool = True) -> Scenario | None:
    """Do what ``constantify`` and ``cachify`` do, with one ``ConstantOrCache`` for both."""

    def both(value: Any, tree: Any) -> Any:
        if not writes:
            return tree["factor"] * value
        tree["scratch"][...] = tree["factor"] * value
        return tree["scratch"] * 1.0

    cache = _buffer(scenario)
    if cache is None:
        return None
    context = ConstantOrCache({"factor": _array(scenario, _FACTOR), "scratch": cache})
    return _with_contexts(scenario, both, (context,), "constantorcachify")


def closurify(scenario: Scenario) -> Scenario | None:
    """Multiply ``f`` by a factor that it captures from around it.

    ``None`` where ``f(x)`` is a tree.
    """
    factor = _FACTOR

    def captured(value: Any) -> Any:
        return factor * value

    return _around(scenario, captured, "closurify", _FACTOR)


def numpify(scenario: Scenario) -> Scenario | None:
    """Pass NumPy arrays for ``x``, ``t`` and contexts, whatever library ``f`` is written for.

    ``None`` where ``f`` fills a tensor, and nothing but ``f`` tells with what.
    """
    if TORCH.owns(scenario.y) and scenario.record.parts[0] != "y":
        return None
    return scenario.replace(
        x=in_numpy(scenario.x),
        t=None if scenario.t is None else in_numpy(scenario.t),
        contexts=tuple(map(in_numpy, scenario.contexts)),
        y=None if scenario.y is None else in_numpy(scenario.y),
        prepare_args=tuple(map(in_numpy, scenario.prepare_args)),
        name=f"{scenario.name}/numpify",
    )


def _buffer(scenario: Scenario) -> Any:
    """Make memory like ``f(x)``; ``None`` where its form is not known, or is a tree."""
    if scenario.y is not None:
        return fillable_like(np.full_like(in_numpy(scenario.y), np.nan), scenario.x)
    value = scenario.lower[0] if scenario.lower and scenario.record.parts[0] == "y" else None
    if scenario.record.y == "scalar" and scenario.result is not None:
        value = np.zeros((), np.asarray(leaves_of(dense(scenario.result))[0]).dtype)
    if value is None or is_tree(value):
        return None
    empty = np.full(np.shape(value), np.nan, np.asarray(value).dtype)
    return fillable_like(empty, scenario.x)


def _with_contexts(
    scenario: Scenario,
    change: Callable[..., Any],
    contexts: tuple[Context, ...],
    name: str,
    factor: float = _FACTOR,
) -> Scenario | None:
    """Change ``f(x)`` by more contexts, the last ones."""
    prepared = [type(one)(mapped(_other_factor, one.value)) for one in contexts]
    changed = _around(scenario, change, name, factor)
    if changed is None:
        return None
    return changed.replace(
        contexts=(*scenario.contexts, *contexts),
        prepare_args=(*scenario.prepare_args, *prepared),
    )


def _array(scenario: Scenario, number: float) -> Any:
    """Make an array without axes of the kind and precision of ``x``; of a number, one of NumPy."""
    leaf = leaves_of(scenario.x)[0]
    array = np.array(number, np.asarray(leaf).dtype)
    return array if isinstance(leaf, float) else like(array, leaf)


def _other_factor(leaf: Any) -> Any:
    """Change a factor, and not by the same ratio for all; caches hold NaN, and stay."""
    return 0.625 * leaf**2 if isinstance(leaf, float) else moved(leaf)


def _around(
    scenario: Scenario, change: Callable[..., Any], name: str, factor: float
) -> Scenario | None:
    """Change ``f(x)`` to ``change(f(x), *more)``, which multiplies it by ``factor``."""
    if scenario.lower and scenario.record.parts[0] == "y" and is_tree(scenario.lower[0]):
        return None
    f, own = scenario.f, len(scenario.contexts)

    def returning(x: Any, *contexts: Any) -> Any:
        return change(f(x, *contexts[:own]), *contexts[own:])

    def filling(y: Any, x: Any, *contexts: Any) -> None:
        f(y, x, *contexts[:own])
        y[...] = change(y, *contexts[own:])

    def times(value: Any) -> Any:
        return None if value is None else scaled(value, factor)

    return scenario.replace(
        f=returning if scenario.y is None else filling,
        result=times(scenario.result),
        lower=times(scenario.lower),
        name=f"{scenario.name}/{name}",
    )
