"""The two primitives of any engine: its own, or each obtained from the other by a sweep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from difint.engine import Apply, At, Engine
from difint.errors import UnsupportedError, message
from difint.problem import Problem
from difint.sweep import count, sweep


def pushforward(
    engine: Engine, problem: Problem, *, value: bool, reuse: bool = False
) -> tuple[At, str]:
    """Get ``at`` with ``apply(t) = (y, J t)``, and the route to it."""
    if engine.pushforward is not None:
        return engine.pushforward(engine.arrays, problem, value=value, reuse=reuse), "pushforward"
    return _by_sweep(engine, "pullback", problem.y, problem, value=value, reuse=reuse)


def pullback(
    engine: Engine, problem: Problem, *, value: bool, reuse: bool = False
) -> tuple[At, str]:
    """Get ``at`` with ``apply(t) = (y, J^T t)``, and the route to it."""
    if engine.pullback is not None:
        return engine.pullback(engine.arrays, problem, value=value, reuse=reuse), "pullback"
    return _by_sweep(engine, "pushforward", problem.x, problem, value=value, reuse=reuse)


def _by_sweep(
    engine: Engine, primitive: str, like: Any, problem: Problem, *, value: bool, reuse: bool
) -> tuple[At, str]:
    """Sweep a basis through the other primitive, and contract each result with the tangent.

    Entry ``i`` of ``J^T t`` is the inner product of ``J e_i`` with ``t``, and the reverse.
    """
    arrays = engine.arrays
    build = getattr(engine, primitive)
    at = build(arrays, problem, value=value, reuse=reuse)

    def contracted(x: Any, *contexts: Any) -> Apply:
        basic = at(x, *contexts)

        def apply(t: Any) -> tuple[Any, Any]:
            def component(seed: Any) -> tuple[Any, Any]:
                y, result = basic(seed)
                return y, arrays.inner(result, t)

            y, entries = sweep(arrays, component, like)
            return y, arrays.cast(arrays.unravel(arrays.ravel(entries), like), like)

        return apply

    return contracted, f"{primitive} × {count(arrays, like)}"


def inner_engine(engine: Engine) -> Engine:
    """Get the engine of first-order derivatives: the inner one of a second-order pair."""
    return engine if engine.inner is None else engine.inner


def derivative_of(engine: Engine, problem: Problem, build: Any, result: Any) -> tuple[Problem, str]:
    """Make a problem of a first derivative, to differentiate again.

    Args:
        engine: the engine of the second derivative; its ``inner`` makes the first.
        problem: the function.
        build: ``(engine, problem, value=...) -> (kernel, route)``, e.g. the gradient's.
        result: the template of the first derivative.
    """
    inner = inner_engine(engine)
    if engine.complexifies:
        text = message(
            problem.source.operator,
            "the outer backend cannot differentiate through the inner one",
            expected="an outer backend that works with real numbers",
            got="one with complex steps, over a derivative that takes real numbers",
            remedy="Use SecondOrder(AutoFiniteDiff(), inner), or AutoFiniteDiff('complex_step').",
        )
        raise UnsupportedError(text)
    call, route = build(inner, problem, value=False)
    made = replace(problem, call=call, y=result, accuracy=inner.accuracy, derived=True)
    return made, route
