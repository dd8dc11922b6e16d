"""Detectors: what they find, and what they say that they do not."""

import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import difint as di
from difint.sparse import Pattern, SparsityDetector
from tests.sparse.problems import arrow, arrow_pattern, banded, bratu, chained

X = np.sin(1.0 + np.arange(9))
METHODS = pytest.mark.parametrize("method", ["jacobian", "nan"])
ENGINES = {di.AutoFiniteDiff("complex_step"): np, di.AutoNumba(): np, di.AutoJax(): jnp}


def found(operator, f, dense, x, *contexts, **options):
    backend = di.AutoSparse(dense, di.DenseSparsityDetector(**options))
    return getattr(di, f"prepare_{operator}")(f, backend, x, *contexts).pattern


@METHODS
@pytest.mark.parametrize("dense", ENGINES, ids=repr)
def test_patterns_are_found(method, dense):
    xp = ENGINES[dense]
    assert found("jacobian", arrow(xp), dense, X, method=method) == arrow_pattern(9)
    # The first entry times zero, at the border, is NaN where the entry is.
    border = Pattern.of(([8], [0]) if method == "nan" else ([], []), (9, 9))
    tridiagonal = banded(9, -1, 0, 1).joined(border)
    assert found("jacobian", bratu(xp), dense, X, method=method) == tridiagonal
    if method == "jacobian" or xp is jnp:  # forward mode multiplies zeros with NaN
        assert found("hessian", chained(xp), dense, X, method=method) == banded(9, -1, 0, 1)


@METHODS
def test_linear_parts_have_no_second_derivatives(method):
    pattern = found("hessian", lambda x: jnp.sum(x) + x[0] * x[2], di.AutoJax(), X, method=method)
    assert pattern == Pattern.of(([0, 2], [2, 0]), (9, 9))


def test_other_points_see_what_is_zero_at_one():
    def f(x):
        return x * x[0]

    x = np.zeros(3)
    assert found("jacobian", f, di.AutoJax(), x, samples=1).nnz == 0
    assert found("jacobian", f, di.AutoJax(), x, samples=2).nnz == 5


def test_nan_sees_what_happens_to_be_zero():
    assert found("jacobian", lambda x: x * x[0], di.AutoJax(), np.zeros(3), method="nan").nnz == 5


def test_detection_is_local_and_the_check_at_another_point_says_so():
    def f(x):
        return jnp.where(x > 2, x[::-1] * x, x)

    plan = di.prepare_jacobian(f, di.AutoSparse(di.AutoJax(), di.DenseSparsityDetector()), X)
    assert plan.pattern == banded(9, 0)
    with pytest.raises(di.SparsityError, match="lacks entries in rows"):
        plan.verify(X + 5)


def test_contexts_are_passed_on():
    scale = di.Constant(np.array([1.0, 0.0, 2.0]))
    pattern = found("jacobian", lambda x, c: c * x, di.AutoJax(), X[:3], scale)
    assert pattern == Pattern.of(np.diag([1, 0, 1]))


def test_detectors_are_plain_data():
    known = di.KnownSparsityDetector(np.eye(3))
    assert pickle.loads(pickle.dumps(known)) == known
    assert known == di.KnownSparsityDetector(banded(3, 0))
    assert known != di.KnownSparsityDetector(banded(3, 1))
    assert hash(di.DenseSparsityDetector()) == hash(di.DenseSparsityDetector("jacobian", 3, 0))
    assert repr(known) == "KnownSparsityDetector(Pattern(3 x 3, 3 entries))"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "tracer"}, "method is not one of its choices"),
        ({"samples": 0}, "samples is not a size"),
    ],
)
def test_wrong_choices_are_refused(wrong, words):
    with pytest.raises(di.ArgumentError, match=words):
        di.DenseSparsityDetector(**wrong)


def test_a_detector_from_outside():
    class Everything(SparsityDetector):
        def jacobian(self, engine, problem, occasion):
            return Pattern.of(np.ones((problem.y_form.size, problem.x_form.size)))

        def hessian(self, engine, problem, occasion):
            return Pattern.of(np.ones((problem.x_form.size,) * 2))

    plan = di.prepare_jacobian(bratu(jnp), di.AutoSparse(di.AutoJax(), Everything()), X)
    assert plan.route == "pushforward × 9"
