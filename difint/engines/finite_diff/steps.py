"""Step sizes: as small as the rounding of ``f`` allows, as large as its curvature allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from difint.engine import Arrays
from difint.errors import ArgumentError, UnsupportedError, message
from difint.kinds import element_text
from difint.problem import Problem

# The power of the machine epsilon that balances truncation against rounding: a central
# difference errs by h^2 + eps / h, a forward one by h + eps / h; differenced twice, by
# h^2 + eps / h^2 and h + eps / h^2. A complex step has no rounding to balance: its square must
# vanish beside 1. Where ``f`` is itself a derivative, its error stands in the place of epsilon.
_FIRST = {"central": 1 / 3, "forward": 1 / 2, "complex_step": 3 / 2}
_SECOND = {"central": 1 / 4, "forward": 1 / 3}


@final
@dataclass(frozen=True, slots=True)
class Steps:
    """How far to step, and with which scheme.

    Attributes:
        scheme: ``"central"``, ``"forward"`` or ``"complex_step"``.
        rel_step: the step relative to ``|x|``; ``None`` for the optimum.
        abs_step: the least step; ``None`` for ``rel_step``.
        powers: the optimum of each scheme, as a power of the machine epsilon.
    """

    scheme: str
    rel_step: float | None
    abs_step: float | None
    powers: dict[str, float]

    def relative(self, problem: Problem) -> tuple[float, float]:
        """Get the relative step and the least step, for the precision of ``x`` and ``y``."""
        eps = _epsilon(problem)
        rel = self.rel_step or eps ** (self.powers[self.scheme] * problem.accuracy)
        if self.scheme != "complex_step" and rel < eps:
            text = message(
                problem.source.operator,
                "rel_step is lost in rounding",
                expected=f"at least the machine epsilon of x and f(x), {eps:.2g}",
                got=f"{rel:.2g}",
                remedy="Leave rel_step= out for the optimal step.",
            )
            raise ArgumentError(text)
        return rel, self.abs_step or rel

    def sizes(self, arrays: Arrays, problem: Problem) -> Callable[[Any], Any]:
        """Build ``vector -> step of each entry``, in any array library."""
        rel, least = self.relative(problem)
        return lambda vector: arrays.space(vector).maximum(rel * abs(vector), least)


def first_order(scheme: str, rel_step: float | None, abs_step: float | None) -> Steps:
    """Make the steps of first derivatives."""
    return Steps(scheme, rel_step, abs_step, _FIRST)


def second_order(steps: Steps) -> tuple[Steps, Steps]:
    """Make the steps ``(outer, inner)`` of a difference of differences."""
    if steps.scheme == "complex_step":
        return Steps("central", None, None, _FIRST), steps
    wide = replace(steps, powers=_SECOND)
    return wide, wide


def _epsilon(problem: Problem) -> float:
    """Get the coarsest machine epsilon among the leaves of ``x`` and ``y``."""
    dtypes = {leaf.numpy_dtype for form in (problem.x_form, problem.y_form) for leaf in form.leaves}
    for dtype in dtypes:
        if not isinstance(dtype, np.dtype) or dtype.kind != "f":
            text = message(
                problem.source.operator,
                f"finite differences in {element_text(dtype)} mean nothing",
                expected="float16, float32, float64 or longdouble",
                got=element_text(dtype),
                remedy="Use AutoJax() or AutoTorch(), or convert x to float32.",
            )
            raise UnsupportedError(text)
    return max(float(np.finfo(dtype).eps) for dtype in dtypes)
