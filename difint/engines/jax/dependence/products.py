"""Rules on index sets for JAX primitives that multiply arrays: contractions, convolutions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from difint.dependence.arrays import Dependent, known, mixed, moved, values_of
from difint.dependence.contractions import contracted
from difint.dependence.convolution import Windows, convolved

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter


def _dot_general(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    (contracts, batches), sets = equation.params["dimension_numbers"], interpreter.sets
    stacks, free = [], []
    for side, one in enumerate(operands):
        lead, inner = list(batches[side]), list(contracts[side])
        rest = [axis for axis in range(len(one.shape)) if axis not in (*lead, *inner)]
        free.append([one.shape[axis] for axis in rest])
        order = [*lead, *rest, *inner] if side == 0 else [*lead, *inner, *rest]
        sizes = [one.shape[axis] for axis in lead]
        length = int(np.prod([one.shape[axis] for axis in inner], dtype=int))
        count = int(np.prod(free[-1], dtype=int))
        shape = (*sizes, count, length) if side == 0 else (*sizes, length, count)
        stacks.append(moved(sets, partial(_restacked, order, shape), one))
    whole = (*[operands[0].shape[axis] for axis in batches[0]], *free[0], *free[1])
    a, b = stacks
    whole_known = all(known(sets, one) is not None for one in stacks)
    made = contracted(sets, a, b, values_of(np.matmul, stacks) if whole_known else None)
    return moved(sets, lambda a: a.reshape(whole), made)


def _restacked(order: list[int], shape: tuple[int, ...], a: Any) -> Any:
    return a.transpose(order).reshape(shape)


def _convolution(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    params, sets = equation.params, interpreter.sets
    numbers = params["dimension_numbers"]
    lhs = moved(sets, lambda a: a.transpose(numbers.lhs_spec), operands[0])
    rhs = moved(sets, lambda a: a.transpose(numbers.rhs_spec), operands[1])
    if params["batch_group_count"] != 1:
        return mixed(sets, operands, equation.outvars[0].aval.shape)
    made = convolved(
        sets,
        lhs,
        rhs,
        Windows(
            params["window_strides"],
            params["padding"],
            params["lhs_dilation"],
            params["rhs_dilation"],
        ),
        params["feature_group_count"],
    )
    back = np.argsort(numbers.out_spec)
    return moved(sets, lambda a: a.transpose(back), made)


RULES: dict[str, Callable[..., Any]] = {
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
}
