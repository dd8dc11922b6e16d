"""Compiling: from a user's function to the compiled sweep of an operator, by Enzyme."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

from numba import njit
from numba.np.numpy_support import from_dtype

from difint.engine import Arrays, Compiled
from difint.engines.numba.compiling import callable_of, door_of
from difint.engines.numba.entries import Door, lower_place
from difint.engines.numba.enzyme import sweeps
from difint.engines.numba.enzyme.derivatives import Derivative, NotDifferentiable, caller
from difint.engines.numba.enzyme.lowering import EnzymeFunction
from difint.engines.numba.enzyme.markers import Kind
from difint.engines.numba.enzyme.sweeps import Sizes
from difint.engines.numba.enzyme.verifying import verify
from difint.engines.numba.pipeline import PART
from difint.engines.numba.refusals import explained
from difint.engines.numba.source import from_source
from difint.errors import UnsupportedError, message
from difint.problem import ContextChange, Problem

Mode = Literal["forward", "reverse"]

_WIDE = 16
"""Tangents that go through at once, where nobody says how many: code grows with them."""


_LONG = 40_000
"""Bytes of bytecode, times tangents, that are differentiated at once."""


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """How an operator is computed in one mode.

    Attributes:
        sweep: makes the sweep.
        kind: the primitive that it calls.
        other: the one that it calls where the value is wanted; ``None`` for the same.
        seeds: what it sweeps: ``"x"`` or ``"y"``, a basis of these; ``"t"``, tangents; ``"1"``.
    """

    sweep: Callable[..., Any]
    kind: Kind
    seeds: Literal["x", "y", "t", "1"]
    other: Kind | None = None


_FORWARD = {
    "pushforward": Recipe(sweeps.tangents, "push", "t"),
    "pullback": Recipe(sweeps.pulled, "push", "x"),
    "derivative": Recipe(sweeps.columns, "push", "x"),
    "gradient": Recipe(sweeps.columns, "push", "x"),
    "jacobian": Recipe(sweeps.columns, "push", "x"),
    "second_derivative": Recipe(sweeps.second, "twice", "1"),
    "hvp": Recipe(sweeps.twofold, "twice", "x"),
    "hessian": Recipe(sweeps.twofold_blocks, "twice", "x"),
}
_REVERSE = {
    "pushforward": Recipe(sweeps.pushed, "slip", "y", "pull"),
    "pullback": Recipe(sweeps.cotangents, "slip", "t", "pull"),
    "derivative": Recipe(sweeps.rows, "slip", "y", "pull"),
    "gradient": Recipe(sweeps.slope, "slip", "1", "pull"),
    "jacobian": Recipe(sweeps.rows, "slip", "y", "pull"),
    "second_derivative": Recipe(sweeps.second, "twice", "1"),
    "hvp": Recipe(sweeps.products, "bend", "t"),
    "hessian": Recipe(sweeps.blocks, "bend", "x", "value"),
}
RECIPES: dict[Mode, dict[str, Recipe]] = {"forward": _FORWARD, "reverse": _REVERSE}

_BETTER: dict[str, Mode] = {
    "pushforward": "forward",
    "pullback": "reverse",
    "derivative": "forward",
    "gradient": "reverse",
    "second_derivative": "forward",
    "hvp": "reverse",
    "hessian": "reverse",
}
"""The mode of each operator but ``jacobian``, where nobody says which."""

_EMPTY = Recipe(sweeps.nothing, "value", "1")
"""For an ``x`` or a ``y`` without entries."""

_ROUTES = {
    "value": "nothing to differentiate",
    "push": "Enzyme forward × {calls}",
    "slip": "Enzyme reverse × {calls}",
    "bend": "Enzyme forward over reverse × {calls}",
    "twice": "Enzyme forward over forward × {calls}",
}


def compiled(operator: str, arrays: Arrays, problem: Problem, batch: int | None = None) -> Compiled:
    """Compile an operator, once for a problem; ``batch`` is the number of tangents in a tuple."""
    function = function_of(problem)
    key = operator, batch, problem.y.shape, problem.y.dtype
    if key not in function.kernels:
        function.kernels[key] = _compile(operator, problem, function, batch)
    made: Compiled = function.kernels[key]
    if function.backend.verify:
        verify(operator, problem, function, made, batch)
    return made


def function_of(problem: Problem) -> EnzymeFunction:
    """Get the user's function, which a problem of this engine calls."""
    function: Any = problem.call
    function = function.inner if isinstance(function, ContextChange) else function
    if not isinstance(function, EnzymeFunction):
        text = message(
            problem.source.operator,
            "AutoEnzyme cannot differentiate through another backend",
            expected="the user's own function",
            got="a derivative of it, which Python computes",
            remedy="Use AutoEnzyme() alone: it differentiates its own derivatives.",
        )
        raise UnsupportedError(text)
    return function


