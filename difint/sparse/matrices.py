"""Matrices: results as ``scipy.sparse`` arrays of one pattern, and entries into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.errors import SparsityError, message
from difint.kinds import Leaf, element_text
from difint.problem import Form, single
from difint.signature import Argument
from difint.sparse.pattern import Pattern


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """Which entries of a pattern a result holds, and in which order.

    Attributes:
        pattern: where the result may have entries; ``entries`` of another pattern.
        format: ``"csc"``, ``"csr"`` or ``"dense"``.
        entries: for each entry of the result its number in the pattern that was colored.
        template: a ``scipy.sparse`` array with the index arrays that all results share; ``None``
            where results are dense.
        dtype: of the entries.
    """

    pattern: Pattern
    format: str
    entries: Any
    template: Any
    dtype: Any

    @property
    def form(self) -> Form:
        """How sparse results look to the user: their entries are what an engine computes."""
        leaf = Leaf("numpy", (self.entries.size,), self.dtype)
        described = Argument("result", None, None, ("out.data",), (leaf,))
        return Form(described, self.entries_of, None, self.filled_with, single)

    def filled_with(self, data: Any) -> Any:
        """Make a result of its entries; it shares nothing but the index arrays."""
        # What copy.copy does, in a third of the time.
        made = self.template.__class__.__new__(self.template.__class__)
        made.__dict__.update(self.template.__dict__)
        made.data = data
        return made

    def entries_of(self, out: Any) -> tuple[Any]:
        """Get the entries of a user's matrix, after comparing its pattern."""
        template = self.template
        # A plan's own results share its index arrays: that is all there is to see.
        try:
            same = out.indices is template.indices and out.indptr is template.indptr
            if same and type(out) is type(template):
                return (out.data,)
        except AttributeError:
            pass
        self._compare(out)
        return (out.data,)

    def _compare(self, out: Any) -> None:
        """Raise where a matrix is not of this layout."""
        from scipy import sparse

        template = self.template
        if not sparse.issparse(out) or out.format != self.format:
            got = f"a {out.format}_array" if sparse.issparse(out) else f"a {type(out).__name__}"
            self._refuse("is not of the format of the result", f"a {self.format}_array", got)
        if out.shape != template.shape:
            self._refuse("has another shape than the result", str(template.shape), str(out.shape))
        same = np.array_equal(out.indptr, template.indptr)
        if same and np.array_equal(out.indices, template.indices):
            return
        self._refuse("has another pattern than the result", *self._first_difference(out))

    def _first_difference(self, out: Any) -> tuple[str, str]:
        """Describe the first line of two matrices that differs."""
        template = self.template
        line, across = ("column", "rows") if self.format == "csc" else ("row", "columns")
        for j in range(template.indptr.size - 1):
            want, have = (one.indices[one.indptr[j] : one.indptr[j + 1]] for one in (template, out))
            if not np.array_equal(want, have):
                return f"{line} {j}: {across} {_listed(want)}", f"{line} {j}: {_listed(have)}"
        return "equal index arrays", "index arrays with something after the last entry"

    def _refuse(self, problem: str, expected: str, got: str) -> None:
        remedy = "Pass out= what plan.execute returned, or a copy of it."
        text = message("execute", f"out {problem}", expected=expected, got=got, remedy=remedy)
        raise SparsityError(text)

    @property
    def summary(self) -> str:
        """Shape, dtype and entries, in a few words."""
        shape = ",".join(map(str, self.pattern.shape))
        kind = "" if self.format == "dense" else f" ({self.format}_array)"
        return f"{element_text(self.dtype)}[{shape}]{kind}, {self.pattern.nnz} entries"


_SHOWN = 8


def _listed(indices: Any) -> str:
    shown = indices[:_SHOWN].tolist()
    return f"{shown}" if len(indices) <= _SHOWN else f"{shown[:-1]}... ({len(indices)})"


def layout_of(pattern: Pattern, format: str, triangle: str | None, dtype: Any) -> Layout:
    """Lay the entries of a pattern, or of one triangle of it, out in a format."""
    entries = np.arange(pattern.nnz)
    if triangle is not None:
        columns, rows = pattern.columns, pattern.indices
        kept = rows >= columns if triangle == "lower" else rows <= columns
        entries = entries[kept]
        pattern = Pattern.of((rows[kept], columns[kept]), pattern.shape)
    if format == "dense":
        return Layout(pattern, format, entries, None, dtype)
    from scipy import sparse

    made: Any = sparse.csc_array
    starts, indices = pattern.indptr, pattern.indices
    if format == "csr":
        order = np.lexsort((pattern.columns, pattern.indices))
        turned = pattern.transposed()
        made, starts, indices, entries = (
            sparse.csr_array,
            turned.indptr,
            turned.indices,
            entries[order],
        )
    nothing = np.empty(entries.size, dtype)
    template = made((nothing, indices, starts), pattern.shape)
    template.has_canonical_format  # noqa: B018  # a property that remembers what it found
    template.indices, template.indptr = indices, starts
    template.data = np.empty(0, dtype)
    return Layout(pattern, format, entries, template, dtype)
