"""Evaluation: the passes of a plan through any engine, and their results as entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import numpy as np

from difint.engine import Engine, Occasion
from difint.problem import Problem
from difint.sparse import decompression
from difint.sparse.decompression import Program


@final
@dataclass(frozen=True, slots=True)
class Direction:
    """The passes of one side of a matrix.

    Attributes:
        at: the staged product: ``at(x, *contexts) -> apply``, with the lower orders or without.
        like: the template of its tangents.
        colors: the color of each of their entries.
        count: the number of colors.
        size: the number of entries of each result.
        forward: the passes are products with columns: pushforwards, or with a Hessian.
    """

    at: Callable[..., Any]
    like: Any
    colors: Any
    count: int
    size: int
    forward: bool


class Told(NamedTuple):
    """What some passes tell.

    Attributes:
        lower: the lower orders, or ``None``.
        results: the results, one after the other, in NumPy's memory.
        weights: what the unit tangents were multiplied with, an entry a column; ``None`` for ones.
    """

    lower: Any
    results: Any
    weights: Any


@final
@dataclass(frozen=True, slots=True)
class Part:
    """Passes that go through at once.

    Attributes:
        run: ``(*args) -> Told``.
        flat: where entries stand in the results; ``None`` where these are the entries.
        entries: which entries these are; ``None`` for all, in order.
        columns: the columns of these entries.
    """

    run: Callable[..., Told]
    flat: Any
    entries: Any
    columns: Any

    def into(self, args: tuple[Any, ...], data: Any) -> Any:
        """Compute what the passes tell, and put it in its places; return the lower orders."""
        told = self.run(*args)
        entries = slice(None) if self.entries is None else self.entries
        if self.flat is None:
            data[entries] = told.results
            return told.lower
        compiled = data.dtype in _COMPILED and told.results.dtype in _COMPILED
        if not (compiled and data.flags.c_contiguous):
            data[entries] = told.results[self.flat]
        elif self.entries is None:
            decompression.read_all(told.results, self.flat, data)
        else:
            decompression.read_some(told.results, self.flat, entries, data)
        if told.weights is not None:
            data[entries] /= told.weights[self.columns]
        return told.lower


_COMPILED = (np.dtype(np.float64), np.dtype(np.float32))
"""Types that Numba has numbers of."""


@final
@dataclass(frozen=True, slots=True)
class Evaluation:
    """The entries of a matrix, from passes.

    Attributes:
        parts: the passes, in groups.
        program: what is left to do with the entries that were read.
        dtype: the type of the entries.
        product: ``(args, t) -> (product with t, t)``, through the engine; it may scale ``t``.
        lower: ``args -> lower orders``; ``None`` where the first of the passes tells them.
    """

    parts: tuple[Part, ...]
    program: Program
    dtype: Any
    product: Callable[[tuple[Any, ...], Any], tuple[Any, Any]]
    lower: Callable[[tuple[Any, ...]], Any] | None = None

    def into(self, args: tuple[Any, ...], data: Any) -> Any:
        """Compute the entries into an array; return the lower orders."""
        first, *others = self.parts
        lower = first.into(args, data)
        for part in others:
            part.into(args, data)
        if not self.program.is_direct:
            decompression.substitute(self.program.subtracted, self.program.mirrored, data)
        return lower if self.lower is None else self.lower(args)

    def fresh(self, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Compute the entries into a new array: ``(lower orders, entries)``."""
        data = np.empty(self.program.passes.size, self.dtype)
        return self.into(args, data), data


