"""Derivative of a function of one scalar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from difint.backends import Backend
from difint.engine import Engine, Kernel
from difint.operator import Operator
from difint.plan import Plan
from difint.planner import prepare
from difint.primitives import pushforward
from difint.problem import Problem


@final
class DerivativePlan(Plan):
    """A prepared derivative: ``execute(x, *contexts)`` is ``df/dx``, like ``f(x)``."""

    __slots__ = ()

    def value_and_derivative(self, *args: Any, out: Any = None, y: Any = None) -> tuple[Any, Any]:
        """Compute ``(f(x), df/dx)``; arguments as for ``execute``, ``out`` for the second."""
        value, result = self._with_lower(args, out, y)
        return value, result


def prepare_derivative(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> DerivativePlan:
    """Prepare the derivative of ``f`` at scalars like ``x``.

    Traces and compiles ``f`` where the backend does. The plan keeps the compiled kernel and its
    workspace, nothing of the value of ``x``.

    Args:
        f: ``f(x, *contexts) -> y``, or ``f(y, x, *contexts) -> None`` with ``y=`` given.
        backend: how to differentiate, e.g. ``AutoJax()``.
        x: an example input: a float, or an array of shape ``()``.
        contexts: example contexts, wrapped: ``Constant(a)``, ``Cache(buffer)``.
        y: for an in-place ``f``, an array of the output's shape and dtype.
        strict: let ``execute`` check its arguments against these.

    Returns:
        A plan; its ``execute(x, *contexts)`` is like ``f(x)``, an array of any shape.

    Raises:
        ArgumentError: an argument is not what the operator takes.
        UnsupportedError: the backend cannot differentiate such a function.
        BackendUnavailableError: the backend's package is not installed.

    >>> import math, difint as di
    >>> plan = prepare_derivative(math.exp, di.AutoFiniteDiff(), 0.0)
    >>> round(plan.execute(0.0), 6)
    1.0
    """
    plan: DerivativePlan = prepare(DERIVATIVE, f, backend, (x, *contexts), y=y, strict=strict)
    return plan


def derivative(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> Any:
    """Compute the derivative once, and keep nothing.

    Arguments and exceptions as for ``prepare_derivative``; ``out`` is filled and returned if
    given.

    >>> import numpy as np, difint as di
    >>> di.derivative(lambda x: np.array([x, x * x]), di.AutoFiniteDiff(), 3.0).round(6)
    array([1., 6.])
    """
    args = (x, *contexts)
    return prepare(DERIVATIVE, f, backend, args, y=y, once=True).execute(*args, out=out, y=y)


def value_and_derivative(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    """Compute ``(f(x), df/dx)`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_derivative``; ``out`` is filled with the second
    part if given.
    """
    args = (x, *contexts)
    plan = prepare(DERIVATIVE, f, backend, args, y=y, once=True)
    value, result = plan.value_and_derivative(*args, out=out, y=y)
    return value, result


def lower(engine: Engine, problem: Problem, *, value: bool) -> tuple[Kernel, str]:
    """Push the unit tangent of the scalar ``x`` forward."""
    at, route = pushforward(engine, problem, value=value)
    one = engine.arrays.one

    def kernel(x: Any, *contexts: Any) -> Any:
        parts = at(x, *contexts)(one(problem.x))
        return parts if value else parts[-1]

    return kernel, route


DERIVATIVE = Operator(
    name="derivative",
    plan=DerivativePlan,
    lower=lower,
    variant="value_and_derivative",
    parts=("y", "y"),
    x="scalar",
    instead="Use jacobian or pushforward for an x with a shape.",
)
