"""Planner: from a function, a backend and example arguments to a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

from difint.backends import Backend, check_backend
from difint.checks import (
    check_caches,
    check_contexts,
    check_function,
    check_point,
    check_tangent,
    check_y,
    refuse_missing_tangent,
)
from difint.contexts import Context
from difint.delivery import Delivery
from difint.engine import Arrays, Compiled, Engine, Occasion
from difint.kinds import Leaf, Memories
from difint.operator import Operator
from difint.plan import PlanInfo
from difint.primitives import inner_engine
from difint.problem import ContextChange, Form, Lowering, Problem, repeat_form
from difint.signature import (
    argument,
    argument_names,
    check_context,
    make_signature,
    summary,
)


def prepare(
    operator: Operator,
    f: Callable[..., Any],
    backend: Backend,
    args: tuple[Any, ...],
    *,
    y: Any,
    strict: bool = True,
    same_point: bool = False,
    once: bool = False,
) -> Any:
    """Prepare any operator.

    Args:
        operator: which.
        f: the user's function.
        backend: the user's backend.
        args: ``x``, then ``t`` if the operator has one, then the contexts, as the user gave them.
        y: the example output of an in-place ``f``, or ``None``.
        strict: compare the arguments of ``execute`` with the signature.
        same_point: fix ``x`` and the contexts; the plan takes ``t`` alone.
        once: the plan will run once: compiling it would cost more than it saves.

    Returns:
        The plan.
    """
    start = perf_counter()
    engine = _engine(operator, backend)
    arrays = engine.arrays
    stage = _lower(operator, f, engine, args, y)
    occasion = Occasion(stage.args, stage.batch, once, strict)
    compiled = None if same_point else _compiled(operator, engine, stage, occasion)
    if compiled is not None:
        kernel, full, primal, route = _filling(operator, stage, compiled)
    else:
        make = _fixed if same_point else _free
        kernel, full, primal, route = make(operator, engine, stage, once=once, strict=strict)
    forms = _forms(operator, stage, arrays, compiled)
    y_form = None if y is None or same_point else stage.problem.y_form
    reading = arrays.trees, Memories(arrays.kinds), arrays.write
    into = _into(stage, compiled)
    delivery = Delivery(operator.name, kernel, full, forms, y_form, primal, *reading, into)
    lead = ["x"] if operator.tangent is None else ["x", "t"]
    fixed = slice(1, 2) if same_point else slice(None)
    signature = make_signature(
        operator.name,
        argument_names(lead, len(args) - len(lead))[fixed],
        args[fixed],
        arrays.trees,
        arrays.kinds,
        strict=strict,
        sealed=frozenset() if once else arrays.sealed(),
    )
    seconds = perf_counter() - start
    sparsity = None if compiled is None else compiled.sparsity
    result = _result_summary(forms[-1], stage.batch) if sparsity is None else sparsity.summary
    told = (operator.name, repr(backend), str(signature), result, route, arrays.tell(kernel))
    chosen = "" if sparsity is None else sparsity.reason
    info = PlanInfo(*told, stage.problem.frozen, seconds, chosen)
    stage.problem.source.release()
    direct = None if compiled is None or any(stage.enter) else compiled
    export = None if compiled is None else compiled.export
    return operator.plan(info, signature, delivery, arrays, direct, export, sparsity)


def lower(
    operator: Operator, f: Callable[..., Any], backend: Backend, args: tuple[Any, ...], y: Any
) -> tuple[Engine, Problem, Occasion]:
    """Check the arguments of an operator and lower ``f``, for what is no plan."""
    engine = _engine(operator, backend)
    stage = _lower(operator, f, engine, args, y)
    return engine, stage.problem, Occasion(stage.args, stage.batch, once=True, strict=True)


class _Stage(NamedTuple):
    """A lowered problem, with its tangent.

    ``args`` are engine's values: ``x``, ``t`` if there is one, contexts unwrapped. ``batch``
    is the number of tangents in a tuple, ``None`` for a single one. ``enter`` brings a call's
    leading arguments into engine's values.
    """

    problem: Problem
    args: tuple[Any, ...]
    batch: int | None
    enter: tuple[Callable[[Any], Any] | None, ...]
    like: Any


def _engine(operator: Operator, backend: Backend) -> Engine:
    check_backend(operator.name, backend)
    engine = backend.engine()
    return engine if operator.order == 2 else inner_engine(engine)


def _lower(
    operator: Operator, f: Callable[..., Any], engine: Engine, args: tuple[Any, ...], y: Any
) -> _Stage:
    """Check everything, and lower ``f``."""
    arrays, name = engine.arrays, operator.name
    lead = 1 if operator.tangent is None else 2
    x, contexts = args[0], args[lead:]
    if isinstance(args[lead - 1], Context) and lead == 2:
        refuse_missing_tangent(name)
    for position, context in enumerate(contexts):
        check_context(name, context, position)
    described = argument("x", x, arrays.trees, arrays.kinds)
    check_point(operator, described, arrays.kinds)
    check_contexts(name, contexts, arrays.trees, arrays.kinds)
    check_caches(name, x, contexts, arrays.trees, arrays.kinds)
    check_function(name, f, 1 + len(contexts), y, engine.inplace)
    tree = operator.y == "any"
    problem = arrays.lower(Lowering(name, f, described, x, contexts, y, tree, operator.order))
    check_y(operator, problem.y_form.described)
    values = tuple(context.value for context in contexts)
    enter: tuple[Any, ...] = (problem.x_form.enter,)
    if operator.tangent is None:
        return _Stage(problem, (*_entered(enter, (x,)), *values), None, enter, None)
    form, like = _tangent_place(operator, problem)
    batch = check_tangent(name, args[1], form, arrays.trees, arrays.kinds)
    enter += ((form if batch is None else repeat_form(form, batch)).enter,)
    return _Stage(problem, (*_entered(enter, args[:2]), *values), batch, enter, like)


def _tangent_place(operator: Operator, problem: Problem) -> tuple[Form, Any]:
    if operator.tangent == "x":
        return problem.x_form, problem.x
    return problem.y_form, problem.y


def _entered(enter: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    pairs = zip(enter, values, strict=True)
    return tuple(value if convert is None else convert(value) for convert, value in pairs)


_Kernels = tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any] | None, str]
"""Kernel of the result, kernel of all parts, primal if no part is the value, route."""


def _free(
    operator: Operator, engine: Engine, stage: _Stage, *, once: bool, strict: bool
) -> _Kernels:
    """Make the kernels of a plan that takes all its arguments at ``execute``."""
    arrays, problem = engine.arrays, stage.problem

    def kernel(value: bool) -> tuple[Callable[..., Any], str]:
        built, route = operator.build(engine, problem, value=value)
        if operator.tangent is None:
            return built, route
        return _at_tangent(arrays, built, stage.batch, stage.like, value=value), route

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        return arrays.compile(function, None if once else stage.args, strict=strict)

    full, route = kernel(value=True)
    if arrays.compile_both is None or once:
        made = compiled(kernel(value=False)[0]), compiled(full)
    else:
        made = arrays.compile_both(full, stage.args, strict=strict)
    wanted = problem.source.y is not None and operator.parts[0] != "y"
    primal = compiled(_primal(operator, problem)) if wanted else None
    kernels = [_entering(one, stage.enter) for one in made]
    return kernels[0], kernels[1], primal and _entering(primal, stage.enter), route


def _compiled(
    operator: Operator, engine: Engine, stage: _Stage, occasion: Occasion
) -> Compiled | None:
    build = engine.compiled.get(operator.name)
    return None if build is None else build(engine.arrays, stage.problem, occasion)


def _into(stage: _Stage, compiled: Compiled | None) -> Callable[..., Any] | None:
    """Get what writes results of engine's values into arrays that were checked."""
    if compiled is None or compiled.into is None:
        return None
    into, enter = compiled.into, stage.enter
    if not any(enter):
        return into
    lead = len(enter)

    def entered(args: tuple[Any, ...], target: Any, full: bool) -> tuple[Any, ...]:
        return into((*_entered(enter, args[:lead]), *args[lead:]), target, full)

    return entered


