"""Modifiers: what they change, and that the answer follows."""

import numpy as np
import pytest

import difint as di
from difint.testing import (
    Scenario,
    batchify,
    cachify,
    check_differentiation,
    closurify,
    constantify,
    constantorcachify,
    load_scenario,
    numpify,
)

EXACT = di.AutoFiniteDiff("complex_step")
BASE = "default/numpy/float64/"


def scenario():
    return load_scenario(BASE + "pushforward/vector->vector")


def test_batchify():
    made = batchify(scenario())
    assert isinstance(made.t, tuple) and isinstance(made.prepare_args[1], tuple)
    np.testing.assert_array_equal(made.result[1], -2 * scenario().result)
    np.testing.assert_array_equal(made.lower[0], scenario().lower[0])
    assert made.name.endswith("/batchify")
    assert batchify(made) is None
    assert batchify(load_scenario(BASE + "jacobian/vector->vector")) is None


@pytest.mark.parametrize(
    "modify, contexts",
    [
        (constantify, (di.Constant, di.Constant)),
        (cachify, (di.Cache,)),
        (constantorcachify, (di.ConstantOrCache,)),
        (closurify, ()),
    ],
)
def test_results_follow(modify, contexts):
    factor = 1.0 if modify is cachify else 3.0
    for name in (
        "jacobian/vector->matrix",
        "jacobian/vector->vector/in place",
        "hvp/vector->number",
    ):
        one = load_scenario(BASE + name)
        made = modify(one)
        assert tuple(map(type, made.contexts)) == contexts
        np.testing.assert_array_equal(made.result, factor * one.result)
        np.testing.assert_array_equal(made.lower[0], factor * one.lower[0])
        check_differentiation(EXACT, made)


def test_constants_differ_at_prepare():
    made = constantify(scenario())
    assert made.contexts[0].value != made.prepare_args[-1].value


def test_cachify_writes_or_leaves_alone():
    buffer = np.full(2, np.nan)
    x = scenario().x
    cachify(scenario()).f(x, buffer)
    np.testing.assert_array_equal(buffer, scenario().f(x))
    buffer[...] = np.nan
    np.testing.assert_array_equal(cachify(scenario(), writes=False).f(x, buffer), scenario().f(x))
    assert np.isnan(buffer).all()


def test_modifiers_stack():
    made = batchify(constantify(cachify(closurify(scenario()))))
    np.testing.assert_allclose(made.result[0], 9 * scenario().result, rtol=1e-15)
    assert [type(one) for one in made.contexts] == [di.Cache, di.Constant, di.Constant]
    assert check_differentiation(di.AutoFiniteDiff(), made).passed


def test_trees_as_results_are_left_alone():
    for name in ("pushforward", "pullback"):
        one = load_scenario(f"tree/numpy/float64/{name}/vector->tree")
        assert constantify(one) is cachify(one) is constantorcachify(one) is closurify(one) is None
        assert batchify(one) is not None


def test_without_results():
    bare = Scenario("jacobian", np.square, np.ones(2))
    assert cachify(bare) is constantorcachify(bare) is None  # the form of f(x) is not known
    assert constantify(bare).result is closurify(bare).result is None


def test_numpify():
    one = load_scenario("default/jax/float64/hvp/vector->number")
    made = numpify(constantify(one))
    assert type(made.x) is type(made.t) is type(made.prepare_args[0]) is np.ndarray
    assert type(made.contexts[0]) is di.Constant
