"""Every backend on the scenarios of second_derivative."""

from difint.testing import check_differentiation
from tests.backends import pairs


@pairs("second_derivative")
def test_second_derivative(backend, scenario):
    check_differentiation(backend, scenario)
