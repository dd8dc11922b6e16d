"""Descriptors: plain data that imports nothing."""

import dataclasses
import pickle

import numpy as np
import pytest

import difint as di
from difint.testing import AutoZero

DESCRIPTORS = [
    di.AutoFiniteDiff(),
    di.AutoFiniteDiff("forward", rel_step=1e-3),
    di.AutoJax("reverse", x64=True),
    di.SecondOrder(di.AutoFiniteDiff(), di.AutoJax()),
    di.PrimitiveOnly(di.AutoJax(), "forward"),
    AutoZero("forward"),
]


@pytest.mark.parametrize("backend", DESCRIPTORS, ids=repr)
def test_hashable_comparable_picklable_and_printed_as_their_call(backend):
    again = eval(repr(backend), {**vars(di), "AutoZero": AutoZero})
    assert again == backend and hash(again) == hash(backend)
    assert pickle.loads(pickle.dumps(backend)) == backend
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(backend, dataclasses.fields(backend)[0].name, None)
    assert len({backend, again}) == 1


@pytest.mark.parametrize("mode", [None, "forward", "reverse"])
def test_zero_keeps_shapes_on_every_route(mode):
    backend, x, t = AutoZero(mode), np.ones((2, 3)), np.ones((2, 3))
    for got, shape in [
        (di.jacobian(lambda x: x[0], backend, x), (3, 6)),
        (di.pushforward(lambda x: x[0], backend, x, t), (3,)),
        (di.pullback(lambda x: x[0], backend, x, t[0]), (2, 3)),
        (di.gradient(np.sum, backend, x), (2, 3)),
        (di.hvp(np.sum, backend, x, t), (2, 3)),
        (di.hessian(np.sum, backend, x), (6, 6)),
        (di.derivative(np.sin, backend, 1.0), ()),
        (di.second_derivative(lambda x: np.array([x]), backend, 1.0), (1,)),
    ]:
        assert np.shape(got) == shape and not np.any(got)
    value, _ = di.value_and_gradient(np.sum, backend, x)
    assert value == 6.0


def test_second_order_of_one_backend_is_that_backend():
    twice = di.SecondOrder(di.AutoFiniteDiff(), di.AutoFiniteDiff())
    x = np.ones(2)
    assert di.prepare_hessian(lambda x: x @ x, twice, x).route == "native"
    assert di.prepare_gradient(lambda x: x @ x, twice, x).route == "native"
    mixed = di.SecondOrder(di.AutoJax("reverse"), di.AutoJax("forward"))
    assert di.prepare_gradient(lambda x: x @ x, mixed, x).route == "pushforward × 2"
    route = di.prepare_hvp(lambda x: x @ x, mixed, x, x).route
    assert route == "pullback of gradient (pushforward × 2)"
