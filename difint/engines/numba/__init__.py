"""Forward mode with dual numbers, compiled by Numba.

Sources: Revels, Lubin and Papamarkou, *Forward-Mode Automatic Differentiation in Julia*,
arXiv:1607.07892, for chunks of partials; Fike and Alonso, AIAA 2011-886, for second order.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from difint.engine import Apply, Arrays, At, Compiled, Engine, Kernel, Occasion
from difint.engines.numba import (  # noqa: F401  # they register overloads
    compressed,
    compressed_hessian,
    creation,
    linear,
    methods,
    reductions,
)
from difint.engines.numba.compiling import RECIPES, compiled
from difint.engines.numba.lowering import KINDS, lower
from difint.engines.numba.watching import watch
from difint.host import NUMPY_ARRAYS
from difint.problem import Problem

if TYPE_CHECKING:
    from difint.backends import AutoNumba
    from difint.dependence.sets import Rows


def _kernel(operator: str, arrays: Arrays, problem: Problem, *, value: bool) -> Kernel:
    """Build an operator without a tangent."""
    made = compiled(operator, arrays, problem)
    return made.full if value else made.kernel


def _at(operator: str, arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False) -> At:
    """Build an operator with a tangent, staged; nothing of it depends on the point alone."""
    made = compiled(operator, arrays, problem)

    def at(x: Any, *contexts: Any) -> Apply:
        if value:
            return lambda t: made.full(x, t, *contexts)
        return lambda t: (None, made.kernel(x, t, *contexts))

    return at


def _whole(operator: str, arrays: Arrays, problem: Problem, occasion: Occasion) -> Compiled:
    """Build an operator that fills its results."""
    return compiled(operator, arrays, problem, occasion.batch)


def _dependence(problem: Problem, occasion: Occasion, *, curved: bool, local: bool) -> Rows:
    """Find a pattern by index sets; few plans do, and what that takes is loaded for them."""
    from difint.engines.numba.dependence import rows

    return rows(problem, occasion, curved=curved, local=local)


@cache
def engine(backend: AutoNumba) -> Engine:
    """Make the engine's record."""
    arrays = replace(
        NUMPY_ARRAYS,
        name="numba",
        kinds=KINDS,
        lower=partial(lower, backend),
        watch=watch,
        dependence=_dependence,
        holds_integers=True,
    )
    plain = [name for name, recipe in RECIPES.items() if recipe.tangent is None]
    return Engine(
        arrays=arrays,
        pushforward=partial(_at, "pushforward"),
        native={
            **{name: partial(_kernel, name) for name in plain},
            "pullback": partial(_at, "pullback"),
            "hvp": partial(_at, "hvp"),
        },
        compiled={name: partial(_whole, name) for name in RECIPES},
        compressed={"jacobian": compressed.jacobian, "hessian": compressed_hessian.hessian},
        inplace=True,
    )
