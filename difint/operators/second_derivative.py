"""Second derivative of a function of one scalar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from difint.backends import Backend
from difint.engine import Engine, Kernel
from difint.operator import Operator
from difint.operators.derivative import DERIVATIVE
from difint.plan import Plan
from difint.planner import prepare
from difint.primitives import derivative_of, pushforward
from difint.problem import Problem


@final
class SecondDerivativePlan(Plan):
    """A prepared second derivative: ``execute(x, *contexts)`` is ``d2f/dx2``, like ``f(x)``."""

    __slots__ = ()

    def value_derivative_and_second_derivative(
        self, *args: Any, out: Any = None, y: Any = None
    ) -> tuple[Any, Any, Any]:
        """Compute ``(f(x), df/dx, d2f/dx2)``; arguments as for ``execute``, ``out`` last."""
        value, first, second = self._with_lower(args, out, y)
        return value, first, second


def prepare_second_derivative(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> SecondDerivativePlan:
    """Prepare the second derivative of ``f`` at scalars like ``x``.

    Traces and compiles ``f`` where the backend does. The plan keeps the compiled kernel and its
    workspace, nothing of the value of ``x``.

    Args:
        f: ``f(x, *contexts) -> y``, or ``f(y, x, *contexts) -> None`` with ``y=`` given.
        backend: how to differentiate, e.g. ``AutoJax()`` or ``SecondOrder(outer, inner)``.
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
    >>> plan = prepare_second_derivative(math.exp, di.AutoFiniteDiff(), 0.0)
    >>> round(plan.execute(0.0), 5)
    1.0
    """
    plan: SecondDerivativePlan = prepare(
        SECOND_DERIVATIVE, f, backend, (x, *contexts), y=y, strict=strict
    )
    return plan


def second_derivative(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> Any:
    """Compute the second derivative once, and keep nothing.

    Arguments and exceptions as for ``prepare_second_derivative``; ``out`` is filled and
    returned if given.

    >>> import difint as di
    >>> round(di.second_derivative(lambda x: x**3, di.AutoFiniteDiff(), 2.0), 5)
    12.0
    """
    args = (x, *contexts)
    plan = prepare(SECOND_DERIVATIVE, f, backend, args, y=y, once=True)
    return plan.execute(*args, out=out, y=y)


def value_derivative_and_second_derivative(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> tuple[Any, Any, Any]:
    """Compute ``(f(x), df/dx, d2f/dx2)`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_second_derivative``; ``out`` is filled with the
    last part if given.
    """
    args = (x, *contexts)
    plan = prepare(SECOND_DERIVATIVE, f, backend, args, y=y, once=True)
    value, first, second = plan.value_derivative_and_second_derivative(*args, out=out, y=y)
    return value, first, second


def lower(engine: Engine, problem: Problem, *, value: bool) -> tuple[Kernel, str]:
    """Push the unit tangent of ``x`` through the derivative."""
    first, inner = derivative_of(engine, problem, DERIVATIVE.build, problem.y)
    at, _ = pushforward(engine, first, value=value)
    one, copy = engine.arrays.one, engine.arrays.copy

    def kernel(x: Any, *contexts: Any) -> Any:
        first, second = at(x, *contexts)(one(problem.x))
        return (copy(problem.call(x, *contexts)), first, second) if value else second

    detail = "" if inner in ("pushforward", "native") else f" ({inner})"
    return kernel, f"derivative of derivative{detail}"


SECOND_DERIVATIVE = Operator(
    name="second_derivative",
    plan=SecondDerivativePlan,
    lower=lower,
    variant="value_derivative_and_second_derivative",
    parts=("y", "y", "y"),
    order=2,
    x="scalar",
    instead="Use hessian or hvp for an x with a shape.",
)
