"""Colorings: every one by every order, against the definition."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from difint.errors import ArgumentError, UnsupportedError
from difint.sparse.choices import ORDERS
from difint.sparse.coloring import (
    ConstantColoring,
    GreedyColoring,
    OptimalColoring,
    color_acyclic,
    color_bidirectional,
    color_columns,
    color_rows,
    color_star,
)
from difint.sparse.graphs import fewest_possible, without_diagonal
from difint.sparse.pattern import Pattern
from tests.sparse import checking

EVERY_ORDER = [None, *ORDERS, ("natural", "largest_first")]
SYMMETRIC = {"direct": color_star, "substitution": color_acyclic}


def banded(n, width):
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= width


def arrow(n):
    dense = np.eye(n, dtype=bool)
    dense[0] = dense[:, 0] = True
    return dense


def grid(side):
    """Make a five-point stencil."""
    line = sparse.csr_array(banded(side, 1))
    eye = sparse.eye_array(side)
    return (sparse.kron(line, eye) + sparse.kron(eye, line)).toarray() > 0


def eisenstat(n):
    """Make Eisenstat's example: no two of its ``n`` columns are orthogonal."""
    eye, ones = np.eye(n // 2, dtype=bool), np.ones((1, n // 2), bool)
    return np.block([[eye, eye], [ones, ~ones], [eye, ~eye]])


def edges(n, pairs, diagonal=True):
    dense = np.eye(n, dtype=bool) if diagonal else np.zeros((n, n), bool)
    for i, j in pairs:
        dense[i, j] = dense[j, i] = True
    return dense


RNG = np.random.default_rng(1)
SPARSE = RNG.random((40, 60)) < 0.06
SQUARE = RNG.random((50, 50)) < 0.05
MATRICES = {
    "0 x 3": np.zeros((0, 3), bool),
    "3 x 0": np.zeros((3, 0), bool),
    "0 x 0": np.zeros((0, 0), bool),
    "1 x 1": np.ones((1, 1), bool),
    "1 x 1, empty": np.zeros((1, 1), bool),
    "no entries": np.zeros((3, 4), bool),
    "dense": np.ones((5, 7), bool),
    "one dense row": np.eye(9, dtype=bool) | (np.arange(9) == 3)[:, None],
    "one dense column": np.eye(9, dtype=bool) | (np.arange(9) == 3),
    "arrow": arrow(12),
    "arrow from the end": arrow(12)[::-1, ::-1],
    "banded": banded(30, 3),
    "grid": grid(7),
    "Eisenstat": eisenstat(10),
    "random": SPARSE,
    "random, tall": SPARSE.T,
    "blocks": np.kron(np.eye(4, dtype=bool), np.ones((3, 6), bool)),
    "wide row": np.vstack([np.ones(200, bool), RNG.random((30, 200)) < 0.05]),
    "random, square": SQUARE | np.eye(50, dtype=bool),
}
SYMMETRIC_MATRICES = {
    **{name: one for name, one in MATRICES.items() if np.array_equal(one, one.T)},
    "random": SQUARE | SQUARE.T | np.eye(50, dtype=bool),
    "no diagonal": (SQUARE | SQUARE.T) & ~np.eye(50, dtype=bool),
    "part of a diagonal": (SQUARE | SQUARE.T) & ~np.diag(np.arange(50) % 3 == 0),
    "complete, no diagonal": ~np.eye(6, dtype=bool),
    "path, no diagonal": banded(9, 1) & ~np.eye(9, dtype=bool),
    "cycle": edges(7, [(i, (i + 1) % 7) for i in range(7)]),
    "star, no diagonal": edges(8, [(3, i) for i in range(8) if i != 3], diagonal=False),
    "no entries": np.zeros((4, 4), bool),
}


def check_one_sided(pattern, order, seed=0):
    columns, rows = color_columns(pattern, order, seed), color_rows(pattern, order, seed)
    assert columns.dtype == rows.dtype == np.int32
    assert (rows.size, columns.size) == pattern.shape
    assert checking.are_columns(pattern, columns) and checking.are_rows(pattern, rows)
    assert checking.is_contiguous(columns) and checking.is_contiguous(rows)
    assert columns.min(initial=0) == rows.min(initial=0) == 0
    return columns, rows


def check_symmetric(pattern, order, seed=0):
    for decompression, color in SYMMETRIC.items():
        colors = color(pattern, order, seed)
        assert colors.min(initial=0) == 0
        fewer = GreedyColoring(order, decompression, seed=seed).symmetric(pattern)
        for one in (colors, fewer):
            assert one.dtype == np.int32 and one.size == pattern.shape[1]
            assert checking.SYMMETRIC[decompression](pattern, one)
            assert checking.is_contiguous(one)
        assert checking.count(fewer) <= checking.count(colors)
        graph = without_diagonal(pattern.indptr, pattern.indices)
        assert fewest_possible(*graph, decompression == "direct") <= max(checking.count(colors), 1)


def check_bidirectional(pattern, order, seed=0):
    alone = min(map(checking.count, check_one_sided(pattern, order, seed)))
    for decompression, holds in checking.BIDIRECTIONAL.items():
        rows, columns = color_bidirectional(pattern, decompression, order, seed)
        assert rows.dtype == columns.dtype == np.int32
        assert (rows.size, columns.size) == pattern.shape
        assert holds(pattern, rows, columns)
        assert checking.is_contiguous(rows, columns)
        assert checking.count(rows, columns) <= alone


@pytest.mark.parametrize("order", EVERY_ORDER, ids=str)
@pytest.mark.parametrize("name", MATRICES)
def test_rows_and_columns(name, order):
    check_bidirectional(Pattern.of(MATRICES[name]), order)


@pytest.mark.parametrize("order", EVERY_ORDER, ids=str)
@pytest.mark.parametrize("name", SYMMETRIC_MATRICES)
def test_symmetric(name, order):
    check_symmetric(Pattern.of(SYMMETRIC_MATRICES[name]), order)


@st.composite
def patterns(draw, symmetric=False):
    m = draw(st.integers(0, 14))
    n = m if symmetric else draw(st.integers(0, 14))
    seed, density = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0.05, 0.15, 0.3, 0.7]))
    rng = np.random.default_rng(seed)
    dense = rng.random((m, n)) < density
    for axis, size in enumerate(dense.shape):
        for value in (True, False):
            if size and draw(st.booleans()):
                dense[(slice(None),) * axis + (draw(st.integers(0, size - 1)),)] = value
    if symmetric:
        dense = dense | dense.T
        kept = {"all": 1.0, "none": 0.0, "some": 0.5}[
            draw(st.sampled_from(["all", "none", "some"]))
        ]
        np.fill_diagonal(dense, rng.random(m) < kept)
    return Pattern.of(dense)


