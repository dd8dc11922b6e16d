"""Evaluation: the passes of a plan through any engine, and their results as entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from difint.engine import Engine, Occasion
from difint.problem import Problem
from difint.sparse import decompression
from difint.sparse.decompression import Program


class Direction(NamedTuple):
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
        flat: where entries stand in the results.
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
        if not (data.dtype in _COMPILED and data.flags.c_contiguous):
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
        product: ``(args, t) -> (product with t, weights)``, through the code of the first part.
    """

    parts: tuple[Part, ...]
    program: Program
    dtype: Any
    product: Callable[[tuple[Any, ...], Any], tuple[Any, Any]]

    def into(self, args: tuple[Any, ...], data: Any) -> Any:
        """Compute the entries into an array; return the lower orders."""
        first, *others = self.parts
        lower = first.into(args, data)
        for part in others:
            part.into(args, data)
        if not self.program.is_direct:
            decompression.substitute(self.program.subtracted, self.program.mirrored, data)
        return lower

    def fresh(self, *args: Any) -> tuple[Any, Any]:
        """Compute the entries into a new array: ``(lower orders, entries)``."""
        data = np.empty(self.program.passes.size, self.dtype)
        return self.into(args, data), data


@final
@dataclass(frozen=True, slots=True)
class Passes:
    """Makes evaluations; keeps what those with and without the lower orders share.

    Attributes:
        engine: the dense engine.
        problem: the function.
        occasion: the examples.
        program: how entries follow from results.
        chunk: ``size of a result -> how many passes go through at once``, at most.
        dtype: of the entries.
    """

    engine: Engine
    problem: Problem
    occasion: Occasion
    program: Program
    chunk: Callable[[Direction], int]
    dtype: Any

    def evaluation(self, directions: Sequence[Direction]) -> Evaluation:
        """Compile what computes all passes."""
        parts: list[Part] = []
        products, first = [], 0
        for direction in directions:
            total = max(direction.count, 1)
            most = min(total, self.chunk(direction))
            width = -(-total // -(-total // most))
            run = self._compiled(direction, width)
            products.append(self._product(direction, run))
            starts = range(0, total, width)
            parts += [self._part(direction, run, start, width, first) for start in starts]
            first += direction.count
        return Evaluation(tuple(parts), self.program, self.dtype, products[0])

    def _compiled(self, direction: Direction, width: int) -> Callable[..., Any]:
        """Compile ``(x, *contexts, colors, weights) -> ((lower orders, weights), results)``."""
        arrays, at, like = self.engine.arrays, direction.at, direction.like
        widths = self._widths(direction)

        def kernel(x: Any, *rest: Any) -> Any:
            *contexts, colors, weights = rest
            moved = None if widths is None else widths(arrays.ravel(x)) * weights
            used = weights if moved is None else moved
            seeds = arrays.indicators(like, colors, used, width)
            lower, results = arrays.batch(at(x, *contexts), seeds)
            return (lower, moved), results

        occasion = self.occasion
        example = (*occasion.args, *self._constants(direction, direction.colors))
        args = None if occasion.once else example
        return arrays.compile(kernel, args, strict=occasion.strict)

    def _widths(self, direction: Direction) -> Callable[[Any], Any] | None:
        """Get how far each entry moves, where that matters: in differences along a tangent."""
        make = self.engine.widths
        if make is None or not direction.forward or not self.program.is_direct:
            return None
        return make(self.engine.arrays, self.problem)

    def _constants(self, direction: Direction, colors: Any, weights: Any = None) -> tuple[Any, Any]:
        like = direction.like
        weights = np.ones(colors.size) if weights is None else weights
        host = np.zeros(0, self.dtype) if not isinstance(like.dtype, np.dtype) else like
        made = (np.asarray(colors, np.int32), np.asarray(weights, host.dtype))
        colors, weights = (self.engine.arrays.constant(one, like) for one in made)
        return colors, weights

    def _part(
        self, direction: Direction, run: Callable[..., Any], start: int, width: int, first: int
    ) -> Part:
        constants = self._constants(direction, direction.colors - start)
        host, program = self.engine.arrays.host, self.program

        def told(*args: Any) -> Told:
            (lower, weights), results = run(*args, *constants)
            weights = None if weights is None else host(weights)
            return Told(lower, host(results).reshape(-1), weights)

        begin = first + start
        mine = (program.passes >= begin) & (program.passes < begin + width)
        flat = (program.passes - begin).astype(np.int64) * direction.size + program.places
        if mine.all():
            return Part(told, narrow(flat), None, program.columns)
        entries = np.flatnonzero(mine)
        return Part(told, narrow(flat[entries]), narrow(entries), program.columns[entries])

    def _product(self, direction: Direction, run: Callable[..., Any]) -> Callable[..., Any]:
        """Make the product with any tangent: of a single color, and with its entries as weights."""
        host, one_color = self.engine.arrays.host, np.zeros(direction.colors.size)

        def product(args: tuple[Any, ...], t: Any) -> tuple[Any, Any]:
            (_, weights), results = run(*args, *self._constants(direction, one_color, t))
            return host(results)[0], t if weights is None else host(weights)

        return product


def narrow(indices: Any) -> Any:
    """Store indices in 32 bits if they fit: reading them takes as long as the entries."""
    return indices.astype(np.int32) if indices.max(initial=0) < 2**31 else indices
