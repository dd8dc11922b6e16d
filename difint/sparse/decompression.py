"""Decompression: from the results of passes to the entries of a matrix.

A pass yields for each row ``i`` the sum of the entries of row ``i`` in the columns of its color, or
the same with rows and columns exchanged. Each such sum is an equation; an entry stands in one or
two of them. An equation with a single entry is read; then that entry is subtracted from its other
equation, and so on. Where nothing has to be subtracted a coloring is direct: column and row
colorings, star colorings and star bicolorings. Acyclic ones, whose two-colored graphs are forests,
are told by substitution, from the leaves on (Gebremedhin, Manne and Pothen, SIAM Review 47(4),
2005). What a coloring is made by does not matter here, and one that is wrong is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.compiling import compiled
from difint.errors import ArgumentError, message
from difint.sparse.pattern import Pattern


@final
@dataclass(frozen=True, slots=True)
class Program:
    """How the entries of a result follow from the results of passes.

    Passes are numbered: first those of column colors, then those of row colors.

    Attributes:
        passes: for each entry of the result the pass that it is read from.
        places: for each entry its place in the result of that pass.
        columns: for each entry the column that the pass computes it in.
        subtracted: pairs of entries, in order: the second one is subtracted from the first.
        mirrored: pairs of entries: the first one becomes a copy of the second.
    """

    passes: Any
    places: Any
    columns: Any
    subtracted: Any
    mirrored: Any

    @property
    def is_direct(self) -> bool:
        """Whether each entry is just read."""
        return not self.subtracted.size


def program_of(
    pattern: Pattern,
    entries: Any,
    column_colors: Any | None,
    row_colors: Any | None,
    *,
    symmetric: bool,
    direct: bool,
) -> Program:
    """Find out how each entry is told.

    Args:
        pattern: the pattern that was colored.
        entries: the entries of the result, as numbers of entries of the pattern.
        column_colors: the color of each column, -1 for none; ``None`` without such passes.
        row_colors: likewise of each row.
        symmetric: an entry equals its mirror image.
        direct: refuse colors with which entries must be subtracted.

    Raises:
        ArgumentError: the colors do not tell all entries.
    """
    turn, rows = _by_rows(pattern.indptr, pattern.indices, pattern.shape[0])
    if not symmetric and (column_colors is None or row_colors is None):
        return _read_alone(pattern, entries, column_colors, row_colors, (rows, turn))
    unknowns = np.minimum(turn, np.arange(turn.size)) if symmetric else np.arange(turn.size)
    unknowns = unknowns.astype(np.int64)
    columns = pattern.columns
    first = _numbered(rows, columns[turn], column_colors, turn)
    second = _numbered(pattern.indptr, pattern.indices, row_colors, None)
    equations = np.concatenate([first, np.where(second < 0, -1, second + _count(first))])
    both = np.concatenate([unknowns, unknowns]) if row_colors is not None else unknowns
    equations = equations[: both.size]
    solved, subtracted = _peeled(equations, both, turn.size)
    wrong = np.flatnonzero(solved[unknowns] < 0)
    if wrong.size or (direct and subtracted.size):
        k = int(wrong[0] if wrong.size else subtracted[0, 0])
        _refuse(int(pattern.indices[k]), int(columns[k]), substituting=not wrong.size)
    source = solved[unknowns[entries]]
    sides = pattern.indices, columns
    colors = column_colors, row_colors
    told = _sources(source, turn.size, sides, colors)
    return Program(*told, *_on_entries(unknowns[entries], subtracted, turn.size))


def _read_alone(
    pattern: Pattern, entries: Any, column_colors: Any, row_colors: Any, by_rows: tuple[Any, Any]
) -> Program:
    """Read each entry by its column, or each by its row: its equation must be its own."""
    columns, rows = pattern.columns, pattern.indices
    if row_colors is None:
        starts, turn = by_rows
        numbers = _numbered(starts, columns[turn], column_colors, None)
        passes, places = column_colors[columns[entries]], rows[entries]
    else:
        turn = np.arange(pattern.nnz)
        numbers = _numbered(pattern.indptr, rows, row_colors, None)
        passes, places = row_colors[rows[entries]], columns[entries]
    if numbers.min(initial=0) < 0 or _count(numbers) < numbers.size:
        lonely = np.bincount(np.maximum(numbers, 0), minlength=1)[np.maximum(numbers, 0)]
        k = int(turn[np.flatnonzero((lonely > 1) | (numbers < 0))[0]])
        _refuse(int(rows[k]), int(columns[k]), substituting=False)
    nothing = np.empty((0, 2), np.int64)
    return Program(passes, places, columns[entries], nothing, nothing)


def _count(numbers: Any) -> int:
    return int(numbers.max(initial=-1)) + 1


def _sources(source: Any, size: int, sides: Any, colors: Any) -> tuple[Any, Any, Any]:
    """Get pass, place and column of what was solved: an entry of one side, or of the other.

    Above ``size`` stand the entries again, as they are told by their rows.
    """
    (rows, columns), (column_colors, row_colors) = sides, colors
    by_row = source >= size
    entry = np.where(by_row, source - size, source)
    count = 0 if column_colors is None else _count(column_colors)
    own = np.zeros(entry.size, np.int32) if column_colors is None else column_colors[columns[entry]]
    other = own if row_colors is None else row_colors[rows[entry]] + count
    passes = np.where(by_row, other, own).astype(np.int32)
    places = np.where(by_row, columns[entry], rows[entry])
    return passes, places, columns[entry]


def _on_entries(unknowns: Any, subtracted: Any, size: int) -> tuple[Any, Any]:
    """Rewrite subtractions in terms of the result's entries, with copies for mirror images."""
    nothing = np.empty((0, 2), np.int64)
    if not subtracted.size:
        return nothing, nothing
    place = np.empty(size, np.int64)
    order = np.arange(unknowns.size)
    place[unknowns[::-1]] = order[::-1]
    original = place[unknowns]
    copies = np.flatnonzero(original != order)
    return place[subtracted], np.stack([copies, original[copies]], 1)


