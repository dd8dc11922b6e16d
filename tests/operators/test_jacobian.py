"""Every backend on the scenarios of jacobian."""

from difint.testing import check_differentiation
from tests.backends import pairs


@pairs("jacobian")
def test_jacobian(backend, scenario):
    check_differentiation(backend, scenario)
