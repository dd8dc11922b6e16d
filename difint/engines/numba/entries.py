"""Entries: the doors to a compiled sweep, for Python and for memory; ``exports`` has others.

Each is written as source text, for contexts come in any number. All take ``x``, the tangents,
the leaves of the contexts, then the result to fill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numba import njit
from numba.core import types
from numba.core.typing.typeof import typeof

from difint.engines.numba.buffers import (
    apart,
    array_at,
    borrowed,
    fitting,
    no_array,
    read,
    slot_at,
)
from difint.engines.numba.keeping import compiled_as
from difint.engines.numba.source import from_source


@final
@dataclass(frozen=True, slots=True)
class Place:
    """One argument of a compiled sweep, or one part of its result.

    Attributes:
        name: what it is called in the source.
        ty: its Numba type.
        shape: its shape, a tuple; ``None`` for a scalar.
    """

    name: str
    ty: Any
    shape: Any

    @property
    def is_array(self) -> bool:
        """Whether it is an array."""
        return self.shape is not None

    @property
    def pointed(self) -> Any:
        """What stands for it in a call from C: a pointer, or the number."""
        return types.CPointer(self.ty.dtype) if self.is_array else self.ty


def input_place(name: str, example: Any) -> Place:
    """Describe ``x`` or tangents: a contiguous array."""
    return Place(name, typeof(example).copy(layout="C", readonly=True), example.shape)


def leaf_place(name: str, example: Any, *, written: bool) -> Place:
    """Describe a leaf of a context: an array as it is laid out, or a scalar."""
    ty = typeof(example)
    if not isinstance(example, np.ndarray):
        return Place(name, ty, None)
    return Place(name, ty.copy(readonly=not written), example.shape)


def result_place(name: str, shape: tuple[int, ...], dtype: Any) -> Place:
    """Describe a part of the result: a contiguous array."""
    return Place(name, types.Array(typeof(np.empty(0, dtype)).dtype, len(shape), "C"), shape)


def lower_place(name: str, shape: tuple[int, ...], dtype: Any) -> Place:
    """Describe a lower order that may be left out: a vector of one instead of a number.

    Of a number nobody could tell, by its size, that it is not wanted.
    """
    return result_place(name, shape or (1,), dtype)


@final
@dataclass(frozen=True, slots=True)
class Door:
    """A compiled sweep, and the places of its arguments.

    Attributes:
        core: ``core(x, t, leaves, out, lower, first, last)``.
        chunks: how many chunks there are.
        inputs: ``x`` and the tangents, if there are any.
        leaves: the leaves of the contexts.
        out: the result.
        lower: the lower orders.
        key: what its code depends on, in every process; ``None`` if that cannot be told.
        hidden: places before all others that the plan fills itself.
        shown: the shapes of the lower orders as a plan returns them, where those of their places
            are others.
    """

    core: Any
    chunks: int
    inputs: tuple[Place, ...]
    leaves: tuple[Place, ...]
    out: Place
    lower: tuple[Place, ...]
    key: str | None
    hidden: tuple[Place, ...] = ()
    shown: tuple[tuple[int, ...], ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """All arguments and the result, without lower orders."""
        return (*self.inputs, *self.leaves, self.out)

    def for_python(self) -> Any:
        """Compile ``entry(lower..., hidden..., x, [t,] leaves..., out) -> bool``.

        It declines, with ``False``, arrays of other shapes or not contiguous, and an ``out`` that
        overlaps an input: all of this is looked at here, where it costs nothing.
        """
        loose = [_loose(one) for one in (*self.inputs, self.out)]
        env = {f"fits_{one.name}": fitting(one.ty, one.shape) for one in loose}
        checks = [f"fits_{one.name}({one.name})" for one in loose]
        checks += [f"apart({one.name}, out)" for one in self.places[:-1] if one.is_array]
        lower = [f"borrowed({one.name})" for one in self.lower]
        lines = [f"if not ({' and '.join(checks)}):", "    return False", self.call(lower)]
        places = (*self.lower, *self.hidden, *loose[:-1], *self.leaves, loose[-1])
        source = function_text("entry", [one.name for one in places], [*lines, "return True"])
        signature = types.boolean(*(one.ty for one in places))
        return self._compiled(source, "entry", env, signature)

    def for_memory(self) -> Any:
        """Compile ``at(block)``: at that address, a slot a place holds a pointer or a number."""
        env, lines = {}, []
        for i, one in enumerate((*self.hidden, *self.places)):
            env[f"slot{i}"] = slot_at(one.pointed, i)
            env[f"array{i}"] = array_at(one.ty, one.shape) if one.is_array else None
            read = f"slot{i}(block)"
            lines.append(f"{one.name} = {f'array{i}({read})' if one.is_array else read}")
        source = function_text("at", ["block"], [*lines, self.call(self.unwanted)])
        return self._compiled(source, "at", env, types.void(types.intp))

    @property
    def unwanted(self) -> list[str]:
        """Write lower orders that are not wanted."""
        return [f"no_array({self.out.name})" for _ in self.lower]

    def call(self, lower: Sequence[str]) -> str:
        """Write the call of the sweep."""
        inputs = [f"read({one.name})" for one in self.inputs]
        inputs += [one.name for one in self.hidden]
        x, t = inputs if len(inputs) == 2 else (inputs[0], "None")
        leaves = "".join(f"{one.name}, " for one in self.leaves)
        parts = ", ".join(lower)
        return (
            f"core({x}, {t}, ({leaves}), borrowed({self.out.name}), ({parts},), 0, {self.chunks})"
        )

    def _compiled(self, source: str, name: str, env: dict[str, Any], signature: Any) -> Any:
        dispatcher = njit(nogil=True, error_model="numpy")(self.written(source, name, env))
        return compiled_as(dispatcher, signature, None if self.key is None else self.key + source)

    def written(
        self, source: str, name: str, env: dict[str, Any] | None = None
    ) -> Callable[..., Any]:
        """Make a function of a text that calls the sweep."""
        return from_source(source, name, {**_TOOLS, "core": self.core, **(env or {})})


_TOOLS = {
    "apart": apart,
    "borrowed": borrowed,
    "no_array": no_array,
    "read": read,
}


def _loose(place: Place) -> Place:
    """Accept any memory layout, to look at it in compiled code: that is cheaper than in Python."""
    return replace(place, ty=place.ty.copy(layout="A"))


def function_text(name: str, names: Sequence[str], lines: Sequence[str]) -> str:
    """Write a function."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"def {name}({', '.join(names)}):\n{body}"
