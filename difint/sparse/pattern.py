"""Patterns: where a matrix may have entries that are not zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from difint.errors import ArgumentError, message


@final
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Pattern:
    """Where a matrix may have entries that are not zero, column by column.

    Made by ``Pattern.of``; the index arrays are read-only and shared by all results of a plan.

    Attributes:
        shape: the number of rows and of columns.
        indptr: the entries of column ``j`` are those from ``indptr[j]`` to ``indptr[j + 1]``.
        indices: the row of each entry, sorted within a column, without duplicates.

    >>> import numpy as np
    >>> pattern = Pattern.of(np.tri(3))
    >>> pattern
    Pattern(3 x 3, 6 entries)
    >>> pattern.toarray().astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """

    shape: tuple[int, int]
    indptr: Any
    indices: Any
    _hash: int = field(init=False)

    def __post_init__(self) -> None:
        self.indptr.flags.writeable = self.indices.flags.writeable = False
        object.__setattr__(self, "_hash", hash((self.shape, self.indices.tobytes()[:4096])))

    @classmethod
    def of(cls, value: Any, shape: tuple[int, int] | None = None) -> Pattern:
        """Read a pattern.

        Args:
            value: a scipy sparse array or matrix, of which every stored entry counts, zeros too;
                a dense array, of which the entries count that are not zero; a ``Pattern``; or
                ``(rows, columns)``, two integer arrays with an index each for every entry.
            shape: the shape of the matrix; needed for indices, for the others a check.

        Raises:
            ArgumentError: it is none of these, or does not have this shape.
        """
        if isinstance(value, Pattern):
            found = value
        elif isinstance(value, tuple):
            found = _of_indices(value, shape)
        else:
            found = _of_matrix(value)
        if shape is not None and found.shape != tuple(shape):
            text = message(
                "Pattern",
                "the pattern has another shape than the matrix",
                expected=str(tuple(shape)),
                got=str(found.shape),
                remedy="Pass a pattern of shape (y.size, x.size), both raveled in C order.",
            )
            raise ArgumentError(text)
        return found

    @classmethod
    def of_rows(cls, indptr: Any, indices: Any, size: int) -> Pattern:
        """Read a pattern row by row: the columns of each, of ``size`` ones, sorted."""
        from difint.sparse.graphs import transposed

        wide = np.int32 if max(indices.size, indptr.size, size) < 2**31 else np.int64
        starts, rows = transposed(indptr.astype(wide), indices.astype(wide), size)
        return cls((indptr.size - 1, size), starts, rows)

    @classmethod
    def load(cls, path: str | Path) -> Pattern:
        """Read a pattern from a file that ``save`` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            rows, columns = map(int, stored["shape"])
            return cls((rows, columns), stored["indptr"], stored["indices"])

    def save(self, path: str | Path) -> None:
        """Write the pattern to a file, in NumPy's compressed format."""
        with open(path, "wb") as file:
            parts = {"shape": self.shape, "indptr": self.indptr, "indices": self.indices}
            np.savez_compressed(file, allow_pickle=False, **parts)

    @property
    def nnz(self) -> int:
        """The number of entries."""
        return int(self.indices.size)

    @property
    def columns(self) -> Any:
        """The column of each entry, in the order of ``indices``."""
        counts = np.diff(self.indptr)
        return np.repeat(np.arange(self.shape[1], dtype=self.indices.dtype), counts)

    @property
    def is_symmetric(self) -> bool:
        """Whether every entry has a counterpart on the other side of the diagonal."""
        return self.shape[0] == self.shape[1] and self == self.transposed()

    def transposed(self) -> Pattern:
        """Get the pattern of the transpose: column by column, the rows of this one."""
        from difint.sparse.graphs import transposed

        indptr, indices = transposed(self.indptr, self.indices, self.shape[0])
        return Pattern(self.shape[::-1], indptr, indices)

    def widened(self, shape: tuple[int, int]) -> Pattern:
        """Get the same entries in a matrix of another shape, if it holds them."""
        return Pattern.of((self.indices, self.columns), shape)

    def joined(self, other: Pattern) -> Pattern:
        """Get the entries of both, of two patterns of one shape."""
        rows = np.concatenate([self.indices, other.indices])
        columns = np.concatenate([self.columns, other.columns])
        return Pattern.of((rows, columns), self.shape)

    def toarray(self) -> Any:
        """Write the pattern as a dense array of truth values."""
        dense = np.zeros(self.shape, bool)
        dense[self.indices, self.columns] = True
        return dense

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pattern):
            return NotImplemented
        if self is other:
            return True
        same = self.shape == other.shape and self.nnz == other.nnz
        return same and bool(
            np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.indices, other.indices)
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        rows, columns = self.shape
        entries = "1 entry" if self.nnz == 1 else f"{self.nnz} entries"
        return f"Pattern({rows} x {columns}, {entries})"


def _of_matrix(value: Any) -> Pattern:
    from scipy import sparse

    if sparse.issparse(value):
        if value.ndim != 2:
            _refuse(f"a sparse array with {value.ndim} axes")
        stored = sparse.coo_array(value)
        return _assembled(stored.row, stored.col, value.shape)
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "biufc":
        _refuse(f"{type(value).__name__} of {array.ndim} axes and dtype {array.dtype}")
    columns, rows = np.nonzero(array.T)
    return _assembled(rows, columns, array.shape)


def _refuse(got: str) -> None:
    text = message(
        "Pattern",
        "this is not a pattern",
        expected="a scipy sparse array, a dense array with two axes, or (rows, columns)",
        got=got,
        remedy="Pass e.g. scipy.sparse.csc_array(matrix), or two integer arrays in a tuple.",
    )
    raise ArgumentError(text)


def _of_indices(value: tuple[Any, ...], shape: tuple[int, int] | None) -> Pattern:
    arrays = [np.asarray(one) for one in value]
    # An empty list is an array of floats.
    arrays = [one.astype(np.intp) if one.size == 0 else one for one in arrays]
    integers = all(one.ndim == 1 and one.dtype.kind in "iu" for one in arrays)
    if len(arrays) != 2 or not integers or arrays[0].size != arrays[1].size:
        _refuse("a tuple of something else than two integer arrays of one length")
    if shape is None:
        _refuse("(rows, columns) without the shape of the matrix")
    assert shape is not None  # refused above
    for name, one, size in zip(("rows", "columns"), arrays, shape, strict=True):
        if one.size and not (0 <= one.min() and one.max() < size):
            text = message(
                "Pattern",
                f"an index among the {name} is outside the matrix",
                expected=f"from 0 to {size - 1}, for a matrix of shape {tuple(shape)}",
                got=f"from {one.min()} to {one.max()}",
                remedy="Count from 0, rows over y.ravel() and columns over x.ravel().",
            )
            raise ArgumentError(text)
    return _assembled(arrays[0], arrays[1], shape)


def _assembled(rows: Any, columns: Any, shape: tuple[int, ...]) -> Pattern:
    """Sort entries column by column, and merge duplicates."""
    from scipy import sparse

    coordinates = (np.asarray(rows), np.asarray(columns))
    ones = np.ones(coordinates[0].size, np.int8)
    made = sparse.coo_array((ones, coordinates), shape).tocsc()
    made.sum_duplicates()  # which sorts
    # Of a product of sizes nothing is indexed: entries decide how wide an index must be.
    wide = np.int32 if max(made.nnz, *shape) < 2**31 else np.int64
    indptr, indices = made.indptr.astype(wide), made.indices.astype(wide)
    return Pattern((int(shape[0]), int(shape[1])), indptr, indices)