def _filling(operator: Operator, stage: _Stage, compiled: Compiled) -> _Kernels:
    """Make the kernels of a plan whose engine compiles the whole operator."""
    wanted = stage.problem.source.y is not None and operator.parts[0] != "y"
    primal = _entering(_primal(operator, stage.problem), stage.enter) if wanted else None
    kernel, full = (_entering(one, stage.enter) for one in (compiled.kernel, compiled.full))
    return kernel, full, primal, compiled.route


def _primal(operator: Operator, problem: Problem) -> Callable[..., Any]:
    if operator.tangent is None:
        return problem.call
    return lambda x, t, *contexts: problem.call(x, *contexts)


def _at_tangent(
    arrays: Arrays, at: Callable[..., Any], batch: int | None, like: Any, *, value: bool
) -> Callable[..., Any]:
    def kernel(x: Any, t: Any, *contexts: Any) -> Any:
        parts = _apply(arrays, at(x, *contexts), t, batch, like)
        return parts if value else parts[-1]

    return kernel


def _apply(
    arrays: Arrays, apply: Callable[..., Any], t: Any, batch: int | None, like: Any
) -> tuple[Any, Any]:
    if batch is not None:
        return arrays.each(apply, tuple(arrays.cast(one, like) for one in t))
    y, result = apply(arrays.cast(t, like))
    return y, result


