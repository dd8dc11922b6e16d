"""Kinds of values: arrays of NumPy, JAX and PyTorch, scalars; told apart without imports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
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
        text = f"{element_text(self.dtype)}[{','.join(map(str, self.shape))}]"
        if self.kind == "numpy":
            return text
        where = "traced" if self.traced else _DEVICE_NAMES.get(self.kind, _device_name)(self.device)
        return f"{text} ({self.kind}{', ' + where if where else ''})"

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(np.prod(self.shape, dtype=np.intp))

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype as NumPy writes it; of a Python float, float64; what NumPy lacks, as it is."""
        dtype: np.dtype[Any] = _as_dtype(self.dtype)
        return dtype

    def like(self, other: Leaf) -> bool:
        """Tell whether a value that is ``other`` may stand where this one was prepared."""
        if self.traced or other.traced:
            same_shape = self.shape == other.shape
            return same_shape and _as_dtype(self.dtype) == _as_dtype(other.dtype)
        return self == other


def _as_dtype(dtype: Any) -> Any:
    return np.dtype(dtype) if isinstance(dtype, type) else dtype


def element_text(dtype: Any) -> str:
    """Write a dtype, whatever its library: ``float32``, ``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def _type_name(cls: type) -> str:
    module = cls.__module__.partition(".")[0]
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def _sharding_name(sharding: Any) -> str:
    devices = () if sharding is None else sorted(sharding.device_set, key=lambda d: d.id)
    return "+".join(f"{device.platform}:{device.id}" for device in devices)


def _device_name(device: Any) -> str:
    return "" if device is None else str(device)


_DEVICE_NAMES: dict[str, Callable[[Any], str]] = {"jax": _sharding_name}


@final
@dataclass(frozen=True, slots=True)
class Memory:
    """How values of a kind are filled, as ``out=`` and ``y=``.

    Attributes:
        article: what messages call such a value: ``a NumPy array``.
        make: the code of a new one, with ``{shape}``, ``{dtype}`` and ``{device}`` to fill in.
        copy: a value of its own memory.
        locked: says why a value cannot be written to; ``""`` if it can.
        plain: ``(value, leaf)``: tells quickly whether a value is exactly like ``leaf``, and can
            be filled. It may say no to a rare form that can be filled all the same.
        near: tells quickly whether two values may share memory.
        bounds: the first address of a value's memory, and the first one after it.
        span: a NumPy array at the same addresses, to compare them alone.
    """

    article: str
    make: str
    copy: Callable[[Any], Any]
    locked: Callable[[Any], str]
    plain: Callable[[Any, Leaf], bool]
    near: Callable[[Any, Any], bool]
    bounds: Callable[[Any], tuple[int, int]]
    span: Callable[[Any], np.ndarray[Any, Any]]


def _only_its_own(value: Any) -> tuple[type, ...]:
    return (type(value),)


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
        classes: the classes that stand for each other, for a value of one of them.
        wait: returns when a value is computed; ``None`` where every value always is.
        memory: how values are filled; ``None`` where they never change.
        article: what messages call a value of this kind.
    """

    name: str
    owns: Callable[[Any], bool]
    leaf: Callable[[Any], Leaf]
    key: Callable[[Any], Callable[[Any], Any] | None]
    classes: Callable[[Any], tuple[type, ...]] = _only_its_own
    wait: Callable[[Any], Any] | None = None
    memory: Memory | None = None
    article: str = ""


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


def _numpy_locked(value: Any) -> str:
    return "" if value.flags.writeable else "read-only"


def _numpy_plain(value: Any, leaf: Leaf) -> bool:
    if type(value) is not np.ndarray or value.shape != leaf.shape or value.dtype != leaf.dtype:
        return False
    return value.flags.writeable


def _same(value: Any) -> Any:
    return value


