"""Rules on index sets for JAX primitives that call: functions, branches, custom rules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from difint.dependence.arrays import Dependent, as_steps, mixed, unknown
from difint.dependence.sets import UNKNOWN, Sets
from difint.engines.jax.dependence import loops as loops
from difint.engines.jax.dependence.moves import any_of
from difint.engines.jax.dependence.values import inexact

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter


def _call(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    params = equation.params
    inner = next(params[name] for name in ("jaxpr", "call_jaxpr", "call") if name in params)
    if isinstance(inner, jax.extend.core.ClosedJaxpr):
        return interpreter.run_closed(inner, operands)
    return interpreter.run(inner, [], operands)


def _cond(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    index, *rest = operands
    branches = equation.params["branches"]
    value = interpreter.known(index)
    if value is not None:
        taken = int(np.clip(value, 0, len(branches) - 1))
        return interpreter.run_closed(branches[taken], rest)
    results = [interpreter.run_closed(branch, rest) for branch in branches]
    return [any_of(interpreter, cases) for cases in zip(*results, strict=True)]


def _bound(equation: Any) -> Callable[..., Any]:
    """Make a function of one equation's operands, with the rule that it carries."""
    primitive = equation.primitive

    def call(*operands: Any) -> Any:
        # Functions are among the parameters since JAX 0.9, and stood beside them before.
        found = primitive.get_bind_params(equation.params)
        functions, params = found if isinstance(found, tuple) else ((), found)
        made = primitive.bind(*functions, *operands, **params)
        return made if primitive.multiple_results else [made]

    return call


def _remembered(interpreter: Interpreter, equation: Any, what: Any, make: Callable[[], Any]) -> Any:
    """Trace what an equation stands for once: loops meet it again and again."""
    key = id(equation), what
    if key not in interpreter.memory:
        interpreter.memory[key] = equation, make()
    return interpreter.memory[key][1]


def _shapes(atoms: Sequence[Any]) -> list[Any]:
    return [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in atoms]


def _sides(operands: Sequence[Any], places: list[int]) -> tuple[list[Any], list[Any]]:
    """Part what is differentiated by from the other operands."""
    others = [one for i, one in enumerate(operands) if i not in places]
    return [operands[i] for i in places], others


def _of_floats(equation: Any, places: list[int]) -> Callable[..., Any]:
    """Make ``(others, *floats) -> results that have derivatives`` of one equation."""
    call, count = _bound(equation), len(equation.invars)
    kept = [i for i, atom in enumerate(equation.outvars) if inexact(atom.aval)]

    def function(others: Any, *floats: Any) -> Any:
        operands, rest = dict(zip(places, floats, strict=True)), iter(others)
        results = call(*(operands[i] if i in operands else next(rest) for i in range(count)))
        return [results[i] for i in kept]

    return function


def _pushed(equation: Any, places: list[int]) -> Any:
    """Trace the rule that pushes tangents of the operands that have derivatives forward."""
    floats, others = _sides(_shapes(equation.invars), places)
    function = _of_floats(equation, places)

    def pushed(floats: Any, others: Any, tangents: Any) -> Any:
        return jax.jvp(partial(function, others), tuple(floats), tuple(tangents))[1]

    return jax.make_jaxpr(pushed)(floats, others, floats)


def _pulled(equation: Any, places: list[int]) -> Any:
    """Trace the rule that pulls cotangents of the results that have derivatives back."""
    floats, others = _sides(_shapes(equation.invars), places)
    function = _of_floats(equation, places)

    def pulled(floats: Any, others: Any, cotangents: Any) -> Any:
        return jax.vjp(partial(function, others), *floats)[1](list(cotangents))

    cotangents = _shapes([atom for atom in equation.outvars if inexact(atom.aval)])
    return jax.make_jaxpr(pulled)(floats, others, cotangents)


