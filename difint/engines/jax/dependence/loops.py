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
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from difint.dependence.arrays import Dependent, chosen, known, mixed, moved
from difint.dependence.sets import KNOWN, UNKNOWN, Sets
from difint.engines.jax.dependence.moves import any_of

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter

SHORT = 8
"""Rounds that are interpreted one by one without thinking about it."""

MOST_STEPS = 300_000
"""Equations that are interpreted, in all, before the closures of loops are taken."""

_SETTLING = 3
"""Rounds in which values that stay the same are found."""


class Body(NamedTuple):
    """What a loop repeats.

    Attributes:
        interpreter: runs it.
        jaxpr: of ``(*constants, *carry, *slices) -> (*carry, *rows)``.
        constants: what every round gets.
        carried: how many arrays are.
    """

    interpreter: Interpreter
    jaxpr: Any
    constants: Sequence[Dependent]
    carried: int

    def run(self, carry: Sequence[Dependent], slices: Sequence[Dependent] = ()) -> Any:
        """Run a round: get what is carried on, and its rows."""
        out = self.interpreter.run_closed(self.jaxpr, [*self.constants, *carry, *slices])
        return out[: self.carried], out[self.carried :]


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
    if length > SHORT and not interpreter.sets.curved and not interpreter.sets.local:
        found = _repeated(body, carry, stacks, order)
        if found is not None:
            return found
    return _followed(body, carry, stacks, order)


def _slice(sets: Sets, stack: Dependent, k: int) -> Dependent:
    return moved(sets, lambda a: a[k], stack)


def _followed(
    body: Body, carry: Sequence[Dependent], stacks: Sequence[Dependent], order: range
) -> list[Dependent]:
    """Interpret round by round, until nothing changes any more or it takes too long."""
    interpreter, sets = body.interpreter, body.interpreter.sets
    rows = list[Any]()
    uniform = all(_is_uniform(stack) for stack in stacks)
    for done, k in enumerate(order):
        before = carry
        carry, row = body.run(carry, [_slice(sets, stack, k) for stack in stacks])
        rows.append(row)
        if uniform and _is_due(done) and _is_stable(sets, before, carry):
            break
        if interpreter.steps > MOST_STEPS and done + 1 < len(order):
            rest = [_joined(interpreter, stack) for stack in stacks]
            carry, row = closure(body, carry, rest)
            interpreter.cut(len(order))
            rows.append(row)
            break
    stack = partial(_stacked, order)
    return [*carry, *(moved(sets, stack, *parts) for parts in zip(*rows, strict=True))]


def _stacked(order: range, *rows: Any) -> Any:
    """Stack the rows of a loop, in whose remaining rounds the last one comes again and again."""
    made, missing = np.stack(rows), len(order) - len(rows)
    if missing:
        made = np.concatenate([made, np.broadcast_to(rows[-1], (missing, *rows[-1].shape))])
    return made[:: order.step]


def _is_due(done: int) -> bool:
    """Tell whether to compare sets after so many rounds: a constant number of times a doubling."""
    step = max(1, 1 << max(0, done.bit_length() - 3))
    return done % step == 0


def _is_uniform(stack: Dependent) -> bool:
    return all(
        array is None or array.size == 0 or bool((array == array[:1]).all())
        for array in (stack.nodes, stack.bends, stack.value)
    )


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


def _joined(interpreter: Interpreter, stack: Dependent) -> Dependent:
    """Unite the slices of a stack."""
    sets = interpreter.sets
    if stack.nodes is None and _is_uniform(stack):
        return _slice(sets, stack, 0)
    nodes = sets.unite_axis(np.moveaxis(stack.full, 0, -1))
    bends = None if stack.bends is None else sets.unite_axis(np.moveaxis(stack.bends, 0, -1))
    return Dependent(np.maximum(nodes, UNKNOWN), bends)


class _Round(NamedTuple):
    """A round on atoms.

    Attributes:
        known: for each array that is carried, where it keeps a value that is known.
        first: the first atom.
        starts: where the members of each entry of the results begin: what is carried, then rows.
        members: atoms, and nodes that were there before them.
        results: what the round returned.
        guessed: a value that was not known would have told where entries go.
    """

    known: Sequence[Any]
    first: int
    starts: Any
    members: Any
    results: Sequence[Dependent]
    guessed: bool


def _kept_value(sets: Sets, one: Dependent, mine: Any) -> Any:
    """Get the values of an array of which some entries are kept; locally all are believed."""
    return one.value if (mine.all() if sets.local else mine.any()) else None


def _opened(sets: Sets, carry: Sequence[Dependent], keep: Sequence[Any]) -> list[Dependent]:
    """Forget the values that do not stay the same."""
    return [
        Dependent(
            np.where(mine, KNOWN, np.maximum(one.full, UNKNOWN)).astype(np.int32),
            one.bends,
            _kept_value(sets, one, mine),
        )
        for one, mine in zip(carry, keep, strict=True)
    ]


