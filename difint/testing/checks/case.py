"""Case: a backend on a scenario, with the plans and the tolerances that its checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np

from difint.backends import Backend
from difint.plan import Plan
from difint.testing.accuracy import orders, tolerance
from difint.testing.calls import Call, Subject
from difint.testing.compare import Tolerance, compare, scale_of, wrong_kind
from difint.testing.failure import Failure
from difint.testing.scenario import Scenario
from difint.testing.values import dense, in_numpy, leaves_of

# A poison that no right result holds, for results that hold NaN.
_POISON = -123456.78125


class Difference(NamedTuple):
    """How a returned value differs from the right one.

    Attributes:
        part: which of the returned parts; ``None`` for what ``y=`` holds.
        text: in words.
        allowed: the largest absolute error that would have passed.
    """

    part: int | None
    text: str
    allowed: float


@final
class Case:
    """A backend on a scenario, while it is checked.

    Attributes:
        subject: both.
        scenario: what is computed.
        failures: what was found so far.
        outcomes: what calls did, by call: checks share them.

    Args:
        scenario: what is computed.
        backend: how.
        rtol: the relative tolerance; ``None`` for what the backend promises.
        atol: the absolute tolerance.
    """

    def __init__(
        self, scenario: Scenario, backend: Backend, rtol: float | None, atol: float
    ) -> None:
        self.subject = Subject(scenario, backend)
        self.scenario = scenario
        self.failures: list[Failure] = []
        self.outcomes: dict[Any, Any] = {}
        self._rtol, self._atol = rtol, atol

    @cached_property
    def plan(self) -> Plan:
        """A plan prepared with other values than those that it is executed with."""
        return self.subject.prepare(self.scenario.prepare_args)

    @cached_property
    def plan_here(self) -> Plan:
        """A plan prepared at the scenario's own point."""
        return self.subject.prepare(self.scenario.args)

    @cached_property
    def same_point(self) -> Plan:
        """A plan for the scenario's point alone."""
        return self.subject.prepare_same_point()

    def plan_for(self, call: Call) -> Plan | None:
        """Get the plan that a call needs; ``None`` for one shot."""
        if call.stage == "one shot":
            return None
        return self.same_point if call.stage == "same point" else self.plan

    def targets(self, call: Call) -> tuple[Any, Any]:
        """Make poisoned memory for ``out=`` and for ``y=``."""
        return (
            self.poisoned(self.scenario.result) if call.out else None,
            self.poisoned(self.scenario.y) if call.y else None,
        )

    def poisoned(self, like: Any) -> Any:
        """Make NumPy arrays like a result, filled with what it does not hold."""
        leaves, structure = self.subject.trees.flatten(dense(like))
        arrays = [np.asarray(leaf) for leaf in leaves]
        return self.subject.trees.unflatten(structure, [_poisoned(one) for one in arrays])

    def difference(self, call: Call, returned: Any) -> Difference | None:
        """Say how what a call returned differs from what is right; ``None`` if it does not."""
        scenario, trees = self.scenario, self.subject.trees
        right = scenario.parts if call.full else (scenario.result,)
        got = returned if call.full else (returned,)
        if right is None or scenario.result is None:
            return None
        if not isinstance(got, tuple) or len(got) != len(right):
            return Difference(0, f"it returned {_count(got)}, not {len(right)} parts", 0.0)
        scale = scale_of(*(leaf for part in right for leaf in leaves_of(dense(part), trees)))
        parts = zip(got, right, [*orders(scenario)][-len(right) :], strict=True)
        for position, (one, want, order) in enumerate(parts):
            last = position == len(right) - 1
            near = self._tolerance(order)
            text = compare(one, want, trees, near, scale, self._shapes)
            given = (call.out and last) or (call.y and not position)
            if text is None and not given:
                text = wrong_kind(one, scenario.x, trees)
            if text is not None:
                where = "" if last else f"lower order {position}: "
                return Difference(position, where + text, near.atol + near.rtol * scale)
        return None

    def value_difference(self, y: Any) -> Difference | None:
        """Say how what a call left in ``y=`` differs from ``f(x)``; ``None`` if it does not."""
        near, scale = self._tolerance(0), scale_of(self._value)
        text = compare(y, self._value, self.subject.trees, near, scale, (None, None))
        if text is None:
            return None
        return Difference(None, f"y= does not hold f(x): {text}", near.atol + near.rtol * scale)

    @cached_property
    def _value(self) -> Any:
        """What an in-place ``f`` fills in."""
        scenario, right = self.scenario, self.poisoned(self.scenario.y)
        scenario.f(right, scenario.x, *(context.value for context in scenario.contexts))
        return right

    def disagreement(self, got: Any, want: Any) -> str | None:
        """Say how two results of the operator differ that should be the same."""
        trees = self.subject.trees
        right = in_numpy(dense(want), trees)
        scale = scale_of(*leaves_of(right, trees))
        near = self._tolerance(self.scenario.record.order)
        return compare(got, right, trees, near, scale, self._shapes)

    def _tolerance(self, order: int) -> Tolerance:
        rtol = self._rtol
        if rtol is None:
            rtol = tolerance(self.subject.engine, self.scenario, order)
        return Tolerance(rtol, self._atol)

    @property
    def _shapes(self) -> tuple[Any, Any]:
        scenario = self.scenario
        if scenario.y is not None:
            return np.shape(scenario.x), scenario.y.shape
        valued = scenario.record.parts[0] == "y" and scenario.lower
        y = scenario.lower[0] if valued and scenario.lower else None
        if isinstance(scenario.x, np.ndarray) and isinstance(y, np.ndarray):
            return scenario.x.shape, y.shape
        return None, None

    def fail(
        self,
        check: str,
        problem: str,
        code: str,
        error: BaseException | None = None,
        *,
        refused: bool = False,
    ) -> None:
        """Note a failure."""
        backend = repr(self.subject.backend)
        self.failures.append(
            Failure(backend, self.scenario.name, check, problem, code, refused, error)
        )

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Give the scenario's arrays their numbers back, whatever a broken backend did to them."""
        values = [
            value
            for arg in (*self.scenario.args, *self.scenario.prepare_args)
            for value in leaves_of(arg)
        ]
        arrays = [leaf for leaf in values if isinstance(leaf, np.ndarray) and leaf.flags.writeable]
        copies = [array.copy() for array in arrays]
        yield
        for array, copy in zip(arrays, copies, strict=True):
            array[...] = copy

    @contextmanager
    def guarded(self, check: str, what: str, code: str, *, refused: bool = False) -> Iterator[None]:
        """Note an exception as a failure."""
        try:
            yield
        except Exception as error:
            self.note_exception(check, what, code, error, refused=refused)

    def note_exception(
        self, check: str, what: str, code: str, error: Exception, *, refused: bool = False
    ) -> None:
        """Note an exception that should not have been raised."""
        said = str(error).strip() or "no message"
        problem = f"{what} raised {type(error).__name__}: {said}"
        self.fail(check, problem, code, error, refused=refused)


def _count(got: Any) -> str:
    return f"{len(got)} parts" if isinstance(got, tuple) else "a single value"


def _poisoned(array: Any) -> Any:
    poison = _POISON if np.isnan(array).any() else np.nan
    return np.full(array.shape, poison, array.dtype)


Check = Callable[[Case], None]
"""Looks for one kind of fault, and notes what it finds."""
