"""Building: what a compiled operator is to an engine's record.

``compile`` makes it: ``(operator, arrays, problem[, batch]) -> Compiled``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from difint.engine import Apply, Arrays, At, Compiled, Kernel, Occasion
from difint.problem import Problem

Compile = Callable[..., Compiled]


def kernel(
    compile: Compile, operator: str, arrays: Arrays, problem: Problem, *, value: bool
) -> Kernel:
    """Build an operator without a tangent."""
    made = compile(operator, arrays, problem)
    return made.full if value else made.kernel


def staged(
    compile: Compile,
    operator: str,
    arrays: Arrays,
    problem: Problem,
    *,
    value: bool,
    reuse: bool = False,
) -> At:
    """Build an operator with a tangent, staged; nothing of it depends on the point alone."""
    made = compile(operator, arrays, problem)

    def at(x: Any, *contexts: Any) -> Apply:
        if value:
            return lambda t: made.full(x, t, *contexts)
        return lambda t: (None, made.kernel(x, t, *contexts))

    return at


def whole(
    compile: Compile, operator: str, arrays: Arrays, problem: Problem, occasion: Occasion
) -> Compiled:
    """Build an operator that fills its results."""
    return compile(operator, arrays, problem, occasion.batch)


def native(compile: Compile, recipes: Any) -> dict[str, Any]:
    """Make the table of all operators but the two primitives."""
    tangents = {name: recipe.tangent is not None for name, recipe in recipes.items()}
    build = {True: staged, False: kernel}
    return {
        name: partial(build[takes], compile, name)
        for name, takes in tangents.items()
        if name not in ("pushforward", "pullback")
    }
