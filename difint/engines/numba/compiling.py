"""Compiling: from an adopted function to the compiled sweep of an operator, and ways to call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
from numba.np.numpy_support import as_dtype, from_dtype

from difint.engine import Arrays, Compiled
from difint.engines.numba import kernels
from difint.engines.numba.adopted import Adopted
from difint.engines.numba.buffers import zero_of
from difint.engines.numba.chunks import ChunkSize, candidates, chunk_of, fastest
from difint.engines.numba.dual import Dual
from difint.engines.numba.entries import Door, Place, input_place, result_place
from difint.engines.numba.exports import NumbaExport
from difint.engines.numba.glue import freshener
from difint.engines.numba.lowering import DualFunction, dual_for
from difint.engines.numba.memory import binder
from difint.engines.numba.threads import in_turn
from difint.engines.numba.workspace import State
from difint.errors import PreparationMismatchError, UnsupportedError, message
from difint.problem import ContextChange, Problem


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """How an operator is computed.

    Attributes:
        sweep: makes the sweep.
        tangent: what its tangents are like, ``"x"`` or ``"y"``; ``None`` without.
        out: the shape of the result: ``"x"``, ``"y"``, or a matrix ``"y,x"`` or ``"x,x"``.
        lower: the shapes of the lower orders.
        route: what the plan's ``route`` says.
    """

    sweep: Callable[..., Any]
    tangent: str | None
    out: str
    lower: tuple[str, ...]
    route: str


RECIPES = {
    "pushforward": Recipe(kernels.tangents, "x", "y", ("y",), "duals × {chunks}"),
    "pullback": Recipe(kernels.contractions, "y", "x", ("y",), "duals × {chunks}"),
    "derivative": Recipe(kernels.columns, None, "y", ("y",), "duals × {chunks}"),
    "gradient": Recipe(kernels.columns, None, "x", ("y",), "duals × {chunks}"),
    "jacobian": Recipe(kernels.columns, None, "y,x", ("y",), "duals × {chunks}"),
    "second_derivative": Recipe(kernels.second, None, "y", ("y", "y"), "duals of duals"),
    "hvp": Recipe(kernels.products, "x", "x", ("x",), "duals of duals × {chunks}"),
    "hessian": Recipe(kernels.blocks, None, "x,x", ("y", "x"), "duals of duals × {chunks}"),
}


def compiled(operator: str, arrays: Arrays, problem: Problem, batch: int | None = None) -> Compiled:
    """Compile an operator, once for a problem; ``batch`` is the number of tangents in a tuple."""
    function = function_of(problem)
    key = operator, batch, problem.y.shape, problem.y.dtype
    if key not in function.kernels:
        function.kernels[key] = _compile(operator, problem, function, batch)
    made: Compiled = function.kernels[key]
    return made


def function_of(problem: Problem) -> DualFunction:
    """Get the user's function of duals, which a problem of this engine calls."""
    # Every call makes its own caches of duals: there is nothing to change for threads.
    function: Any = problem.call
    function = function.inner if isinstance(function, ContextChange) else function
    if not isinstance(function, DualFunction):
        _refuse(problem)
    made: DualFunction = function
    return made


def _refuse(problem: Problem) -> None:
    text = message(
        problem.source.operator,
        "AutoNumba cannot differentiate through another backend",
        expected="the user's own function",
        got="a derivative of it, which Python computes",
        remedy="Use AutoNumba() alone: its second derivatives are duals of duals.",
    )
    raise UnsupportedError(text)


def _compile(
    operator: str, problem: Problem, function: DualFunction, batch: int | None
) -> Compiled:
    chosen = function.backend.chunk_size
    made = partial(_swept, operator, problem, function, batch)
    if chosen != "measure" or (sizes := _sizes(operator, problem, batch)) is None:
        door = made(chosen)
        entry = in_turns(door, function, door.for_python())
    else:
        doors = [made(size) for size in sizes]
        entries = [in_turns(door, function, door.for_python()) for door in doors]
        calls = [_example(*one, problem, function) for one in zip(doors, entries, strict=True)]
        best = fastest(calls)
        door, entry = doors[best], entries[best]
    at = None if batch is not None else in_turns(door, function, door.for_memory())
    trees = [form.described.structure for form in (problem.x_form, problem.y_form)]
    plain = trees == [None, None] and batch is None
    route = RECIPES[operator].route.format(chunks=door.chunks)
    made_export = operator if plain else None
    return callable_of(door, (entry, at), function, batch, route, exported=made_export)


