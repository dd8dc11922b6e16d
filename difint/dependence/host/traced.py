"""Traced arrays for NumPy: what ``f`` is called with to see which entries it reads.

A traced array holds three NumPy arrays of one layout: the sets, the pairs, and the example's
values. What NumPy returns as a view is therefore a view of all three, and what is written to it is
seen in its base. Values give shapes and dtypes; ``f`` may look at one only where it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from difint.dependence.arrays import Dependent, mixed
from difint.dependence.host.places import asks_for_objects, place
from difint.dependence.sets import KNOWN, UNKNOWN, Sets


@final
class NoRule(Exception):
    """Says that a rule does not take these arguments: without one, everything counts."""


class Unseen(Exception):
    """Says that the tracer cannot follow what ``f`` does from here on."""


@final
class Branch(Unseen):
    """Says that ``f`` asks for a value that depends on ``x``, to decide with it."""


@final
class Escape(Unseen):
    """Says that ``f`` asks for numbers, to compute with them outside of NumPy."""


@final
class Origin:
    """What the entries of an array that are not known come from; views share it.

    Attributes:
        constant: from constants alone, so that decisions may follow the example.
    """

    __slots__ = ("constant",)

    def __init__(self, constant: bool = False) -> None:
        self.constant = constant


@final
class Trace:
    """One call of ``f`` with traced arrays.

    Attributes:
        sets: the index sets.
        on_ufunc: ``(trace, ufunc, method, inputs, options) -> result``.
        on_function: ``(trace, function, args, options) -> result``.
        on_attribute: ``(array, name) -> value``: methods, and attributes that are not shapes.
        convert: makes of a function one that works with traced arrays throughout.
        failure: why the trace means nothing, though ``f`` may have caught the exception.
        unruled: the names of NumPy's functions of which only inputs and outputs are known.
    """

    __slots__ = ("convert", "failure", "on_attribute", "on_function", "on_ufunc", "sets", "unruled")

    def __init__(
        self,
        sets: Sets,
        on_ufunc: Callable[..., Any],
        on_function: Callable[..., Any],
        on_attribute: Callable[[Traced, str], Any],
    ) -> None:
        self.sets, self.on_ufunc, self.on_function = sets, on_ufunc, on_function
        self.on_attribute = on_attribute
        self.convert: Callable[[Any], Any] = lambda value: value
        self.failure: Unseen | None = None
        self.unruled: list[str] = []

    def fail(self, kind: type[Unseen]) -> Unseen:
        """Make an exception, and remember it."""
        self.failure = kind(place())
        return self.failure

    def lift(self, value: Any) -> Traced:
        """Make an array of anything: traced, plain, a number, a list of them."""
        if type(value) is Traced:
            return value
        if holds_traced(value):
            made: Traced = self.on_function(self, np.stack, ([self.lift(v) for v in value],), {})
            return made
        return self.filled(value, KNOWN)

    def filled(self, value: Any, node: int, *, constant: bool = False) -> Traced:
        """Wrap an array all of whose entries have one node."""
        value = _compact(value)
        nodes = np.full_like(value, node, dtype=np.int32, subok=False)
        bends = np.zeros_like(nodes) if self.sets.curved else None
        return Traced(self, nodes, bends, value, Origin(constant))

    def of(self, made: Dependent, value: Any) -> Traced:
        """Wrap the result of a rule, and the example's values of it."""
        value = _compact(value)
        nodes, bends = np.zeros_like(value, np.int32, subok=False), None
        if made.nodes is not None:
            nodes[...] = made.nodes
        if self.sets.curved:
            bends = np.zeros_like(nodes)
            if made.bends is not None:
                bends[...] = made.bends
        return Traced(self, nodes, bends, value, Origin())

    def mixed(self, operands: Sequence[Traced], value: Any, *, linear: bool = False) -> Traced:
        """Let all entries of a result depend on all entries of the operands."""
        if not any(one.nodes.any() for one in operands):
            return self.filled(value, KNOWN)
        value, parts = np.asarray(value), [one.dependent for one in operands]
        return self.of(mixed(self.sets, parts, value.shape, linear=linear), value)

    def any_of(self, operands: Sequence[Traced], value: Any) -> Traced:
        """Let each entry of a result be any entry of the operands: nobody knows which."""
        made = self.mixed(operands, value, linear=True)
        np.maximum(made.nodes, UNKNOWN, out=made.nodes)
        return made

    def read(self, value: Any) -> Any:
        """Get plain values of an argument that decides, or of a tree of them."""
        if type(value) is Traced:
            if value.readable:
                return value.value
            raise self.fail(Branch)
        return mapped(self.read, value) if holds_traced(value) else value


