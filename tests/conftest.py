import os

import pytest

# Before JAX is imported: the tables hold float64 cases; 32-bit mode has tests of its own.
os.environ["JAX_ENABLE_X64"] = "1"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    from tests.support import OperatorTests, cases_of

    if metafunc.cls is not None and issubclass(metafunc.cls, OperatorTests):
        listed = cases_of(metafunc.cls.operator, metafunc.function.__name__)
        metafunc.parametrize("case", listed, ids=str)
