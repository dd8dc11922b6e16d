"""Case: a backend on a scenario, with the plans and the tolerances that its checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np

from difint.backends import Backend
from difint.errors import DifintError
from difint.plan import Plan
from difint.testing.accuracy import orders, tolerance
from difint.testing.calls import Call, Subject
from difint.testing.compare import Tolerance, compare, scale_of, shapes_of, wrong_kind
from difint.testing.failure import Failure
from difint.testing.scenario import Scenario
from difint.testing.values import (
    can_be_written,
    dense,
    fillable_like,
    leaves_of,
    own_copy,
    sparse_memory,
)

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
        stopped: something was found that makes all further checks fail too.

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
        self.stopped = False
        self._rtol, self._atol = rtol, atol
        self._tolerances: dict[int, float] = {}

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
        out = self.memory_for_result() if call.out else None
        return out, self.poisoned(self.scenario.y) if call.y else None

    def memory_for_result(self) -> Any:
        """Make poisoned memory for ``out=``: of a sparse plan, a matrix of its pattern."""
        made = sparse_memory(self.plan, self.scenario.args)
        return self.poisoned(self.scenario.result) if made is None else made

    def poisoned(self, like: Any) -> Any:
        """Make arrays to fill like a result, with what it does not hold."""
        leaves, structure = self.subject.trees.flatten(dense(like))
        poisoned = [_poisoned(np.asarray(leaf)) for leaf in leaves]
        arrays = [fillable_like(one, self.scenario.x) for one in poisoned]
        return self.subject.trees.unflatten(structure, arrays)

    def difference(self, call: Call, returned: Any) -> Difference | None:
        """Say how what a call returned differs from what is right; ``None`` if it does not."""
        scenario = self.scenario
        if scenario.result is None:
            return None
        lower = scenario.lower or (None,) * (len(scenario.record.parts) - 1)
        return self.between(call, returned, (*lower, scenario.result))

    def between(self, call: Call, returned: Any, right: tuple[Any, ...]) -> Difference | None:
        """Compare what a call returned with all parts, ``None`` for a part that is not known."""
        right = right if call.full else right[-1:]
        got = returned if call.full else (returned,)
        if not isinstance(got, tuple) or len(got) != len(right):
            return Difference(0, f"it returned {_count(got)}, not {len(right)} parts", 0.0)
        trees = self.subject.trees
        known = [dense(part) for part in right if part is not None]
        scale = scale_of(*(leaf for part in known for leaf in leaves_of(part, trees)))
        parts = zip(got, right, [*orders(self.scenario)][-len(right) :], strict=True)
        for position, (one, want, order) in enumerate(parts):
            last = position == len(right) - 1
            given = (call.out and last) or (call.y and not position)
            near = self._tolerance(order)
            text = None if want is None else self._part(one, want, near, scale, given)
            if text is not None:
                where = "" if last else f"lower order {position}: "
                return Difference(position, where + text, near.atol + near.rtol * scale)
        return None

    def _part(self, got: Any, want: Any, near: Tolerance, scale: float, given: bool) -> str | None:
        trees = self.subject.trees
        text = compare(got, want, trees, near, scale, shapes_of(self.scenario))
        return text if given or text is not None else wrong_kind(got, self.scenario.x, trees)

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
        if scenario.lower is not None and scenario.record.parts[0] == "y":
            return scenario.lower[0]
        scenario.f(right, scenario.x, *(context.value for context in scenario.contexts))
        return right

    def _tolerance(self, order: int) -> Tolerance:
        if self._rtol is not None:
            return Tolerance(self._rtol, self._atol)
        if order not in self._tolerances:
            self._tolerances[order] = tolerance(self.subject.engine, self.scenario, order)
        return Tolerance(self._tolerances[order], self._atol)

    def stop(self, check: str, problem: str, code: str) -> None:
        """Note a failure that makes all further checks fail too."""
        self.fail(check, problem, code)
        self.stopped = True

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
        backend, scenario = repr(self.subject.backend), self.scenario
        self.failures.append(
            Failure(backend, scenario.name, scenario.operator, check, problem, code, refused, error)
        )

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Give the scenario's arrays their numbers back, whatever a broken backend did to them."""
        values = [
            value
            for arg in (*self.scenario.args, *self.scenario.prepare_args)
            for value in leaves_of(arg)
        ]
        arrays = list(filter(can_be_written, values))
        copies = list(map(own_copy, arrays))
        try:
            yield
        finally:
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
        hinted = any(note.startswith("difint: ") for note in getattr(error, "__notes__", ()))
        explained = isinstance(error, DifintError) or hinted
        self.fail(check, problem, code, error, refused=refused and explained)


def _count(got: Any) -> str:
    return f"{len(got)} parts" if isinstance(got, tuple) else "a single value"


def _poisoned(array: Any) -> Any:
    poison = _POISON if np.isnan(array).any() else np.nan
    return np.full(array.shape, poison, array.dtype)


Check = Callable[[Case], None]
"""Looks for one kind of fault, and notes what it finds."""
