"""What stands in the place of builtins and of NumPy's classes while arrays are traced."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from difint.dependence.host.traced import NoRule, Trace, Traced, example, traced_in


class _LikeFloat(type):
    """The type of what stands in the place of ``float``."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, float) or (type(value) is Traced and value.dtype == float)


@final
class Float(float, metaclass=_LikeFloat):
    """``float`` that leaves a traced number as it is; as a dtype, float64."""

    dtype = np.dtype(float)

    def __new__(cls, value: Any = 0.0) -> Any:
        """Make a float of anything else."""
        if type(value) is Traced and value.size == 1:
            return value.reshape(()).astype(float)
        return float(value)


def type_of(value: Any, *others: Any) -> Any:
    """Get the type of what a traced array stands for."""
    if type(value) is Traced:
        return np.ndarray if value.ndim else value.dtype.type
    made = type(value, *others)
    return Float if made is float else made


_PLAIN: dict[Any, Any] = {Float: float, type_of: type}


def is_instance(value: Any, kinds: Any) -> bool:
    """Tell of a traced array whether what it stands for is an instance."""
    listed = kinds if isinstance(kinds, tuple) else (kinds,)
    plain: Any = tuple(_PLAIN.get(one, one) for one in listed)
    if type(value) is Traced and not value.ndim:
        return issubclass(value.dtype.type, plain) or isinstance(value.value, plain)
    return issubclass(np.ndarray, plain) if type(value) is Traced else isinstance(value, plain)


def extreme(plain: Callable[..., Any], ufunc: Any, *args: Any, **options: Any) -> Any:
    """Take the largest or the least of numbers."""
    values = args if len(args) > 1 else list(args[0])
    if options or not any(not one.readable for one in traced_in(list(values))):
        return plain(*args, **options)
    return functools.reduce(ufunc, values)


@final
class ArrayConverter:
    """``numpy._core.multiarray._array_converter``, by which NumPy's own code takes arguments."""

    __slots__ = ("_arrays", "_given")

    def __init__(self, trace: Trace, *given: Any) -> None:
        self._given, self._arrays = given, tuple(trace.lift(one) for one in given)

    @property
    def scalar_input(self) -> tuple[bool, ...]:
        """Whether each argument is a number and no array."""
        return tuple(isinstance(one, (float, int, complex, np.generic)) for one in self._given)

    def __getitem__(self, index: Any) -> Any:
        return self._arrays[index]

    def as_arrays(self, **options: Any) -> tuple[Traced, ...]:
        """Get all arguments as arrays."""
        return self._arrays

    def result_type(self, extra_dtype: Any = None, ensure_inexact: bool = False) -> Any:
        """Get the dtype that holds all of them."""
        given = [*example(self._given), *([] if extra_dtype is None else [extra_dtype])]
        dtype = np.result_type(*given)
        return np.result_type(dtype, 1.0) if ensure_inexact and dtype.kind in "bui" else dtype

    def wrap(self, array: Any, to_scalar: Any = None) -> Any:
        """Return a result as it is."""
        return array


def enumerated(array: Any) -> Any:
    """List the entries of an array with their indices."""
    return ((i, array[i]) for i in np.ndindex(*np.shape(example(array))))


def strided(array: Any, shape: Any = None, strides: Any = None, **options: Any) -> Any:
    """View an array with other strides, in bytes of its own."""
    if type(array) is not Traced:
        return as_strided(array, shape, strides, **options)
    size = array.itemsize

    def view(part: Any) -> Any:
        given = None if strides is None else tuple(s * part.itemsize // size for s in strides)
        return as_strided(part, shape, given, **options)

    return array.like(view)


def broadcast(*arrays: Any) -> Any:
    """Tell what ``numpy.broadcast`` knows of shapes."""
    plain = np.broadcast(*example(arrays))
    return SimpleNamespace(shape=plain.shape, ndim=plain.ndim, nd=plain.nd, size=plain.size)


@final
class Vectorized:
    """``numpy.vectorize`` of a function: called for each entry."""

    __slots__ = ("_function", "_trace")

    def __init__(self, trace: Trace, function: Any, *args: Any, **how: Any) -> None:
        if how.get("signature") is not None:
            raise NoRule("numpy.vectorize with a signature")
        self._trace, self._function = trace, trace.convert(function)

    def __call__(self, *args: Any) -> Any:
        """Call the function for each entry, and stack what it returns."""
        trace = self._trace
        lifted = [trace.lift(one) for one in args]
        shape = np.broadcast_shapes(*(one.shape for one in lifted))
        wide = [one.like(lambda array: np.broadcast_to(array, shape)) for one in lifted]
        parts = [self._function(*(one[i] for one in wide)) for i in np.ndindex(*shape)]
        return trace.lift([trace.lift(one) for one in parts]).reshape(shape)
