"""Contexts: the arguments of ``f`` that are not differentiated."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, final


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """Base class of the wrappers that mark an argument as inactive."""

    value: Any


@final
@dataclass(frozen=True, slots=True, eq=False)
class Constant(Context):
    """Mark an argument that ``f`` reads and must not write.

    A plan holds nothing of its value: every ``execute`` brings its own, and only kind, shape
    and dtype have to stay the same.

    Args:
        value: an array, a scalar, or a tree of them.

    >>> import numpy as np, difint as di
    >>> di.gradient(lambda x, a: a * (x @ x), di.AutoFiniteDiff(), np.ones(2), di.Constant(3.0))
    array([6., 6.])
    """


@final
@dataclass(frozen=True, slots=True, eq=False)
class Cache(Context):
    """Mark scratch memory that ``f`` may overwrite.

    What it holds on entry never matters, and what it holds afterwards means nothing. A backend
    may hand ``f`` another buffer of the same shape (complex for complex steps, dual for duals).

    Args:
        value: an array, or a tree of arrays.
    """


@final
@dataclass(frozen=True, slots=True, eq=False)
class ConstantOrCache(Context):
    """Mark a tree in which some leaves are constants and the others caches.

    A leaf's value matters, or ``f`` overwrites it before reading it; never both.

    Args:
        value: an array, a scalar, or a tree of them.
    """


unwrap = attrgetter("value")
"""The value inside a context, without a Python frame."""
