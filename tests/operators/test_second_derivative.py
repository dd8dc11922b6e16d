"""The table of second_derivative, and what is its own."""

from tests.support import OperatorTests


class TestSecondDerivative(OperatorTests):
    operator = "second_derivative"
