"""The table of pullback, and what is its own."""

from tests.support import OperatorTests


class TestPullback(OperatorTests):
    operator = "pullback"
