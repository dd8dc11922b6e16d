"""Kinds of values: NumPy arrays, JAX arrays, Python scalars; told apart without imports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter, methodcaller
from typing import Any, final

import numpy as np


@final
@dataclass(frozen=True, slots=True)
class Leaf:
    """What one array or scalar is, apart from its numbers.

    Attributes:
        kind: the name of its kind; ``""`` for a value of no kind that is accepted.
        shape: its shape; ``()`` for scalars.
        dtype: a NumPy dtype, or the Python type of a scalar.
        device: where it lives, for the kinds that have devices.
        traced: it is a symbol of a tracing transformation, without a device or numbers.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: Any
    device: Any = None
    traced: bool = False

    def __str__(self) -> str:
        if isinstance(self.dtype, type):
            return _type_name(self.dtype)
        text = f"{self.dtype}[{','.join(map(str, self.shape))}]"
        if self.kind == "numpy":
            return text
        where = "traced" if self.traced else _device_name(self.device)
        return f"{text} ({self.kind}{', ' + where if where else ''})"

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(np.prod(self.shape, dtype=np.intp))

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype as NumPy writes it; of a Python float, float64."""
        dtype: np.dtype[Any] = np.dtype(self.dtype)
        return dtype

    def like(self, other: Leaf) -> bool:
        """Tell whether a value that is ``other`` may stand where this one was prepared."""
        if self.traced or other.traced:
            same_shape = self.shape == other.shape
            return same_shape and _as_dtype(self.dtype) == _as_dtype(other.dtype)
        return self == other


def _as_dtype(dtype: Any) -> Any:
    return np.dtype(dtype) if isinstance(dtype, type) else dtype


def _type_name(cls: type) -> str:
    module = cls.__module__.partition(".")[0]
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def _device_name(sharding: Any) -> str:
    devices = () if sharding is None else sorted(sharding.device_set, key=lambda d: d.id)
    return "+".join(f"{device.platform}:{device.id}" for device in devices)


@final
@dataclass(frozen=True, slots=True)
class Kind:
    """A family of values that an engine can accept.

    Attributes:
        name: what messages call it.
        owns: tells whether a value is of this kind, importing nothing.
        leaf: describes a value of this kind.
        key: reads off a value, at C speed, what the guard compares; ``None`` where the type
            says all.
        wait: returns when a value is computed; ``None`` where every value always is.
    """

    name: str
    owns: Callable[[Any], bool]
    leaf: Callable[[Any], Leaf]
    key: Callable[[Any], Callable[[Any], Any] | None]
    wait: Callable[[Any], Any] | None = None


def describe(value: Any, kinds: tuple[Kind, ...]) -> Leaf:
    """Describe a leaf; of a kind not among ``kinds``, only its type is told."""
    kind = kind_of(value, kinds)
    return Leaf("", (), type(value)) if kind is None else kind.leaf(value)


def kind_of(value: Any, kinds: tuple[Kind, ...]) -> Kind | None:
    """Find the kind that owns ``value``."""
    return next((kind for kind in kinds if kind.owns(value)), None)


def _python_owns(value: Any) -> bool:
    return type(value) in (float, int, bool, complex)


def _python_leaf(value: Any) -> Leaf:
    return Leaf("python", (), type(value))


def _numpy_owns(value: Any) -> bool:
    refused = np.matrix | np.ma.MaskedArray
    return isinstance(value, np.ndarray | np.generic) and not isinstance(value, refused)


def _numpy_leaf(value: Any) -> Leaf:
    return Leaf("numpy", value.shape, value.dtype)


def _jax_owns(value: Any) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def _jax_traced(value: Any) -> bool:
    return isinstance(value, sys.modules["jax"].core.Tracer)


def _jax_leaf(value: Any) -> Leaf:
    traced = _jax_traced(value)
    device = None if traced else value.sharding
    return Leaf("jax", value.shape, value.dtype, device, traced)


def _jax_key(value: Any) -> Callable[[Any], Any] | None:
    if _jax_traced(value):
        return None
    fields = ["aval.shape", "aval.dtype"]
    # Kernels prepared for a weakly typed array take a strong one too; not the reverse.
    fields += [] if value.aval.weak_type else ["aval.weak_type"]
    # Reading and comparing a sharding costs four Python frames: with a single device in the
    # process there is nothing to compare.
    return attrgetter(*fields, "sharding") if device_count() > 1 else attrgetter(*fields)


def device_count() -> int:
    """Count JAX's devices of all platforms in this process."""
    from jax.extend.backend import backends

    return sum(backend.device_count() for backend in backends().values())


_numpy_key = attrgetter("shape", "dtype")

PYTHON = Kind("python", _python_owns, _python_leaf, lambda value: None)
NUMPY = Kind("numpy", _numpy_owns, _numpy_leaf, lambda value: _numpy_key)
JAX = Kind("jax", _jax_owns, _jax_leaf, _jax_key, methodcaller("block_until_ready"))
