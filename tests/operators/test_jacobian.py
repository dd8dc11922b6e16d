"""The table of jacobian, and what is its own."""

from tests.support import OperatorTests


class TestJacobian(OperatorTests):
    operator = "jacobian"
