"""Gradient of a function with a scalar value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from difint.backends import Backend
from difint.engine import Engine, Kernel
from difint.operator import Operator
from difint.plan import Plan
from difint.planner import prepare
from difint.primitives import pullback
from difint.problem import Problem


@final
class GradientPlan(Plan):
    """A prepared gradient: ``execute(x, *contexts)`` is ``df/dx``, like ``x``."""

    __slots__ = ()

    def value_and_gradient(self, *args: Any, out: Any = None, y: Any = None) -> tuple[Any, Any]:
        """Compute ``(f(x), df/dx)``; arguments as for ``execute``, ``out`` for the second."""
        value, result = self._with_lower(args, out, y)
        return value, result


def prepare_gradient(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> GradientPlan:
    """Prepare the gradient of ``f`` at inputs like ``x``.

    Traces and compiles ``f`` where the backend does. The plan keeps the compiled kernel and its
    workspace, nothing of the values of ``x``.

    Args:
        f: ``f(x, *contexts) -> y`` with ``y`` of shape ``()``, or ``f(y, x, *contexts) -> None``
            with ``y=`` given.
        backend: how to differentiate, e.g. ``AutoJax()``.
        x: an example input: an array of any shape, a float, or a tree of them.
        contexts: example contexts, wrapped: ``Constant(a)``, ``Cache(buffer)``.
        y: for an in-place ``f``, an array of shape ``()`` and the output's dtype.
        strict: let ``execute`` check its arguments against these.

    Returns:
        A plan; its ``execute(x, *contexts)`` is like ``x``.

    Raises:
        ArgumentError: an argument is not what the operator takes.
        UnsupportedError: the backend cannot differentiate such a function.
        BackendUnavailableError: the backend's package is not installed.

    >>> import numpy as np, difint as di
    >>> plan = prepare_gradient(lambda x: x @ x, di.AutoFiniteDiff(), np.ones(2))
    >>> plan.execute(np.array([1.0, 3.0])).round(6)
    array([2., 6.])
    """
    plan: GradientPlan = prepare(GRADIENT, f, backend, (x, *contexts), y=y, strict=strict)
    return plan


def gradient(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> Any:
    """Compute the gradient once, and keep nothing.

    Arguments and exceptions as for ``prepare_gradient``; ``out`` is filled and returned if
    given.

    >>> import numpy as np, difint as di
    >>> x = {"a": 2.0, "b": 3.0}
    >>> di.gradient(lambda x: x["a"] * x["b"], di.AutoFiniteDiff("complex_step"), x)
    {'a': 3.0, 'b': 2.0}
    """
    args = (x, *contexts)
    return prepare(GRADIENT, f, backend, args, y=y, once=True).execute(*args, out=out, y=y)


def value_and_gradient(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    """Compute ``(f(x), df/dx)`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_gradient``; ``out`` is filled with the second part
    if given.
    """
    args = (x, *contexts)
    plan = prepare(GRADIENT, f, backend, args, y=y, once=True)
    value, result = plan.value_and_gradient(*args, out=out, y=y)
    return value, result


def lower(engine: Engine, problem: Problem, *, value: bool) -> tuple[Kernel, str]:
    """Pull the unit cotangent of the scalar ``y`` back."""
    at, route = pullback(engine, problem, value=value)
    one = engine.arrays.one

    def kernel(x: Any, *contexts: Any) -> Any:
        parts = at(x, *contexts)(one(problem.y))
        return parts if value else parts[-1]

    return kernel, route


GRADIENT = Operator(
    name="gradient",
    plan=GradientPlan,
    lower=lower,
    variant="value_and_gradient",
    parts=("y", "x"),
    y="scalar",
    instead="Let f return a scalar (y.sum(), y[0]), or use jacobian or pullback.",
)
