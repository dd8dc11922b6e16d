"""Every backend on the scenarios of pushforward."""

from difint.testing import check_differentiation
from tests.backends import pairs


@pairs("pushforward")
def test_pushforward(backend, scenario):
    check_differentiation(backend, scenario)
