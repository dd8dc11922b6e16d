"""Patterns of a sample of CUTEst problems; ``tests.benchmarks.cutest`` goes through all of them."""

import numpy as np
import pytest

import difint as di
from tests.engines import cutest_problems

PROBLEMS = cutest_problems.problems()
NAMES = """
ARGLINA BATCH BQPGASIM CHNROSNB HADAMARD HATFLDC HATFLDG HS111LNP LEVYMONT10 ODFITS TENBARS1 TRO3X3
""".split()
LAGRANGIANS = "BATCH HATFLDG HS111LNP ODFITS TENBARS1 TRO3X3".split()
CANCELLED = {"ARGLINA"}  # a sum of squares, whose mixed derivatives cancel


def check(name, curved):
    case = cutest_problems.case_of(name, PROBLEMS[name], curved=curved)
    find = di.hessian_pattern if case.curved else di.jacobian_pattern
    found = find(case.f, di.AutoJax(), case.x).toarray()
    nonzero, number = cutest_problems.truth(case, 8)
    assert number.all()
    assert not (nonzero & ~found).any()
    if name not in CANCELLED:
        np.testing.assert_array_equal(found, nonzero)


@pytest.mark.parametrize("name", NAMES)
def test_objectives_and_constraints(name):
    check(name, curved=False)


@pytest.mark.parametrize("name", LAGRANGIANS)
def test_lagrangians(name):
    check(name, curved=True)


def test_all_problems_are_found():
    assert len(PROBLEMS) > 800
    assert "S316_322" in PROBLEMS
