"""Coloring algorithms: how a backend colors a pattern, as plain data."""

from __future__ import annotations

import abc
from dataclasses import dataclass, fields
from typing import Any, final

import numpy as np

from difint.backends import check_choice
from difint.errors import ArgumentError, UnsupportedError, message
from difint.sparse.choices import (
    DECOMPRESSIONS,
    Decompression,
    check_seed,
    orders_of,
    symmetric_pattern,
)
from difint.sparse.pattern import Pattern


class ColoringAlgorithm(abc.ABC):
    """Base class of the ways to color a pattern, as plain data.

    Attributes:
        decompression: ``"direct"`` or ``"substitution"``: what the colors must allow.
    """

    __slots__ = ()

    decompression: Decompression

    @abc.abstractmethod
    def columns(self, pattern: Pattern) -> Any:
        """Color the columns; return an array of shape ``(n,)``."""

    @abc.abstractmethod
    def rows(self, pattern: Pattern) -> Any:
        """Color the rows; return an array of shape ``(m,)``."""

    @abc.abstractmethod
    def symmetric(self, pattern: Pattern) -> Any:
        """Color the columns of a symmetric pattern; return an array of shape ``(n,)``."""

    @abc.abstractmethod
    def bidirectional(self, pattern: Pattern) -> tuple[Any, Any]:
        """Color both; return arrays of shapes ``(m,)`` for the rows and ``(n,)``."""

    def __repr__(self) -> str:
        given = [
            f"{field.name}={value!r}"
            for field in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if (value := getattr(self, field.name)) is not field.default and value != field.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"


@final
@dataclass(frozen=True, slots=True, repr=False)
class GreedyColoring(ColoringAlgorithm):
    """Color vertices one by one, each with the least color that it may have.

    Args:
        order: as for ``color_columns``: one order, several, or ``None`` for the default.
        decompression: ``"direct"``, or ``"substitution"`` for fewer colors where a symmetric
            matrix, or rows and columns together, are colored.
        postprocessing: give vertices that no decompression needs the neutral color -1.
        seed: where the order ``"random"`` starts.

    Raises:
        ArgumentError: an argument is none of its choices.

    >>> GreedyColoring("smallest_last").columns(Pattern.of(np.tri(3)))
    array([0, 1, 2], dtype=int32)
    """

    order: Any = None
    decompression: Decompression = "direct"
    postprocessing: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", orders_of("GreedyColoring", self.order))
        check_choice("GreedyColoring", "decompression", self.decompression, DECOMPRESSIONS)
        check_choice("GreedyColoring", "postprocessing", self.postprocessing, (True, False))
        check_seed("GreedyColoring", self.seed)

    def columns(self, pattern: Pattern) -> Any:
        """Color the columns as ``color_columns`` does."""
        pattern = Pattern.of(pattern)
        from difint.sparse import greedy

        return greedy.columns(pattern, self.order, self.seed, self.postprocessing)

    def rows(self, pattern: Pattern) -> Any:
        """Color the rows as ``color_rows`` does."""
        pattern = Pattern.of(pattern)
        from difint.sparse import greedy

        return greedy.rows(pattern, self.order, self.seed, self.postprocessing)

    def symmetric(self, pattern: Pattern) -> Any:
        """Color as ``color_star`` or ``color_acyclic`` does."""
        pattern = symmetric_pattern("GreedyColoring.symmetric", pattern)
        from difint.sparse import greedy

        how = (self.decompression, self.order, self.seed, self.postprocessing)
        return greedy.symmetric(pattern, *how)

    def bidirectional(self, pattern: Pattern) -> tuple[Any, Any]:
        """Color as ``color_bidirectional`` does."""
        pattern = Pattern.of(pattern)
        from difint.sparse import greedy

        return greedy.bidirectional(pattern, self.decompression, self.order, self.seed)


@final
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ConstantColoring(ColoringAlgorithm):
    """Use colors that are known already.

    Whether they suffice for a matrix is not checked here, but where they are used.

    Args:
        colors: the color of each column, or of each row, or of each column of a symmetric matrix;
            or ``(row_colors, column_colors)``. Integers from 0, or -1 for no color; kept as
            read-only copies.
        decompression: what they are made for, ``"direct"`` or ``"substitution"``.

    Raises:
        ArgumentError: these are no colors, or the decompression is unknown.

    >>> ConstantColoring([0, 1, 0]).columns(Pattern.of(np.eye(3)))
    array([0, 1, 0], dtype=int32)
    """

    colors: Any
    decompression: Decompression = "direct"

    def __post_init__(self) -> None:
        check_choice("ConstantColoring", "decompression", self.decompression, DECOMPRESSIONS)
        given = self.colors
        pair = isinstance(given, tuple) and len(given) == 2 and np.ndim(given[0]) == 1
        kept = tuple(map(_kept, given)) if pair else _kept(given)
        object.__setattr__(self, "colors", kept)

    def columns(self, pattern: Pattern) -> Any:
        """Return the colors, of which there must be one for each column."""
        return self._one("columns", pattern, pattern.shape[1])

    def rows(self, pattern: Pattern) -> Any:
        """Return the colors, of which there must be one for each row."""
        return self._one("rows", pattern, pattern.shape[0])

    def symmetric(self, pattern: Pattern) -> Any:
        """Return the colors, of which there must be one for each column."""
        pattern = symmetric_pattern("ConstantColoring.symmetric", pattern)
        return self._one("symmetric", pattern, pattern.shape[1])

    def bidirectional(self, pattern: Pattern) -> tuple[Any, Any]:
        """Return the colors, which must be those of rows and of columns."""
        pattern = Pattern.of(pattern)
        if self._sizes() != pattern.shape:
            self._refuse("bidirectional", f"{pattern.shape[0]} row and {pattern.shape[1]} column")
        rows, columns = self.colors
        return rows, columns

    def _one(self, name: str, pattern: Pattern, size: int) -> Any:
        pattern = Pattern.of(pattern)
        if self._sizes() != (size,):
            self._refuse(name, str(size))
        return self.colors

    def _sizes(self) -> tuple[int, ...]:
        parts = self.colors if isinstance(self.colors, tuple) else (self.colors,)
        return tuple(part.size for part in parts)

    def _refuse(self, name: str, expected: str) -> None:
        sizes = self._sizes()
        pair = len(sizes) == 2
        text = message(
            f"ConstantColoring.{name}",
            "the colors do not fit the matrix",
            expected=f"{expected} colors",
            got=f"{sizes[0]} row and {sizes[1]} column colors" if pair else f"{sizes[0]} colors",
            remedy="Pass one array of colors, or (row_colors, column_colors) for both directions.",
        )
        raise ArgumentError(text)

    def _content(self) -> tuple[Any, ...]:
        parts = self.colors if isinstance(self.colors, tuple) else (self.colors,)
        return (self.decompression, *(part.tobytes() for part in parts))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConstantColoring):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        pair = isinstance(self.colors, tuple)
        shown = tuple(part.tolist() for part in self.colors) if pair else self.colors.tolist()
        direct = self.decompression == "direct"
        rest = "" if direct else f", decompression={self.decompression!r}"
        return f"ConstantColoring({shown}{rest})"


