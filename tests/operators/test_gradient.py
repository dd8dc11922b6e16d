"""Every backend on the scenarios of gradient."""

from difint.testing import check_differentiation
from tests.backends import pairs


@pairs("gradient")
def test_gradient(backend, scenario):
    check_differentiation(backend, scenario)
