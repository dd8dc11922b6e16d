"""The eight operators, one a file; and their table."""

from difint.operators.derivative import DERIVATIVE
from difint.operators.gradient import GRADIENT
from difint.operators.hessian import HESSIAN
from difint.operators.hvp import HVP
from difint.operators.jacobian import JACOBIAN
from difint.operators.pullback import PULLBACK
from difint.operators.pushforward import PUSHFORWARD
from difint.operators.second_derivative import SECOND_DERIVATIVE

OPERATORS = {
    one.name: one
    for one in (
        PUSHFORWARD,
        PULLBACK,
        DERIVATIVE,
        GRADIENT,
        JACOBIAN,
        SECOND_DERIVATIVE,
        HVP,
        HESSIAN,
    )
}
"""Every operator, by name."""
