"""Jacobian: the matrix of all first derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from difint.backends import Backend
from difint.engine import Engine, Kernel
from difint.matrix_plan import MatrixPlan
from difint.operator import Operator
from difint.planner import prepare
from difint.problem import Problem
from difint.sweep import count, sweep


@final
class JacobianPlan(MatrixPlan):
    """A prepared Jacobian: ``execute(x, *contexts)`` is the matrix ``J[i, j] = dy_i / dx_j``."""

    __slots__ = ()

    def value_and_jacobian(self, *args: Any, out: Any = None, y: Any = None) -> tuple[Any, Any]:
        """Compute ``(f(x), J(x))``; arguments as for ``execute``, ``out`` for the second."""
        value, result = self._with_lower(args, out, y)
        return value, result


def prepare_jacobian(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> JacobianPlan:
    """Prepare the Jacobian of ``f`` at inputs like ``x``.

    Traces and compiles ``f`` where the backend does. The plan keeps the compiled kernel and its
    workspace, nothing of the values of ``x``.

    Args:
        f: ``f(x, *contexts) -> y``, or ``f(y, x, *contexts) -> None`` with ``y=`` given.
        backend: how to differentiate, e.g. ``AutoJax()``.
        x: an example input: an array of any shape.
        contexts: example contexts, wrapped: ``Constant(a)``, ``Cache(buffer)``.
        y: for an in-place ``f``, an array of the output's shape and dtype.
        strict: let ``execute`` check its arguments against these.

    Returns:
        A plan; its ``execute(x, *contexts)`` is the matrix ``J[i, j] = dy_i / dx_j`` of shape
        ``(y.size, x.size)`` and of the dtype of ``y``, both raveled in C order.

    Raises:
        ArgumentError: an argument is not what the operator takes.
        UnsupportedError: the backend cannot differentiate such a function.
        BackendUnavailableError: the backend's package is not installed.

    >>> import numpy as np, difint as di
    >>> plan = prepare_jacobian(np.square, di.AutoFiniteDiff(), np.ones(2))
    >>> plan.execute(np.array([1.0, 3.0])).round(6)
    array([[2., 0.],
           [0., 6.]])
    """
    plan: JacobianPlan = prepare(JACOBIAN, f, backend, (x, *contexts), y=y, strict=strict)
    return plan


def jacobian(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> Any:
    """Compute the Jacobian matrix once, and keep nothing.

    Arguments and exceptions as for ``prepare_jacobian``; ``out`` is filled and returned if
    given.

    >>> import numpy as np, difint as di
    >>> di.jacobian(np.cumsum, di.AutoFiniteDiff(), np.ones(2)).round(6)
    array([[1., 0.],
           [1., 1.]])
    """
    args = (x, *contexts)
    return prepare(JACOBIAN, f, backend, args, y=y, once=True).execute(*args, out=out, y=y)


def value_and_jacobian(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    """Compute ``(f(x), J(x))`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_jacobian``; ``out`` is filled with the second part
    if given.
    """
    args = (x, *contexts)
    plan = prepare(JACOBIAN, f, backend, args, y=y, once=True)
    value, result = plan.value_and_jacobian(*args, out=out, y=y)
    return value, result


def lower(engine: Engine, problem: Problem, *, value: bool) -> tuple[Kernel, str]:
    """Sweep a basis of ``x`` forward or of ``y`` back, whichever costs less."""
    arrays = engine.arrays
    columns, rows = count(arrays, problem.x), count(arrays, problem.y)
    forward = engine.pullback is None or columns <= engine.pullback_cost * rows
    if engine.pushforward is not None and forward:
        push = engine.pushforward(arrays, problem, value=value)

        def by_columns(x: Any, *contexts: Any) -> Any:
            y, transposed = sweep(arrays, push(x, *contexts), problem.x)
            matrix = arrays.transpose(transposed)
            return (y, matrix) if value else matrix

        return by_columns, f"pushforward × {columns}"
    assert engine.pullback is not None, "an engine has one of the two primitives"
    pull = engine.pullback(arrays, problem, value=value)

    def by_rows(x: Any, *contexts: Any) -> Any:
        y, swept = sweep(arrays, pull(x, *contexts), problem.y)
        matrix = arrays.cast(swept, problem.y)
        return (y, matrix) if value else matrix

    return by_rows, f"pullback × {rows}"


JACOBIAN = Operator(
    name="jacobian",
    plan=JacobianPlan,
    lower=lower,
    variant="value_and_jacobian",
    parts=("y", "y,x"),
    x="array",
    y="array",
    instead="Use derivative for a scalar x.",
)