def _torch_owns(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


@cache
def torch_dtype_name(dtype: Any) -> Any:
    """Write a dtype of PyTorch as NumPy's, where NumPy has it."""
    known = _TORCH_DTYPES.get(str(dtype))
    return dtype if known is None else known


_TORCH_DTYPES = {
    f"torch.{name}": np.dtype(name)
    for name in (
        *("float64", "float32", "float16", "complex128", "complex64", "bool"),
        *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
    )
}


def _torch_classes(value: Any) -> tuple[type, ...]:
    """Let parameters stand for tensors: an optimizer's own functions return either."""
    torch = sys.modules["torch"]
    usual = torch.Tensor, torch.nn.Parameter
    return usual if type(value) in usual else (type(value),)


def _torch_leaf(value: Any) -> Leaf:
    return Leaf("torch", tuple(value.shape), torch_dtype_name(value.dtype), value.device)


def _torch_copy(value: Any) -> Any:
    return value.detach().clone()


def _torch_locked(value: Any) -> str:
    start, stop = _torch_bounds(value)
    repeated = stop - start < value.nbytes
    return "one that holds an entry in several places (expand, as_strided)" if repeated else ""


def _torch_plain(value: Any, leaf: Leaf) -> bool:
    if type(value) is not sys.modules["torch"].Tensor or value.shape != leaf.shape:
        return False
    same = value.device == leaf.device and torch_dtype_name(value.dtype) == leaf.dtype
    return bool(same and value.is_contiguous())


def _torch_bounds(value: Any) -> tuple[int, int]:
    start = value.data_ptr()
    if value.is_contiguous():
        return start, start + value.nbytes
    steps = zip(value.shape, value.stride(), strict=True)
    last = sum((n - 1) * step for n, step in steps) if value.numel() else -1
    return start, start + (last + 1) * value.element_size()


def _torch_near(one: Any, other: Any) -> bool:
    start, stop = _torch_bounds(one)
    first, last = _torch_bounds(other)
    return bool(start < last and first < stop)


@final
@dataclass(frozen=True, slots=True)
class _Addresses:
    """The addresses of a tensor's entries, as NumPy reads them; never their numbers."""

    __array_interface__: dict[str, Any]


def _torch_span(value: Any) -> np.ndarray[Any, Any]:
    size = value.element_size()
    interface = {
        "version": 3,
        "data": (value.data_ptr() or 1, True),
        "shape": tuple(value.shape),
        "strides": tuple(step * size for step in value.stride()),
        "typestr": f"|V{size}",
    }
    return np.asarray(_Addresses(interface))


def _torch_wait(value: Any) -> Any:
    if value.is_cuda:
        sys.modules["torch"].cuda.synchronize(value.device)
    return value


_numpy_key = attrgetter("shape", "dtype")
_torch_key = attrgetter("shape", "dtype", "device")

_NUMPY_MEMORY = Memory(
    article="a NumPy array",
    make="numpy.empty({shape}, '{dtype}')",
    copy=methodcaller("copy"),
    locked=_numpy_locked,
    plain=_numpy_plain,
    near=np.may_share_memory,
    bounds=np.lib.array_utils.byte_bounds,
    span=_same,
)
_TORCH_MEMORY = Memory(
    article="a torch.Tensor",
    make="torch.empty({shape}, dtype=torch.{dtype}, device='{device}')",
    copy=_torch_copy,
    locked=_torch_locked,
    plain=_torch_plain,
    near=_torch_near,
    bounds=_torch_bounds,
    span=_torch_span,
)

PYTHON = Kind("python", _python_owns, _python_leaf, lambda value: None, article="a Python scalar")
NUMPY = Kind(
    "numpy",
    _numpy_owns,
    _numpy_leaf,
    lambda value: _numpy_key,
    memory=_NUMPY_MEMORY,
    article="a NumPy array",
)
JAX = Kind(
    "jax",
    _jax_owns,
    _jax_leaf,
    _jax_key,
    wait=methodcaller("block_until_ready"),
    article="a jax.Array",
)
TORCH = Kind(
    "torch",
    _torch_owns,
    _torch_leaf,
    lambda value: _torch_key,
    classes=_torch_classes,
    wait=_torch_wait,
    memory=_TORCH_MEMORY,
    article="a torch.Tensor",
)


@final
class Memories:
    """How values of some kinds are filled, and which kind a result is filled as.

    Args:
        kinds: the kinds of an array library, third parties' own among them.
    """

    __slots__ = ("_kinds", "_known")

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self._kinds = kinds
        self._known: dict[type, Memory | None] = {np.ndarray: _NUMPY_MEMORY}

    def of(self, value: Any) -> Memory | None:
        """Get how a value is filled; ``None`` if it never changes."""
        cls = type(value)
        if cls not in self._known:
            kind = kind_of(value, self._kinds)
            self._known[cls] = None if kind is None else kind.memory
        return self._known[cls]

    def filled(self, leaf: Leaf) -> tuple[Kind, Memory]:
        """Get the kind of the arrays that hold a result: NumPy's where its own never change."""
        for kind in self._kinds:
            if kind.name == leaf.kind and kind.memory is not None:
                return kind, kind.memory
        return NUMPY, _NUMPY_MEMORY
