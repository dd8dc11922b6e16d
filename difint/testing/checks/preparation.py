"""Preparation: arguments unlike those of prepare are refused, and the plan survives that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from difint.contexts import Constant
from difint.errors import ArgumentError, DifintError, PreparationMismatchError
from difint.kinds import NUMPY, PYTHON, describe, kind_of
from difint.testing.calls import Call
from difint.testing.checks.case import Case
from difint.testing.checks.outcome import outcome_of
from difint.testing.code import reproduce
from difint.testing.values import KINDS, dense, leaves_of, mapped, to_jax

_MISFIT: tuple[type[DifintError], ...] = (PreparationMismatchError,)


def check(case: Case) -> None:
    """Call with arguments that do not fit; each must be refused, in every way to call."""
    methods = ["execute", case.scenario.record.variant]
    for what, change, allowed in _misfits(case):
        for method in methods:
            code = f"plan.{method}({change[0]})"
            _check_refused(case, method, what, code, change[1], {}, allowed)
    _check_out(case)
    _check_survival(case)


_Change = tuple[str, tuple[Any, ...]]
"""The arguments as code, and as values."""

_Misfit = tuple[str, _Change, tuple[type[DifintError], ...]]
"""What does not fit, the arguments, the errors that may say so."""


def _misfits(case: Case) -> Iterator[_Misfit]:
    args = case.scenario.args
    lead = 1 if case.scenario.record.tangent is None else 2
    for position, name in zip(range(lead), ("x", "t"), strict=False):
        for what, other in _others(args[position], case.subject.trees):
            changed = (*args[:position], other, *args[position + 1 :])
            code = f"*s.args[:{position}], wrong, *s.args[{position + 1}:]"
            yield f"{name} of {what}", (code, changed), _MISFIT
    yield "a missing argument", ("*s.args[:-1]", args[:-1]), _MISFIT
    more = (*args, Constant(1.0))
    yield "a context too many", ("*s.args, di.Constant(1.0)", more), _MISFIT
    if case.scenario.contexts:
        code, bare = "*s.args[:-1], s.args[-1].value", (*args[:-1], args[-1].value)
        yield "a bare context", (code, bare), (ArgumentError,)


def _others(value: Any, trees: Any) -> Iterator[tuple[str, Any]]:
    """Make values unlike one in size, in dtype, in kind or in structure."""
    leaves = leaves_of(value, trees)
    yield "another structure", [value]
    yield "another kind", mapped(lambda leaf: "text", value, trees)
    if any(np.shape(leaf) for leaf in leaves):
        yield "another size", mapped(_longer, value, trees)
    if any(not PYTHON.owns(leaf) for leaf in leaves):
        yield "another dtype", mapped(_recast, value, trees)
    if all(map(PYTHON.owns, leaves)):
        yield "another type", mapped(lambda leaf: 1, value, trees)


def _longer(leaf: Any) -> Any:
    kind = kind_of(leaf, KINDS)
    shape = np.shape(leaf)
    if kind is None or not shape:
        return leaf
    other = np.ones((shape[0] + 1, *shape[1:]), describe(leaf, KINDS).numpy_dtype)
    return other if NUMPY.owns(leaf) else to_jax(other)


def _recast(leaf: Any) -> Any:
    if PYTHON.owns(leaf):
        return leaf
    dtype = describe(leaf, KINDS).numpy_dtype
    other = np.float16 if dtype == np.float32 else np.float32
    return np.asarray(leaf).astype(other) if NUMPY.owns(leaf) else leaf.astype(other)


def _check_refused(
    case: Case,
    method: str,
    what: str,
    call: str,
    args: tuple[Any, ...],
    options: dict[str, Any],
    allowed: tuple[type[DifintError], ...],
) -> None:
    names = " or ".join(one.__name__ for one in allowed)
    code = reproduce(case.subject, f"# wrong: {what}", call, plan="*s.prepare_args")
    try:
        getattr(case.plan, method)(*args, **options)
    except allowed:
        return
    except Exception as error:
        problem = f"{method} with {what} raised {type(error).__name__}, not {names}"
        case.fail("preparation", problem, code, error)
        return
    case.fail("preparation", f"{method} with {what} was not refused with {names}", code)


def _check_out(case: Case) -> None:
    """Pass an ``out=`` that cannot be filled."""
    scenario = case.scenario
    if scenario.result is None or scenario.place.operator == "out":
        return
    fits = case.poisoned(scenario.result)
    if not all(np.shape(leaf) for leaf in leaves_of(fits, case.subject.trees)):
        return
    for what, out in (
        ("out= of another size", mapped(_longer, fits, case.subject.trees)),
        ("out= of another dtype", mapped(_recast, fits, case.subject.trees)),
        ("a read-only out=", mapped(_read_only, fits, case.subject.trees)),
    ):
        code = "plan.execute(*s.args, out=wrong)"
        allowed = (ArgumentError,)
        _check_refused(case, "execute", what, code, scenario.args, {"out": out}, allowed)


def _read_only(leaf: Any) -> Any:
    other = np.array(dense(leaf))
    other.flags.writeable = False
    return other


def _check_survival(case: Case) -> None:
    call = Call("plan")
    first = outcome_of(case, call)
    if first.found is not None or first.error is not None:
        return  # it was not right before, either
    code = reproduce(case.subject, call.code(case.subject), plan="*s.prepare_args")
    with case.guarded("preparation", "execute after refusals", code):
        returned = call.thunk(case.subject, case.plan, case.scenario.args)()
        found = case.difference(call, returned)
        if found is not None:
            problem = f"after refusals, execute is wrong: {found.text}"
            case.fail("preparation", problem, code)
