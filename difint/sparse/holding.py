"""Holding: integers and truth values in contexts that a pattern was found with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from difint.engine import Arrays, Compiled, Occasion
from difint.errors import PreparationMismatchError, message
from difint.problem import Problem


class _Held(NamedTuple):
    """A leaf of a context, as it was at prepare."""

    context: int
    leaf: int
    value: Any


def holding(compiled: Compiled, arrays: Arrays, problem: Problem, occasion: Occasion) -> Compiled:
    """Let a compiled operator refuse contexts whose integers are others than at prepare.

    They may be indices, sizes and flags, and tell where there are entries.
    """
    held = _held(arrays, problem, occasion)
    if not held:
        return compiled
    operator, flatten = problem.source.operator, arrays.trees.flatten

    def check(args: tuple[Any, ...]) -> None:
        for context, leaf, value in held:
            given = args[1 + context]
            found = given if isinstance(given, np.ndarray) else flatten(given)[0][leaf]
            if not np.array_equal(found, value):
                _refuse(operator, context, value, found)

    def checked(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            check(args)
            return function(*args)

        return call

    def into(args: tuple[Any, ...], *rest: Any) -> Any:
        check(args)
        assert compiled.into is not None, "it is there"
        return compiled.into(args, *rest)

    return replace(
        compiled,
        kernel=checked(compiled.kernel),
        full=checked(compiled.full),
        fill=None if compiled.fill is None else checked(compiled.fill),
        bind=_bound(compiled.bind, check),
        into=None if compiled.into is None else into,
    )


def _bound(
    bind: Callable[..., Any] | None, check: Callable[[tuple[Any, ...]], None]
) -> Callable[..., Any] | None:
    if bind is None:
        return None

    def bound(args: tuple[Any, ...], *rest: Any) -> Any:
        step = bind(args, *rest)
        if step is None:
            return None

        def checked_step() -> Any:
            check(args)
            return step()

        return checked_step

    return bound


def _held(arrays: Arrays, problem: Problem, occasion: Occasion) -> list[_Held]:
    """Copy the integers and truth values that ``f`` reads in contexts."""
    held = []
    for context, value in enumerate(occasion.args[1:]):
        if problem.source.written[context]:
            continue
        for leaf, one in enumerate(arrays.trees.flatten(value)[0]):
            array = np.array(one)
            if array.dtype.kind in "iub":
                held.append(_Held(context, leaf, array))
    return held


def _refuse(operator: str, context: int, value: Any, found: Any) -> None:
    text = message(
        operator,
        f"context {context} has other integers than the pattern was found with",
        expected=_shown(value),
        got=_shown(found),
        remedy="Integers and truth values in contexts tell where there are entries: prepare again, "
        "or pass a KnownSparsityDetector(pattern) that holds for all of them.",
    )
    raise PreparationMismatchError(text)


def _shown(value: Any) -> str:
    return np.array2string(np.asarray(value), threshold=8, edgeitems=3).replace("\n", "")