@settings(deadline=None, max_examples=150)
@given(patterns(), st.sampled_from(EVERY_ORDER), st.integers(0, 9))
def test_any_pattern(pattern, order, seed):
    check_bidirectional(pattern, order, seed)


@settings(deadline=None, max_examples=150)
@given(patterns(symmetric=True), st.sampled_from(EVERY_ORDER), st.integers(0, 9))
def test_any_symmetric_pattern(pattern, order, seed):
    check_symmetric(pattern, order, seed)


def test_wide_indices():
    """Index arrays of int64 give the colors of int32."""
    narrow = Pattern.of(MATRICES["grid"])
    wide = Pattern(narrow.shape, narrow.indptr.astype(np.int64), narrow.indices.astype(np.int64))
    for color in (color_columns, color_rows, color_star, color_acyclic, color_bidirectional):
        ours, theirs = color(wide), color(narrow)
        np.testing.assert_equal(ours, theirs)


@pytest.mark.parametrize("order", EVERY_ORDER, ids=str)
def test_same_twice(order):
    pattern = Pattern.of(SYMMETRIC_MATRICES["random"])
    for color in (color_columns, color_rows, color_star, color_acyclic, color_bidirectional):
        once, again = (color(pattern, order=order, seed=3) for _ in range(2))
        np.testing.assert_equal(once, again)


def test_several_orders_keep_the_best():
    pattern = Pattern.of(MATRICES["random"])
    each = [checking.count(color_columns(pattern, order)) for order in ORDERS]
    assert checking.count(color_columns(pattern, list(ORDERS))) == min(each)
    assert checking.count(color_columns(pattern)) <= min(each[:4])


