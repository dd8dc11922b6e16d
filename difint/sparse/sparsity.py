"""What a plan with a sparse result tells of it: pattern, colors, picture, check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np

from difint.engine import Sides, Sparsity
from difint.errors import SparsityError, message
from difint.sparse.choosing import Choice, count_of
from difint.sparse.matrices import Layout
from difint.sparse.picture import braille


@final
class PlanSparsity(Sparsity):
    """The pattern and the colors of a plan.

    Args:
        operator: the operator's name, for messages.
        colored: the pattern that was colored: of both triangles of a Hessian.
        choice: the colors.
        layout: which entries results hold.
        evaluate: ``args -> entries``.
        product: ``(args, t) -> (product, t)``: what the dense engine says; it may move ``t``.
        accuracy: the relative error of a product.
        exact: nothing but rounding makes it.
    """

    __slots__ = (
        "_accuracy",
        "_choice",
        "_colored",
        "_evaluate",
        "_exact",
        "_layout",
        "_operator",
        "_product",
    )

    def __init__(
        self,
        operator: str,
        colored: Any,
        choice: Choice,
        layout: Layout,
        evaluate: Callable[[tuple[Any, ...]], Any],
        product: Callable[[tuple[Any, ...], Any], tuple[Any, Any]],
        accuracy: float,
        *,
        exact: bool,
    ) -> None:
        self.pattern = layout.pattern
        self.colors = choice.colors
        self.reason = choice.reason
        self._operator, self._colored = operator, colored
        self._choice, self._layout, self._accuracy = choice, layout, accuracy
        self._evaluate, self._product, self._exact = evaluate, product, exact

    @property
    def summary(self) -> str:
        """The result in a few words: shape, dtype, entries."""
        return self._layout.summary

    @property
    def picture(self) -> str:
        """The pattern, drawn in braille."""
        return braille(self.pattern)

    @property
    def groups(self) -> Sides:
        """The indices that have each color."""
        return Sides(*map(_groups, self.colors))

    def spy(self, axes: Any) -> Any:
        """Draw the colored pattern and the compressed matrix."""
        from difint.sparse.spying import spy

        return spy(self._colored, self._choice, axes)

    def verify(self, args: tuple[Any, ...], samples: int, seed: int) -> None:
        """Compare random products, and raise where they differ."""
        rng = np.random.default_rng(seed)
        entries = self._evaluate(args)
        forward = self.colors.columns is not None
        size = self._colored.shape[1 if forward else 0]
        for _ in range(samples):
            t = rng.uniform(0.5, 1.5, size) * rng.choice([-1.0, 1.0], size)
            with np.errstate(all="ignore"):
                dense, moved = self._product(args, t)
                noise = 0.0 if self._exact else self._noise(args, t, np.ravel(dense), rng)
                self._compare(entries, np.ravel(dense), moved, noise, forward=forward)

    def _noise(self, args: tuple[Any, ...], t: Any, dense: Any, rng: Any) -> float:
        """Measure what differences along a tangent err by: how far they are from linear."""
        other = rng.uniform(0.5, 1.5, t.size)
        first, both = (np.ravel(self._product(args, one)[0]) for one in (other, t + other))
        defects = np.abs(both - first - dense)
        return float(_NOISE * defects[np.isfinite(defects)].max(initial=0.0))

    def _compare(self, entries: Any, dense: Any, t: Any, noise: float, *, forward: bool) -> None:
        """Compare a product with that of the entries, relative to the size of its terms."""
        rows, columns, values = self._all_entries(entries)
        if not forward:
            rows, columns = columns, rows
        terms, size = values * t[columns], dense.size
        sparse = np.bincount(rows, terms, size)
        scale = np.bincount(rows, np.abs(terms), size) + np.abs(dense)
        largest = scale[np.isfinite(scale)].max(initial=0.0)
        allowed = self._accuracy * np.maximum(scale, 1e-3 * largest) + noise
        same = (np.abs(sparse - dense) <= allowed) | ~np.isfinite(sparse) | ~np.isfinite(dense)
        if not same.all():
            self._refuse(np.flatnonzero(~same), sparse, dense, "row" if forward else "column")

    def _all_entries(self, entries: Any) -> tuple[Any, Any, Any]:
        """List rows, columns and values; of one triangle, of the other too."""
        pattern, order = self._colored, self._layout.entries
        rows, columns = pattern.indices[order], pattern.columns[order]
        if pattern.nnz == order.size:
            return rows, columns, entries
        off = rows != columns
        return (
            np.concatenate([rows, columns[off]]),
            np.concatenate([columns, rows[off]]),
            np.concatenate([entries, entries[off]]),
        )

    def _refuse(self, wrong: Any, sparse: Any, dense: Any, line: str) -> None:
        first = wrong[0]
        shown = ", ".join(map(str, wrong[:8])) + (", ..." if wrong.size > 8 else "")
        lines = f"{line}s {shown}" if wrong.size > 1 else f"{line} {shown}"
        text = message(
            self._operator,
            f"the pattern lacks entries in {lines}",
            expected=f"{dense[first]:.6g} in {line} {first}, of the product with a random tangent",
            got=f"{sparse[first]:.6g}",
            remedy="Add the entries to the pattern, or let a detector find it.",
        )
        raise SparsityError(text)


_NOISE = 30.0
"""How many times the worst defect of linearity two ways to a product may differ by."""


def _groups(colors: Any | None) -> tuple[Any, ...] | None:
    if colors is None:
        return None
    return tuple(np.flatnonzero(colors == color) for color in range(count_of(colors)))
