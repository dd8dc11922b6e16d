"""A backend whose derivatives are all zero: routes and shapes without an AD package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np

from difint.backends import Backend, check_choice
from difint.engine import Apply, Arrays, At, Engine
from difint.host import NUMPY_ARRAYS
from difint.problem import Problem


@final
@dataclass(frozen=True, slots=True, repr=False)
class AutoZero(Backend):
    """Return zero for every derivative, in the right shape and dtype.

    With it a test can tell what difint itself adds, in calls and in time, and a fallback shows
    whether it keeps shapes, whatever the numbers.

    Args:
        mode: the only primitive that it has, ``"forward"`` or ``"reverse"``; ``None`` for both.

    Raises:
        ArgumentError: an unknown mode.

    >>> import numpy as np, difint as di
    >>> di.jacobian(np.square, AutoZero(), np.ones(2))
    array([[0., 0.],
           [0., 0.]])
    """

    mode: Literal["forward", "reverse"] | None = None

    package: ClassVar[str] = "numpy"

    def __post_init__(self) -> None:
        check_choice("AutoZero", "mode", self.mode, (None, "forward", "reverse"))

    def engine(self) -> Engine:
        """Return the engine's record."""
        return Engine(
            arrays=NUMPY_ARRAYS,
            pushforward=None if self.mode == "reverse" else _pushforward,
            pullback=None if self.mode == "forward" else _pullback,
            inplace=True,
        )


def _zero(problem: Problem, like: Any, value: bool) -> At:
    def at(x: Any, *contexts: Any) -> Apply:
        y = np.array(problem.call(x, *contexts)) if value else None
        return lambda t: (None if y is None else y.copy(), np.zeros(like.shape, like.dtype))

    return at


def _pushforward(arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False) -> At:
    return _zero(problem, problem.y, value)


def _pullback(arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False) -> At:
    return _zero(problem, problem.x, value)
