"""Sets: the graph of index sets of one function, as arrays of nodes."""

from __future__ import annotations

from typing import Any, NamedTuple, final

import numpy as np

from difint.dependence import closure as closures
from difint.dependence import members as written
from difint.dependence import nodes
from difint.errors import SparsityError, message

KNOWN, UNKNOWN, FIRST = 0, 1, 2
"""The empty set of what is known at prepare, the empty set of what is not, and the node of the
first entry of ``x``."""


MOST_ENTRIES = 2**27
"""Entries of a pattern at most: those of a dense matrix of 11,000 rows and columns."""


_MANY = 32
"""Partners of a variable from which on pairs that come twice are worth looking for."""


class Rows(NamedTuple):
    """Which columns each row of a matrix has entries in, row by row.

    Attributes:
        indptr: the entries of row ``i`` are those from ``indptr[i]`` to ``indptr[i + 1]``.
        columns: the column of each, sorted within a row, without duplicates.
    """

    indptr: Any
    columns: Any


def everything(rows: int, columns: int) -> Rows:
    """Make the pattern that has all entries, for a function that nothing is known of."""
    _check_size(rows * columns, rows, columns)
    every = np.tile(np.arange(columns, dtype=np.int32), rows)
    return Rows(np.arange(rows + 1, dtype=np.int64) * columns, every)


def _check_size(entries: int, rows: int, columns: int) -> None:
    if entries > MOST_ENTRIES:
        text = message(
            "TracerSparsityDetector",
            "the pattern has more entries than can be of use",
            expected=f"at most {MOST_ENTRIES:,}",
            got=f"{entries:,}, of a matrix of shape ({rows}, {columns})",
            remedy="If f is not as dense as that, pass KnownSparsityDetector(pattern); if it is, "
            "use products (hvp, pushforward, pullback) in the place of a matrix.",
        )
        raise SparsityError(text)