def _kept(colors: Any) -> Any:
    given = np.asarray(colors)
    if given.ndim == 1 and given.size == 0:
        given = given.astype(np.int32)  # an empty list is an array of floats
    if given.ndim != 1 or given.dtype.kind not in "iu" or given.min(initial=0) < -1:
        text = message(
            "ConstantColoring",
            "colors are no colors",
            expected="integers from 0, or -1 for no color, in an array with one axis",
            got=f"{type(colors).__name__} of {given.ndim} axes and dtype {given.dtype}",
            remedy="Pass e.g. np.array([0, 1, 0]), or a tuple of two such arrays.",
        )
        raise ArgumentError(text)
    kept = given.astype(np.int32, copy=True)
    kept.flags.writeable = False
    return kept


@final
@dataclass(frozen=True, slots=True, repr=False)
class OptimalColoring(ColoringAlgorithm):
    """Color columns or rows with the fewest colors, for matrices of up to a few hundred of them.

    Solves an integer program. If ``time_limit`` ends first, the best coloring found is returned,
    which is the greedy one at worst.

    Args:
        decompression: ``"direct"`` or ``"substitution"``; columns and rows alone are direct.
        time_limit: seconds for the solver.

    Raises:
        ArgumentError: an unknown decompression, or a time limit that is not positive.

    >>> OptimalColoring().rows(Pattern.of(np.ones((3, 1))))
    array([0, 1, 2], dtype=int32)
    """

    decompression: Decompression = "direct"
    time_limit: float = 60.0

    def __post_init__(self) -> None:
        check_choice("OptimalColoring", "decompression", self.decompression, DECOMPRESSIONS)
        limit = self.time_limit
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
            text = message(
                "OptimalColoring",
                "time_limit is not a time",
                expected="a positive number of seconds",
                got=repr(limit),
                remedy="Leave time_limit= out for a minute.",
            )
            raise ArgumentError(text)

    def columns(self, pattern: Pattern) -> Any:
        """Color the columns with the fewest colors."""
        pattern = Pattern.of(pattern)
        from difint.sparse import greedy, optimal

        found = greedy.columns(pattern, None, 0)
        sides = (pattern.indptr, pattern.indices, pattern.shape[0])
        return optimal.fewest(*sides, found, self.time_limit)

    def rows(self, pattern: Pattern) -> Any:
        """Color the rows with the fewest colors."""
        pattern = Pattern.of(pattern)
        return self.columns(pattern.transposed())

    def symmetric(self, pattern: Pattern) -> Any:
        """Refuse: only columns and rows alone are supported."""
        raise _only_alone("symmetric")

    def bidirectional(self, pattern: Pattern) -> tuple[Any, Any]:
        """Refuse: only columns and rows alone are supported."""
        raise _only_alone("bidirectional")


def _only_alone(name: str) -> UnsupportedError:
    text = message(
        f"OptimalColoring.{name}",
        "only columns alone or rows alone can be colored with provably the fewest colors",
        remedy="Use GreedyColoring().",
    )
    return UnsupportedError(text)
