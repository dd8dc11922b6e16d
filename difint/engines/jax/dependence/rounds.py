"""Rounds of loops that are all alike: one is traced on atoms, and repeated in compiled code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np

from difint.dependence.arrays import Dependent, moved
from difint.dependence.sets import KNOWN, UNKNOWN, Rows, Sets

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter

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


def slice_of(sets: Sets, stack: Dependent, k: int) -> Dependent:
    """Take a slice of a stack."""
    return moved(sets, lambda a: a[k], stack)


def stacked(order: range, *rows: Any) -> Any:
    """Stack the rows of a loop, in whose remaining rounds the last one comes again and again."""
    made, missing = np.stack(rows), len(order) - len(rows)
    if missing:
        made = np.concatenate([made, np.broadcast_to(rows[-1], (missing, *rows[-1].shape))])
    return made[:: order.step]


def is_due(done: int) -> bool:
    """Tell whether to compare sets after so many rounds: a constant number of times a doubling."""
    step = max(1, 1 << max(0, done.bit_length() - 3))
    return done % step == 0


def is_uniform(stack: Dependent) -> bool:
    """Tell whether all slices of a stack are the same."""
    return all(
        array is None or array.size == 0 or bool((array == array[:1]).all())
        for array in (stack.nodes, stack.bends, stack.value)
    )


def joined(interpreter: Interpreter, stack: Dependent) -> Dependent:
    """Unite the slices of a stack."""
    sets = interpreter.sets
    if stack.nodes is None and is_uniform(stack):
        return slice_of(sets, stack, 0)
    nodes = sets.unite_axis(np.moveaxis(stack.full, 0, -1))
    bends = None if stack.bends is None else sets.unite_axis(np.moveaxis(stack.bends, 0, -1))
    return Dependent(np.maximum(nodes, UNKNOWN), bends)


class Bends(NamedTuple):
    """The pairs of a round.

    Attributes:
        sets: the members of the pairs of each entry of the results. From ``floor`` on, these are
            the pairs of each entry of what went into the round, then those that it makes.
        floor: as above.
        parts: the members of the two sets of each pair that the round makes.
    """

    sets: Rows
    floor: int
    parts: tuple[Rows, Rows]


class Round(NamedTuple):
    """A round on atoms.

    Attributes:
        known: for each array that is carried, where it keeps a value that is known.
        first: the first atom.
        sets: the members of each entry of the results: what is carried, then rows.
        bends: what the round does to pairs; ``None`` if nobody asks.
        results: what the round returned.
        guessed: a value that was not known would have told where entries go.
    """

    known: Sequence[Any]
    first: int
    sets: Rows
    bends: Bends | None
    results: Sequence[Dependent]
    guessed: bool


def _kept_value(sets: Sets, one: Dependent, mine: Any) -> Any:
    """Get the values of an array of which some entries are kept; locally all are believed."""
    return one.value if (mine.all() if sets.local else mine.any()) else None


def opened(sets: Sets, carry: Sequence[Dependent], keep: Sequence[Any]) -> list[Dependent]:
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
        after, _ = body.run(opened(body.interpreter.sets, carry, keep), slices)
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


def _flat(arrays: Sequence[Any]) -> Any:
    return np.concatenate([*(one.reshape(-1) for one in arrays), np.empty(0, np.int32)])


def _bends_in(one: Dependent) -> Any:
    return np.zeros(one.shape, np.int32) if one.bends is None else one.bends


def on_atoms(body: Body, carry: Sequence[Dependent], slices: Sequence[Dependent]) -> Round:
    """Run a round on atoms in the place of what is carried, and of slices without a value."""
    interpreter, sets = body.interpreter, body.interpreter.sets
    keep = _lasting(body, carry, slices)
    first = sets.count
    nodes = [
        np.where(mine, KNOWN, sets.atoms(one.shape)).astype(np.int32)
        for one, mine in zip(carry, keep, strict=True)
    ]
    moving = [None if one.nodes is None else sets.atoms(one.shape) for one in slices]
    begin = sets.count
    bends = [sets.atoms(one.shape) if sets.curved else None for one in (*carry, *slices)]
    values = [_kept_value(sets, one, mine) for one, mine in zip(carry, keep, strict=True)]
    atoms = [Dependent(*one) for one in zip(nodes, bends, values, strict=False)]
    parts = [
        one if own is None else Dependent(own, bend)
        for one, own, bend in zip(slices, moving, bends[len(carry) :], strict=True)
    ]
    floor, guesses = sets.count, interpreter.guesses
    after, rows = body.run(atoms, parts)
    results = [*after, *rows]
    listed = sets.members(_flat([one.full for one in results]), floor)
    guessed = interpreter.guesses > guesses
    bent = _bends_of(sets, results, begin, floor) if sets.curved else None
    return Round(keep, first, listed, bent, results, guessed)


def _bends_of(sets: Sets, results: Sequence[Dependent], begin: int, floor: int) -> Bends:
    """Take the pairs of a round apart, whose atoms are those from ``begin`` to ``floor``."""
    indptr, members = sets.members(_flat([_bends_in(one) for one in results]), floor)
    new = members >= floor
    pairs, places = np.unique(members[new], return_inverse=True)
    coded = np.where(members >= begin, members - begin + floor, members)
    coded[new] = floor + (floor - begin) + places
    one, other = (sets.members(part, floor) for part in sets.parts(pairs))
    return Bends(Rows(indptr, coded.astype(np.int32)), floor, (one, other))


def repeated(
    body: Body, carry: Sequence[Dependent], stacks: Sequence[Dependent], order: range
) -> list[Dependent] | None:
    """Apply the pattern of one round again and again; ``None`` if rounds differ."""
    sets = body.interpreter.sets
    slices = [joined(body.interpreter, stack) for stack in stacks]
    one = on_atoms(body, carry, slices)
    if one.guessed:
        return None
    moving = [s for s, whole in zip(stacks, slices, strict=True) if whole.nodes is not None]
    state = _State(sets, one, opened(sets, carry, one.known))
    for done, k in enumerate(order):
        state.go_on([s.full[k] for s in moving], [_bends_in(s)[k] for s in stacks])
        if not moving and is_due(done) and state.is_settled():
            break
    return state.results(body.carried, order)


@final
class _State:
    """What is carried from round to round, as nodes.

    Args:
        sets: where the nodes are.
        one: the round.
        carry: what goes into the first one.
    """

    __slots__ = ("_before", "_now", "_one", "_pairs", "_rows", "_sets", "_steady")

    def __init__(self, sets: Sets, one: Round, carry: Sequence[Dependent]) -> None:
        self._sets, self._one = sets, one
        self._now = _flat([c.full for c in carry]), _flat([_bends_in(c) for c in carry])
        self._before = self._now
        self._pairs: Any = None
        self._steady = False
        self._rows: list[tuple[Any, Any]] = []

    def go_on(self, parts: Sequence[Any], bends: Sequence[Any]) -> None:
        """Repeat the round once, with these slices and their pairs."""
        sets, one = self._sets, self._one
        self._before = nodes, bent = self._now
        size, whole = nodes.size, np.concatenate([nodes, _flat(parts)])
        after, after_bent = sets.step(*one.sets, one.first, whole), np.empty(0, np.int32)
        if one.bends is not None:
            if not self._steady:
                ends = (sets.step(*part, one.first, whole) for part in one.bends.parts)
                self._pairs = sets.pair(*ends)
            known = np.concatenate([bent, _flat(bends), self._pairs])
            after_bent = sets.step(*one.bends.sets, one.bends.floor, known)
        self._now = after[:size], after_bent[:size]
        self._rows.append((after[size:], after_bent[size:]))

    def is_settled(self) -> bool:
        """Tell whether rounds change nothing any more; first sets come to rest, then pairs.

        Once sets do, each round makes the same pairs: they are not made anew, so that the unions of
        them can be compared.
        """
        (nodes, bends), (before, bends_before) = self._now, self._before
        if self._steady:
            return self._sets.alike(bends_before, bends)
        self._steady = self._sets.alike(before, nodes)
        return self._steady and self._one.bends is None

    def results(self, count: int, order: range) -> list[Dependent]:
        """Give what is carried, of so many arrays, and the rows their shapes back."""
        rows, bends = (stacked(order, *part) for part in zip(*self._rows, strict=True))
        curved = self._one.bends is not None
        made = [
            _restored(one, nodes, bend if curved else None)
            for one, nodes, bend in _shaped(self._one.results[:count], *self._now)
        ]
        made += [
            _restored(one, nodes, bend if curved else None)
            for one, nodes, bend in _shaped(self._one.results[count:], rows, bends)
        ]
        return made


def _shaped(results: Sequence[Dependent], nodes: Any, bends: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Cut the last axis of nodes and of pairs into the shapes of results."""
    start = 0
    for one in results:
        stop = start + int(np.prod(one.shape, dtype=int))
        shape = (*nodes.shape[:-1], *one.shape)
        bent = bends[..., start:stop].reshape(shape) if bends.shape == nodes.shape else None
        yield one, nodes[..., start:stop].reshape(shape), bent
        start = stop


def _restored(like: Dependent, nodes: Any, bends: Any) -> Dependent:
    """Make a result; known values stay where they were in the round."""
    fixed = np.broadcast_to(like.full == KNOWN, nodes.shape)
    value = None if like.value is None else np.broadcast_to(like.value, nodes.shape)
    kept = KNOWN if value is not None else UNKNOWN
    nodes = np.where(fixed, kept, np.maximum(nodes, UNKNOWN)).astype(np.int32)
    return Dependent(nodes, bends, value)
