"""Trees of arrays: flattening and unflattening, as a record of functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

_PLAIN = (np.ndarray, float, int, bool, complex, np.float64, np.float32)


@final
@dataclass(frozen=True, slots=True)
class Trees:
    """How one library takes trees apart.

    Attributes:
        flatten: ``value -> (leaves, structure)``.
        unflatten: ``(structure, leaves) -> value``.
        paths: ``value -> ["['a']", "[0]", ...]``, a suffix for the name of each leaf.
    """

    flatten: Callable[[Any], tuple[list[Any], Any]]
    unflatten: Callable[[Any, Sequence[Any]], Any]
    paths: Callable[[Any], list[str]]

    def is_leaf(self, value: Any) -> bool:
        """Tell whether ``value`` is one array or scalar, not a container."""
        if type(value) in _PLAIN:
            return True
        leaves, _ = self.flatten(value)
        return len(leaves) == 1 and leaves[0] is value


def _flatten(value: Any) -> tuple[list[Any], Any]:
    import optree

    leaves, structure = optree.tree_flatten(value)
    return leaves, structure


def _unflatten(structure: Any, leaves: Sequence[Any]) -> Any:
    import optree

    return optree.tree_unflatten(structure, leaves)


def _paths(value: Any) -> list[str]:
    import optree

    return ["".join(f"[{key!r}]" for key in path) for path in optree.tree_paths(value)]


PYTHON_TREES = Trees(flatten=_flatten, unflatten=_unflatten, paths=_paths)
"""dict, list, tuple, named tuple and what else optree knows."""
