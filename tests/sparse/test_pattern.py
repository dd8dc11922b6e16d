"""Patterns: read from anything, saved, compared, drawn."""

import numpy as np
import pytest
from scipy import sparse

import difint as di
from difint.sparse import Pattern
from difint.sparse.picture import braille
from tests.sparse.problems import banded, random_matrix

DENSE = np.array([[1.0, 0, 2], [0, 0, 3]])
FORMS = {
    "dense": DENSE,
    "bool": DENSE != 0,
    "list": DENSE.tolist(),
    "csc": sparse.csc_array(DENSE),
    "csr": sparse.csr_array(DENSE),
    "coo": sparse.coo_array(DENSE),
    "matrix": sparse.csc_matrix(DENSE),
    "unsorted": sparse.csc_array((np.ones(3), [0, 1, 0], [0, 1, 1, 3]), shape=(2, 3)),
    "duplicates": sparse.coo_array((np.ones(4), ([0, 0, 1, 1], [0, 2, 2, 2])), shape=(2, 3)),
    "pattern": Pattern.of(DENSE),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_the_same_pattern(name):
    pattern = Pattern.of(FORMS[name])
    assert pattern == Pattern.of(DENSE)
    assert hash(pattern) == hash(Pattern.of(DENSE))
    assert (pattern.toarray() == (DENSE != 0)).all()
    assert pattern.indices.tolist() == [0, 0, 1]
    assert pattern.columns.tolist() == [0, 2, 2]
    assert not pattern.indices.flags.writeable


def test_indices_need_a_shape_and_must_lie_in_it():
    assert Pattern.of(([0, 0, 1], [0, 2, 2]), (2, 3)) == Pattern.of(DENSE)
    assert Pattern.of(([], []), (2, 3)).nnz == 0
    with pytest.raises(di.ArgumentError, match="without the shape"):
        Pattern.of(([0], [0]))
    with pytest.raises(di.ArgumentError, match=r"among the columns is outside.*\n.*from 0 to 2"):
        Pattern.of(([0], [3]), (2, 3))


def test_stored_zeros_count_and_so_does_nan():
    stored = sparse.csc_array((np.array([0.0, 1.0]), ([0, 1], [0, 1])), shape=(2, 2))
    assert Pattern.of(stored).nnz == 2
    assert Pattern.of(np.array([[np.nan, 0.0]])).nnz == 1


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1)])
def test_small_shapes(shape, tmp_path):
    pattern = Pattern.of(np.ones(shape))
    assert pattern.shape == shape
    assert pattern.transposed().shape == shape[::-1]
    pattern.save(tmp_path / "p.npz")
    assert Pattern.load(tmp_path / "p.npz") == pattern
    assert isinstance(braille(pattern), str)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ones(3), "1 axes"),
        (np.ones((2, 2, 2)), "3 axes"),
        ("text", "dtype"),
        (([0.5], [0]), "two integer arrays"),
        (([0], [0], [0]), "two integer arrays"),
        (sparse.coo_array(np.ones(3)), "1 axes"),
    ],
)
def test_what_is_no_pattern_is_refused(value, words):
    with pytest.raises(di.ArgumentError, match=words):
        Pattern.of(value, (1, 1) if isinstance(value, tuple) else None)


def test_a_pattern_is_saved_and_loaded(tmp_path):
    pattern = Pattern.of(random_matrix(0, 40, 30))
    pattern.save(tmp_path / "pattern.npz")
    loaded = Pattern.load(tmp_path / "pattern.npz")
    assert loaded == pattern
    assert loaded != pattern.transposed()
    assert loaded.indices.dtype == pattern.indices.dtype


def test_transposed_twice_is_the_same():
    pattern = Pattern.of(random_matrix(1, 25, 40))
    assert (pattern.transposed().toarray() == pattern.toarray().T).all()
    assert pattern.transposed().transposed() == pattern
    assert banded(5, -1, 0, 1).is_symmetric
    assert not banded(5, 0, 1).is_symmetric
    assert not pattern.is_symmetric


def test_a_picture_has_a_dot_for_each_entry():
    dots = sum(bin(ord(c) - 0x2800).count("1") for c in braille(banded(16, 0, 1)) if c != "\n")
    assert dots == 31
    lines = braille(banded(10_000, 0)).split("\n")
    assert len(lines) <= 8
    assert all(len(line) <= 24 for line in lines)
