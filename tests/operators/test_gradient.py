"""The table of gradient, and what is its own."""

from tests.support import OperatorTests


class TestGradient(OperatorTests):
    operator = "gradient"
