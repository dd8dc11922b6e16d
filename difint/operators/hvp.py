"""Hessian-vector product of a function with a scalar value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from difint.backends import Backend
from difint.engine import At, Engine
from difint.operator import Operator
from difint.operators.gradient import GRADIENT
from difint.plan import Plan
from difint.planner import prepare
from difint.primitives import derivative_of
from difint.problem import Problem


@final
class HvpPlan(Plan):
    """A prepared Hessian-vector product: ``execute(x, t, *contexts)`` is ``H(x) t``, like ``x``."""

    __slots__ = ()

    def gradient_and_hvp(self, *args: Any, out: Any = None, y: Any = None) -> tuple[Any, Any]:
        """Compute ``(df/dx, H(x) t)``; arguments as for ``execute``, ``out`` for the second."""
        gradient, result = self._with_lower(args, out, y)
        return gradient, result


def prepare_hvp(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> HvpPlan:
    """Prepare the product of the Hessian of ``f`` with tangents like ``t``.

    Traces and compiles ``f`` where the backend does. The plan keeps the compiled kernel and its
    workspace, nothing of the values of ``x`` and ``t``.

    Args:
        f: ``f(x, *contexts) -> y`` with ``y`` of shape ``()``, or ``f(y, x, *contexts) -> None``
            with ``y=`` given.
        backend: how to differentiate, e.g. ``AutoJax()`` or ``SecondOrder(outer, inner)``.
        x: an example input: an array of any shape, a float, or a tree of them.
        t: an example tangent like ``x``, or a tuple of tangents for a batch.
        contexts: example contexts, wrapped: ``Constant(a)``, ``Cache(buffer)``.
        y: for an in-place ``f``, an array of shape ``()`` and the output's dtype.
        strict: let ``execute`` check its arguments against these.

    Returns:
        A plan; its ``execute(x, t, *contexts)`` is like ``x``, a tuple for a tuple ``t``.

    Raises:
        ArgumentError: an argument is not what the operator takes.
        UnsupportedError: the backend cannot differentiate such a function.
        BackendUnavailableError: the backend's package is not installed.

    >>> import numpy as np, difint as di
    >>> x, t = np.array([1.0, 3.0]), np.array([1.0, 0.0])
    >>> plan = prepare_hvp(lambda x: x[0] * x[1] ** 2, di.AutoFiniteDiff(), x, t)
    >>> plan.execute(x, t).round(4) + 0.0
    array([0., 6.])
    """
    plan: HvpPlan = prepare(HVP, f, backend, (x, t, *contexts), y=y, strict=strict)
    return plan


def prepare_hvp_same_point(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    strict: bool = True,
) -> HvpPlan:
    """Prepare Hessian-vector products of ``f`` at this ``x`` and with these contexts.

    What depends on them alone is done now: the gradient, and its linearization where the
    backend has one. The plan keeps both.

    Args:
        f: as for ``prepare_hvp``.
        backend: as for ``prepare_hvp``.
        x: the point.
        t: an example tangent like ``x``, or a tuple of tangents for a batch.
        contexts: the contexts, wrapped.
        y: as for ``prepare_hvp``.
        strict: let ``execute`` check its tangent against this one.

    Returns:
        A plan; its ``execute(t, out=None)`` is like ``x``.

    Raises:
        As ``prepare_hvp``.

    >>> import numpy as np, difint as di
    >>> x, t = np.array([1.0, 3.0]), np.array([1.0, 0.0])
    >>> plan = prepare_hvp_same_point(lambda x: x[0] * x[1] ** 2, di.AutoFiniteDiff(), x, t)
    >>> plan.execute(2 * t).round(4) + 0.0
    array([ 0., 12.])
    """
    plan: HvpPlan = prepare(HVP, f, backend, (x, t, *contexts), y=y, strict=strict, same_point=True)
    return plan


def hvp(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> Any:
    """Compute the Hessian-vector product ``H(x) t`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_hvp``; ``out`` is filled and returned if given.

    >>> import numpy as np, difint as di
    >>> di.hvp(lambda x: (x**3).sum(), di.AutoFiniteDiff(), np.ones(2), np.ones(2)).round(4)
    array([6., 6.])
    """
    args = (x, t, *contexts)
    return prepare(HVP, f, backend, args, y=y, once=True).execute(*args, out=out, y=y)


def gradient_and_hvp(
    f: Callable[..., Any],
    backend: Backend,
    x: Any,
    t: Any,
    *contexts: Any,
    y: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    """Compute ``(df/dx, H(x) t)`` once, and keep nothing.

    Arguments and exceptions as for ``prepare_hvp``; ``out`` is filled with the second part if
    given.
    """
    args = (x, t, *contexts)
    plan = prepare(HVP, f, backend, args, y=y, once=True)
    gradient, result = plan.gradient_and_hvp(*args, out=out, y=y)
    return gradient, result


def lower(engine: Engine, problem: Problem, *, value: bool, reuse: bool = False) -> tuple[At, str]:
    """Push ``t`` through the gradient; without a pushforward pull it back, by symmetry of ``H``."""
    gradient, inner = derivative_of(engine, problem, GRADIENT.build, problem.x)
    detail = "" if inner in ("pullback", "native") else f" ({inner})"
    name = "pushforward" if engine.pushforward is not None else "pullback"
    build = getattr(engine, name)
    return build(engine.arrays, gradient, value=value, reuse=reuse), f"{name} of gradient{detail}"


HVP = Operator(
    name="hvp",
    plan=HvpPlan,
    lower=lower,
    variant="gradient_and_hvp",
    parts=("x", "x"),
    tangent="x",
    order=2,
    y="scalar",
    instead="Let f return a scalar (y.sum(), y[0]).",
)
