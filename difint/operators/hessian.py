"""Hessian: the matrix of all second derivatives of a function with a scalar value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from difint.backends import Backend
from difint.engine import Engine, Kernel
from difint.matrix_plan import MatrixPlan
from difint.operator import Operator
from difint.operators.hvp import HVP
from difint.planner import prepare
from difint.problem import Problem
from difint.sweep import count, sweep


@final
class HessianPlan(MatrixPlan):
    """A prepared Hessian: ``execute(x, *contexts)`` is ``H[i, j] = d2f / dx_i dx_j``."""

    __slots__ = ()

    def value_gradient_and_hessian(
        self, *args: Any, out: Any = None, y: Any = None
    ) -> tuple[Any, Any, Any]:
        """Compute ``(f(x), df/dx, H(x))``; arguments as for ``execute``, ``out`` for the last."""
        value, gradient, result = self._with_lower(args, out, y)
        return value, gradient, result


def prepare_hessian(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> HessianPlan:
    """Prepare the Hessian of ``f`` at inputs like ``x``.

    Traces and compiles ``f`` where the backend does. The plan keeps the compiled kernel and its
    workspace, nothing of the values of ``x``.

    Args:
        f: ``f(x, *contexts) -> y`` with ``y`` of shape ``()``, or ``f(y, x, *contexts) -> None``
            with ``y=`` given.
        backend: how to differentiate, e.g. ``AutoJax()`` or ``SecondOrder(outer, inner)``.
        x: an example input: an array of any shape.
        contexts: example contexts, wrapped: ``Constant(a)``, ``Cache(buffer)``.
        y: for an in-place ``f``, an array of shape ``()`` and the output's dtype.
        strict: let ``execute`` check its arguments against these.

    Returns:
        A plan; its ``execute(x, *contexts)`` is the matrix ``H[i, j] = d2f / dx_i dx_j`` of
        shape ``(x.size, x.size)`` and of the dtype of ``x``, raveled in C order.

    Raises:
        ArgumentError: an argument is not what the operator takes.
        UnsupportedError: the backend cannot differentiate such a function.
        BackendUnavailableError: the backend's package is not installed.

    >>> import numpy as np, difint as di
    >>> plan = prepare_hessian(lambda x: x[0] * x[1] ** 2, di.AutoFiniteDiff(), np.ones(2))
    >>> plan.execute(np.array([1.0, 3.0])).round(4) + 0.0
    array([[0., 6.],
           [6., 2.]])
    """
    plan: HessianPlan = prepare(HESSIAN, f, backend, (x, *contexts), y=y, strict=strict)
    return plan


def hessian(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> Any:
    """Compute the Hessian matrix once, and keep nothing.

    Arguments and exceptions as for ``prepare_hessian``; ``out`` is filled and returned if
    given.

    >>> import numpy as np, difint as di
    >>> di.hessian(lambda x: (x**3).sum(), di.AutoFiniteDiff(), np.ones(2)).round(4) + 0.0
    array([[6., 0.],
           [0., 6.]])
    """
    args = (x, *contexts)
    return prepare(HESSIAN, f, backend, args, y=y, once=True).execute(*args, out=out, y=y)


def value_gradient_and_hessian(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> tuple[Any, Any, Any]:
    """Compute ``(f(x), df/dx, H(x))`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_hessian``; ``out`` is filled with the last part if
    given.
    """
    args = (x, *contexts)
    plan = prepare(HESSIAN, f, backend, args, y=y, once=True)
    value, gradient, result = plan.value_gradient_and_hessian(*args, out=out, y=y)
    return value, gradient, result


def lower(engine: Engine, problem: Problem, *, value: bool) -> tuple[Kernel, str]:
    """Sweep a basis of ``x`` through the Hessian-vector product."""
    arrays = engine.arrays
    at, route = HVP.build(engine, problem, value=value)

    def kernel(x: Any, *contexts: Any) -> Any:
        y = arrays.copy(problem.call(x, *contexts)) if value else None
        gradient, rows = sweep(arrays, at(x, *contexts), problem.x)
        return (y, gradient, rows) if value else rows

    return kernel, f"({route}) × {count(arrays, problem.x)}"


HESSIAN = Operator(
    name="hessian",
    plan=HessianPlan,
    lower=lower,
    variant="value_gradient_and_hessian",
    parts=("y", "x", "x,x"),
    order=2,
    x="array",
    y="scalar",
    instead="Let f return a scalar (y.sum(), y[0]); use second_derivative for a scalar x.",
)
