"""Properties over random shapes, values and layouts."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import difint as di

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
VALUES = st.floats(-2, 2, width=32)
NUMPY = [
    di.AutoFiniteDiff(),
    di.AutoFiniteDiff("complex_step"),
    di.PrimitiveOnly(di.AutoFiniteDiff(), "forward"),
]
JAX = [di.AutoJax(), di.PrimitiveOnly(di.AutoJax(), "reverse")]


def arrays(shape):
    return hnp.arrays(np.float64, shape, elements=VALUES)


def mix(space, m):
    """Build ``f(x)_i = sin(sum_j m_ij x_j)``, whose Jacobian is ``diag(cos(m x)) m``."""

    def f(x):
        return space.sin(space.asarray(m, x.dtype) @ x.reshape(-1))

    return f, lambda x: np.cos(m @ x.ravel())[:, None] * m


@pytest.mark.parametrize("backend", NUMPY, ids=repr)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), shape=SHAPES, rows=st.integers(0, 4))
def test_first_order_on_any_shape(backend, data, shape, rows):
    check(backend, np, data, shape, rows)


@pytest.mark.parametrize("backend", JAX, ids=repr)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), shape=SHAPES, rows=st.integers(0, 4))
def test_first_order_on_any_shape_with_jax(backend, data, shape, rows):
    check(backend, jnp, data, shape, rows)


def check(backend, space, data, shape, rows):
    x, t = data.draw(arrays(shape)), data.draw(arrays(shape))
    m, c = data.draw(arrays((rows, x.size))), data.draw(arrays((rows,)))
    f, jacobian = mix(space, m)
    right = jacobian(x)
    near = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(di.jacobian(f, backend, x), right, **near)
    np.testing.assert_allclose(di.pushforward(f, backend, x, t), right @ t.ravel(), **near)
    np.testing.assert_allclose(di.pullback(f, backend, x, c), (c @ right).reshape(shape), **near)
    value, matrix = di.value_and_jacobian(f, backend, x)
    assert value.shape == (rows,) and matrix.shape == (rows, x.size)


@pytest.mark.parametrize("backend", NUMPY, ids=repr)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), shape=SHAPES)
def test_second_order_on_any_shape(backend, data, shape):
    x, t = data.draw(arrays(shape)), data.draw(arrays(shape))
    m = data.draw(arrays((x.size, x.size)))

    def f(x):
        v = x.reshape(-1)
        return v @ m @ v + (v**3).sum()

    right = m + m.T + np.diag(6 * x.ravel())
    near = {"rtol": 1e-3, "atol": 2e-3}
    np.testing.assert_allclose(di.hessian(f, backend, x), right, **near)
    product = (right @ t.ravel()).reshape(shape)
    np.testing.assert_allclose(di.hvp(f, backend, x, t), product, rtol=1e-3, atol=2e-2)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), shape=SHAPES, reverse=st.booleans(), order=st.sampled_from("CF"))
def test_memory_layout_never_matters(data, shape, reverse, order):
    x = np.array(data.draw(arrays(shape)), order=order)
    x = x[::-1] if reverse else x
    plan = di.prepare_gradient(
        lambda x: (np.sin(x) * x).sum(), di.AutoFiniteDiff(), np.zeros(shape)
    )
    got = plan.execute(x)
    np.testing.assert_allclose(got, np.sin(x) + x * np.cos(x), rtol=1e-6, atol=1e-6)
    out = np.full(shape, np.nan, order=order)
    plan.execute(x, out=out)
    np.testing.assert_array_equal(out, got)


TREES = st.recursive(
    arrays(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)),
    lambda children: (
        st.lists(children, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), children, min_size=1)
        | st.tuples(children, children)
    ),
    max_leaves=5,
)


def every_leaf(tree):
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in every_leaf(tree[key])]
    return (
        [leaf for part in tree for leaf in every_leaf(part)]
        if isinstance(tree, list | tuple)
        else [tree]
    )


@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_gradients_keep_the_structure_of_any_tree(tree):
    def f(x):
        return sum((leaf**2).sum() for leaf in every_leaf(x))

    got = di.gradient(f, di.AutoFiniteDiff(), tree)
    assert type(got) is type(tree) or isinstance(got, np.generic)
    for one, right in zip(every_leaf(got), every_leaf(tree), strict=True):
        assert np.shape(one) == right.shape
        np.testing.assert_allclose(one, 2 * right, atol=1e-7)
