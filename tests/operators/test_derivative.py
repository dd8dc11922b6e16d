"""The table of derivative, and what is its own."""

from tests.support import OperatorTests


class TestDerivative(OperatorTests):
    operator = "derivative"
