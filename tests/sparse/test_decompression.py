"""Decompression: matrices come back exactly from their compressed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import difint as di
from difint.sparse import (
    GreedyColoring,
    Pattern,
    color_acyclic,
    color_bidirectional,
    color_columns,
    color_rows,
    color_star,
)
from difint.sparse.decompression import program_of, substitute
from tests.sparse.problems import arrow_pattern, banded


def passes(dense, column_colors, row_colors):
    """Compute what each pass yields, as plain products."""
    found = []
    if column_colors is not None:
        found += [dense @ (column_colors == c) for c in range(column_colors.max(initial=-1) + 1)]
    if row_colors is not None:
        found += [(row_colors == r) @ dense for r in range(row_colors.max(initial=-1) + 1)]
    return found


def decompressed(dense, columns, rows, *, symmetric=False, direct=True, entries=None):
    pattern = Pattern.of(dense)
    entries = np.arange(pattern.nnz) if entries is None else entries
    how = {"symmetric": symmetric, "direct": direct}
    program = program_of(pattern, entries, columns, rows, **how)
    results = passes(dense, columns, rows)
    pairs = zip(program.passes, program.places, strict=True)
    data = np.array([results[p][i] for p, i in pairs])
    substitute(program.subtracted, program.mirrored, data)
    return data, program


def integers(pattern, *, symmetric=False):
    """Fill a pattern with distinct integers, whose sums are exact."""
    rng = np.random.default_rng(0)
    dense = np.where(pattern, rng.permutation(pattern.size).reshape(pattern.shape) + 1.0, 0)
    return dense + dense.T if symmetric else dense


SIZES = st.tuples(st.integers(0, 8), st.integers(0, 8))


@st.composite
def patterns(draw):
    m, n = draw(SIZES)
    bits = draw(st.lists(st.booleans(), min_size=m * n, max_size=m * n))
    return np.array(bits, bool).reshape(m, n)


WAYS = {
    "columns": lambda p: (color_columns(p), None, True),
    "rows": lambda p: (None, color_rows(p), True),
    "both": lambda p: (*color_bidirectional(p)[::-1], True),
    "both, substitution": lambda p: (*color_bidirectional(p, "substitution")[::-1], False),
}

SYMMETRIC = {
    "star": (color_star, True),
    "acyclic": (color_acyclic, False),
    "star, neutral": (GreedyColoring().symmetric, True),
    "acyclic, neutral": (GreedyColoring(decompression="substitution").symmetric, False),
}


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None, max_examples=60)
@given(patterns())
def test_a_matrix_comes_back_exactly(way, pattern):
    dense = integers(pattern)
    columns, rows, direct = WAYS[way](Pattern.of(pattern))
    data, program = decompressed(dense, columns, rows, direct=direct)
    made = Pattern.of(dense)
    assert (data == dense[made.indices, made.columns]).all()
    assert program.is_direct or not direct


@pytest.mark.parametrize("way", SYMMETRIC)
@settings(deadline=None, max_examples=60)
@given(patterns(), st.sampled_from(["all", "lower", "upper"]))
def test_a_symmetric_matrix_comes_back_exactly(way, pattern, part):
    square = pattern[: min(pattern.shape), : min(pattern.shape)]
    dense = integers(square | square.T, symmetric=True)
    made = Pattern.of(dense)
    kept = {
        "all": np.ones(made.nnz, bool),
        "lower": made.indices >= made.columns,
        "upper": made.indices <= made.columns,
    }[part]
    color, direct = SYMMETRIC[way]
    entries = np.flatnonzero(kept)
    data, _ = decompressed(dense, color(made), None, symmetric=True, direct=direct, entries=entries)
    assert (data == dense[made.indices, made.columns][kept]).all()


def test_an_acyclic_coloring_needs_substitution():
    pattern = banded(9, -1, 0, 1)
    colors = np.arange(9, dtype=np.int32) % 2
    everything = np.arange(pattern.nnz)
    program = program_of(pattern, everything, colors, None, symmetric=True, direct=False)
    assert not program.is_direct
    with pytest.raises(di.ArgumentError, match="directly\nPass decompression='substitution'"):
        program_of(pattern, everything, colors, None, symmetric=True, direct=True)


@pytest.mark.parametrize(
    ("columns", "rows", "symmetric"),
    [
        ([0, 0, 0, 0], None, False),
        ([0, 1, 2, -1], None, False),
        (None, [0, 1, 1, 1], False),
        ([0, -1, -1, -1], [-1, 0, 0, 0], False),
        ([0, 0, 1, 1], None, True),
    ],
)
def test_colors_that_do_not_tell_an_entry_are_refused(columns, rows, symmetric):
    pattern = arrow_pattern(4)
    given = [None if one is None else np.array(one, np.int32) for one in (columns, rows)]
    with pytest.raises(di.ArgumentError, match=r"do not tell entry \[\d, \d\] from others"):
        how = {"symmetric": symmetric, "direct": False}
        program_of(pattern, np.arange(pattern.nnz), *given, **how)


def test_wide_indices_work_too():
    matrix = sparse.csc_array(np.eye(4) + np.eye(4, k=1))
    narrow = Pattern.of(matrix)
    wide = Pattern(narrow.shape, narrow.indptr.astype(np.int64), narrow.indices.astype(np.int64))
    assert wide == narrow
    data, _ = decompressed(matrix.toarray(), color_columns(wide), None)
    assert (data == 1).all()