def _with_rule(
    derive: Callable[..., list[Dependent]],
    interpreter: Interpreter,
    equation: Any,
    operands: list[Dependent],
) -> list[Dependent]:
    """Follow the derivative that a custom rule says, and the function itself for values.

    Within a rule what depends on ``x`` are tangents, in which it is linear: they follow the
    function itself, for a rule that calls its own function would never end. For second derivatives
    rules are followed once more, of what depends on the point.
    """
    inner = equation.params["call_jaxpr"]
    deepest = 1 if interpreter.sets.curved else 0
    if interpreter.depth > deepest or not any(one.depends for one in operands):
        return interpreter.run_closed(inner, operands)
    places = [i for i, one in enumerate(operands) if one.depends]
    interpreter.depth += 1
    derived = iter(derive(interpreter, equation, operands, places))
    interpreter.depth -= 1
    valued = interpreter.sets.local or any(one.value is not None for one in operands)
    primal = interpreter.run_closed(inner, operands) if valued else None
    results = []
    for i, atom in enumerate(equation.outvars):
        own = unknown(atom.aval.shape) if primal is None else primal[i]
        results.append(_under_rule(own, next(derived)) if inexact(atom.aval) else _cut(own))
    return results


def _cut(a: Dependent) -> Dependent:
    return Dependent(np.minimum(a.full, UNKNOWN), None, a.value)


def _under_rule(own: Dependent, derived: Dependent) -> Dependent:
    """Join a value with its derivative: known where it has none and the function knows it."""
    nodes = np.where(derived.full > UNKNOWN, derived.full, np.minimum(own.full, UNKNOWN))
    return Dependent(nodes.astype(np.int32), derived.bends, own.value)


def _tangent(sets: Sets, a: Dependent) -> Dependent:
    """Make the tangent of an operand: zero where it does not depend on ``x``."""
    nodes = np.where(a.full > UNKNOWN, a.full, 0).astype(np.int32)
    return Dependent(nodes, a.bends, None if sets.local and nodes.any() else np.zeros(a.shape))


def _by_jvp(
    interpreter: Interpreter, equation: Any, operands: list[Dependent], places: list[int]
) -> list[Dependent]:
    """Push tangents forward by the rule.

    A result's derivative is linear in them; that of the derivative comes from the products of
    what depends on the operands with what depends on the tangents.
    """
    key = ("jvp", *places)
    jaxpr = _remembered(interpreter, equation, key, lambda: _pushed(equation, places))
    floats, others = _primals(interpreter, operands, places)
    tangents = [_tangent(interpreter.sets, operands[i]) for i in places]
    pushed = interpreter.run_closed(jaxpr, [*floats, *others, *tangents])
    return [_nested(interpreter, one) for one in pushed]


def _is_nested(interpreter: Interpreter) -> bool:
    """Tell whether a rule is followed within another one, where no second derivatives are."""
    return interpreter.depth > 1


def _primals(
    interpreter: Interpreter, operands: list[Dependent], places: list[int]
) -> tuple[list[Dependent], list[Dependent]]:
    """Make the operands of a rule: where no second derivatives are asked for, constants."""
    second = interpreter.sets.curved and not _is_nested(interpreter)
    flat = [Dependent(a.nodes, None, a.value) if second else as_steps(a) for a in operands]
    return _sides(flat, places)


def _nested(interpreter: Interpreter, a: Dependent) -> Dependent:
    """Pair the result of a rule within another one with itself, whatever it does."""
    if not interpreter.sets.curved or not _is_nested(interpreter):
        return a
    pairs = interpreter.sets.pair(a.full, a.full)
    return Dependent(a.full, pairs if a.bends is None else interpreter.sets.unite(a.bends, pairs))