def _refuse(row: int, column: int, *, substituting: bool) -> None:
    problem = f"the colors do not tell entry [{row}, {column}] from others"
    remedy = "Pass colors in which each entry is alone with its color in its row or column."
    if substituting:
        problem += " directly"
        remedy = "Pass decompression='substitution', or star colors."
    raise ArgumentError(message("AutoSparse", problem, remedy=remedy))


def _numbered(starts: Any, indices: Any, colors: Any | None, order: Any | None) -> Any:
    """Number the equations that each entry of a pattern stands in, on one side."""
    size = indices.size
    if colors is None:
        return np.full(size, -1, np.int64)
    numbers = _equations(starts, indices, np.asarray(colors, np.int32), _count(colors))
    if order is None:
        return numbers
    turned = np.empty_like(numbers)
    turned[order] = numbers
    return turned


@compiled
def _by_rows(indptr: Any, indices: Any, size: int) -> Any:
    """List the numbers of entries row by row, and where each row starts."""
    starts = np.zeros(size + 1, np.int64)
    for index in indices:
        starts[index + 1] += 1
    for i in range(size):
        starts[i + 1] += starts[i]
    free, order = starts[:-1].copy(), np.empty(indices.size, np.int64)
    for k in range(indices.size):
        i = indices[k]
        order[free[i]] = k
        free[i] += 1
    return order, starts


@compiled
def _equations(starts: Any, indices: Any, colors: Any, count: int) -> Any:
    """Number the pairs of a row and a color, as they are met; -1 where there is no color."""
    numbers = np.empty(indices.size, np.int64)
    row_of, number_of = np.full(count, -1, np.int64), np.empty(count, np.int64)
    free = 0
    for i in range(starts.size - 1):
        for k in range(starts[i], starts[i + 1]):
            color = colors[indices[k]]
            if color < 0:
                numbers[k] = -1
                continue
            if row_of[color] != i:
                row_of[color], number_of[color] = i, free
                free += 1
            numbers[k] = number_of[color]
    return numbers


@compiled
def _members(equations: Any, count: int) -> Any:
    """Sort what stands in equations by equation."""
    starts = np.zeros(count + 1, np.int64)
    for number in equations:
        if number >= 0:
            starts[number + 1] += 1
    for q in range(count):
        starts[q + 1] += starts[q]
    free, members = starts[:-1].copy(), np.empty(starts[-1], np.int64)
    for s in range(equations.size):
        number = equations[s]
        if number >= 0:
            members[free[number]] = s
            free[number] += 1
    return starts, members


@compiled
def _peeled(equations: Any, unknowns: Any, size: int) -> Any:
    """Solve equations with one unknown, one after the other.

    ``equations[s]`` is the equation in which ``unknowns[s]`` stands, at place ``s``.

    Returns:
        For each unknown the place at which it was solved, -1 if it was not; and pairs of unknowns,
        of which the second is subtracted from the first.
    """
    count = equations.max() + 1 if equations.size else 0
    starts, members = _members(equations, count)
    left, at = np.zeros(count, np.int64), np.zeros(count, np.int64)
    places = np.full((size, 2), -1, np.int64)
    for s in range(equations.size):
        if equations[s] >= 0:
            left[equations[s]] += 1
            at[equations[s]] ^= s
            u = unknowns[s]
            places[u, 0 if places[u, 0] < 0 else 1] = s
    solved, queue, stop = np.full(size, -1, np.int64), np.empty(count, np.int64), 0
    for q in range(count):
        if left[q] == 1:
            queue[stop] = q
            stop += 1
    pairs, free = np.empty((max(equations.size, 1), 2), np.int64), 0
    for head in range(count):
        if head == stop:
            break
        q = queue[head]
        if left[q] != 1:
            continue
        place = at[q]
        u = unknowns[place]
        solved[u] = place
        for k in range(starts[q], starts[q + 1]):
            other = unknowns[members[k]]
            if other != u:
                pairs[free, 0], pairs[free, 1] = u, other
                free += 1
        for s in places[u]:
            if s >= 0:
                left[equations[s]] -= 1
                at[equations[s]] ^= s
                if left[equations[s]] == 1:
                    queue[stop] = equations[s]
                    stop += 1
    return solved, pairs[:free].copy()


@compiled
def read_all(results: Any, flat: Any, data: Any) -> None:
    """Read entry ``k`` from place ``flat[k]``."""
    for k in range(flat.size):
        data[k] = results[flat[k]]


@compiled
def read_some(results: Any, flat: Any, entries: Any, data: Any) -> None:
    """Read the entries that are listed."""
    for k in range(flat.size):
        data[entries[k]] = results[flat[k]]


@compiled
def substitute(subtracted: Any, mirrored: Any, data: Any) -> None:
    """Subtract what is known, in order, and copy to mirror images."""
    for k in range(subtracted.shape[0]):
        data[subtracted[k, 0]] -= data[subtracted[k, 1]]
    for k in range(mirrored.shape[0]):
        data[mirrored[k, 0]] = data[mirrored[k, 1]]
