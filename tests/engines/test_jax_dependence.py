"""Patterns of JAX functions: never less than what is not zero, and no more where that is known."""

import os
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax import lax

import difint as di
from difint.cli import brusselator
from difint.dependence.arrays import Dependent
from difint.dependence.sets import Sets
from difint.engines.jax.dependence import Interpreter, constant_of, loops
from tests.engines.jax_functions import FUNCTIONS, WIDE, WIDE_HESSIANS
from tests.engines.jax_programs import SIZE, programs
from tests.sparse.problems import banded

LOCAL = di.AutoSparse(di.AutoJax(), di.TracerSparsityDetector(local=True))
LACKING = {"igamma", "cg"}  # second derivatives that JAX lacks
SLOW = {"odeint", "expm"}  # to compile
# Functions that decide by values, and one each of those that do not.
DECIDING = (WIDE - SLOW) | set(
    "where condx switch clip relu abs sign round ste sterev interp while whileunk poolmax".split()
    + "fori scan20ctr dyn matmul conv bcoo einsum cumprod det tril zeromul random softmax".split()
    + [name for name in FUNCTIONS if name.startswith("where ")]
) & FUNCTIONS.keys()


def flat(f):
    def g(x):
        leaves = [jnp.ravel(leaf).astype(x.dtype) for leaf in jax.tree.leaves(f(x))]
        return jnp.concatenate(leaves)

    return g


def summed(f):
    def g(x):
        y = f(x)
        return jnp.sum(jnp.sin(1.0 + jnp.arange(y.size)) * y)

    return g


def nonzero(derivatives, points):
    """Look where the first of some derivatives that works is not zero, at any of some points."""
    for derivative in derivatives:
        try:
            values = jax.jit(lambda points, d=derivative: lax.map(d, points))(jnp.asarray(points))
        except (TypeError, ValueError, NotImplementedError):
            continue
        return (np.asarray(values) != 0).any(0)
    raise AssertionError("no derivative works")


def check(pattern, truth, exact):
    found = pattern.toarray()
    assert not (truth & ~found).any()
    if exact:
        assert not (found & ~truth).any()


def points(count, seed=0):
    return 2 * np.random.default_rng(seed).normal(size=(count, 8))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians(name):
    f = flat(FUNCTIONS[name])
    with warnings.catch_warnings(action="error"):
        pattern = di.jacobian_pattern(f, di.AutoJax(), points(1)[0])
    truth = nonzero([jax.jacrev(f), jax.jacfwd(f)], points(16))
    check(pattern, truth, name not in WIDE)


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - LACKING - SLOW))
def test_hessians(name):
    f = summed(flat(FUNCTIONS[name]))
    pattern = di.hessian_pattern(f, di.AutoJax(), points(1)[0])
    second = [jax.jacfwd(jax.jacrev(f)), jax.jacrev(jax.jacrev(f)), jax.jacfwd(jax.jacfwd(f))]
    check(pattern, nonzero(second, points(16)), name not in WIDE_HESSIANS)
    assert pattern.is_symmetric


@pytest.mark.parametrize("name", sorted(DECIDING))
def test_local_patterns_hold_near_the_point(name):
    f, x = flat(FUNCTIONS[name]), points(1)[0]
    pattern = di.jacobian_pattern(f, LOCAL, x)
    near = x * (1 + 1e-9 * np.random.default_rng(1).normal(size=(4, 8)))
    check(pattern, nonzero([jax.jacrev(f), jax.jacfwd(f)], near), exact=False)


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - SLOW))
def test_local_values_are_those_at_the_point(name):
    f, x = flat(FUNCTIONS[name]), jnp.asarray(points(1)[0])
    jaxpr = jax.make_jaxpr(lambda x: (f(x), x))(x)
    sets = Sets(8, local=True)
    constants = [constant_of(one) for one in jaxpr.consts]
    entries = Dependent(sets.entries((8,)), None, np.asarray(x))
    with np.errstate(all="ignore"):
        found, _ = Interpreter(sets).run(jaxpr.jaxpr, constants, [entries])
    if found.value is not None:
        np.testing.assert_allclose(found.value, f(x), rtol=1e-6, atol=1e-9)


def chosen(x):
    largest = lax.cond(x[0] > 0, lambda: x[1], lambda: x[2] ** 2)
    return jnp.stack([jnp.where(x[3] > x[4], x[3], x[4] * x[5]), largest, x[jnp.argmax(x)]])


def test_local_patterns_follow_values():
    x = np.array([1.0, 2.0, 3.0, 4.0, 0.0, 5.0, 9.0, 7.0])
    pattern = di.jacobian_pattern(chosen, LOCAL, x)
    assert sorted(zip(pattern.indices, pattern.columns, strict=True)) == [(0, 3), (1, 1), (2, 6)]
    assert di.jacobian_pattern(chosen, di.AutoJax(), x).nnz == 3 + 2 + 8


BRUSSELATOR = 12


