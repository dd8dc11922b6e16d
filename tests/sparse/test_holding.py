"""Plans whose pattern follows integers in contexts refuse others, in every way they are called."""

import numpy as np
import pytest

import difint as di

X = np.linspace(0.5, 2.0, 6)
NEAR, FAR = np.array([1, 2, 3, 4, 5, 0]), np.array([2, 3, 4, 5, 0, 1])
BACKENDS = pytest.mark.parametrize("dense", [di.AutoFiniteDiff(), di.AutoNumba()], ids=repr)


def gathered(x, index, weight):
    return x * x[index] * weight


def contexts(index, weight=1.0):
    return di.Constant(index), di.Constant(weight)


@BACKENDS
def test_other_indices_are_refused(dense):
    plan = di.prepare_jacobian(gathered, di.AutoSparse(dense), X, *contexts(NEAR))
    J = plan.execute(X, *contexts(NEAR.copy(), 3.0))
    expected = 3 * (np.diag(X[NEAR]) + np.diag(X) @ np.eye(6)[NEAR])
    np.testing.assert_allclose(J.toarray(), expected, rtol=1e-6)
    words = (
        r"context 0 has other integers than the pattern was found with\n.*\[1 2 3 4 5 0\]\n.*\[2"
    )
    for call in (
        lambda: plan.execute(X, *contexts(FAR)),
        lambda: plan.execute(X, *contexts(FAR), out=J),
        lambda: plan.value_and_jacobian(X, *contexts(FAR)),
        lambda: plan.value_and_jacobian(X, *contexts(FAR), out=J),
    ):
        with pytest.raises(di.PreparationMismatchError, match=words):
            call()
    index = NEAR.copy()
    step = plan.bind(X, *contexts(index), out=J)
    step()
    index[:] = FAR
    with pytest.raises(di.PreparationMismatchError, match=words):
        step()


@BACKENDS
def test_flags_are_held_in_trees_too(dense):
    def f(x, settings):
        flags, scale = settings
        return x[::-1] * scale if flags else x * scale

    plan = di.prepare_jacobian(f, di.AutoSparse(dense), X, di.Constant((True, 2.0)))
    assert plan.execute(X, di.Constant((True, 3.0))).nnz == 6
    with pytest.raises(di.PreparationMismatchError, match="expected  True\n  got       False"):
        plan.execute(X, di.Constant((False, 2.0)))


@BACKENDS
def test_a_known_pattern_takes_all_integers(dense):
    backend = di.AutoSparse(dense, di.KnownSparsityDetector(np.ones((6, 6))))
    plan = di.prepare_jacobian(gathered, backend, X, *contexts(NEAR))
    np.testing.assert_allclose(
        plan.execute(X, *contexts(FAR)).toarray(),
        di.jacobian(gathered, dense, X, *contexts(FAR)),
        rtol=1e-6,
        atol=1e-6,
    )


def test_a_plan_says_that_its_pattern_is_local():
    local = di.TracerSparsityDetector(local=True)
    plan = di.prepare_jacobian(np.cumsum, di.AutoSparse(di.AutoFiniteDiff(), local), X)
    assert plan.info.sparsity.endswith("; pattern local to the example")
    plan = di.prepare_jacobian(np.cumsum, di.AutoSparse(di.AutoFiniteDiff()), X)
    assert "local" not in plan.info.sparsity