def _lasting(body: Body, carry: Sequence[Dependent], slices: Sequence[Dependent]) -> list[Any]:
    """Find where what is carried keeps its value, whatever the number of rounds."""
    keep = [one.full == KNOWN for one in carry]
    for _ in range(_SETTLING):
        after, _ = body.run(_opened(body.interpreter.sets, carry, keep), slices)
        kept = [
            mine & (new.full == KNOWN) & _equal(old.value, new.value)
            for mine, old, new in zip(keep, carry, after, strict=True)
        ]
        if all(map(np.array_equal, kept, keep)):
            return keep
        keep = kept
    return [np.zeros_like(mine) for mine in keep]


def _equal(a: Any, b: Any) -> Any:
    return False if a is None or b is None else np.asarray(a == b)


def _on_atoms(body: Body, carry: Sequence[Dependent], slices: Sequence[Dependent]) -> _Round:
    """Run a round on atoms in the place of what is carried, and of slices without a value."""
    interpreter, sets = body.interpreter, body.interpreter.sets
    keep = _lasting(body, carry, slices)
    first = sets.count
    atoms = [
        Dependent(
            np.where(mine, KNOWN, sets.atoms(one.shape)).astype(np.int32),
            None,
            _kept_value(sets, one, mine),
        )
        for one, mine in zip(carry, keep, strict=True)
    ]
    parts = [one if one.nodes is None else Dependent(sets.atoms(one.shape)) for one in slices]
    floor, guesses = sets.count, interpreter.guesses
    after, rows = body.run(atoms, parts)
    results = [*after, *rows]
    nodes = [one.full.reshape(-1) for one in results]
    listed = sets.members(np.concatenate([*nodes, np.empty(0, np.int32)]), floor)
    guessed = interpreter.guesses > guesses
    return _Round(keep, first, *listed, results, guessed)


def _repeated(
    body: Body, carry: Sequence[Dependent], stacks: Sequence[Dependent], order: range
) -> list[Dependent] | None:
    """Apply the pattern of one round again and again; ``None`` if rounds differ."""
    sets = body.interpreter.sets
    slices = [_joined(body.interpreter, stack) for stack in stacks]
    one = _on_atoms(body, carry, slices)
    if one.guessed:
        return None
    opened = _opened(sets, carry, one.known)
    inner = np.concatenate([*(c.full.reshape(-1) for c in opened), np.empty(0, np.int32)])
    moving = [s for s, joined in zip(stacks, slices, strict=True) if joined.nodes is not None]
    size, rows = inner.size, list[Any]()
    for done, k in enumerate(order):
        parts = [s.full[k].reshape(-1) for s in moving]
        after = sets.step(one.starts, one.members, one.first, np.concatenate([inner, *parts]))
        rows.append(after[size:])
        before, inner = inner, after[:size]
        if not moving and _is_due(done) and sets.alike(before, inner):
            break
    return _unflattened(one, body.carried, inner, _stacked(order, *rows))


def _unflattened(one: _Round, count: int, inner: Any, rows: Any) -> list[Dependent]:
    """Give nodes their arrays' shapes back; known values stay where they were in the round."""
    made, start = [], 0
    for result in one.results[:count]:
        size = int(np.prod(result.shape, dtype=int))
        made.append(_restored(inner[start : start + size].reshape(result.shape), result))
        start += size
    start = 0
    for result in one.results[count:]:
        size = int(np.prod(result.shape, dtype=int))
        part = rows[:, start : start + size].reshape(len(rows), *result.shape)
        start += size
        made.append(_restored(part, result))
    return made


def _restored(nodes: Any, like: Dependent) -> Dependent:
    fixed = np.broadcast_to(like.full == KNOWN, nodes.shape)
    value = None if like.value is None else np.broadcast_to(like.value, nodes.shape)
    kept = KNOWN if value is not None else UNKNOWN
    return Dependent(
        np.where(fixed, kept, np.maximum(nodes, UNKNOWN)).astype(np.int32), None, value
    )


def closure(
    body: Body, carry: Sequence[Dependent], slices: Sequence[Dependent]
) -> tuple[list[Dependent], list[Dependent]]:
    """Get what any number of rounds could make of what is carried, and of a row."""
    interpreter, sets = body.interpreter, body.interpreter.sets
    one = _on_atoms(body, carry, slices)
    fixed = [s.full.reshape(-1) for s in slices if s.nodes is not None]
    opened = _opened(sets, carry, one.known)
    own = np.concatenate([*(c.full.reshape(-1) for c in opened), *fixed, np.empty(0, np.int32)])
    size = own.size - sum(part.size for part in fixed)
    reached = sets.close(one.starts[: size + 1], one.members, one.first, own)
    made, start = [], 0
    for result, before in zip(one.results[: body.carried], opened, strict=True):
        count = int(np.prod(result.shape, dtype=int))
        made.append(_after(before, reached[start : start + count].reshape(result.shape)))
        start += count
    if sets.curved:
        made = _curved(interpreter, body, made, [*opened, *slices])
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