def in_turns(door: Door, function: DualFunction, call: Any) -> Any:
    """Let threads take turns at calling parallel code, where they must."""
    return in_turn(call) if function.backend.parallel and door.chunks > 1 else call


def _sizes(operator: str, problem: Problem, batch: int | None) -> list[int] | None:
    """List the sizes of chunks to measure; ``None`` where there is no choice."""
    seeds = (batch or 1) if operator == "pushforward" else problem.x.size
    if operator in ("derivative", "second_derivative") or seeds < 2:
        return None
    second = operator == "hessian"
    usual = chunk_of(seeds, from_dtype(problem.x.dtype), None, second=second)
    return candidates(seeds, usual)


def _example(door: Door, entry: Any, problem: Problem, function: DualFunction) -> Any:
    """Prepare the call of an entry at the example, to measure it."""
    x, *others = door.inputs
    enter = problem.x_form.enter or np.asarray
    inputs = [np.array(enter(problem.source.x), as_dtype(x.ty.dtype)).reshape(x.shape)]
    inputs += [np.zeros(one.shape, as_dtype(one.ty.dtype)) for one in others]
    filled = [np.empty(one.shape, as_dtype(one.ty.dtype)) for one in (*door.lower, door.out)]
    leaves = function.flat([context.value for context in problem.source.contexts])
    return partial(entry, *filled[:-1], *inputs, *leaves, filled[-1])


def _swept(
    operator: str, problem: Problem, function: DualFunction, batch: int | None, size: ChunkSize
) -> Door:
    """Make the sweep of an operator for a size of chunks."""
    recipe, n, m = RECIPES[operator], problem.x.size, problem.y.size
    backend, count = function.backend, batch or 1
    dual = dual_for(operator, n, from_dtype(problem.x.dtype), size)
    if operator == "pushforward":
        dual = Dual(dual.base, chunk_of(count, dual.float, size, second=False))
    chunk = dual.base.size if isinstance(dual.base, Dual) else dual.size
    y_dual = dual.with_float(from_dtype(problem.y.dtype)) if function.in_place else dual
    shape = kernels.Shape(dual, y_dual, n, m, count, chunk, function.in_place)
    fresh = freshener(function.contexts, zero_of(dual))
    sweep = recipe.sweep(shape, function.call, fresh)
    chunks = _chunks(operator, n, count, chunk)
    core = kernels.core(sweep, chunks, parallel=backend.parallel, fastmath=backend.fastmath)
    key = function.digest.shared(operator, batch, shape, problem.y.shape, problem.y.dtype)
    return door_of(operator, (core, chunks), problem, function, batch, key)