@final
class Sets:
    """The index sets that a function is made of.

    Args:
        size: the number of entries of ``x``, which are the nodes from ``FIRST`` on.
        curved: keep pairs too: the pattern of a Hessian.
        local: what depends on ``x`` has a value too, that at the example.

    Attributes:
        size: as given.
        curved: as given.
        local: as given.
        count: the number of nodes.
    """

    __slots__ = ("_left", "_right", "count", "curved", "local", "size")

    def __init__(self, size: int, *, curved: bool = False, local: bool = False) -> None:
        self.size, self.curved, self.local = size, curved, local
        self._left = np.full(max(64, 2 * size), -1, np.int32)
        self._right = np.full(max(64, 2 * size), 0, np.int32)
        self.count = FIRST + size

    @classmethod
    def adopt(cls, size: int, left: Any, right: Any, count: int) -> Sets:
        """Take nodes that other compiled code has appended."""
        made = cls(0)
        made.size, made.count = size, count
        made._left, made._right = left, right
        return made

    def atoms(self, shape: tuple[int, ...]) -> Any:
        """Append atoms: what stands for sets that are to be put in their place."""
        size = int(np.prod(shape, dtype=np.int64))
        self._make_room(size)
        start, self.count = self.count, self.count + size
        self._left[start : self.count] = -1
        self._right[start : self.count] = 0
        return np.arange(start, self.count, dtype=np.int32).reshape(shape)

    def entries(self, shape: tuple[int, ...]) -> Any:
        """Get the nodes of the entries of ``x``."""
        return np.arange(FIRST, FIRST + self.size, dtype=np.int32).reshape(shape)

    def unite(self, a: Any, b: Any) -> Any:
        """Unite two arrays of nodes, entry by entry."""
        a, b = np.broadcast_arrays(a, b)
        self._make_room(a.size)
        self.count, out = nodes.unite(self._left, self._right, self.count, _flat(a), _flat(b))
        return out.reshape(a.shape)

    def unite_two(self, a: int, b: int) -> int:
        """Unite two nodes, of numbers; as ``nodes.either``."""
        small, large = (a, b) if a < b else (b, a)
        if small <= UNKNOWN or small == large:
            return large
        parts = self._left[large], self._right[large]
        if small in parts and min(parts) >= 0:
            return large
        return self._appended(small, large)

    def pair_two(self, a: int, b: int) -> int:
        """Pair two nodes, of numbers."""
        return self._appended(a, -1 - b) if a > UNKNOWN and b > UNKNOWN else KNOWN

    def _appended(self, left: int, right: int) -> int:
        self._make_room(1)
        self._left[self.count], self._right[self.count] = left, right
        self.count += 1
        return self.count - 1

    def unite_runs(self, starts: Any, members: Any) -> Any:
        """Unite the members from ``starts[i]`` to ``starts[i + 1]``, for each ``i``."""
        self._make_room(members.size)
        starts = np.asarray(starts, np.int64)
        args = (self._left, self._right, self.count, starts, _flat(members))
        self.count, out = nodes.unite_runs(*args)
        return out

    def unite_axis(self, a: Any) -> Any:
        """Unite along the last axis."""
        *shape, length = a.shape
        count = int(np.prod(shape, dtype=np.int64))
        return self.unite_runs(np.arange(count + 1) * length, a).reshape(shape)

    def unite_along(self, a: Any, *, turned: bool = False) -> Any:
        """Unite each entry with those before it on the last axis, or with those behind it."""
        rows = np.ascontiguousarray(a).reshape(-1, a.shape[-1]) if a.size else a.reshape(0, 1)
        self._make_room(a.size)
        args = (self._left, self._right, self.count, rows, turned)
        self.count, out = nodes.unite_along(*args)
        return out.reshape(a.shape)

    def unite_all(self, *arrays: Any) -> int:
        """Unite everything, to one node."""
        members = np.concatenate([np.unique(a) for a in arrays] or [np.empty(0, np.int32)])
        return int(self.unite_runs([0, members.size], members)[0])

    def pair(self, a: Any, b: Any) -> Any:
        """Pair two arrays of nodes, entry by entry."""
        a, b = np.broadcast_arrays(a, b)
        self._make_room(a.size)
        self.count, out = nodes.pair(self._left, self._right, self.count, _flat(a), _flat(b))
        return out.reshape(a.shape)

    def contract(self, a: Any, b: Any, lacks: Any, misses: Any) -> Any:
        """Unite the rows of ``a`` with the columns of ``b``, but for products that are zero."""
        args = (self._left, self._right, self.count, *map(np.ascontiguousarray, (a, b)))
        self._left, self._right, self.count, out = nodes.contract(*args, lacks, misses)
        return out

    def contract_pairs(self, a: Any, b: Any) -> Any:
        """Pair the rows of ``a`` with the columns of ``b``, place by place."""
        args = (self._left, self._right, self.count, *map(np.ascontiguousarray, (a, b)))
        self._left, self._right, self.count, out = nodes.contract_pairs(*args)
        return out

    def members(self, outputs: Any, floor: int | None = None) -> Rows:
        """List the members of sets: atoms (of ``x`` or others), pairs, nodes below ``floor``."""
        floor = FIRST + self.size if floor is None else floor
        words = self._evaluated(_flat(outputs), floor)
        _check_size(written.count_members(*words), np.size(outputs), self.size)
        return Rows(*written.expand(*words))

    def jacobian(self, outputs: Any) -> Rows:
        """Get the pattern of a Jacobian: a row for each output."""
        indptr, members = self.members(outputs)
        members -= np.int32(FIRST)
        return Rows(indptr, members)

    def hessian(self, outputs: Any) -> Rows:
        """Get the pattern of a Hessian: of all outputs together."""
        first, second = written.pairs_in(self._left, self._right, self.count, _flat(outputs))
        met = np.zeros(self.count, bool)
        met[first] = met[second] = True
        sets, places = np.flatnonzero(met).astype(np.int32), np.cumsum(met) - 1
        words = self._evaluated(sets, FIRST + self.size)
        one, other = places[first], places[second]
        listed = written.expand(*words)
        sizes = np.diff(listed[0])
        if sizes[one].sum() + sizes[other].sum() > _MANY * self.size:
            keys = np.unique(np.minimum(one, other) * sets.size + np.maximum(one, other))
            one, other = np.divmod(keys, max(sets.size, 1))
        one, other = one.astype(np.int32), other.astype(np.int32)
        indptr, columns = written.spread(self.size, MOST_ENTRIES, *listed, *words, one, other)
        _check_size(indptr[-1], self.size, self.size)
        return Rows(indptr, columns)

    def alike(self, a: Any, b: Any) -> bool:
        """Tell whether two vectors of nodes stand for the same sets, entry by entry."""
        if np.array_equal(a, b):
            return True
        both = np.stack([a, b]).astype(np.int32)
        words = self._evaluated(_flat(both), FIRST + self.size)
        return bool(written.are_alike(*words))

    def parts(self, pairs: Any) -> tuple[Any, Any]:
        """Get the two nodes of each pair."""
        return self._left[pairs], -1 - self._right[pairs]

    def step(self, starts: Any, members: Any, first: int, inner: Any) -> Any:
        """Unite the members of each run, with ``inner`` in the place of atoms from ``first`` on."""
        self._make_room(members.size)
        args = (self._left, self._right, self.count, starts, members, first, inner)
        self.count, out = closures.step(*args)
        return out

    def close(self, starts: Any, members: Any, first: int, own: Any) -> Any:
        """Unite the nodes ``own`` of all atoms that can be reached from each of the first ones.

        Args:
            starts: where the members begin that lie one step from each of the first atoms.
            members: atoms, numbered from ``first`` on, and other nodes.
            first: the first atom.
            own: the node that belongs to each atom itself.
        """
        size, total = starts.size - 1, own.size
        used = members[: starts[-1]]
        sources = np.repeat(np.arange(size), np.diff(starts))
        inner = used >= first
        olds = np.concatenate([[0], np.cumsum(np.bincount(sources[~inner], minlength=size))])
        base = own.copy()
        base[:size] = self.unite(base[:size], self.unite_runs(olds, used[~inner]))
        counts = np.bincount(sources[inner], minlength=total)
        edges, heads = np.concatenate([[0], np.cumsum(counts)]), used[inner] - first
        label, groups = closures.components(edges, heads.astype(np.int64))
        self._make_room(total + heads.size)
        args = (self._left, self._right, self.count, edges, heads, label, groups, base)
        self.count, out = closures.close(*args)
        return out[:size]

    def _evaluated(self, outputs: Any, floor: int) -> Any:
        return written.evaluate(self._left, self._right, self.count, outputs, floor)

    def _make_room(self, size: int) -> None:
        if self.count + size > self._left.size:
            room = max(2 * self._left.size, self.count + size)
            for name in ("_left", "_right"):
                longer = np.empty(room, np.int32)
                longer[: self.count] = getattr(self, name)[: self.count]
                setattr(self, name, longer)


def _flat(a: Any) -> Any:
    return np.ascontiguousarray(a, np.int32).reshape(-1)
