"""Every backend on the scenarios of hessian."""

from difint.testing import check_differentiation
from tests.backends import pairs


@pairs("hessian")
def test_hessian(backend, scenario):
    check_differentiation(backend, scenario)