def _compact(value: Any) -> Any:
    """Get an array without gaps: arrays like it are of the same layout."""
    value = np.asarray(value)
    return value if value.flags.forc else value.copy("K")


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to the parts of a list or tuple."""
    return type(value)([function(part) for part in value])


def holds_traced(value: Any) -> bool:
    """Tell whether a list or tuple has a traced array in it."""
    return type(value) in (list, tuple) and any(
        type(part) is Traced or holds_traced(part) for part in value
    )


def traced_in(value: Any) -> list[Traced]:
    """List the traced arrays of an argument, in lists, tuples and dicts."""
    if type(value) is Traced:
        return [value]
    parts = value.values() if type(value) is dict else value
    listed = type(value) in (list, tuple, dict)
    return [one for part in parts for one in traced_in(part)] if listed else []


def example(value: Any) -> Any:
    """Get an argument with the example's values in the place of traced arrays."""
    if type(value) is Traced:
        return value.value
    if type(value) is dict:
        return {key: example(part) for key, part in value.items()}
    return mapped(example, value) if holds_traced(value) else value


def _is_plain(index: Any) -> bool:
    """Tell at sight that an index is made of numbers and slices."""
    if type(index) is tuple:
        return all(type(one) is int or type(one) is slice for one in index)
    return type(index) is int or type(index) is slice


def _nodes_at(array: Any, index: Any) -> Any:
    return np.asarray(array[index])


