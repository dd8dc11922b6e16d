"""Exports: the compiled sweep for code that is not Python.

What is one number at prepare is passed by value, and is returned where it is the result; the rest
are arrays, or pointers to contiguous memory. Trees are passed to compiled code as they are written
as contexts, and to C as their leaves.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, final

from numba import cfunc, njit
from numba.core import types
from scipy import LowLevelCallable

from difint.engine import Export
from difint.engines.numba.buffers import array_at, fitting, frozen, single_of
from difint.engines.numba.entries import Door, Place, function_text
from difint.engines.numba.memory_views import dynamic
from difint.errors import UnsupportedError, message
from difint.signature import Argument


@final
@dataclass(frozen=True, slots=True)
class NumbaExport(Export):
    """Compiles, when first asked, what a plan offers to compiled code.

    Attributes:
        operator: the operator's name, for messages.
        door: the sweep.
        contexts: descriptions of the contexts.
        made: what was compiled so far.
        state: what the plan passes to the sweep itself; ``None`` without such.
    """

    operator: str
    door: Door
    contexts: tuple[Argument, ...]
    made: dict[str, Any]
    state: Any = None

    def kernel(self) -> Any:
        """Compile ``kernel(x, [t,] contexts..., out)`` for ``numba.njit`` functions."""
        return self._once("kernel", self._for_compiled_code)

    def c_function(self) -> Any:
        """Compile the C function, for ``ctypes``, which keeps its code alive."""
        return self._once("c", self._for_c)

    def address(self) -> int:
        """Get the address of the C function."""
        place = ctypes.cast(self.c_function(), ctypes.c_void_p).value
        assert place is not None  # it is a function's
        return place

    def low_level_callable(self) -> Any:
        """Compile a C function of one number, and the contexts, for SciPy."""
        return self._once("scipy", self._for_scipy)

    def _once(self, name: str, make: Any) -> Any:
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def _for_compiled_code(self) -> Any:
        names, unpacked = self._contexts()
        lead = [place.name for place in self.door.inputs]
        names = [*lead, *names, *(["out"] if self._fills else [])]
        pairs = zip(self.door.leaves, unpacked, strict=True)
        lines = [f"{place.name} = {text}" for place, text in pairs]
        arrays = [one for one in self._passed if not self._is_number(one)]
        checks = [f"{one.name}.shape != {one.shape!r}" for one in arrays]
        if checks:
            problem = "difint: an argument has another shape than at prepare"
            lines += [f"if {' or '.join(checks)}:", f"    raise ValueError({problem!r})"]
        lines += self._layout_checks()
        source = function_text("kernel", names, [*lines, *self._lines()])
        return njit(nogil=True, error_model="numpy")(self._written(source, "kernel", {}))

    def _for_c(self) -> Any:
        places = self._passed
        arrays = [one for one in places if not self._is_number(one)]
        env = {f"at_{one.name}": array_at(one.ty, one.shape) for one in arrays}
        lines = [f"{one.name} = at_{one.name}({one.name})" for one in arrays]
        names = [one.name for one in places]
        source = function_text("called", names, [*lines, *self._lines()])
        signature = self._returned(*map(self._in_c, places))
        return self._in_c_code(source, signature, env)

    def _for_scipy(self) -> Any:
        x, *others = self.door.places[:-1]
        numbers = all(map(self._is_number, self.door.places))
        double = {one.ty.dtype if one.is_array else one.ty for one in self.door.places}
        if len(self.door.inputs) > 1 or not numbers or double != {types.float64}:
            self._refuse()
        if not others:
            return LowLevelCallable(self.c_function())
        lines = [f"{one.name} = numbers[{i}]" for i, one in enumerate((x, *others))]
        source = function_text("called", ["count", "numbers"], [*lines, *self._lines()])
        signature = types.float64(types.intc, types.CPointer(types.float64))
        return LowLevelCallable(self._in_c_code(source, signature, {}))

    def _in_c_code(self, source: str, signature: Any, env: dict[str, Any]) -> Any:
        made = cfunc(signature, error_model="numpy")(self._written(source, "called", env))
        called = made.ctypes
        called.code = made  # alive as long as it
        return called

    def _refuse(self) -> None:
        text = message(
            self.operator,
            "SciPy has no signature of a LowLevelCallable that fits this plan",
            expected="a function of a float and of Constant floats, which returns a float",
            got=", ".join(f"{one.name}: {one.ty}" for one in self.door.places),
            remedy="Use plan.address or plan.ctypes, a C function of pointers.",
        )
        raise UnsupportedError(text)

    @property
    def _fills(self) -> bool:
        return self.door.out.shape != ()

    @property
    def _passed(self) -> tuple[Place, ...]:
        return self.door.places if self._fills else self.door.places[:-1]

    @property
    def _returned(self) -> Any:
        return types.void if self._fills else self.door.out.ty.dtype

    @property
    def _singles(self) -> list[Place]:
        return [one for one in (*self.door.inputs, self.door.out) if one.shape == ()]

    def _is_number(self, place: Place) -> bool:
        return place in self._singles or not place.is_array

    def _in_c(self, place: Place) -> Any:
        return place.ty.dtype if place in self._singles else place.pointed

    def _contexts(self) -> tuple[list[str], list[str]]:
        """Name the contexts, and write their leaves as parts of them."""
        leaves, names, texts = iter(self.door.leaves), [], []
        for i, context in enumerate(self.contexts):
            names.append(f"context{i}")
            for path in context.paths:
                text, leaf = f"context{i}{path[len(context.name) :]}", next(leaves)
                fixed = leaf.is_array and not leaf.ty.mutable
                texts.append(f"frozen({text})" if fixed else text)
        return names, texts

    def _layout_checks(self) -> list[str]:
        """Write what refuses arrays that are not contiguous, and an ``out`` that is an input."""
        flat = [one.name for one in (*self.door.inputs, self.door.out) if one.shape != ()]
        checks = [f"not fits_{name}({name})" for name in flat]
        checks += [f"not apart({name}, out)" for name in flat if name != "out" and self._fills]
        problem = "difint: an array is not contiguous, or out shares memory with an argument"
        if not checks:
            return []
        return [f"if {' or '.join(checks)}:", f"    raise ValueError({problem!r})"]

    def _lines(self) -> list[str]:
        """Write the call of the sweep, on vectors of one where there are numbers."""
        lines = [f"{one.name} = one_{one.name}({_initial(one)})" for one in self._singles]
        lines += [f"{one.name} = {one.name}_of()" for one in self.door.hidden]
        lines.append(self.door.call(self.door.unwanted))
        return lines if self._fills else [*lines, "return out[0]"]

    def _written(self, source: str, name: str, env: dict[str, Any]) -> Any:
        ones = {f"one_{one.name}": single_of(one.ty.dtype) for one in self._singles}
        places = [*self.door.inputs, self.door.out]
        fits = {f"fits_{one.name}": fitting(one.ty, one.shape) for one in places}
        hidden = {}
        if self.state is not None:  # which lives as long as the function's globals
            hidden = {"state_of": dynamic(self.state.address), "kept": self.state}
        tools = {"frozen": frozen, **hidden, **ones, **fits}
        return self.door.written(source, name, {**tools, **env})


def _initial(place: Place) -> str:
    return "0.0" if place.name == "out" else place.name
