"""Forward mode with dual numbers, compiled by Numba.

Sources: Revels, Lubin and Papamarkou, *Forward-Mode Automatic Differentiation in Julia*,
arXiv:1607.07892, for chunks of partials; Fike and Alonso, AIAA 2011-886, for second order.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from difint.engine import Engine, Occasion
from difint.engines.numba import (  # noqa: F401  # they register overloads
    building,
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
    staged = partial(building.staged, compiled)
    return Engine(
        arrays=arrays,
        pushforward=partial(staged, "pushforward"),
        native={**building.native(compiled, RECIPES), "pullback": partial(staged, "pullback")},
        compiled={name: partial(building.whole, compiled, name) for name in RECIPES},
        compressed={"jacobian": compressed.jacobian, "hessian": compressed_hessian.hessian},
        inplace=True,
    )
