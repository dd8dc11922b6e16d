"""Trees of arrays as x and as y."""

from collections import namedtuple

import jax.numpy as jnp
import numpy as np
import pytest

import difint as di

Pair = namedtuple("Pair", "left right")
FD, JAX = di.AutoFiniteDiff(), di.AutoJax()
BACKENDS = [
    FD,
    di.AutoFiniteDiff("forward"),
    di.AutoFiniteDiff("complex_step"),
    JAX,
    di.PrimitiveOnly(FD, "forward"),
    di.PrimitiveOnly(JAX, "forward"),
    di.PrimitiveOnly(JAX, "reverse"),
    di.SecondOrder(FD, JAX),
]
W, B = np.array([[1.0, -2.0, 0.5], [0.3, 0.7, -0.4]]), np.array([0.1, -0.2])
Z = np.array([0.5, 1.5, -1.0])

# Every tree holds w, b and a scalar s; f reads them through ``parts``.
TREES = {
    "dict": ({"w": W, "b": B, "s": 2.0}, lambda x: (x["w"], x["b"], x["s"])),
    "list": ([W, B, 2.0], tuple),
    "tuple": ((W, B, 2.0), tuple),
    "named": (Pair(W, Pair(B, 2.0)), lambda x: (x.left, x.right.left, x.right.right)),
    "nested": ({"a": [W, (B,)], "c": {"d": 2.0}}, lambda x: (x["a"][0], x["a"][1][0], x["c"]["d"])),
}


def accuracy(backend, order=1):
    if "Finite" not in repr(backend):
        return 1e-12
    return 1e-5 if order == 1 else 2e-3


def leaves(tree):
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, list | tuple):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def make_f(parts):
    def f(x):
        w, b, s = parts(x)
        r = w @ Z * s + b
        return (r * r).sum()

    return f


def by_parts(parts, tree, w, b, s):
    """Rebuild a tree of the same structure from its three parts."""
    if isinstance(tree, dict) and "a" in tree:
        return {"a": [w, (b,)], "c": {"d": s}}
    if isinstance(tree, dict):
        return {"w": w, "b": b, "s": s}
    if isinstance(tree, Pair):
        return Pair(w, Pair(b, s))
    return type(tree)([w, b, s])


def right_gradient():
    r = W @ Z * 2.0 + B
    return 2 * np.outer(r, Z) * 2.0, 2 * r, float(2 * r @ (W @ Z))


def right_hvp(tw, tb, ts):
    """Derive the gradient along (tw, tb, ts) by the product rule."""
    r = W @ Z * 2.0 + B
    dr = tw @ Z * 2.0 + W @ Z * ts + tb
    dw = 2 * np.outer(dr, Z) * 2.0 + 2 * np.outer(r, Z) * ts
    return dw, 2 * dr, float(2 * dr @ (W @ Z) + 2 * r @ (tw @ Z))


def close(got, expected, rtol):
    assert type(got) is type(expected)
    for one, right in zip(leaves(got), leaves(expected), strict=True):
        assert type(one) is (float if isinstance(right, float) else np.ndarray)
        np.testing.assert_allclose(one, right, rtol=rtol, atol=10 * rtol)


@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
@pytest.mark.parametrize("name", TREES)
def test_gradient(name, backend):
    x, parts = TREES[name]
    f = make_f(parts)
    plan = di.prepare_gradient(f, backend, x)
    right = by_parts(parts, x, *right_gradient())
    close(plan.execute(x), right, accuracy(backend))
    value, gradient = plan.value_and_gradient(x)
    assert abs(value - f(x)) < 1e-12
    close(gradient, right, accuracy(backend))
    out = by_parts(parts, x, np.empty_like(W), np.empty_like(B), np.empty(()))
    assert plan.execute(x, out=out) is out
    for got, expected in zip(leaves(out), leaves(right), strict=True):
        np.testing.assert_allclose(got, expected, rtol=accuracy(backend))


