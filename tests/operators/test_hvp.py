"""The table of hvp, and what is its own."""

from tests.support import OperatorTests


class TestHvp(OperatorTests):
    operator = "hvp"
