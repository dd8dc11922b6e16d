"""Every backend on the scenarios of pullback."""

from difint.testing import check_differentiation
from tests.backends import pairs


@pairs("pullback")
def test_pullback(backend, scenario):
    check_differentiation(backend, scenario)
