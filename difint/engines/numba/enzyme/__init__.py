"""Enzyme: derivatives of the machine code of a function, forward and reverse.

Sources: Moses and Churavy, *Instead of Rewriting Foreign Code for Machine Learning, Automatically
Synthesize Fast Gradients*, NeurIPS 2020; Moses et al., *Scalable Automatic Differentiation of
Multiple Parallel Paradigms through Compiler Augmentation*, SC 2022, for several tangents at once.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from difint.engine import Apply, Arrays, At, Compiled, Engine, Kernel, Occasion
from difint.engines.numba.enzyme.compiling import SHAPES, compiled
from difint.engines.numba.enzyme.compressed import entries
from difint.engines.numba.enzyme.lowering import KINDS, lower
from difint.engines.numba.enzyme.process import library
from difint.engines.numba.watching import watch
from difint.host import NUMPY_ARRAYS
from difint.problem import Problem

if TYPE_CHECKING:
    from difint.backends import AutoEnzyme
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
    library()
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
    plain = [name for name, shape in SHAPES.items() if shape.tangent is None]
    return Engine(
        arrays=arrays,
        pushforward=partial(_at, "pushforward") if forward else None,
        pullback=partial(_at, "pullback") if reverse else None,
        native={
            **{name: partial(_kernel, name) for name in plain},
            **{name: partial(_at, name) for name in ("pushforward", "pullback", "hvp")},
        },
        compiled={name: partial(_whole, name) for name in SHAPES},
        compressed={
            **({"jacobian": partial(entries, "jacobian")} if forward else {}),
            **({"hessian": partial(entries, "hessian")} if reverse else {}),
        },
        inplace=True,
        pullback_cost=2.0,
    )