def chained(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_patterns_of_problems_are_exact():
    y = np.ones(2 * BRUSSELATOR**2)
    found = di.jacobian_pattern(brusselator.in_jax(BRUSSELATOR), di.AutoJax(), y)
    assert found == brusselator.pattern(BRUSSELATOR)
    assert di.hessian_pattern(chained, di.AutoJax(), np.ones(9)) == banded(9, -1, 0, 1)


@pytest.mark.parametrize("shape", [(0,), (1,), (), (2, 3)])
def test_sizes(shape):
    x = jnp.ones(shape)
    diagonal = di.jacobian_pattern(lambda x: jnp.sin(x) * x, di.AutoJax(), jnp.ones((*shape, 1)))
    assert diagonal == banded(x.size, 0)
    assert di.hessian_pattern(lambda x: jnp.sum(x**3), di.AutoJax(), jnp.ones((*shape, 1))).nnz == (
        x.size
    )
    narrow = x.astype(jnp.float32).reshape(*shape, 1)
    assert di.jacobian_pattern(jnp.cumsum, di.AutoJax(), narrow).nnz == x.size * (x.size + 1) // 2


def test_contexts_are_not_taken_for_known():
    def f(x, mask, index):
        return jnp.where(mask, x, x[::-1]) + mask * x[index]

    args = (jnp.ones(4), di.Constant(jnp.zeros(4)), di.Constant(jnp.array(2)))
    assert di.jacobian_pattern(f, di.AutoJax(), *args).nnz == 16
    assert di.jacobian_pattern(f, LOCAL, *args).nnz == 4 + 3  # a zero mask is not zero forever


def test_loops_of_any_length_are_followed(monkeypatch):
    def grown(rounds):
        def f(x):
            return lax.fori_loop(0, rounds, lambda i, y: y.at[i % 30].set(x[i % 30] ** 2), x)

        return di.jacobian_pattern(f, di.AutoJax(), jnp.ones(30))

    assert grown(30) == grown(90) == banded(30, 0)
    monkeypatch.setattr(loops, "MOST_STEPS", 500)
    with pytest.warns(UserWarning, match="through a loop of 900 rounds"):
        assert grown(900).nnz == 30 * 30  # sound: it is not followed to its end


def diffused(rounds):
    def f(x):
        return lax.scan(lambda c, _: (c + 0.1 * jnp.roll(c, 1), c[0]), x, None, length=rounds)[0]

    return di.jacobian_pattern(f, di.AutoJax(), jnp.ones(30))


def test_scans_are_exact_and_stop_where_nothing_changes():
    for rounds in (3, 9, 20):
        assert diffused(rounds) == banded_around(30, rounds)
    assert diffused(10**6).nnz == 900


def banded_around(size, below):
    rows = np.repeat(np.arange(size), below + 1)
    columns = (rows - np.tile(np.arange(below + 1), size)) % size
    return di.sparse.Pattern.of((rows, columns), (size, size))


def test_unknown_primitives_are_dense_with_one_warning():
    strange = jax.extend.core.Primitive("strange")
    strange.def_impl(lambda x: x)
    strange.def_abstract_eval(lambda x: x)

    def f(x):
        return jnp.concatenate([strange.bind(x[:2]), strange.bind(x[2:3]), x[3:] ** 2])

    with pytest.warns(UserWarning) as caught:
        pattern = di.jacobian_pattern(f, di.AutoJax(), jnp.ones(5))
    assert len(caught) == 1 and caught[0].filename == __file__
    text = str(caught[0].message)
    assert text.startswith("jacobian: which entries depend on which is not followed")
    assert "through strange:" in text and "KnownSparsityDetector(pattern)" in text
    assert pattern.nnz == 4 + 1 + 2


def test_mutable_arrays_make_patterns_dense():
    def f(x):
        work = jax.new_ref(jnp.zeros(3))
        work[1] = x[0] * x[1]
        return work[...] + x

    with pytest.warns(UserWarning, match=r"writes to mutable arrays \(new_ref\)") as caught:
        pattern = di.jacobian_pattern(f, di.AutoJax(), jnp.ones(3))
    assert len(caught) == 1 and caught[0].filename == __file__
    assert pattern.nnz == 9


def test_the_default_detector_serves_plans():
    plan = di.prepare_jacobian(lambda x: x[1:] * x[:-1], di.AutoSparse(di.AutoJax()), points(1)[0])
    assert plan.pattern.nnz == 14
    x = points(1, 1)[0]
    expected = np.diag(x[1:], 0) @ np.eye(7, 8) + np.diag(x[:-1]) @ np.eye(7, 8, 1)
    np.testing.assert_allclose(plan.execute(x).toarray(), expected)


POINTS = np.concatenate([points(6), points(4, 1) / 8])[:, :SIZE]


@settings(max_examples=int(os.environ.get("DIFINT_PROGRAMS", 10)), deadline=None, derandomize=True)
@given(f=programs())
def test_random_programs(f):
    truth = nonzero([jax.jacfwd(f)], POINTS)
    check(di.jacobian_pattern(f, di.AutoJax(), POINTS[0]), truth, exact=False)
    local = di.jacobian_pattern(f, LOCAL, POINTS[0])
    check(local, nonzero([jax.jacfwd(f)], POINTS[:1]), exact=False)

    def scalar(x):
        return jnp.sum(f(x))

    truth = nonzero([jax.jacfwd(jax.jacfwd(scalar))], POINTS)
    check(di.hessian_pattern(scalar, di.AutoJax(), POINTS[0]), truth, exact=False)