def _fixed(
    operator: Operator, engine: Engine, stage: _Stage, *, once: bool, strict: bool
) -> _Kernels:
    """Make the kernels of a same-point plan: what depends on the point is done here."""
    arrays, (x, t, *values) = engine.arrays, stage.args
    problem = _private_caches(stage.problem, arrays)
    at, route = operator.build(engine, problem, value=True, reuse=True)
    point = (_copied(arrays, value) for value in (x, *values))
    apply = arrays.compile(at, None)(*point)

    def finish(kernel: Callable[..., Any]) -> Callable[..., Any]:
        return _entering(arrays.attach(kernel, apply, t, strict=strict), stage.enter[1:])

    batch, like = stage.batch, stage.like

    def full(apply: Callable[..., Any], t: Any) -> tuple[Any, Any]:
        return _apply(arrays, apply, t, batch, like)

    return finish(lambda *args: full(*args)[-1]), finish(full), None, route


def _copied(arrays: Arrays, value: Any) -> Any:
    """Copy what the caller may change later."""
    leaves, structure = arrays.trees.flatten(value)
    pairs = zip(leaves, map(Memories(arrays.kinds).of, leaves), strict=True)
    return arrays.trees.unflatten(
        structure, [leaf if memory is None else memory.copy(leaf) for leaf, memory in pairs]
    )


def _private_caches(problem: Problem, arrays: Arrays) -> Problem:
    """Give every call its own caches: the plan's are shared between threads."""
    written = problem.source.written
    if not any(written):
        return problem
    return replace(problem, call=ContextChange(problem.call, partial(_copied, arrays), written))


def _entering(
    kernel: Callable[..., Any], enter: tuple[Callable[[Any], Any] | None, ...]
) -> Callable[..., Any]:
    """Bring a call's leading arguments into engine's values, where they are not."""
    if not any(enter):
        return kernel
    lead = len(enter)

    def entered(*args: Any) -> Any:
        return kernel(*_entered(enter, args[:lead]), *args[lead:])

    return entered


def _forms(
    operator: Operator, stage: _Stage, arrays: Arrays, compiled: Compiled | None
) -> tuple[Form, ...]:
    """Make the form of each part of the result."""
    problem = stage.problem
    x, y = problem.x_form, problem.y_form

    def form(part: str) -> Form:
        if part in ("x", "y"):
            return x if part == "x" else y
        rows = y if part == "y,x" else x
        device = x.leaves[0].device
        shape = (rows.size, x.size)
        leaf = Leaf(x.leaves[0].kind, shape, rows.leaves[0].numpy_dtype, device)
        return arrays.matrix(problem, leaf)

    *lower, result = map(form, operator.parts)
    if compiled is not None and compiled.form is not None:
        return (*lower, compiled.form)
    return (*lower, result if stage.batch is None else repeat_form(result, stage.batch))


def _result_summary(form: Form, batch: int | None) -> str:
    if batch is None:
        return summary(form.described)
    one = form.described
    count = len(one.leaves) // batch
    text = summary(replace(one, leaves=one.leaves[:count], paths=one.paths[:count]))
    return f"({', '.join([text] * batch)})"