@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
@pytest.mark.parametrize("name", TREES)
def test_hvp_and_pushforward(name, backend):
    x, parts = TREES[name]
    f = make_f(parts)
    direction = np.full_like(W, 0.5), np.array([1.0, -1.0]), 0.25
    t = by_parts(parts, x, *direction)
    right = by_parts(parts, x, *right_hvp(*direction))
    plan = di.prepare_hvp(f, backend, x, t)
    close(plan.execute(x, t), right, accuracy(backend, 2))
    gradient, product = plan.gradient_and_hvp(x, t)
    close(gradient, by_parts(parts, x, *right_gradient()), accuracy(backend, 2))
    close(product, right, accuracy(backend, 2))
    along = di.pushforward(f, backend, x, t)
    expected = sum(
        np.sum(np.asarray(a) * b) for a, b in zip(right_gradient(), direction, strict=True)
    )
    np.testing.assert_allclose(along, expected, rtol=accuracy(backend))
    batch = di.prepare_pushforward(f, backend, x, (t, t)).execute(x, (t, t))
    assert type(batch) is tuple and len(batch) == 2
    np.testing.assert_allclose(batch, [expected] * 2, rtol=accuracy(backend))


@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
def test_tree_as_y(backend):
    def f(x):
        return {"square": x**2, "rest": [x[0] * x[1], (x[2:],)]}

    x = np.array([1.0, 2.0, 3.0])
    t = np.array([0.5, -1.0, 2.0])
    rtol = accuracy(backend)
    plan = di.prepare_pushforward(f, backend, x, t)
    value, along = plan.value_and_pushforward(x, t)
    np.testing.assert_allclose(value["square"], x**2)
    for got in (along, plan.execute(x, t)):
        np.testing.assert_allclose(got["square"], 2 * x * t, rtol=rtol)
        np.testing.assert_allclose(got["rest"][0], x[0] * t[1] + x[1] * t[0], atol=rtol)
        np.testing.assert_allclose(got["rest"][1][0], t[2:], rtol=rtol)
    out = {"square": np.empty(3), "rest": [np.empty(()), (np.empty(1),)]}
    assert plan.execute(x, t, out=out) is out
    np.testing.assert_allclose(out["square"], 2 * x * t, rtol=rtol)
    c = {"square": t, "rest": [2.0, (np.array([3.0]),)]}
    right = 2 * x * t + [2 * x[1], 2 * x[0], 3.0]
    np.testing.assert_allclose(di.pullback(f, backend, x, c), right, rtol=rtol)
    back = di.prepare_pullback(f, backend, x, (c, c)).execute(x, (c, c))
    np.testing.assert_allclose(back, [right, right], rtol=rtol)


@pytest.mark.parametrize("backend", [FD, JAX], ids=repr)
def test_dtypes_of_leaves_are_kept(backend):
    x = {"single": np.ones(2, "f4"), "double": np.ones(2)}
    got = di.gradient(lambda x: (x["single"] ** 2).sum() + (x["double"] ** 3).sum(), backend, x)
    assert (got["single"].dtype, got["double"].dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(got["single"], 2.0, rtol=1e-3)
    np.testing.assert_allclose(got["double"], 3.0, rtol=1e-3)


def test_leaves_of_size_0_and_none():
    x = {"a": np.zeros(0), "b": np.ones(2), "c": None}
    for backend in (FD, JAX):
        got = di.gradient(lambda x: (x["b"] ** 2).sum() + x["a"].sum(), backend, x)
        assert got["a"].shape == (0,) and got["c"] is None
        np.testing.assert_allclose(got["b"], 2.0, rtol=1e-8)


def test_results_are_of_the_kind_of_x():
    x = {"a": jnp.ones(2), "b": jnp.ones(())}
    for backend in (FD, JAX):
        got = di.gradient(lambda x: (x["a"] ** 2).sum() * x["b"], backend, x)
        assert all(type(leaf) is type(x["a"]) for leaf in leaves(got))
        np.testing.assert_allclose(got["a"], 2.0, rtol=1e-8)
        matrix = di.jacobian(lambda x: x**2, backend, jnp.ones(2))
        assert type(matrix) is type(x["a"])
        np.testing.assert_allclose(matrix, 2 * np.eye(2), rtol=1e-8)


def test_a_tuple_x_takes_a_tuple_tangent():
    x, t = (W, B), (np.ones_like(W), np.ones_like(B))
    one = di.pushforward(lambda x: x[0].sum() + x[1].sum(), FD, x, t)
    many = di.pushforward(lambda x: x[0].sum() + x[1].sum(), FD, x, (t, t))
    np.testing.assert_allclose(one, 8.0, rtol=1e-8)
    np.testing.assert_allclose(many, [8.0, 8.0], rtol=1e-8)
