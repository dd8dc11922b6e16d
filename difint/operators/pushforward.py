"""Pushforward: the product of the Jacobian with a tangent (JVP)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from difint.backends import Backend
from difint.operator import Operator
from difint.plan import Plan
from difint.planner import prepare
from difint.primitives import pushforward as lower


@final
class PushforwardPlan(Plan):
    """A prepared pushforward: ``execute(x, t, *contexts)`` is ``J(x) t``, like ``f(x)``."""

    __slots__ = ()

    def value_and_pushforward(self, *args: Any, out: Any = None, y: Any = None) -> tuple[Any, Any]:
        """Compute ``(f(x), J(x) t)``; arguments as for ``execute``, ``out`` for the second."""
        value, result = self._with_lower(args, out, y)
        return value, result


def prepare_pushforward(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> PushforwardPlan:
    """Prepare the pushforward of ``f`` along tangents like ``t``.

    Traces and compiles ``f`` where the backend does. The plan keeps the compiled kernel and its
    workspace, nothing of the values of ``x`` and ``t``.

    Args:
        f: ``f(x, *contexts) -> y``, or ``f(y, x, *contexts) -> None`` with ``y=`` given.
        backend: how to differentiate, e.g. ``AutoJax()``.
        x: an example input: an array of any shape, a float, or a tree of them.
        t: an example tangent like ``x``, or a tuple of tangents for a batch.
        contexts: example contexts, wrapped: ``Constant(a)``, ``Cache(buffer)``.
        y: for an in-place ``f``, an array of the output's shape and dtype.
        strict: let ``execute`` check its arguments against these.

    Returns:
        A plan; its ``execute(x, t, *contexts)`` is like ``f(x)``, a tuple for a tuple ``t``.

    Raises:
        ArgumentError: an argument is not what the operator takes.
        UnsupportedError: the backend cannot differentiate such a function.
        BackendUnavailableError: the backend's package is not installed.

    >>> import numpy as np, difint as di
    >>> x, t = np.array([1.0, 3.0]), np.array([1.0, 0.5])
    >>> plan = prepare_pushforward(np.square, di.AutoFiniteDiff(), x, t)
    >>> plan.execute(x, t).round(6)
    array([2., 3.])
    """
    plan: PushforwardPlan = prepare(PUSHFORWARD, f, backend, (x, t, *contexts), y=y, strict=strict)
    return plan


def prepare_pushforward_same_point(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> PushforwardPlan:
    """Prepare the pushforward of ``f`` at this ``x`` and with these contexts.

    What depends on them alone is done now; the plan keeps it, with ``f(x)``.

    Args:
        f: as for ``prepare_pushforward``.
        backend: as for ``prepare_pushforward``.
        x: the point.
        t: an example tangent like ``x``, or a tuple of tangents for a batch.
        contexts: the contexts, wrapped.
        y: as for ``prepare_pushforward``.
        strict: let ``execute`` check its tangent against this one.

    Returns:
        A plan; its ``execute(t, out=None)`` is like ``f(x)``.

    Raises:
        As ``prepare_pushforward``.

    >>> import numpy as np, difint as di
    >>> x, t = np.array([1.0, 3.0]), np.array([1.0, 0.5])
    >>> plan = prepare_pushforward_same_point(np.square, di.AutoFiniteDiff(), x, t)
    >>> plan.execute(2 * t).round(6)
    array([4., 6.])
    """
    plan: PushforwardPlan = prepare(
        PUSHFORWARD, f, backend, (x, t, *contexts), y=y, strict=strict, same_point=True
    )
    return plan


def pushforward(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> Any:
    """Compute the pushforward ``J(x) t`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_pushforward``; ``out`` is filled and returned if
    given.

    >>> import numpy as np, difint as di
    >>> di.pushforward(np.square, di.AutoFiniteDiff(), np.array([1.0, 3.0]), np.ones(2)).round(6)
    array([2., 6.])
    """
    args = (x, t, *contexts)
    return prepare(PUSHFORWARD, f, backend, args, y=y, once=True).execute(*args, out=out, y=y)


def value_and_pushforward(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    """Compute ``(f(x), J(x) t)`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_pushforward``; ``out`` is filled with the second
    part if given.
    """
    args = (x, t, *contexts)
    plan = prepare(PUSHFORWARD, f, backend, args, y=y, once=True)
    value, result = plan.value_and_pushforward(*args, out=out, y=y)
    return value, result


PUSHFORWARD = Operator(
    name="pushforward",
    plan=PushforwardPlan,
    lower=lower,
    variant="value_and_pushforward",
    parts=("y", "y"),
    tangent="x",
)
