"""Pullback: the product of the transposed Jacobian with a cotangent (VJP)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from difint.backends import Backend
from difint.operator import Operator
from difint.plan import Plan
from difint.planner import prepare
from difint.primitives import pullback as lower


@final
class PullbackPlan(Plan):
    """A prepared pullback: ``execute(x, t, *contexts)`` is ``J(x)^T t``, like ``x``."""

    __slots__ = ()

    def value_and_pullback(self, *args: Any, out: Any = None, y: Any = None) -> tuple[Any, Any]:
        """Compute ``(f(x), J(x)^T t)``; arguments as for ``execute``, ``out`` for the second."""
        value, result = self._with_lower(args, out, y)
        return value, result


def prepare_pullback(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> PullbackPlan:
    """Prepare the pullback of ``f`` along cotangents like ``t``.

    Traces and compiles ``f`` where the backend does. The plan keeps the compiled kernel and its
    workspace, nothing of the values of ``x`` and ``t``.

    Args:
        f: ``f(x, *contexts) -> y``, or ``f(y, x, *contexts) -> None`` with ``y=`` given.
        backend: how to differentiate, e.g. ``AutoJax()``.
        x: an example input: an array of any shape, a float, or a tree of them.
        t: an example cotangent like ``f(x)``, or a tuple of cotangents for a batch.
        contexts: example contexts, wrapped: ``Constant(a)``, ``Cache(buffer)``.
        y: for an in-place ``f``, an array of the output's shape and dtype.
        strict: let ``execute`` check its arguments against these.

    Returns:
        A plan; its ``execute(x, t, *contexts)`` is like ``x``, a tuple for a tuple ``t``.

    Raises:
        ArgumentError: an argument is not what the operator takes.
        UnsupportedError: the backend cannot differentiate such a function.
        BackendUnavailableError: the backend's package is not installed.

    >>> import numpy as np, difint as di
    >>> x, t = np.array([1.0, 3.0]), np.array([1.0, 0.5])
    >>> plan = prepare_pullback(np.cumsum, di.AutoFiniteDiff(), x, t)
    >>> plan.execute(x, t).round(6)
    array([1.5, 0.5])
    """
    plan: PullbackPlan = prepare(PULLBACK, f, backend, (x, t, *contexts), y=y, strict=strict)
    return plan


def prepare_pullback_same_point(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> PullbackPlan:
    """Prepare the pullback of ``f`` at this ``x`` and with these contexts.

    What depends on them alone is done now: in reverse mode the primal sweep, whose intermediate
    results the plan keeps, with ``f(x)``.

    Args:
        f: as for ``prepare_pullback``.
        backend: as for ``prepare_pullback``.
        x: the point.
        t: an example cotangent like ``f(x)``, or a tuple of cotangents for a batch.
        contexts: the contexts, wrapped.
        y: as for ``prepare_pullback``.
        strict: let ``execute`` check its cotangent against this one.

    Returns:
        A plan; its ``execute(t, out=None)`` is like ``x``.

    Raises:
        As ``prepare_pullback``.

    >>> import numpy as np, difint as di
    >>> x, t = np.array([1.0, 3.0]), np.array([1.0, 0.5])
    >>> plan = prepare_pullback_same_point(np.cumsum, di.AutoFiniteDiff(), x, t)
    >>> plan.execute(2 * t).round(6)
    array([3., 1.])
    """
    plan: PullbackPlan = prepare(
        PULLBACK, f, backend, (x, t, *contexts), y=y, strict=strict, same_point=True
    )
    return plan


def pullback(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> Any:
    """Compute the pullback ``J(x)^T t`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_pullback``; ``out`` is filled and returned if
    given.

    >>> import numpy as np, difint as di
    >>> di.pullback(np.cumsum, di.AutoFiniteDiff(), np.ones(2), np.ones(2)).round(6)
    array([2., 1.])
    """
    args = (x, t, *contexts)
    return prepare(PULLBACK, f, backend, args, y=y, once=True).execute(*args, out=out, y=y)


def value_and_pullback(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    """Compute ``(f(x), J(x)^T t)`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_pullback``; ``out`` is filled with the second part
    if given.
    """
    args = (x, t, *contexts)
    plan = prepare(PULLBACK, f, backend, args, y=y, once=True)
    value, result = plan.value_and_pullback(*args, out=out, y=y)
    return value, result


PULLBACK = Operator(
    name="pullback",
    plan=PullbackPlan,
    lower=lower,
    variant="value_and_pullback",
    parts=("y", "x"),
    tangent="y",
)
