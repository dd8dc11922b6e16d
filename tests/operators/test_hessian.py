"""The table of hessian, and what is its own."""

from tests.support import OperatorTests


class TestHessian(OperatorTests):
    operator = "hessian"
