"""Which entries of a NumPy function depend on which: ``f`` is called once with traced arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.contexts import Constant
from difint.dependence.host.calls import Converter
from difint.dependence.host.functions import apply_function
from difint.dependence.host.methods import attribute
from difint.dependence.host.places import line_of
from difint.dependence.host.reductions import apply_ufunc
from difint.dependence.host.traced import Branch, Escape, Origin, Trace, Traced
from difint.dependence.sets import UNKNOWN, Rows, Sets, everything
from difint.dependence.telling import warn
from difint.engine import Occasion
from difint.errors import SparsityError, message
from difint.problem import Problem
from difint.trees import PYTHON_TREES

_REMEDY = "Pass KnownSparsityDetector(pattern), or DenseSparsityDetector()."


def dependence(problem: Problem, occasion: Occasion, *, curved: bool, local: bool) -> Rows:
    """Find the pattern of a Jacobian, or of the Hessian of a scalar function.

    Constants that are floats count as unknown, so that the pattern holds for others too; where
    ``f`` cannot take them traced, it holds for those by which it decides alike. What else ``f``
    reads is frozen: integers, booleans, other objects, what a closure has captured.

    Args:
        problem: the function.
        occasion: the example arguments.
        curved: find the pattern of the Hessian.
        local: let ``f`` decide by the example's values; the pattern is valid near it.

    Raises:
        SparsityError: ``f`` branches on values of ``x`` or of a constant, and ``local`` is false.
    """
    failure: Exception | None = None
    for constants in (True, False) if problem.source.contexts else (True,):
        trace = _trace(problem, curved=curved, local=local)
        try:
            nodes = _outputs(trace, problem, occasion, constants=constants)
        except Exception as error:
            failure = trace.failure or error
            if isinstance(failure, Branch):
                break
            continue
        if trace.failure is None:
            _tell_unruled(problem, trace)
            return trace.sets.hessian(nodes) if curved else trace.sets.jacobian(nodes)
        failure = trace.failure
        if isinstance(failure, Branch):
            break
    assert failure is not None, "there was an attempt"
    if isinstance(failure, Branch):
        raise _branches(problem, failure) from None
    problem.call(*occasion.args)  # what is wrong with f itself is its own affair
    _warn_dense(problem, failure)
    return everything(problem.x_form.size if curved else problem.y_form.size, problem.x_form.size)


def _trace(problem: Problem, *, curved: bool, local: bool) -> Trace:
    sets = Sets(problem.x_form.size, curved=curved, local=local)
    trace = Trace(sets, apply_ufunc, apply_function, attribute)
    trace.convert = Converter(trace).convert
    return trace


def _outputs(trace: Trace, problem: Problem, occasion: Occasion, *, constants: bool) -> Any:
    """Call ``f``, and get the sets of the entries of ``y``, or its pairs."""
    lowering = problem.source
    f = trace.convert(lowering.f)
    x = _traced_x(trace, problem, occasion.args[0])
    contexts = [
        _traced_context(trace, one.value, fixed=isinstance(one, Constant), traced=constants)
        for one in lowering.contexts
    ]
    with np.errstate(all="ignore"):  # f has said what it has to say when it was lowered
        if lowering.y is None:
            y = f(x, *contexts)
        else:
            y = trace.filled(np.array(lowering.y), UNKNOWN)
            f(y, x, *contexts)
    leaves = [trace.lift(leaf) for leaf in PYTHON_TREES.flatten(y)[0]]
    parts = [leaf.bends if trace.sets.curved else leaf.nodes for leaf in leaves]
    nodes = np.concatenate([np.empty(0, np.int32), *map(np.ravel, parts)])
    if nodes.size != problem.y_form.size:
        raise ValueError("f returns another number of entries than at first")
    return nodes


def _traced_x(trace: Trace, problem: Problem, x: Any) -> Any:
    """Give the entries of ``x`` the form in which the user wrote it."""
    form = problem.x_form
    nodes = trace.sets.entries((form.size,))
    stops = np.cumsum([leaf.size for leaf in form.leaves])
    parts = np.split(nodes, stops[:-1])
    leaves = []
    for part, value in zip(parts, form.spread(x), strict=True):
        value = np.array(value)
        shaped = np.empty_like(value, np.int32)
        shaped[...] = part.reshape(value.shape)
        bends = np.zeros_like(shaped) if trace.sets.curved else None
        leaves.append(Traced(trace, shaped, bends, value, Origin()))
    structure = form.described.structure
    return leaves[0] if structure is None else PYTHON_TREES.unflatten(structure, leaves)


def _traced_context(trace: Trace, value: Any, *, fixed: bool, traced: bool) -> Any:
    """Trace the floats of a context as unknown; buffers always, for ``f`` writes to them."""
    leaves, structure = PYTHON_TREES.flatten(value)

    def one(leaf: Any) -> Any:
        array = isinstance(leaf, np.ndarray)
        floating = array and leaf.dtype.kind in "fc" and (traced or not fixed)
        if floating or (traced and isinstance(leaf, (float, np.floating))):
            return trace.filled(np.array(leaf), UNKNOWN, constant=fixed)
        if fixed and not traced:
            return _without_zeros(leaf)
        return leaf.copy() if array else leaf

    return PYTHON_TREES.unflatten(structure, [one(leaf) for leaf in leaves])


def _without_zeros(leaf: Any) -> Any:
    """Change the zeros of a constant: they may be something else when the plan is executed."""
    kind = np.asarray(leaf).dtype.kind
    if kind not in "fc":
        return leaf.copy() if isinstance(leaf, np.ndarray) else leaf
    changed = np.where(np.asarray(leaf) == 0, 1, leaf).astype(np.asarray(leaf).dtype)
    return changed if isinstance(leaf, np.ndarray) else type(leaf)(changed)


def _branches(problem: Problem, failure: Branch) -> SparsityError:
    text = message(
        problem.source.operator,
        "f branches on values of x or of a context, so its pattern depends on them",
        expected="a choice that both branches can be seen of: np.where, np.maximum",
        got=str(failure),
        remedy="Pass TracerSparsityDetector(local=True), whose pattern is valid near x, or "
        "KnownSparsityDetector(pattern).",
    )
    return SparsityError(text)


def _warn_dense(problem: Problem, failure: Exception) -> None:
    """Say that nothing was found out."""
    if isinstance(failure, Escape):
        what, got = "f computes with something that is not NumPy's", str(failure)
    else:
        what = "f could not be traced"
        line = line_of(failure)
        got = f"{type(failure).__name__}: {failure}" + (f"\n            {line}" if line else "")
    text = message(
        problem.source.operator, f"{what}: the pattern is dense", got=got, remedy=_REMEDY
    )
    warn(text)


def _tell_unruled(problem: Problem, trace: Trace) -> None:
    """Say where the pattern may be wider than it need be."""
    if not trace.unruled:
        return
    text = message(
        problem.source.operator,
        "all results of these functions count as dependent on all of their arguments",
        got=", ".join(dict.fromkeys(trace.unruled)),
        remedy=f"{_REMEDY[:-1]} if the pattern is too wide.",
    )
    warn(text)
