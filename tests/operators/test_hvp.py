"""Every backend on the scenarios of hvp."""

from difint.testing import check_differentiation
from tests.backends import pairs


@pairs("hvp")
def test_hvp(backend, scenario):
    check_differentiation(backend, scenario)
