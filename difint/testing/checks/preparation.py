"""Preparation: arguments unlike those of prepare are refused, and the plan survives that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import numpy as np

from difint.contexts import Constant, Context
from difint.errors import ArgumentError, DifintError, PreparationMismatchError
from difint.kinds import NUMPY, PYTHON, TORCH, describe, kind_of
from difint.testing.calls import Call, calls_of
from difint.testing.checks.case import Case
from difint.testing.checks.outcome import outcome_of
from difint.testing.code import reproduce
from difint.testing.values import (
    KINDS,
    dense,
    is_sparse,
    leaves_of,
    like,
    mapped,
    to_torch,
)

_Errors = tuple[type[DifintError], ...]
_MISFIT: _Errors = (PreparationMismatchError,)
_BARE: _Errors = (ArgumentError,)


@final
@dataclass(frozen=True, slots=True)
class _Misfit:
    """Arguments that do not fit.

    Attributes:
        what: what is wrong with them.
        code: the arguments as code.
        args: the arguments.
        errors: which errors may say so.
        targets: ``out=`` or ``y=``.
    """

    what: str
    code: str
    args: tuple[Any, ...]
    errors: _Errors = _MISFIT
    targets: Mapping[str, Any] = field(default_factory=dict)


def check(case: Case) -> None:
    """Call with arguments that do not fit; each must be refused, in every way to call a plan."""
    methods = ["execute", case.scenario.record.variant]
    bound = [*methods, *(["bind"] if calls_of(case.scenario, "bind") else [])]
    for misfit in (*_misfits(case), *_targets(case)):
        for method in bound:
            _check_refused(case, case.plan, method, misfit)
    if case.scenario.record.tangent is not None:
        for what, t in _others(case.scenario.t, case.subject.trees):
            for method in methods:
                misfit = _Misfit(f"t of {what} at one point", "wrong", (t,))
                _check_refused(case, case.same_point, method, misfit)
    _check_survival(case)


def _misfits(case: Case) -> Iterator[_Misfit]:
    scenario, trees = case.scenario, case.subject.trees
    args, contexts = scenario.args, scenario.contexts
    names = ["x"] if scenario.record.tangent is None else ["x", "t"]
    names += [f"context {i}" for i in range(len(contexts))]
    for position, (name, arg) in enumerate(zip(names, args, strict=True)):
        context = isinstance(arg, Context)
        for what, other in _others(arg.value if context else arg, trees):
            wrong = type(arg)(other) if context else other
            changed = (*args[:position], wrong, *args[position + 1 :])
            code = f"*s.args[:{position}], wrong, *s.args[{position + 1} :]"
            yield _Misfit(f"{name} of {what}", code, changed)
    if isinstance(scenario.t, tuple):
        more = (args[0], (*scenario.t, scenario.t[0]), *contexts)
        yield _Misfit("a tangent too many", "s.x, (*s.t, s.t[0]), *s.contexts", more)
    yield _Misfit("a missing argument", "*s.args[:-1]", args[:-1])
    more = (*args, Constant(1.0))
    yield _Misfit("a context too many", "*s.args, di.Constant(1.0)", more)
    if contexts:
        bare = (*args[:-1], contexts[-1].value)
        yield _Misfit("a bare context", "*s.args[:-1], s.contexts[-1].value", bare, _BARE)


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
    if is_sparse(leaf):
        return type(leaf)(tuple(size + 1 for size in leaf.shape), dtype=leaf.dtype)
    kind = kind_of(leaf, KINDS)
    shape = np.shape(leaf)
    if kind is None or not shape:
        return leaf
    other = np.ones((shape[0] + 1, *shape[1:]), describe(leaf, KINDS).numpy_dtype)
    return like(other, leaf)


def _recast(leaf: Any) -> Any:
    if PYTHON.owns(leaf):
        return leaf
    if is_sparse(leaf):
        return leaf.astype(np.float16 if leaf.dtype == np.float32 else np.float32)
    dtype = describe(leaf, KINDS).numpy_dtype
    other = np.float16 if dtype == np.float32 else np.float32
    if TORCH.owns(leaf):
        return to_torch(np.asarray(leaf).astype(other))
    return np.asarray(leaf).astype(other) if NUMPY.owns(leaf) else leaf.astype(other)


def _check_refused(case: Case, plan: Any, method: str, misfit: _Misfit) -> None:
    names = " or ".join(one.__name__ for one in misfit.errors)
    given = "".join(f", {name}=wrong" for name in misfit.targets)
    call = f"plan.{method}({misfit.code}{given})"
    args = "same point" if plan is not case.plan else "*s.prepare_args"
    code = reproduce(case.subject, f"# wrong is {misfit.what}", call, plan=args)
    try:
        getattr(plan, method)(*misfit.args, **misfit.targets)
    except misfit.errors:
        return
    except Exception as error:
        problem = f"{method} with {misfit.what} raised {type(error).__name__}, not {names}"
        case.fail("preparation", problem, code, error)
        return
    case.fail("preparation", f"{method} with {misfit.what} was not refused with {names}", code)


def _targets(case: Case) -> Iterator[_Misfit]:
    """Pass an ``out=`` or a ``y=`` that cannot be filled."""
    scenario, trees = case.scenario, case.subject.trees
    fits = {"out": scenario.result if scenario.place.operator == "in" else None, "y": scenario.y}
    for name, fit in fits.items():
        memory = case.memory_for_result if name == "out" else partial(case.poisoned, fit)
        target = None if fit is None else memory()
        leaves = [] if target is None else leaves_of(target, trees)
        if not leaves or not all(np.shape(leaf) for leaf in leaves):
            continue
        for what, change in (
            ("another size", _longer),
            ("another dtype", _recast),
            ("memory that is read-only", _read_only),
        ):
            if change is _read_only and not _can_be_locked(leaves):
                continue
            wrong = {name: mapped(change, target, trees)}
            yield _Misfit(f"{name}= of {what}", "*s.args", scenario.args, _BARE, wrong)


def _read_only(leaf: Any) -> Any:
    if TORCH.owns(leaf):  # a tensor of one entry in many places cannot be filled, either
        return leaf.reshape(-1)[:1].reshape((1,) * leaf.ndim).expand(leaf.shape)
    other = np.array(dense(leaf))
    other.flags.writeable = False
    return other


def _can_be_locked(leaves: list[Any]) -> bool:
    """Tell whether there is a form of these arrays that cannot be written to."""
    return all(not TORCH.owns(leaf) or leaf.numel() > 1 for leaf in leaves)


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
