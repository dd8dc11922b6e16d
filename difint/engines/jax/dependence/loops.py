"""Rules on index sets for the loops of JAX.

A loop of known length is followed in one of three ways. Where no value that changes from round to
round tells where entries go, one round is traced on atoms, and its pattern is applied as often as
there are rounds, in compiled code. Where one does (``x[i]``), each round is interpreted. Of what
remains of a loop after many rounds, and of loops of unknown length, the closure is taken: what any
number of rounds could make of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from difint.dependence.arrays import Dependent, chosen, known, mixed, moved
from difint.dependence.sets import KNOWN, UNKNOWN, Sets
from difint.engines.jax.dependence.moves import any_of
from difint.engines.jax.dependence.rounds import (
    Body,
    is_due,
    is_uniform,
    joined,
    on_atoms,
    opened,
    repeated,
    slice_of,
    stacked,
)

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter

SHORT = 8
"""Rounds that are interpreted one by one without thinking about it."""

MOST_STEPS = 300_000
"""Equations that are interpreted, in all, before the closures of loops are taken."""


def scan(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    """Follow a scan."""
    params = equation.params
    constants, carried, length = params["num_consts"], params["num_carry"], params["length"]
    body = Body(interpreter, params["jaxpr"], operands[:constants], carried)
    carry = operands[constants : constants + carried]
    stacks = operands[constants + carried :]
    order = range(length)[:: -1 if params["reverse"] else 1]
    avals = [atom.aval for atom in equation.outvars[carried:]]
    if length == 0:
        return [
            *carry,
            *(Dependent(np.zeros(a.shape, np.int32), None, np.zeros(a.shape)) for a in avals),
        ]
    if length > SHORT and not interpreter.sets.local:
        found = _begun_and_repeated(body, carry, stacks, order)
        if found is not None:
            return found
    return _followed(body, carry, stacks, order)


def _begun_and_repeated(
    body: Body, carry: Sequence[Dependent], stacks: Sequence[Dependent], order: range
) -> list[Dependent] | None:
    """Interpret the first round, which may begin with known zeros, and repeat the others."""
    sets = body.interpreter.sets
    after, row = body.run(carry, [slice_of(sets, stack, order[0]) for stack in stacks])
    found = repeated(body, after, stacks, order[1:])
    if found is None:
        return None

    def put_before(first: Any, rest: Any) -> Any:
        return np.concatenate([first[None], rest][:: order.step])

    rest = zip(row, found[body.carried :], strict=True)
    return [*found[: body.carried], *(moved(sets, put_before, *pair) for pair in rest)]


def _followed(
    body: Body, carry: Sequence[Dependent], stacks: Sequence[Dependent], order: range
) -> list[Dependent]:
    """Interpret round by round, until nothing changes any more or it takes too long."""
    interpreter, sets = body.interpreter, body.interpreter.sets
    rows = list[Any]()
    uniform = all(is_uniform(stack) for stack in stacks)
    for done, k in enumerate(order):
        before = carry
        carry, row = body.run(carry, [slice_of(sets, stack, k) for stack in stacks])
        rows.append(row)
        if uniform and is_due(done) and _is_stable(sets, before, carry):
            break
        if interpreter.steps > MOST_STEPS and done + 1 < len(order):
            rest = [joined(interpreter, stack) for stack in stacks]
            carry, row = closure(body, carry, rest)
            interpreter.cut(len(order))
            rows.append(row)
            break
    stack = partial(stacked, order)
    return [*carry, *(moved(sets, stack, *parts) for parts in zip(*rows, strict=True))]


def _is_stable(sets: Sets, before: Sequence[Dependent], after: Sequence[Dependent]) -> bool:
    """Tell whether a round has changed nothing: neither sets nor what is known."""
    for a, b in zip(before, after, strict=True):
        if not np.array_equal(a.full == KNOWN, b.full == KNOWN):
            return False
        whole = sets.local or a.nodes is None
        fixed = np.ones(a.shape, bool) if whole else a.full == KNOWN
        if a.value is not None and fixed.any():
            if b.value is None or not np.array_equal(a.value[fixed], b.value[fixed]):
                return False
        if not _same_bends(a.bends, b.bends):
            return False
    nodes = (np.concatenate([one.full.reshape(-1) for one in side]) for side in (before, after))
    return not before or sets.alike(*nodes)


def _same_bends(a: Any, b: Any) -> bool:
    return (a is None or not a.any()) if b is None else (a is not None and np.array_equal(a, b))


def closure(
    body: Body, carry: Sequence[Dependent], slices: Sequence[Dependent]
) -> tuple[list[Dependent], list[Dependent]]:
    """Get what any number of rounds could make of what is carried, and of a row."""
    interpreter, sets = body.interpreter, body.interpreter.sets
    one = on_atoms(body, carry, slices)
    fixed = [s.full.reshape(-1) for s in slices if s.nodes is not None]
    begun = opened(sets, carry, one.known)
    own = np.concatenate([*(c.full.reshape(-1) for c in begun), *fixed, np.empty(0, np.int32)])
    size = own.size - sum(part.size for part in fixed)
    reached = sets.close(one.sets.indptr[: size + 1], one.sets.columns, one.first, own)
    made, start = [], 0
    for result, before in zip(one.results[: body.carried], begun, strict=True):
        count = int(np.prod(result.shape, dtype=int))
        made.append(_after(before, reached[start : start + count].reshape(result.shape)))
        start += count
    if sets.curved:
        made = _curved(interpreter, body, made, [*begun, *slices])
    return made, body.run(made, slices)[1]


def _after(before: Dependent, nodes: Any) -> Dependent:
    fixed = before.full == KNOWN
    kept = np.where(fixed, KNOWN, np.maximum(nodes, UNKNOWN)).astype(np.int32)
    return Dependent(kept, before.bends, before.value)


def _curved(
    interpreter: Interpreter, body: Body, carry: list[Dependent], others: list[Dependent]
) -> list[Dependent]:
    """Pair everything in a loop with everything: rounds may multiply it in any way."""
    sets = interpreter.sets
    whole = mixed(sets, [*carry, *others, *body.constants], ())
    if whole.bends is None:
        return carry
    bend = whole.bends.reshape(-1)[0]
    return [
        Dependent(one.nodes, np.where(one.full > UNKNOWN, bend, 0).astype(np.int32), one.value)
        for one in carry
    ]


def _going_on(sets: Sets, holds: Any, before: Dependent, after: Dependent) -> Dependent:
    """Take a round's result where the loop goes on: of loops that were batched each for itself."""
    if holds.all():
        return after
    shape = (*holds.shape, *(1,) * (len(after.shape) - holds.ndim))
    which = np.broadcast_to(holds.reshape(shape), after.shape).astype(np.intp)
    return chosen(sets, which, [before, after])


def while_(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    """Follow a while loop as long as its condition is known, and take the closure of the rest."""
    params, sets = equation.params, interpreter.sets
    tested, repeated = params["cond_nconsts"], params["body_nconsts"]
    tests, constants = operands[:tested], operands[tested : tested + repeated]
    carry: Any = operands[tested + repeated :]
    body = Body(interpreter, params["body_jaxpr"], constants, len(carry))
    while interpreter.steps <= MOST_STEPS:
        (holds,) = interpreter.run_closed(params["cond_jaxpr"], [*tests, *carry])
        value = known(sets, holds)
        if value is None:
            break
        if not value.any():
            return list(carry)
        after, _ = body.run(carry)
        carry = [_going_on(sets, value, *pair) for pair in zip(carry, after, strict=True)]
    else:
        interpreter.cut(None)
    interpreter.guesses += 1
    return [
        any_of(interpreter, pair) for pair in zip(carry, closure(body, carry, [])[0], strict=True)
    ]
