"""A backend from outside the package, made as ``docs/adding-a-backend.md`` says."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

import difint as di
from difint.engine import Engine
from difint.host import NUMPY_ARRAYS
from difint.kinds import NUMPY, Kind, Leaf
from difint.problem import Problem, plain_form


def pushforward(arrays, problem, *, value, reuse=False):
    """Richardson's extrapolation of central differences: fourth order."""

    def at(x, *contexts):
        y = problem.call(x, *contexts).copy() if value else None

        def central(t, h):
            return (problem.call(x + h * t, *contexts) - problem.call(x - h * t, *contexts)) / (
                2 * h
            )

        def apply(t):
            return y, (4 * central(t, 5e-4) - central(t, 1e-3)) / 3

        return apply

    return at


def gradient(arrays, problem, *, value):
    """A native operator, to see that it is taken."""
    at = pushforward(arrays, problem, value=value)

    def kernel(x, *contexts):
        pairs = [at(x, *contexts)(seed) for seed in np.eye(x.size).reshape(x.size, *x.shape)]
        result = np.array([dy for _, dy in pairs]).reshape(x.shape)
        return (pairs[0][0], result) if value else result

    return kernel


@dataclass(frozen=True, slots=True, repr=False)
class AutoRichardson(di.Backend):
    native: bool = True

    def engine(self):
        table = {"gradient": gradient} if self.native else {}
        return Engine(
            NUMPY_ARRAYS, pushforward=pushforward, native=table, inplace=True, black_box=True
        )


X = np.array([0.3, 0.7, 1.1])


@pytest.mark.parametrize("backend", [AutoRichardson(), AutoRichardson(native=False)], ids=repr)
def test_all_operators(backend):
    def f(x):
        return np.sin(x).sum() * x[0]

    s, c = np.sin(X).sum(), np.cos(X)
    g = c * X[0] + np.array([s, 0, 0])
    h = np.diag(-np.sin(X) * X[0])
    h[0] += c
    h[:, 0] += c
    loose = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(di.gradient(f, backend, X), g, rtol=1e-10)
    np.testing.assert_allclose(di.jacobian(np.sin, backend, X), np.diag(c), atol=1e-10)
    np.testing.assert_allclose(di.pullback(np.sin, backend, X, X), c * X, rtol=1e-10)
    np.testing.assert_allclose(di.pushforward(np.sin, backend, X, (X, 2 * X)), [c * X, 2 * c * X])
    np.testing.assert_allclose(di.hvp(f, backend, X, X), h @ X, **loose)
    np.testing.assert_allclose(di.hessian(f, backend, X), h, **loose)
    np.testing.assert_allclose(di.derivative(np.sin, backend, 0.5), np.cos(0.5), rtol=1e-10)
    np.testing.assert_allclose(di.second_derivative(np.sin, backend, 0.5), -np.sin(0.5), **loose)
    plan = di.prepare_jacobian(lambda y, x: np.copyto(y, np.sin(x)), backend, X, y=np.empty(3))
    np.testing.assert_allclose(plan.execute(X, out=np.empty((3, 3))), np.diag(c), atol=1e-10)


def test_routes_and_availability():
    assert di.prepare_gradient(np.sum, AutoRichardson(), X).route == "native"
    assert di.prepare_gradient(np.sum, AutoRichardson(False), X).route == "pushforward × 3"
    assert di.check_available(AutoRichardson())
    assert di.forward_counterpart(AutoRichardson()) == AutoRichardson()
    assert repr(AutoRichardson(native=False)) == "AutoRichardson(native=False)"
    second = di.SecondOrder(AutoRichardson(), di.AutoJax())
    got = di.hvp(lambda x: (x**3).sum(), second, X, X)
    np.testing.assert_allclose(got, 6 * X * X, rtol=1e-8)


class Box:
    """An array of somebody else's library: NumPy's memory, in a class of its own."""

    def __init__(self, values):
        self.values = values


def boxed(leaf):
    return Leaf("box", leaf.values.shape, leaf.values.dtype)


BOXES = Kind(
    "box",
    owns=lambda value: isinstance(value, Box),
    leaf=boxed,
    key=lambda value: boxed,
    memory=dataclasses.replace(
        NUMPY.memory,
        article="a Box",
        make="Box(numpy.empty({shape}))",
        locked=lambda box: NUMPY.memory.locked(box.values),
        plain=lambda box, leaf: isinstance(box, Box) and boxed(box) == leaf,
        near=lambda one, other: np.may_share_memory(one.values, other.values),
        bounds=lambda box: NUMPY.memory.bounds(box.values),
        span=lambda box: box.values,
    ),
    article="a Box",
)


def lower_boxes(lowering):
    """Let the engine see NumPy's arrays, and the user boxes."""

    def form(leaf):
        return plain_form(leaf, enter=lambda box: box.values, leave=Box)

    def call(x):
        return lowering.f(Box(x)).values

    x = lowering.x.values
    y = call(x)
    leaves = boxed(lowering.x), boxed(Box(y))
    return Problem(call, x, y, *map(form, leaves), lowering)


def write_boxes(target, value):
    target.values[...] = value


@dataclass(frozen=True, slots=True, repr=False)
class AutoBoxes(di.Backend):
    def engine(self):
        arrays = dataclasses.replace(
            NUMPY_ARRAYS,
            name="boxes",
            kinds=(BOXES,),
            lower=lower_boxes,
            matrix=lambda problem, leaf: plain_form(leaf, lambda box: box.values, Box),
            write=write_boxes,
        )
        return Engine(arrays, pushforward=pushforward)


def test_a_kind_of_arrays_from_outside_is_filled_and_compared():
    """``out=`` of another library touches no file of difint."""
    x = Box(X.copy())
    plan = di.prepare_jacobian(lambda x: Box(x.values**2), AutoBoxes(), x)
    out = Box(np.empty((3, 3)))
    assert plan.execute(x, out=out) is out
    np.testing.assert_allclose(out.values, np.diag(2 * X), atol=1e-9)
    step = plan.bind(x, out=out)
    x.values *= 2.0
    np.testing.assert_allclose(step().values, np.diag(4 * X), atol=1e-9)
    with pytest.raises(di.ArgumentError, match=r"a Box float64\[3,3\]"):
        plan.execute(x, out=np.empty((3, 3)))
    memory = np.zeros(12)
    with pytest.raises(di.ArgumentError, match="overlaps an argument"):
        plan.execute(Box(memory[:3]), out=Box(memory[1:10].reshape(3, 3)))
    with pytest.raises(di.PreparationMismatchError, match="to box"):
        plan.execute(X)