def mode_of(operator: str, problem: Problem, chosen: Mode | None) -> Mode:
    """Choose the mode: for a Jacobian the one with fewer tangents, where reverse costs double."""
    if chosen is not None:
        return chosen
    if operator != "jacobian":
        return _BETTER[operator]
    return "reverse" if 2 * problem.y.size < problem.x.size else "forward"


def _compile(
    operator: str, problem: Problem, function: EnzymeFunction, batch: int | None
) -> Compiled:
    recipe = RECIPES[mode_of(operator, problem, function.backend.mode)][operator]
    if 0 in (problem.x.size, problem.y.size):
        recipe = _EMPTY
    sizes = _sizes(recipe, problem, function, batch)
    sweep = made_sweep(recipe, sizes, function)
    told = ("enzyme", operator, batch, problem.y.shape, problem.y.dtype)
    core, key = (sweep, sizes.chunks), function.digest.shared(*told)
    door = door_of(operator, core, problem, function, batch, key, lower_place)
    entry, at = opened(problem, function, door, batch)
    route = _ROUTES[recipe.kind].format(calls=sizes.chunks)
    trees = [form.described.structure for form in (problem.x_form, problem.y_form)]
    plain = trees == [None, None] and batch is None
    return callable_of(
        door, (entry, at), function, batch, route, exported=operator if plain else None
    )


def opened(problem: Problem, function: EnzymeFunction, door: Door, batch: int | None) -> Any:
    """Compile the doors for Python and for memory; say what Enzyme cannot do."""
    try:
        entry = door.for_python()
        return entry, None if batch is not None else door.for_memory()
    except Exception as error:
        reason = _reason(error)
        if reason is not None:
            raise refusal(problem.source.operator, str(reason)) from None
        with explained(problem.source, "AutoEnzyme"):
            raise


def _reason(error: BaseException | None) -> NotDifferentiable | None:
    """Find what was raised while Numba compiled: it wraps what it does not know."""
    while error is not None:
        if isinstance(error, NotDifferentiable):
            return error
        inner = [one for one in error.args if isinstance(one, NotDifferentiable)]
        if inner:
            return inner[0]
        error = error.__cause__ or error.__context__
    return None


def refusal(operator: str, reason: str) -> UnsupportedError:
    """Explain that Enzyme gives no derivative of ``f``."""
    text = message(
        operator,
        f"AutoEnzyme cannot differentiate f: {reason}",
        remedy="Write it with arithmetic and loops, or use AutoNumba() or AutoFiniteDiff().",
    )
    return UnsupportedError(text)


def _sizes(recipe: Recipe, problem: Problem, function: EnzymeFunction, batch: int | None) -> Sizes:
    n, m, count = problem.x.size, problem.y.size, batch or 1
    seeds = {"x": n, "y": m, "t": count, "1": 1}[recipe.seeds]
    width = max(1, min(seeds, function.backend.width or wide(seeds, _WIDE, function)))
    dtypes = from_dtype(problem.x.dtype), from_dtype(problem.y.dtype)
    return Sizes(n, m, *dtypes, count, width, -(-seeds // width))


def wide(seeds: int, most: int, function: EnzymeFunction) -> int:
    """Choose a width: all, if they are not many, or such that calls are equally wide.

    Code grows with it, and so does the time to make it: long functions take fewer at once.
    """
    most = max(1, min(most, _LONG // max(function.length, 1)))
    return -(-seeds // -(-seeds // most)) if seeds else 1


def made_sweep(recipe: Any, sizes: Sizes, function: EnzymeFunction) -> Any:
    """Make the sweep of a recipe, which Numba compiles as a part of its doors."""
    assert function.primal is not None
    kinds = [recipe.kind] if recipe.other is None else [recipe.kind, recipe.other]
    calls = [caller(derivative_of(function, kind, sizes.width)) for kind in kinds]
    sweep = recipe.sweep(sizes, *calls, raising(function))
    return njit(**PART)(sweep)


def derivative_of(function: EnzymeFunction, kind: Kind, width: int) -> Derivative:
    """Get a primitive, made once."""
    assert function.primal is not None
    made: Derivative = function.derivatives.setdefault(
        (kind, width), Derivative(function.primal, kind, width)
    )
    return made


def raising(function: EnzymeFunction) -> Any:
    """Compile ``again(x, leaves)``, which calls ``f`` as it is, to raise what it raises."""
    names = "".join(f"leaves[{i}], " for i in range(len(function.leaves)))
    source = f"def again(x, leaves):\n    probe(x, {names}0.0)\n    raise RuntimeError(message)\n"
    env = {"probe": function.probe, "message": sweeps.NO_STATUS}
    return njit(**PART)(from_source(source, "again", env))
