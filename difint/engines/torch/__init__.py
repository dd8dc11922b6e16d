"""PyTorch: both primitives, traced to a graph once a plan, and run with little around it."""

from __future__ import annotations

import warnings
from functools import cache, partial
from typing import TYPE_CHECKING

from difint.engine import Arrays, Engine, Occasion
from difint.engines.torch import arrays as ops
from difint.engines.torch.compiling import attach, compile_both, compile_kernel, tell
from difint.engines.torch.lowering import KINDS, lower, matrix
from difint.engines.torch.primitives import hvp, pullback, pushforward
from difint.engines.torch.watching import watch
from difint.host_lowering import identity
from difint.problem import Problem
from difint.trees import PYTHON_TREES

if TYPE_CHECKING:
    from difint.backends import AutoTorch
    from difint.dependence.sets import Rows

# Forward mode imports it at its first use, and then it warns of another part of PyTorch.
with warnings.catch_warnings(action="ignore"):
    import torch._decomp.decompositions_for_jvp  # noqa: F401  # for what it registers

# Measured: the derivatives of small operations are fewer backwards than forwards.
_PULLBACK_COST = 0.99


def _dependence(
    mode: str, chunk: int | None, problem: Problem, occasion: Occasion, **how: bool
) -> Rows:
    # Its compiled code is loaded where a pattern is asked for.
    from difint.engines.torch.dependence import dependence

    return dependence(_arrays(mode, chunk), problem, occasion, **how)


@cache
def _arrays(mode: str, chunk: int | None) -> Arrays:
    """Make the record of array operations; one for each way of compiling."""
    return Arrays(
        name="torch",
        kinds=KINDS,
        trees=PYTHON_TREES,
        lower=partial(lower, mode != "eager"),
        matrix=matrix,
        compile=partial(compile_kernel, mode),
        attach=partial(attach, mode),
        sealed=frozenset,
        asynchronous=False,
        traceable=False,
        settle=identity,
        copy=ops.copy,
        one=ops.one,
        ravel=ops.ravel,
        unravel=ops.unravel,
        inner=ops.inner,
        cast=ops.cast,
        transpose=ops.transpose,
        concatenate=ops.concatenate,
        basis=ops.basis,
        constant=ops.constant,
        host=ops.host,
        batch=ops.batch,
        each=ops.each,
        watch=watch,
        compile_both=None if mode == "eager" else partial(compile_both, mode),
        write=ops.write,
        tell=tell,
        space=ops.space,
        dependence=partial(_dependence, mode, chunk),
        chunk=chunk,
    )


def engine(backend: AutoTorch) -> Engine:
    """Make the engine's record."""
    both = backend.mode is None
    return Engine(
        arrays=_arrays(backend.compile, backend.chunk_size),
        pushforward=None if backend.mode == "reverse" else pushforward,
        pullback=None if backend.mode == "forward" else pullback,
        native={"hvp": partial(hvp, backend.compile != "eager")} if both else {},
        value_free=True,
        inplace=True,
        pullback_cost=_PULLBACK_COST,
    )
