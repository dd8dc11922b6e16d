import numpy as np
import pytest

import difint as di
from difint.cli.demo import reference_end, scaled_error
from difint.cli.problems import PROBLEMS, robertson

by_name = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)


def points(problem):
    rng = np.random.default_rng(0)
    return [np.array(problem.y0), np.array(problem.published), rng.random(len(problem.y0))]


@by_name
def test_equations_lead_to_the_published_end_values(problem):
    """The published values are independent of this code: a wrong coefficient shows."""
    end = reference_end(problem)
    assert scaled_error(end, problem.published) < 1e-11
    # The scaled error hardly sees entries such as 4e-18.
    np.testing.assert_allclose(end, problem.published, rtol=1e-9)


@by_name
def test_record_is_consistent(problem):
    y0 = np.array(problem.y0)
    assert problem.in_numpy(y0).shape == y0.shape == (len(problem.published),)
    assert problem.t_span[0] < problem.t_span[1]


@by_name
def test_jax_form_is_the_numpy_form(problem):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        for y in points(problem):
            expected = problem.in_numpy(y)
            np.testing.assert_allclose(problem.in_jax(jax.numpy.asarray(y)), expected, rtol=1e-12)


@by_name
def test_jacobians_of_the_two_forms_agree(problem):
    pytest.importorskip("jax")
    y0 = np.array(problem.y0)
    traced = di.prepare_jacobian(problem.in_jax, di.AutoJax(x64=True), y0)
    stepped = di.prepare_jacobian(problem.in_numpy, di.AutoFiniteDiff("complex_step"), y0)
    for y in points(problem):
        np.testing.assert_allclose(traced.execute(y), stepped.execute(y), rtol=1e-12)


def test_robertson_conserves_mass():
    assert sum(robertson(0.5, 1e-5, 0.3)) == pytest.approx(0.0, abs=1e-15)
