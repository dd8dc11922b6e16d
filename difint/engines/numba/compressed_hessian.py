"""Compressed evaluation: the entries of a sparse Hessian of a sum of terms, from one call of ``f``.

``f`` is compiled for terms and totals (``element``): each term adds its derivatives to the rows of
the compressed Hessian as it joins the sum, whatever the colors are. What cannot be written so, as
where a sum goes through another function, is left to products with the Hessian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
from numba import njit
from numba.core import types
from numba.np.numpy_support import as_dtype, from_dtype

from difint.engine import Arrays, Compiled, Compression
from difint.engines.numba import element_arrays  # noqa: F401  # it registers overloads
from difint.engines.numba.adopted import joined
from difint.engines.numba.banks import BANKS, HEADER, prepared, whole
from difint.engines.numba.buffers import frozen, zero_of
from difint.engines.numba.compiling import callable_of, function_of
from difint.engines.numba.element import MOST_ROOM, Blend, Term, Total
from difint.engines.numba.element_functions import as_total, home_of, number_of
from difint.engines.numba.entries import Door, Place, input_place, result_place
from difint.engines.numba.glue import freshener
from difint.engines.numba.kernels import ANOTHER_SIZE
from difint.engines.numba.lowering import DualFunction
from difint.engines.numba.memory import binder
from difint.engines.numba.memory_views import vector_at
from difint.engines.numba.pipeline import PART
from difint.engines.numba.scattering import (
    COLOR_SHIFT,
    MOST_COLORS,
    place_variable,
)
from difint.engines.numba.workspace import FLAT, State, slot, within_workspace
from difint.errors import UnsupportedError, message
from difint.problem import Problem

_STATE = Place("state", types.intp, None)

_NO_SUM = message(
    "hessian",
    "here f is no longer a sum of terms that were compiled one by one",
    expected="the way through f that it took at prepare",
    got="a sum that is used twice, not at all, or in another function",
    remedy="Prepare again at an x like this one.",
)


@final
@dataclass(frozen=True, slots=True)
class Form:
    """What the code of a Hessian depends on besides ``f``.

    Attributes:
        size: the number of entries.
        width: the number of floats in a row.
        unit: variables have the derivative 1 by themselves; otherwise a weight.
        room: how many variables blends have, if it is compiled for these; 0 for terms.
    """

    size: int
    width: int
    unit: bool
    room: int

    @property
    def words(self) -> int:
        """How many words of 8 bytes a variable takes: its value, home, tag and weight."""
        return 3 if self.unit else 4

    @property
    def result_bytes(self) -> int:
        """How many bytes the result takes in memory that ``f`` fills."""
        return 8 * (Blend(None, self.room).words if self.room else 3)

    def stride(self, n: int, number: Any) -> int:
        """Get the bytes of a bank for ``n`` variables, with what stands before its rows."""
        size = (n + 1) * self.width * number.bitwidth // 8
        return HEADER + -(-size // 64) * 64


_MOST_FLOATS = 2**32 - 1
"""Floats in the rows at most: entries are found by numbers of 32 bits."""


def hessian(arrays: Arrays, problem: Problem, job: Compression) -> Compiled | None:
    """Compile the entries of a Hessian; ``None`` where ``f`` is not seen to be a sum of terms."""
    function = function_of(problem)
    width = 1 + job.count  # the gradient stands first
    width += bool((job.colors < 0).any())  # a place for columns without a color, which is not read
    tight = job.chunk is not None and job.chunk < job.count  # less memory than for all colors
    if tight or job.count > MOST_COLORS or (problem.x.size + 1) * width > _MOST_FLOATS:
        return None
    places = job.colors, job.rows, job.passes
    for room in (0, min(job.count + 2, MOST_ROOM)):
        form = Form(int(job.passes.size), width, unit=True, room=room)
        found = _tried(problem, function, form, places)
        if found is not None:
            return found
    return None


def _tried(problem: Problem, function: DualFunction, form: Form, places: Any) -> Compiled | None:
    """Compile the entries, and compute them at the example; ``None`` where that fails."""
    made = _compiled(problem, function, form)
    if made is None:
        return None
    door, *calls = made
    state = _state(problem, form, places)
    product = partial(_product, problem, function, form)
    route = "blends" if form.room else "terms"
    found = callable_of(
        door, tuple(calls), function, None, route, state, product, exported="hessian"
    )
    return found if _works(problem, function, found) else None


def _works(problem: Problem, function: DualFunction, made: Compiled) -> bool:
    """Tell whether the derivatives of ``f`` at the example are in the rows, and its value right."""
    source, enter = problem.source, problem.x_form.enter or np.asarray
    x = np.array(enter(source.x), problem.x.dtype)
    contexts = [context.value for context in source.contexts]
    try:
        value = made.full(x, *contexts)[0]
    except UnsupportedError:
        return False
    expected = joined(function.values(x, function.flat(contexts))[0])
    rtol = 1e3 * float(np.finfo(x.dtype).eps)
    return bool(np.allclose(value.ravel(), expected.ravel(), rtol, rtol, equal_nan=True))


def _compiled(problem: Problem, function: DualFunction, form: Form) -> Any:
    """Compile the door and its two entries, once; ``None`` where that is impossible."""
    key = "compressed hessian", form
    if key not in function.kernels:
        like = problem.y.size == 1 and problem.y.dtype == problem.x.dtype
        function.kernels[key] = _made(problem, function, form) if like else None
    return function.kernels[key]


def _made(problem: Problem, function: DualFunction, form: Form) -> tuple[Door, Any, Any] | None:
    x = problem.x
    core = _core(_sweep(problem, function, form), function.backend.fastmath)
    key = function.digest.shared("compressed hessian", x.shape, x.dtype, form)
    inputs = (input_place("x", np.empty(x.shape, x.dtype)),)
    out = result_place("out", (form.size,), x.dtype)
    lower = (
        result_place("lower0", problem.y.shape, x.dtype),
        result_place("lower1", x.shape, x.dtype),
    )
    door = Door(core, 1, inputs, function.leaves, out, lower, key, (_STATE,))
    try:
        return door, door.for_python(), door.for_memory()
    except Exception:  # Numba's, of many types: nothing of the user's runs while it compiles
        return None


def _sweep(problem: Problem, function: DualFunction, form: Form) -> Any:
    """Make ``sweep(x, state, leaves, out, lower, first, last, work)``."""
    number, width, n = from_dtype(problem.x.dtype), form.width, problem.x.size
    call, filled = function.call, 1 if function.in_place else 0
    variables_at = vector_at(Term(number, 1, (), unit=form.unit, room=form.room))
    made: Any = Blend(number, form.room) if form.room else Total(number)
    ys_at, fresh = vector_at(made), freshener(function.contexts, zero_of(made))
    indices_at, floats_at = vector_at(types.uint32), vector_at(number)
    floats, stride = (n + 1) * width, form.stride(n, number)
    y_at = 8 * n * form.words
    root_at = y_at + form.result_bytes + HEADER

    def sweep(
        x: Any, state: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any, work: Any
    ) -> None:
        root = work + root_at
        prepared(root, (stride - HEADER) // 8, stride)
        variables, ys = variables_at(work, n), ys_at(work + y_at, filled)
        for i in range(n):
            place_variable(variables, i, x[i], root)
        if filled:
            ys[0] = 0.0
        row = call(frozen(variables), ys, fresh(leaves))
        if len(row) != 1:
            raise ValueError(ANOTHER_SIZE)
        total = as_total(row[0])
        home = whole(*home_of(total), root)
        if home == 0:
            raise UnsupportedError(_NO_SUM)
        rows, flat = floats_at(home, floats), indices_at(slot(state, FLAT), len(out))
        for k in range(len(out)):
            out[k] = rows[flat[k]]
        if lower[0].size > 0:
            lower[0][0] = number_of(total)
        for i in range(lower[1].size):
            lower[1][i] = rows[(i + 1) * width]

    return sweep


def _core(sweep: Callable[..., Any], fastmath: Any) -> Any:
    """Compile ``core(x, state, leaves, out, lower, 0, 1)``."""
    guarded = within_workspace(njit(**PART, fastmath=fastmath)(sweep))

    def core(x: Any, state: Any, leaves: Any, out: Any, lower: Any, first: Any, last: Any) -> None:
        guarded(x, state, leaves, out, lower, first, last)

    return njit(**PART)(core)


def _state(problem: Problem, form: Form, how: tuple[Any, ...], weights: Any = None) -> State:
    """Lay down the tags of variables, and the places of entries."""
    colors, entry_rows, passes = how
    n, dtype, width = problem.x.size, as_dtype(from_dtype(problem.x.dtype)), form.width
    colors = np.where(colors < 0, width - 2, colors).astype(np.int64)  # the last place, if unread
    rows = np.arange(1, n + 1) * (width * dtype.itemsize)
    variables = np.zeros((n, form.words), np.int64)
    variables[:, 2] = rows | (colors + 1) * dtype.itemsize << COLOR_SHIFT
    if weights is not None:
        variables.view(dtype)[:, 3 * 8 // dtype.itemsize] = weights
    flat = (entry_rows.astype(np.int64) + 1) * width + 1 + passes
    rest = form.result_bytes + BANKS * form.stride(n, from_dtype(problem.x.dtype))
    nothing: Any = np.empty(0)
    return State(flat.astype(np.uint32), nothing, nothing, nothing, variables, rest)


def _product(
    problem: Problem, function: DualFunction, form: Form, args: tuple[Any, ...], t: Any
) -> Any:
    """Multiply with any tangent, through code like that which is verified."""
    if (t != 0).all():
        return _scaled_product(problem, function, form, args, t)
    shift = np.abs(t).max() + 1.0  # the sum of two tangents without zeros
    parts = t - shift, np.full(t.shape, shift)
    return sum(_scaled_product(problem, function, form, args, part) for part in parts)


def _scaled_product(
    problem: Problem, function: DualFunction, form: Form, args: tuple[Any, ...], t: Any
) -> Any:
    """Give all variables one color and ``t`` for weights: in row ``i`` is ``t[i] * (Ht)[i]``."""
    n = problem.x.size
    zeros, form = np.zeros(n, np.int32), replace(form, size=n, width=2, unit=False)
    made = _compiled(problem, function, form)
    assert made is not None, "it differs from what was compiled before by its weights"
    door, _, at = made
    state = _state(problem, form, (zeros, np.arange(n), zeros), t)
    out = np.zeros(n, as_dtype(door.out.ty.dtype))
    x = np.ascontiguousarray(args[0], as_dtype(door.inputs[0].ty.dtype))
    step = binder(door, at, (state.address,), state)((x, *args[1:]), out)
    assert step is not None, "the arguments were laid out for it"
    return step() / t