def _chunks(operator: str, n: int, count: int, chunk: int) -> int:
    seeds = count if operator == "pushforward" else n
    chunks = max(1, -(-seeds // chunk))
    return chunks * count if operator == "hvp" else chunks


def door_of(
    operator: str,
    core: tuple[Any, int],
    problem: Problem,
    function: Adopted,
    batch: int | None,
    key: str | None,
    lower_place: Callable[..., Place] = result_place,
) -> Door:
    """Describe the arguments and the results of an operator's sweep.

    ``core`` is the sweep, and how many chunks it has; ``lower_place`` describes a lower order.
    """
    x, y, recipe = problem.x, problem.y, RECIPES[operator]
    shapes = {"x": x.shape, "y": y.shape, "y,x": (y.size, x.size), "x,x": (x.size, x.size)}
    dtypes = {"x": x.dtype, "y": y.dtype, "y,x": y.dtype, "x,x": x.dtype}
    inputs = [input_place("x", np.empty(x.shape, x.dtype))]
    prefix = () if batch is None else (batch,)
    if recipe.tangent is not None:
        like = {"x": x, "y": y}[recipe.tangent]
        inputs.append(input_place("t", np.empty((*prefix, *like.shape), like.dtype)))
    out = result_place("out", (*prefix, *shapes[recipe.out]), dtypes[recipe.out])
    lower = tuple(
        lower_place(f"lower{i}", shapes[part], dtypes[part]) for i, part in enumerate(recipe.lower)
    )
    shown = tuple(shapes[part] for part in recipe.lower)
    return Door(*core, tuple(inputs), function.leaves, out, lower, key, shown=shown)


def callable_of(
    door: Door,
    calls: tuple[Any, Any],
    function: Adopted,
    batch: int | None,
    route: str,
    state: State | None = None,
    product: Callable[..., Any] | None = None,
    *,
    exported: str | None = None,
) -> Compiled:
    """Make the functions that a plan calls; ``calls`` are those of the door.

    ``state`` is what the plan passes to them itself. ``exported`` names the operator where other
    compiled code can call it: where arguments and results are no trees.
    """
    entry, at = calls
    results = [(place.shape, as_dtype(place.ty.dtype)) for place in (*door.lower, door.out)]
    makers = [partial(np.empty, *one) for one in results]
    nothing = [np.empty((0,) * len(shape), dtype) for shape, dtype in results[:-1]]
    lead, flat, make = len(door.inputs), function.flat, makers[-1]
    shown = door.shown if door.shown != tuple(place.shape for place in door.lower) else ()
    hidden = () if state is None else (state.address,)
    fill = _Fill(entry, *nothing, *hidden)
    fill.kept = state
    export = None
    if exported is not None:
        export = NumbaExport(exported, door, function.contexts, {}, state)

    def run(lower: list[Any], args: tuple[Any, ...], out: Any) -> None:
        inputs = [np.stack(arg) if isinstance(arg, tuple) else arg for arg in args[:lead]]
        inputs = [np.asarray(arg, arg.dtype.newbyteorder("="), order="C") for arg in inputs]
        own = () if state is None else (state.address,)  # so that it lives as long as this function
        if not entry(*lower, *own, *_shaped(inputs, door), *flat(args[lead:]), out):
            _refuse_shapes(door)

    def kernel(*args: Any) -> Any:
        out = make()
        try:
            if fill(*args, out):
                return out
        except TypeError:
            pass  # laid out otherwise than compiled for, or an error of f's own, which comes again
        run(nothing, args, out)
        return out

    def batched(*args: Any) -> Any:
        out = make()
        run(nothing, args, out)
        return tuple(out)

    def full(*args: Any) -> Any:
        *lower, out = (make() for make in makers)
        run(lower, args, out)
        lower = _as_shown(lower, shown)
        return (*lower, out if batch is None else tuple(out))

    def into(args: tuple[Any, ...], target: Any, whole: bool) -> tuple[Any, ...]:
        lower = [make() for make in makers[:-1]] if whole else nothing
        direct = target.flags.c_contiguous and target.dtype.isnative
        out = target if direct else make()
        run(lower, args, out)
        if not direct:
            target[...] = out
        return tuple(_as_shown(lower, shown)) if whole else ()

    if batch is not None:
        return Compiled(batched, full, None, None, export, route)
    plain = all(context.structure is None for context in function.contexts)
    bind = binder(door, at, hidden, state)
    filling = fill if plain else None
    made = Compiled(kernel, full, filling, bind, export, route, product=product)
    return made if exported is None else replace(made, into=into)


def _as_shown(lower: list[Any], shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    """Give lower orders the shapes that a plan returns."""
    pairs = zip(lower, shapes, strict=True)
    return [one.reshape(shape) for one, shape in pairs] if shapes else lower


class _Fill(partial[Any]):
    """A compiled entry with its first arguments, which keeps the memory behind them.

    Attributes:
        kept: what holds that memory.
    """

    kept: Any


def _refuse_shapes(door: Door) -> None:
    text = message(
        "execute",
        "an argument does not fit what was compiled",
        expected=", ".join(f"{place.name}{list(place.shape or ())}" for place in door.inputs),
        remedy="Prepare with strict=True, to be told which.",
    )
    raise PreparationMismatchError(text)


def _shaped(inputs: list[Any], door: Door) -> list[Any]:
    pairs = zip(inputs, door.inputs, strict=True)
    return [one if one.shape == place.shape else one.reshape(place.shape) for one, place in pairs]