@final
@dataclass(frozen=True, slots=True)
class Passes:
    """Makes evaluations.

    Attributes:
        engine: the dense engine.
        problem: the function.
        occasion: the examples.
        program: how entries follow from results.
        chunk: ``direction -> how many passes go through at once``, at most.
        lean: keep no seeds between calls.
        dtype: of the entries.
        directions: ``value=... -> directions``, with the lower orders or without.
    """

    engine: Engine
    problem: Problem
    occasion: Occasion
    program: Program
    chunk: Callable[[Direction], int]
    lean: bool
    dtype: Any
    directions: Callable[..., Sequence[Direction]]

    def evaluations(self) -> tuple[Evaluation, Evaluation]:
        """Compile what computes the entries alone, and with the lower orders."""
        sides = self.directions(value=True)
        if all(map(self._is_fixable, sides)):
            return self._fixed(sides[0])
        if self.engine.value_free and self.problem.source.order == 1:
            full = self._chunked(sides)
            return full, full
        plain = self._chunked(self.directions(value=False))
        first = self._chunked(sides[:1]).parts[0]
        return plain, replace(plain, parts=(first, *plain.parts[1:]))

    def _is_fixable(self, direction: Direction) -> bool:
        """Tell whether all seeds at once can be constants of compiled code."""
        total, entries = max(direction.count, 1), direction.colors.size
        if self.lean:
            return False
        arrays = self.engine.arrays
        small = arrays.take is not None and total * entries <= arrays.fixed_seeds
        return small and self.chunk(direction) >= total and self._widths(direction) is None

    def _fixed(self, first: Direction) -> tuple[Evaluation, Evaluation]:
        """Make code of which the seeds are constants; lower orders come from code of their own."""
        parts, begin = [], 0
        for direction in self.directions(value=False):
            width = max(direction.count, 1)
            passes = range(begin, begin + direction.count)
            fixed = _Fixed(_seeds(direction, 0, width), self._read(direction, passes)[0])
            run = self._compiled(direction, width, fixed)
            parts.append(self._part(direction, run, passes, taken=True))
            begin += direction.count
        single = self._compiled(first, 1, None)
        none = self.engine.arrays.constant(np.zeros((1, *first.like.shape)), first.like)
        made = Evaluation(tuple(parts), self.program, self.dtype, self._product(first, single, 1))
        return made, replace(made, lower=lambda args: single(*args, none)[0][0])

    def _chunked(self, directions: Sequence[Direction]) -> Evaluation:
        """Cut the passes of each direction into chunks of one width, compiled once."""
        parts, products, begin = [], [], 0
        for direction in directions:
            total = max(direction.count, 1)
            most = min(total, self.chunk(direction))
            width = -(-total // -(-total // most))
            run = self._compiled(direction, width, None)
            products.append(self._product(direction, run, width))
            for start in range(0, total, width):
                here = _with_seeds(run, self._held_seeds(direction, start, width))
                stop = min(start + width, direction.count)
                parts.append(self._part(direction, here, range(begin + start, begin + stop)))
            begin += direction.count
        return Evaluation(tuple(parts), self.program, self.dtype, products[0])

    def _held_seeds(self, direction: Direction, start: int, width: int) -> Callable[[], Any]:
        """Get what returns the seeds of a chunk: kept, or laid down anew in lean memory."""
        constant = self.engine.arrays.constant  # alone: self has the example's numbers

        def make() -> Any:
            return constant(_seeds(direction, start, width), direction.like)

        if self.lean:
            return make
        kept = make()
        return lambda: kept

    def _compiled(
        self, direction: Direction, width: int, fixed: _Fixed | None
    ) -> Callable[..., Any]:
        """Compile ``(x, *contexts, seeds) -> ((lower orders, weights), results)``.

        Seeds that are fixed are constants of the code, not its last argument; its results are
        then the entries.
        """
        arrays, at, like = self.engine.arrays, direction.at, direction.like
        widths = self._widths(direction)
        constants = None if fixed is None else arrays.constant(fixed.seeds, like)
        flat = None if fixed is None else arrays.constant(fixed.flat, like)

        def kernel(x: Any, *rest: Any) -> Any:
            *contexts, seeds = rest if constants is None else (*rest, constants)
            weights = None if widths is None else widths(arrays.ravel(x))
            moved = seeds if weights is None else seeds * arrays.unravel(weights, like)
            lower, results = arrays.batch(at(x, *contexts), moved)
            if flat is not None and arrays.take is not None:
                results = arrays.take(results, flat)
            return (lower, weights), results

        example = () if fixed is not None else (arrays.constant(_seeds(direction, 0, width), like),)
        args = None if self.occasion.once else (*self.occasion.args, *example)
        return arrays.compile(kernel, args, strict=self.occasion.strict)

    def _widths(self, direction: Direction) -> Callable[[Any], Any] | None:
        """Get how far each entry moves, where that matters: in differences along a tangent."""
        make = self.engine.widths
        if make is None or not direction.forward or not self.program.is_direct:
            return None
        return make(self.engine.arrays, self.problem)

    def _part(
        self, direction: Direction, run: Callable[..., Any], passes: range, *, taken: bool = False
    ) -> Part:
        """Make what runs these passes, and reads what they tell, unless it is taken already."""
        host = self.engine.arrays.host

        def told(*args: Any) -> Told:
            (lower, weights), results = run(*args)
            weights = None if weights is None else host(weights)
            return Told(lower, host(results).reshape(-1), weights)

        flat, entries, columns = self._read(direction, passes)
        return Part(told, None if taken else flat, entries, columns)

    def _read(self, direction: Direction, passes: range) -> tuple[Any, Any, Any]:
        """Find where the entries that some passes tell stand, which they are, and their columns."""
        program = self.program
        mine = (program.passes >= passes.start) & (program.passes < passes.stop)
        flat = (program.passes - passes.start).astype(np.int64) * direction.size + program.places
        if mine.all():
            return narrow(flat), None, program.columns
        entries = np.flatnonzero(mine)
        return narrow(flat[entries]), narrow(entries), program.columns[entries]

    def _product(
        self, direction: Direction, run: Callable[..., Any], width: int
    ) -> Callable[..., Any]:
        """Make the product with any tangent: it is the first seed, and the others are zero."""
        arrays, like = self.engine.arrays, direction.like

        def product(args: tuple[Any, ...], t: Any) -> tuple[Any, Any]:
            seeds = np.zeros((width, t.size))
            seeds[0] = t
            stacked = arrays.constant(seeds.reshape(width, *like.shape), like)
            (_, weights), results = run(*args, stacked)
            return arrays.host(results)[0], t if weights is None else t * arrays.host(weights)

        return product


class _Fixed(NamedTuple):
    """What is fixed in compiled code: seeds, and where entries stand in the results."""

    seeds: Any
    flat: Any


def _seeds(direction: Direction, start: int, width: int) -> Any:
    """Lay down the seeds of some passes: for each the unit tangents of its color, summed."""
    colors, like = direction.colors, direction.like
    seeds = np.zeros((width, colors.size))
    mine = np.flatnonzero((colors >= start) & (colors < start + width))
    seeds[colors[mine] - start, mine] = 1.0
    return seeds.reshape(width, *like.shape)


def _with_seeds(run: Callable[..., Any], seeds: Callable[[], Any]) -> Callable[..., Any]:
    return lambda *args: run(*args, seeds())


def narrow(indices: Any) -> Any:
    """Store indices in 32 bits if they fit: reading them takes as long as the entries."""
    return indices.astype(np.int32) if indices.max(initial=0) < 2**31 else indices