@final
class Traced(NDArrayOperatorsMixin):
    """An array that knows what its entries depend on, with the interface of NumPy's.

    Attributes:
        trace: the call that it belongs to.
        nodes: the set of each entry.
        bends: the pairs of each entry; ``None`` where nobody asks for them.
        value: the example's values.
        origin: what entries that are not known come from.
    """

    __slots__ = ("bends", "nodes", "origin", "trace", "value")

    __array_priority__ = 1000.0

    def __init__(self, trace: Trace, nodes: Any, bends: Any, value: Any, origin: Origin) -> None:
        self.trace, self.nodes, self.bends = trace, nodes, bends
        self.value, self.origin = value, origin

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        shape: tuple[int, ...] = self.value.shape
        return shape

    @property
    def dtype(self) -> Any:
        """The type of the entries."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self.value.ndim)

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(self.value.size)

    @property
    def dependent(self) -> Dependent:
        """The array as the rules know it."""
        bends = None if self.bends is None or not self.bends.any() else self.bends
        return Dependent(self.nodes if self.nodes.any() else None, bends, self.value)

    @property
    def readable(self) -> bool:
        """Whether decisions may follow the values."""
        sets, most = self.trace.sets, self.nodes.max(initial=KNOWN)
        return bool(sets.local or most == KNOWN)

    @property
    def is_constant(self) -> bool:
        """Whether nothing in it depends on ``x``, not even by a step."""
        return self.origin.constant or not self.nodes.any()

    def like(self, function: Callable[[Any], Any]) -> Traced:
        """Apply a function that moves entries; a view if it makes one."""
        bends = None if self.bends is None else np.asarray(function(self.bends))
        nodes, value = np.asarray(function(self.nodes)), np.asarray(function(self.value))
        return Traced(self.trace, nodes, bends, value, self.origin)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return self.trace.on_ufunc(self.trace, ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return self.trace.on_function(self.trace, function, args, options)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if asks_for_objects():
            boxed = np.empty((), object)
            boxed[()] = self
            return boxed
        return self.number.astype(dtype or self.dtype)

    @property
    def number(self) -> Any:
        """The values, for code that is not NumPy's; a constant that is zero now becomes one."""
        if not self.nodes.any():
            return self.value
        constant = self.origin.constant and not self.trace.sets.local
        if constant and self.nodes.max() <= UNKNOWN:
            return np.where((self.value == 0) & (self.nodes == UNKNOWN), 1, self.value)
        if self.trace.sets.local and self.nodes.max() <= UNKNOWN:
            return self.value
        raise self.trace.fail(Escape)

    def _where(self, index: Any) -> tuple[Any, list[Traced]]:
        """Get a plain index, and the parts of it that are not known."""
        parts = index if type(index) is tuple else (index,)
        lifted = [self.trace.lift(part) if holds_traced(part) else part for part in parts]
        open_ = [one for one in traced_in(lifted) if not one.readable]
        if any(one.dtype.kind == "b" or one.ndim == 0 for one in open_):
            raise self.trace.fail(Branch)
        plain = tuple(example(part) for part in lifted)
        return (plain if type(index) is tuple else plain[0]), open_

    def __getitem__(self, index: Any) -> Any:
        index, open_ = (index, None) if _is_plain(index) else self._where(index)
        value = self.value[index]
        if open_:
            return self.trace.any_of([self], value)
        nodes = self.nodes[index]
        if not isinstance(value, np.ndarray):
            if nodes == KNOWN:
                return value
            value, nodes = np.asarray(value), np.asarray(nodes)
        bends = None if self.bends is None else _nodes_at(self.bends, index)
        return Traced(self.trace, nodes, bends, value, self.origin)

    def __setitem__(self, index: Any, value: Any) -> None:
        trace = self.trace
        if _is_plain(index) and type(value) is Traced and value.dtype == self.dtype:
            self.write(index, value)
            return
        if type(index) is Traced and index.dtype.kind == "b" and not index.readable:
            index, value = Ellipsis, self._masked(index, trace.lift(value))
        index, open_ = self._where(index)
        value = trace.lift(value)
        if self.dtype.kind in "bui" and value.dtype.kind not in "bui":
            value = value.astype(self.dtype)
        if not open_:
            self.write(index, value)
            return
        self.value[index] = value.value
        self.write(Ellipsis, trace.any_of([self, value], self.value.copy()))

    def _masked(self, mask: Traced, value: Traced) -> Any:
        """Assign one value where a mask holds that is not known; get the whole array."""
        rest = self.ndim - mask.ndim
        if value.ndim > rest:  # as many values as the mask has entries that hold
            raise self.trace.fail(Branch)
        wide = mask.like(lambda array: array.reshape(*array.shape, *(1,) * rest))
        return self.trace.on_function(self.trace, np.where, (wide, value, self), {})

    def write(self, index: Any, value: Traced) -> None:
        """Assign where the index is known."""
        self.value[index] = value.value
        self.nodes[index] = value.nodes
        if self.bends is not None:
            self.bends[index] = value.bends
        if not value.is_constant:
            self.origin.constant = False

    def __bool__(self) -> bool:
        value = bool(self.value)  # raises as NumPy does where there are several
        if not self.readable:
            raise self.trace.fail(Branch)
        return value

    def __int__(self) -> int:
        return int(self.trace.read(self))

    def __index__(self) -> int:
        self.value.__index__()
        return int(self.trace.read(self).__index__())

    def __float__(self) -> float:
        return float(self.number)

    def __complex__(self) -> complex:
        return complex(self.number)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self.value)))

    def __contains__(self, item: Any) -> bool:
        return bool((self == item).any())

    def __repr__(self) -> str:
        return f"Traced(shape={self.shape}, dtype={self.dtype})"

    def __format__(self, spec: str) -> str:
        return format(self.value[()], spec)

    def __round__(self, digits: int | None = None) -> Any:
        made = self.trace.on_ufunc(self.trace, np.rint, "__call__", (self,), {})
        return made.astype(int) if digits is None else made

    def __floor__(self) -> Any:
        return self.trace.on_ufunc(self.trace, np.floor, "__call__", (self,), {}).astype(int)

    def __ceil__(self) -> Any:
        return self.trace.on_ufunc(self.trace, np.ceil, "__call__", (self,), {}).astype(int)

    def __trunc__(self) -> Any:
        return self.trace.on_ufunc(self.trace, np.trunc, "__call__", (self,), {}).astype(int)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __getattr__(self, name: str) -> Any:
        return self.trace.on_attribute(self, name)