def _by_vjp(
    interpreter: Interpreter, equation: Any, operands: list[Dependent], places: list[int]
) -> list[Dependent]:
    """Pull cotangents back by the rule: which ones reach an operand tells what depends on it."""
    sets = interpreter.sets
    key = ("vjp", *places)
    jaxpr = _remembered(interpreter, equation, key, lambda: _pulled(equation, places))
    floats, others = _primals(interpreter, operands, places)
    avals = [atom.aval for atom in equation.outvars if inexact(atom.aval)]
    first = sets.count
    atoms = [sets.atoms(aval.shape) for aval in avals]
    floor = sets.count
    cotangents = [Dependent(nodes) for nodes in atoms]
    pulled = interpreter.run_closed(jaxpr, [*floats, *others, *cotangents])
    indptr, members = sets.members(np.concatenate([_raveled(one) for one in pulled]), floor)
    entries = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    own = np.concatenate([_raveled(operands[i]) for i in places])
    bends = _bends_of(interpreter, operands, places, indptr, members, first)
    reached = members >= first
    results, entry, atom = [], entries[reached], members[reached] - first
    order = np.argsort(atom, kind="stable")
    starts = np.searchsorted(atom[order], np.arange(floor - first + 1))
    nodes = sets.unite_runs(starts, own[entry[order]])
    bent = None if bends is None else sets.unite_runs(starts, bends[entry[order]])
    for one, aval in zip(atoms, avals, strict=True):
        places_of = one.reshape(-1) - first
        shaped = None if bent is None else bent[places_of].reshape(aval.shape)
        one = Dependent(nodes[places_of].reshape(aval.shape), shaped)
        results.append(_nested(interpreter, one))
    return results


def _raveled(a: Dependent) -> Any:
    return a.full.reshape(-1)


def _bends_of(
    interpreter: Interpreter,
    operands: list[Dependent],
    places: list[int],
    indptr: Any,
    members: Any,
    first: int,
) -> Any:
    """Pair each operand with what its cotangent depends on, and add what it brings itself."""
    sets = interpreter.sets
    if not sets.curved:
        return None
    old = members < first
    counts = np.add.reduceat(np.append(old, 0), indptr[:-1]) * (np.diff(indptr) > 0)
    others = sets.unite_runs(np.concatenate([[0], np.cumsum(counts)]), members[old])
    own = np.concatenate([_raveled(operands[i]) for i in places])
    brought = [operands[i] for i in places]
    bends = [np.zeros_like(one.full) if one.bends is None else one.bends for one in brought]
    return sets.unite(sets.pair(own, others), np.concatenate([one.reshape(-1) for one in bends]))


def composed(interpreter: Interpreter, equation: Any) -> Any | None:
    """Get the jaxpr of a primitive that is itself written in others, as those of sparse arrays."""
    return _remembered(interpreter, equation, "composed", lambda: _composed(equation))


def _composed(equation: Any) -> Any | None:
    """Trace what JAX writes a primitive of its sparse arrays in; ``None`` if there is nothing."""
    primitive = equation.primitive
    modules = [sys.modules.get(f"jax.experimental.sparse.{name}") for name in _SPARSE]
    found = (getattr(module, f"_{primitive.name}_impl", None) for module in modules if module)
    written = next((one for one in found if one is not None), None)
    if written is None:
        return None

    def call(*operands: Any) -> Any:
        made = written(*operands, **equation.params)
        return made if primitive.multiple_results else [made]

    return jax.make_jaxpr(call)(*_shapes(equation.invars))


_SPARSE = ("bcoo", "bcsr", "coo", "csr")


def _dense(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    avals = [atom.aval for atom in equation.outvars]
    return [mixed(interpreter.sets, operands, aval.shape) for aval in avals]


def _jvp(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    return _with_rule(_by_jvp, interpreter, equation, operands)


def _vjp(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> list[Dependent]:
    return _with_rule(_by_vjp, interpreter, equation, operands)


RULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("jit", "pjit", "closed_call", "core_call", "call", "remat2", "remat"), _call),
    **dict.fromkeys(("checkpoint", "composite", "custom_vmap_call"), _call),
    "cond": _cond,
    "scan": loops.scan,
    "while": loops.while_,
    "custom_jvp_call": _jvp,
    "custom_vjp_call": _vjp,
    "custom_vjp_call_jaxpr": _vjp,
    "spsolve": _dense,
}