# Published counts: Gebremedhin, Manne, Pothen (2005); Gebremedhin et al. (2007) for the banded.
@pytest.mark.parametrize("bands", [2, 4, 10, 20])
def test_banded(bands):
    pattern = Pattern.of(banded(100, bands // 2))
    assert checking.count(color_star(pattern, "natural")) == 2 * (bands // 2) + 1
    assert checking.count(color_acyclic(pattern, "natural")) == bands // 2 + 1
    assert checking.count(color_columns(pattern, "natural")) == bands + 1


@pytest.mark.parametrize("order", [None, *ORDERS], ids=str)
def test_arrow(order):
    pattern = Pattern.of(arrow(20))
    assert checking.count(color_star(pattern, order)) == 2
    assert checking.count(color_acyclic(pattern, order)) == 2
    assert checking.count(color_columns(pattern, order)) == 20
    assert checking.count(color_rows(pattern, order)) == 20
    assert checking.count(*color_bidirectional(pattern, order=order)) == 3


@pytest.mark.parametrize("n", range(6, 21, 2))
def test_eisenstat(n):
    pattern = Pattern.of(eisenstat(n))
    assert checking.count(color_columns(pattern)) == n
    assert checking.count(*color_bidirectional(pattern)) <= n // 2 + 2


# Figure 4.1 of "What color is your Jacobian?", figure 6.1 there, which is figures 1 and 4 of
# "Efficient computation of sparse Hessians using coloring and automatic differentiation".
SIX = edges(6, [(0, 1), (1, 2), (1, 4), (1, 5), (2, 3), (3, 5)])
_LADDER = [(0, 1), (0, 6), (1, 2), (1, 4), (2, 3), (2, 5), (3, 9), (4, 5), (4, 7), (5, 8)]
TEN = edges(10, [*_LADDER, (6, 7), (7, 8), (8, 9)])


@pytest.mark.parametrize(
    ("color", "dense", "most"),
    [(color_star, SIX, 3), (color_star, TEN, 5), (color_acyclic, TEN, 3)],
    ids=["star, 6 x 6", "star, 10 x 10", "acyclic, 10 x 10"],
)
def test_worked_examples(color, dense, most):
    assert checking.count(color(Pattern.of(dense))) <= most


def test_neutral_colors():
    """Leaves of a star without a diagonal are told by the hub's color, or the hub by theirs."""
    pattern = Pattern.of(SYMMETRIC_MATRICES["star, no diagonal"])
    assert checking.count(color_star(pattern)) == 2
    colors = GreedyColoring().symmetric(pattern)
    assert checking.count(colors) == 1 and colors.min() == -1
    empty = Pattern.of(np.diag([True, False, True]))
    assert color_columns(empty).tolist() == [0, 0, 0]
    assert GreedyColoring().columns(empty).tolist() == [0, -1, 0]
    assert GreedyColoring(postprocessing=False).columns(empty).tolist() == [0, 0, 0]
    assert GreedyColoring().rows(empty).tolist() == [0, -1, 0]


def test_dense_rows_are_cheap():
    """A square of the size would not end."""
    n = 200_000
    i = np.arange(n)
    rows, columns = np.r_[i, 0 * i, i], np.r_[i, i, 0 * i]
    pattern = Pattern.of((rows, columns), (n, n))
    assert checking.count(color_star(pattern, "natural")) == 2
    assert checking.count(color_acyclic(pattern, "natural")) == 2
    assert checking.count(color_columns(pattern)) == n
    assert checking.count(*color_bidirectional(pattern)) == 3


@pytest.mark.parametrize("side", ["columns", "rows"])
def test_optimal(side):
    pattern = Pattern.of(MATRICES["random"])
    found = getattr(OptimalColoring(time_limit=20.0), side)(pattern)
    assert getattr(checking, f"are_{side}")(pattern, found)
    assert checking.is_contiguous(found)
    greedy = getattr(GreedyColoring(), side)(pattern)
    assert checking.count(found) <= checking.count(greedy)


def test_optimal_proves():
    """Columns in a ring of five, each with an entry in two rows, need three colors."""
    ring = np.eye(5, dtype=bool) | np.roll(np.eye(5, dtype=bool), 1, axis=1)
    assert checking.count(OptimalColoring().columns(Pattern.of(ring))) == 3


@pytest.mark.parametrize(
    "algorithm",
    [
        GreedyColoring(),
        GreedyColoring(["natural", "random"], "substitution", False, 3),
        ConstantColoring([0, 1, 0]),
        ConstantColoring((np.array([0, 1]), np.array([-1, 0, 1])), "substitution"),
        OptimalColoring(time_limit=2.0),
    ],
    ids=repr,
)
def test_plain_data(algorithm):
    assert pickle.loads(pickle.dumps(algorithm)) == algorithm
    assert hash(pickle.loads(pickle.dumps(algorithm))) == hash(algorithm)
    assert eval(repr(algorithm)) == algorithm


def test_repr():
    assert repr(GreedyColoring()) == "GreedyColoring()"
    assert repr(GreedyColoring("random", seed=2)) == "GreedyColoring(order=('random',), seed=2)"
    assert repr(OptimalColoring("direct", 5.0)) == "OptimalColoring(time_limit=5.0)"
    assert repr(ConstantColoring([0, 1])) == "ConstantColoring([0, 1])"
    assert ConstantColoring([0, 1]) != ConstantColoring([1, 0])
    assert ConstantColoring([0, 1]) != ConstantColoring(([0], [1]))


def test_constant():
    pattern = Pattern.of(np.eye(2, 3))
    mine = np.array([0, 0, 0])
    constant = ConstantColoring(mine)
    mine[0] = 5
    assert constant.columns(pattern).tolist() == [0, 0, 0]
    assert not constant.colors.flags.writeable
    assert ConstantColoring([0, 1]).rows(pattern).tolist() == [0, 1]
    rows, columns = ConstantColoring(([-1, 0], [0, 0, -1])).bidirectional(pattern)
    assert (rows.tolist(), columns.tolist()) == ([-1, 0], [0, 0, -1])
    assert ConstantColoring([0, 0]).symmetric(Pattern.of(np.eye(2))).tolist() == [0, 0]


WIDE, LOWER = Pattern.of(np.eye(2, 3)), Pattern.of(np.tri(3))
REFUSED = {
    "an unknown order": (lambda: color_columns(WIDE, "best"), "order is not one of"),
    "an unknown order in a tuple": (lambda: color_rows(WIDE, ("natural", 1)), "order is not one"),
    "no order": (lambda: GreedyColoring(()), "order holds no order"),
    "an unknown decompression": (lambda: color_bidirectional(WIDE, "x"), "Pass decompression="),
    "postprocessing": (lambda: GreedyColoring(postprocessing=2), "postprocessing is not"),
    "the other triangle": (lambda: color_star(LOWER.transposed()), "not symmetric"),
    "a negative seed": (lambda: GreedyColoring(seed=-1), "seed is not a seed"),
    "a vector": (lambda: color_columns(np.ones(2)), "this is not a pattern"),
    "a shape": (lambda: color_star(WIDE), r"a pattern of shape \(2, 3\)"),
    "a triangle": (lambda: color_acyclic(LOWER), "without a counterpart"),
    "a triangle, greedy": (lambda: GreedyColoring().symmetric(LOWER), "color_bidirectional"),
    "fractions": (lambda: ConstantColoring([0.5]), "colors are no colors"),
    "below -1": (lambda: ConstantColoring([-2]), "integers from 0"),
    "too few": (lambda: ConstantColoring([0]).columns(WIDE), "expected  3 colors"),
    "a pair": (lambda: ConstantColoring(([0], [0])).rows(WIDE), "1 row and 1 column colors"),
    "no pair": (lambda: ConstantColoring([0]).bidirectional(WIDE), "2 row and 3 column colors"),
    "a time": (lambda: OptimalColoring(time_limit=0), "time_limit is not a time"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, text = REFUSED[name]
    with pytest.raises(ArgumentError, match=text):
        call()


@pytest.mark.parametrize("name", ["symmetric", "bidirectional"])
def test_optimal_refuses(name):
    with pytest.raises(UnsupportedError, match=r"Use GreedyColoring\(\)"):
        getattr(OptimalColoring(), name)(WIDE)


def test_without_a_place_for_compiled_code_it_is_compiled_anew(tmp_path):
    """A package in a directory that cannot be written to, and no home: Numba keeps nothing."""
    code = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import numpy as np, difint as di\n"
        "print(di.sparse.color_columns(np.eye(3)))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert out.stdout == "[0 0 0]\n"
