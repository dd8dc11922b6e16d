"""Enzyme: derivatives of the machine code of a function, forward and reverse.

Sources: Moses and Churavy, *Instead of Rewriting Foreign Code for Machine Learning, Automatically
Synthesize Fast Gradients*, NeurIPS 2020; Moses et al., *Scalable Automatic Differentiation of
Multiple Parallel Paradigms through Compiler Augmentation*, SC 2022, for several tangents at once.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from difint.engine import Engine, Occasion
from difint.engines.numba import building
from difint.engines.numba.compiling import RECIPES
from difint.engines.numba.enzyme.compiling import compiled
from difint.engines.numba.enzyme.compressed import entries
from difint.engines.numba.enzyme.lowering import KINDS, lower
from difint.engines.numba.enzyme.process import extension
from difint.engines.numba.watching import watch
from difint.host import NUMPY_ARRAYS
from difint.problem import Problem

if TYPE_CHECKING:
    from difint.backends import AutoEnzyme
    from difint.dependence.sets import Rows


def _dependence(problem: Problem, occasion: Occasion, *, curved: bool, local: bool) -> Rows:
    """Find a pattern by index sets, as the engine of duals does: for the same functions."""
    from difint.backends import AutoNumba
    from difint.engines.numba.dependence import rows
    from difint.engines.numba.lowering import lower as lower_for_duals

    dual = lower_for_duals(AutoNumba(), problem.source)
    return rows(dual, occasion, curved=curved, local=local)


@cache
def engine(backend: AutoEnzyme) -> Engine:
    """Make the engine's record.

    Raises:
        BackendUnavailableError: the package ``enzyme-ad`` lacks its compiler.
    """
    extension()
    arrays = replace(
        NUMPY_ARRAYS,
        name="enzyme",
        kinds=KINDS,
        lower=partial(lower, backend),
        watch=watch,
        dependence=_dependence,
        holds_integers=True,
    )
    forward, reverse = backend.mode != "reverse", backend.mode != "forward"
    staged = partial(building.staged, compiled)
    primitives = {name: partial(staged, name) for name in ("pushforward", "pullback")}
    return Engine(
        arrays=arrays,
        pushforward=primitives["pushforward"] if forward else None,
        pullback=primitives["pullback"] if reverse else None,
        native={**building.native(compiled, RECIPES), **primitives},
        compiled={name: partial(building.whole, compiled, name) for name in RECIPES},
        compressed={
            **({"jacobian": partial(entries, "jacobian")} if forward else {}),
            **({"hessian": partial(entries, "hessian")} if reverse else {}),
        },
        inplace=True,
        pullback_cost=2.0,
    )
