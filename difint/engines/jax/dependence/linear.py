"""Rules on index sets for JAX primitives that solve linear equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from difint.dependence.arrays import (
    Dependent,
    accumulated,
    as_steps,
    elementwise,
    moved,
    reduced,
    spread,
)
from difint.engines.jax.dependence.values import evaluated

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter


def _custom_solve(
    interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> list[Dependent]:
    """Solve as JAX differentiates it: ``A dx = db - dA x``, whatever ``solve`` is made of.

    Once more for second derivatives, which multiply ``dA`` by all that ``x`` depends on.
    """
    if not any(one.depends for one in operands):
        return evaluated(interpreter, equation, operands)
    lengths, jaxprs = equation.params["const_lengths"], equation.params["jaxprs"]
    multiplied, right = operands[: lengths.matvec], operands[sum(lengths) :]
    begin = lengths.matvec + lengths.vecmat
    solving = [as_steps(one) for one in operands[begin : begin + lengths.solve]]
    sets = interpreter.sets
    found = interpreter.run_closed(jaxprs.solve, [*solving, *right])
    for _ in range(2 if sets.curved else 1):
        images = interpreter.run_closed(jaxprs.matvec, [*multiplied, *found[: len(right)]])
        pairs = zip(right, images, strict=True)
        sides = [elementwise(sets, "linear", pair, None) for pair in pairs]
        found = interpreter.run_closed(jaxprs.solve, [*solving, *sides])
    return [*found[: len(right)], *map(as_steps, found[len(right) :])]


def _triangular_solve(
    interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> list[Dependent]:
    """Solve column by column, from the first unknown on, or from the last one."""
    if not any(one.depends for one in operands):
        return evaluated(interpreter, equation, operands)
    params, sets, (a, b) = equation.params, interpreter.sets, operands
    half = np.tril if params["lower"] else np.triu
    axis = -2 if params["left_side"] else -1
    from_last = (params["lower"] == params["transpose_a"]) == params["left_side"]
    along = accumulated(sets, "linear", b, len(b.shape) + axis, None, turned=from_last)
    return [_with_matrix(interpreter, moved(sets, half, a), along)]


def _with_matrix(interpreter: Interpreter, a: Dependent, b: Dependent) -> Dependent:
    """Join what is linear in the right side with all of the matrices, one for each of a stack."""
    sets = interpreter.sets
    whole = reduced(sets, "nonlinear", Dependent(a.full, a.bends), [-2, -1], None)
    wide = moved(sets, lambda array: array[..., None, None], whole)
    return elementwise(sets, "nonlinear" if a.depends else "linear", [wide, b], None)


def _tridiagonal_solve(
    interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> list[Dependent]:
    """Solve column by column, each of which depends on all of its right side."""
    if not any(one.depends for one in operands):
        return evaluated(interpreter, equation, operands)
    sets, (*bands, b) = interpreter.sets, operands
    plain = [Dependent(one.full, one.bends) for one in bands]
    matrix = moved(sets, lambda *arrays: np.stack(arrays, -1), *plain)
    return [_with_matrix(interpreter, matrix, spread(sets, "linear", b, [-2]))]


RULES: dict[str, Callable[..., Any]] = {
    "custom_linear_solve": _custom_solve,
    "triangular_solve": _triangular_solve,
    "tridiagonal_solve": _tridiagonal_solve,
}
