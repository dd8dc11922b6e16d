"""Adopted functions: what plans call, whichever way the user's function is differentiated."""

from __future__ import annotations

import abc
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, Generic, TypeVar, final

import numpy as np
from numba.core import types
from numba.np.numpy_support import as_dtype

from difint.engines.numba.entries import Place
from difint.trees import PYTHON_TREES


class Adopted(abc.ABC):
    """A user's function, compiled for one signature.

    Attributes:
        contexts: descriptions of the contexts.
        leaves: the places of their leaves.
        probe: computes the values of ``f``; it returns ``y``, and ``x`` afterwards.
    """

    __slots__ = ()

    contexts: tuple[Any, ...]
    leaves: tuple[Place, ...]
    probe: Any

    def __call__(self, x: Any, *contexts: Any) -> Any:
        """Compute ``f(x)``."""
        y, _ = self.values(x, self.flat(contexts))
        return joined(y)

    @abc.abstractmethod
    def entered(self, x: Any) -> Any:
        """Present ``x``, contiguous and native, as the probe takes it."""

    def values(self, x: Any, leaves: Sequence[Any], fill: float = np.nan) -> tuple[Any, Any]:
        """Compute ``f(x)`` as ``f`` returns it, and ``x`` afterwards, as a vector."""
        native = np.asarray(x, x.dtype.newbyteorder("="), order="C")
        y, after = self.probe(self.entered(native), *leaves, fill)
        # Numba makes a Python float of every scalar.
        return _typed(y, self.probe.nopython_signatures[0].return_type[0]), after

    def flat(self, contexts: Sequence[Any]) -> list[Any]:
        """List the leaves of unwrapped contexts, laid out as they are compiled for."""
        found = PYTHON_TREES.flatten(list(contexts))[0]
        return [laid_out(leaf, place) for leaf, place in zip(found, self.leaves, strict=True)]


F = TypeVar("F", bound=Adopted)

_KEPT = 256
"""Functions that are kept."""


@final
class Recent(Generic[F]):
    """The functions that were adopted lately, by the digests of all that they depend on."""

    def __init__(self) -> None:
        self._functions: OrderedDict[str, F] = OrderedDict()
        self._lock = Lock()

    def find(self, key: str) -> F | None:
        """Get what was kept."""
        with self._lock:
            if key in self._functions:
                self._functions.move_to_end(key)
            return self._functions.get(key)

    def keep(self, key: str, function: F) -> F:
        """Keep a function, and forget those that were not asked for the longest time."""
        with self._lock:
            self._functions[key] = function
            while len(self._functions) > _KEPT:
                self._functions.popitem(last=False)
        return function

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._functions.clear()


def laid_out(leaf: Any, place: Place) -> Any:
    """Copy an array that is laid out otherwise than it is compiled for."""
    if not place.is_array:
        return leaf
    needs = {"C": "c_contiguous", "F": "f_contiguous"}.get(place.ty.layout)
    fits = needs is None or getattr(leaf.flags, needs)
    return leaf if fits and leaf.dtype.isnative else np.array(leaf, order=place.ty.layout)


def _typed(y: Any, ty: Any) -> Any:
    """Give the scalars of a result their precision."""
    if isinstance(y, tuple):
        return tuple(_typed(*pair) for pair in zip(y, ty, strict=True))
    return as_dtype(ty).type(y) if isinstance(ty, types.Number | types.Boolean) else y


def joined(y: Any) -> Any:
    """Get the values of a result as one array: those of a tree, one after the other."""
    if not isinstance(y, tuple):
        return np.asarray(y)
    return np.concatenate([np.ravel(joined(part)) for part in y])
