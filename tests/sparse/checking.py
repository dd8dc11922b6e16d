"""Whether a coloring suffices, by the definition: every entry can be told from the products.

Nothing is shared with the algorithms; entries and equations are plain sets and dictionaries.
"""

from collections import Counter, defaultdict


def entries_of(pattern):
    columns = pattern.columns.tolist()
    return list(zip(pattern.indices.tolist(), columns, strict=True))


def is_contiguous(*colorings):
    """Whether each side's colors are 0, 1, ... besides the neutral color -1."""
    used = [set(colors.tolist()) - {-1} for colors in colorings]
    return all(one == set(range(len(one))) for one in used)


def count(*colorings):
    return sum(int(colors.max(initial=-1)) + 1 for colors in colorings)


def _alone(entries, colors):
    """Find the entries of a row whose column shares its color with no other one of the row."""
    tally = Counter((i, colors[j]) for i, j in entries)
    return {(i, j) for i, j in entries if colors[j] >= 0 and tally[i, colors[j]] == 1}


def _turned(entries):
    return [(j, i) for i, j in entries]


def are_columns(pattern, colors):
    entries = entries_of(pattern)
    return len(_alone(entries, colors.tolist())) == len(entries)


def are_rows(pattern, colors):
    turned = _turned(entries_of(pattern))
    return len(_alone(turned, colors.tolist())) == len(turned)


def is_symmetric_direct(pattern, colors):
    entries = entries_of(pattern)
    alone = _alone(entries, colors.tolist())
    return all((i, j) in alone or (j, i) in alone for i, j in entries)


def is_bidirectional_direct(pattern, row_colors, column_colors):
    entries = entries_of(pattern)
    by_columns = _alone(entries, column_colors.tolist())
    by_rows = _alone(_turned(entries), row_colors.tolist())
    return all((i, j) in by_columns or (j, i) in by_rows for i, j in entries)


def _peels(unknowns):
    """Whether equations with one unknown left can be solved until none is left.

    ``unknowns`` maps each unknown to the equations that hold it.
    """
    equations = defaultdict(set)
    for unknown, places in unknowns.items():
        for place in places:
            equations[place].add(unknown)
    ready = [place for place, held in equations.items() if len(held) == 1]
    solved = set()
    while ready:
        held = equations[ready.pop()]
        if len(held) != 1:
            continue
        (unknown,) = held
        solved.add(unknown)
        for place in unknowns[unknown]:
            equations[place].discard(unknown)
            if len(equations[place]) == 1:
                ready.append(place)
    return len(solved) == len(unknowns)


def is_symmetric_substitution(pattern, colors):
    colors = colors.tolist()
    unknowns = defaultdict(set)
    for i, j in entries_of(pattern):
        unknowns[min(i, j), max(i, j)] |= {(i, colors[j])} if colors[j] >= 0 else set()
    return _peels(unknowns)


def is_bidirectional_substitution(pattern, row_colors, column_colors):
    rows, columns = row_colors.tolist(), column_colors.tolist()
    unknowns = {}
    for i, j in entries_of(pattern):
        by_column = {("row", i, columns[j])} if columns[j] >= 0 else set()
        by_row = {("column", j, rows[i])} if rows[i] >= 0 else set()
        unknowns[i, j] = by_column | by_row
    return _peels(unknowns)


SYMMETRIC = {"direct": is_symmetric_direct, "substitution": is_symmetric_substitution}
BIDIRECTIONAL = {"direct": is_bidirectional_direct, "substitution": is_bidirectional_substitution}
