"""Finite differences and complex steps.

Sources: Dennis and Schnabel, *Numerical Methods for Unconstrained Optimization and Nonlinear
Equations* (1996), section 5.4, for the steps; Squire and Trapp, SIAM Review 40 (1998), and for
second order Lai and Crassidis, J. Comput. Appl. Math. 219 (2008), for complex steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from difint.engine import Arrays, Engine, Native
from difint.engines.finite_diff import first_order, second_order, steps
from difint.host import NUMPY_ARRAYS
from difint.problem import Problem

if TYPE_CHECKING:
    from difint.backends import AutoFiniteDiff

_NATIVE: dict[str, Native] = {
    "derivative": first_order.derivative,
    "gradient": first_order.gradient,
    "jacobian": first_order.jacobian,
    "second_derivative": second_order.second_derivative,
    "hvp": second_order.hvp,
    "hessian": second_order.hessian,
}


# Of first derivatives and of second ones: what the steps of each scheme leave.
_ACCURACY = {
    "central": (2 / 3, 1 / 2),
    "forward": (1 / 2, 1 / 3),
    "complex_step": (1.0, 2 / 3),
}


def _widths(rule: steps.Steps, arrays: Arrays, problem: Problem) -> Callable[[Any], Any]:
    """Let each entry move by its own step."""
    return rule.sizes(arrays, problem)


def engine(backend: AutoFiniteDiff) -> Engine:
    """Make the engine's record."""
    rule = steps.first_order(backend.scheme, backend.rel_step, backend.abs_step)
    complexifies = backend.scheme == "complex_step"
    first, second = _ACCURACY[backend.scheme]
    return Engine(
        arrays=NUMPY_ARRAYS,
        pushforward=partial(first_order.pushforward, rule),
        native={name: partial(build, rule) for name, build in _NATIVE.items()},
        widths=None if complexifies else partial(_widths, rule),
        inplace=True,
        accuracy=first,
        second_accuracy=second,
        black_box=not complexifies,
        complexifies=complexifies,
    )
