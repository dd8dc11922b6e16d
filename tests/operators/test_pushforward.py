"""The table of pushforward, and what is its own."""

from tests.support import OperatorTests


class TestPushforward(OperatorTests):
    operator = "pushforward"
