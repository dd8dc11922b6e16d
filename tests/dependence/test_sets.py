"""Index sets against Python's own sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import difint as di
from difint.dependence import sets as module
from difint.dependence.sets import FIRST, Sets, everything


class Model:
    """The same graph, with a Python set and a set of pairs a node."""

    def __init__(self, size):
        self.sets = Sets(size)
        self.nodes = {0: set(), 1: set(), **{FIRST + j: {j} for j in range(size)}}

    def put(self, node, members):
        known = self.nodes.setdefault(int(node), members)
        assert known == members


def rows_of(rows):
    return [set(rows.columns[slice(*rows.indptr[i : i + 2])]) for i in range(rows.indptr.size - 1)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), size=st.integers(0, 150))
def test_unions_are_those_of_python(data, size):
    model = Model(size)
    for _ in range(data.draw(st.integers(1, 8))):
        names = sorted(model.nodes)
        length = data.draw(st.integers(0, 12))
        draw = st.lists(st.sampled_from(names), min_size=length, max_size=length)
        a, b = (np.array(data.draw(draw), np.int32) for _ in range(2))
        for one, other, node in zip(a, b, model.sets.unite(a, b), strict=True):
            model.put(node, model.nodes[one] | model.nodes[other])
        starts = [0, length // 2, length]
        for span, node in zip(
            [slice(*starts[:2]), slice(*starts[1:])], model.sets.unite_runs(starts, a), strict=True
        ):
            model.put(node, set().union(*(model.nodes[one] for one in a[span])))
        for i, node in enumerate(model.sets.unite_along(a, turned=bool(length % 2))):
            span = slice(i, None) if length % 2 else slice(i + 1)
            model.put(node, set().union(*(model.nodes[one] for one in a[span])))
    asked = np.array(sorted(model.nodes), np.int32)
    found = rows_of(model.sets.jacobian(asked))
    assert found == [model.nodes[node] for node in asked]
    for row in range(asked.size):
        part = model.sets.jacobian(asked[row : row + 1])
        assert np.array_equal(part.columns, sorted(model.nodes[asked[row]]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), size=st.integers(1, 70))
def test_pairs_are_those_of_python(data, size):
    model, expected = Model(size), set()
    draw = st.lists(st.integers(0, size - 1), min_size=1, max_size=6)
    bends = []
    for _ in range(data.draw(st.integers(0, 6))):
        one, other = (data.draw(draw) for _ in range(2))
        parts = [np.array(part, np.int32) + FIRST for part in (one, other)]
        nodes = [model.sets.unite_runs([0, part.size], part) for part in parts]
        bends.append(model.sets.pair(*nodes))
        expected |= {(i, j) for a in one for b in other for i, j in ((a, b), (b, a))}
    together = model.sets.unite_all(*bends)
    rows = model.sets.hessian(np.array([together], np.int32))
    found = {(i, j) for i, row in enumerate(rows_of(rows)) for j in row}
    assert found == expected


def test_empty_sets_have_no_pairs():
    sets = Sets(3)
    assert not sets.pair(np.array([0, 1, 2], np.int32), np.array([2, 2, 1], np.int32)).any()
    assert sets.hessian(np.empty(0, np.int32)).columns.size == 0
    assert sets.jacobian(np.array([0, 1], np.int32)).indptr.tolist() == [0, 0, 0]


def test_products_leave_out_what_is_zero():
    sets = Sets(6)
    a, b = sets.entries((6,)).reshape(2, 3), np.full((3, 1), 1, np.int32)
    lacks = np.array([[True, False, False], [True, True, True]])
    found = sets.contract(a, b, lacks, np.zeros((3, 1), bool))
    assert rows_of(sets.jacobian(found)) == [{1, 2}, set()]
    paired = sets.contract_pairs(a, sets.entries((6,))[:3].reshape(3, 1))
    rows = rows_of(sets.hessian(paired[0]))
    assert rows == [{0}, {1}, {2}, set(), set(), set()]


def test_long_sums_take_linear_room():
    sets = Sets(200_000)
    x = sets.entries((200_000,))
    total = sets.unite_along(x)[-1:]
    assert sets.count <= FIRST + 2 * x.size
    assert sets.jacobian(total).columns.size == x.size


def test_forgotten_sets_make_room_for_others():
    sets = Sets(4000)
    x = sets.entries((4000,))
    for _ in range(60):
        x = sets.unite(sets.unite(x, np.roll(x, 1)), np.roll(x, -1))
    rows = sets.jacobian(x)
    assert (np.diff(rows.indptr) == 121).all()
    middle = rows.columns[slice(*rows.indptr[2000:2002])]
    assert np.array_equal(middle, np.arange(1940, 2061))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), size=st.integers(1, 25))
def test_closures_are_what_can_be_reached(data, size):
    sets = Sets(size)
    own, atoms = sets.entries((size,)), sets.atoms((size,))
    first = int(atoms[0])
    places = st.integers(0, size - 1)
    edges = data.draw(st.lists(st.tuples(places, places), max_size=3 * size))
    matrix = np.zeros((size, size), bool)
    matrix[tuple(np.array(edges, int).reshape(-1, 2).T)] = True
    starts = np.concatenate([[0], np.cumsum(matrix.sum(1))])
    members = (np.nonzero(matrix)[1] + first).astype(np.int32)
    reached = matrix | np.eye(size, dtype=bool)
    for k in range(size):
        reached |= reached[:, k : k + 1] & reached[k]
    rows = rows_of(sets.jacobian(sets.close(starts, members, first, own)))
    assert rows == [set(np.flatnonzero(row)) for row in reached]
    step = rows_of(sets.jacobian(sets.step(starts, members, first, own)))
    assert step == [set(np.flatnonzero(row)) for row in matrix]


def test_patterns_that_are_too_large_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_ENTRIES", 99)
    words = r"more entries than can be of use\n.*at most 99\n.*got       100, of a matrix of shape"
    sets = Sets(10)
    whole = np.full(10, sets.unite_all(sets.entries((10,))), np.int32)
    for large in (
        lambda: everything(10, 10),
        lambda: sets.jacobian(whole),
        lambda: sets.hessian(sets.pair(whole, whole)),
    ):
        with pytest.raises(di.SparsityError, match=words) as caught:
            large()
        assert "KnownSparsityDetector(pattern)" in str(caught.value)
