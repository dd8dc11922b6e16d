"""Writing functions out as scenarios: for one array library, in one precision."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.testing.functions import Function
from difint.testing.scenario import Scenario
from difint.testing.values import tangent_like, to_jax


@final
@dataclass(frozen=True, slots=True)
class Library:
    """An array library for which functions are written.

    Attributes:
        namespace: the module that functions are written with.
        package: what to install.
        array: turns a NumPy array or a float into a value of the library.
        writes: arrays can be written to.
    """

    namespace: str
    package: str
    array: Callable[[Any], Any]
    writes: bool


def _jax_array(value: Any) -> Any:
    return value if isinstance(value, float | complex) else to_jax(value)


def _torch_array(value: Any) -> Any:
    import torch

    return torch.asarray(np.array(value))


def _numpy_array(value: Any) -> Any:
    return value if isinstance(value, float | complex) else np.array(value)


LIBRARIES: dict[str, Library] = {
    "numpy": Library("numpy", "numpy", _numpy_array, writes=True),
    "jax": Library("jax.numpy", "jax", _jax_array, writes=False),
    "torch": Library("torch", "torch", _torch_array, writes=True),
}


@final
class Writer:
    """Writes functions and values for one library, in one precision."""

    def __init__(self, library: Library, dtype: str) -> None:
        self.xp = importlib.import_module(library.namespace)
        self._library = library
        self._dtype = np.dtype(dtype)

    def settle(self, value: Any) -> Any:
        """Give a NumPy value its precision; numbers of Python keep theirs."""
        if isinstance(value, float | complex):
            return value
        array = np.asarray(value)
        dtype = np.result_type(self._dtype, np.complex64) if array.dtype.kind == "c" else None
        return array.astype(dtype or self._dtype)

    def make(self, value: Any) -> Any:
        """Turn a NumPy value into one of the library."""
        return self._library.array(self.settle(value))

    def point(self, function: Function) -> Any:
        """Get a function's point: in float32 an array without axes stands for a number."""
        single = isinstance(function.x, float) and self._dtype != np.float64
        return self.settle(np.array(function.x)) if single else self.settle(function.x)


def scenarios_of(
    writer: Writer, function: Function, operators: Iterable[str] | None = None
) -> Iterator[Scenario]:
    """Write a function out for the operators that apply to it."""
    x = writer.point(function)
    wide = x if isinstance(x, float | complex) else np.asarray(x, np.result_type(x, np.float64))
    f = function.make(writer.xp)
    y = writer.settle(np.asarray(function.make(np)(wide)))
    numbers = isinstance(writer.make(x), float | complex)
    answers = dict(_answers(function, wide, y.shape))
    for operator, (like, lower, result) in answers.items():
        if operators is not None and operator not in operators:
            continue
        t = {} if like is None else {"t": _tangent(writer, like, x, y, numbers)}
        *firsts, last = (_settled(writer, part, numbers) for part in (*lower, result))
        yield Scenario(
            operator,
            f,
            writer.make(x),
            **t,
            lower=tuple(firsts),
            result=last,
            name=function.name,
            features=function.features,
        )


def _settled(writer: Writer, value: Any, numbers: bool) -> Any:
    """Give a result its precision; of a Python number, one without axes is a number too."""
    array = writer.settle(np.asarray(value))
    return array.item() if numbers and not array.shape else array


def _tangent(writer: Writer, like: str, x: Any, y: Any, numbers: bool) -> Any:
    value = x if like == "x" else (y.item() if numbers and not y.shape else y)
    return writer.make(_direction(value))


def _direction(value: Any) -> Any:
    if isinstance(value, complex):
        return 0.5 - 1.25j
    array = tangent_like(np.asarray(value).real)
    turned = array * (1 - 0.5j) if np.iscomplexobj(value) else array
    return float(turned) if isinstance(value, float) else turned


_Answer = tuple[str, tuple[str | None, tuple[Any, ...], Any]]
"""The operator; what its tangent is like, the lower orders, the result."""


def _answers(function: Function, x: Any, shape: tuple[int, ...]) -> Iterator[_Answer]:
    """Derive the right answers of all operators that apply from the analytic matrices."""
    y, j = function.make(np)(x), function.jacobian(x)
    scalar_x, scalar_y = np.ndim(x) == 0, shape == ()
    t, c = np.ravel(_direction(x)), np.ravel(_direction(np.zeros(shape, np.asarray(y).dtype)))
    yield "pushforward", ("x", (y,), (j @ t).reshape(shape))
    if not np.iscomplexobj(x):
        yield "pullback", ("y", (y,), (c @ j).reshape(np.shape(x)))
    if scalar_x:
        yield "derivative", (None, (y,), j.reshape(shape))
    if not isinstance(x, float | complex):
        yield "jacobian", (None, (y,), j)
    if scalar_y and not np.iscomplexobj(x):
        yield "gradient", (None, (y,), j.reshape(np.shape(x)))
    if function.hessian is None:
        return
    h, gradient = function.hessian(x), j.reshape(np.shape(x)) if scalar_y else None
    if scalar_x:
        yield "second_derivative", (None, (y, j.reshape(shape)), h.reshape(shape))
    if scalar_y:
        yield "hvp", ("x", (gradient,), (h @ t).reshape(np.shape(x)))
    if scalar_y and not isinstance(x, float):
        yield "hessian", (None, (y, gradient), h)
