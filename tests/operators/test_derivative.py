"""Every backend on the scenarios of derivative."""

from difint.testing import check_differentiation
from tests.backends import pairs


@pairs("derivative")
def test_derivative(backend, scenario):
    check_differentiation(backend, scenario)
