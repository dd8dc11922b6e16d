"""Dependence through a jaxpr: an interpreter on index sets, equation by equation.

Most primitives need no rule of their own: a table names the elementwise ones, and what moves
entries is carried out on nodes by NumPy (evaluating the primitive itself would compile it, for each
shape anew). What no table knows depends on everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import jax
import numpy as np

from difint.dependence.arrays import Dependent, constant, known, mixed, unknown
from difint.dependence.sets import Rows, Sets, everything
from difint.dependence.telling import warn
from difint.engine import Occasion
from difint.engines.jax.dependence import (
    control,
    linear,
    moves,
    places,
    products,
    reductions,
    values,
)
from difint.engines.jax.lowering import TracedFunction, scoped
from difint.problem import Problem

Rule = Callable[..., Any]
"""``(interpreter, equation, operands) -> result``, or a list of results."""

_TABLES = (values, reductions, products, moves, places, linear, control)

RULES: dict[str, Rule] = {name: rule for one in _TABLES for name, rule in one.RULES.items()}


def dependence(
    x64: bool, problem: Problem, occasion: Occasion, *, curved: bool, local: bool
) -> Rows:
    """Find the pattern of a Jacobian, or of a Hessian, from the function's jaxpr."""
    run = scoped(x64, _dependence)
    rows: Rows = run(problem, occasion, curved, local)
    return rows


def _dependence(problem: Problem, occasion: Occasion, curved: bool, local: bool) -> Rows:
    x, *contexts = occasion.args
    sets = Sets(problem.x_form.size, curved=curved, local=local)
    jaxpr = _jaxpr_of(problem, occasion.args)
    operands = _entries(sets, jax.tree.leaves(x))
    operands += [_context(sets, leaf) for leaf in jax.tree.leaves(contexts)]
    interpreter = Interpreter(sets)
    try:
        with np.errstate(all="ignore"):  # values of what is not known are arbitrary
            results = interpreter.run(
                jaxpr.jaxpr, [constant_of(one) for one in jaxpr.consts], operands
            )
    except Mutable as error:
        _warn_of_all(problem.source.operator, error)
        return everything(sets.size if curved else problem.y_form.size, sets.size)
    interpreter.warn(problem.source.operator)
    if curved:
        bends = [one.bends.ravel() for one in results if one.bends is not None]
        return sets.hessian(np.concatenate([*bends, np.empty(0, np.int32)]))
    return sets.jacobian(np.concatenate([np.ravel(one.full) for one in results]))


class Mutable(Exception):
    """Says that a function writes to memory of its own: where, no equation tells."""


def _warn_of_all(operator: str, error: Mutable) -> None:
    text = (
        f"{operator}: f writes to mutable arrays ({error}), through which index sets are not "
        "followed: every entry is taken to be there. If you know the pattern, pass "
        "KnownSparsityDetector(pattern)."
    )
    warn(text)


def _jaxpr_of(problem: Problem, args: tuple[Any, ...]) -> Any:
    call = problem.call
    return call.jaxpr if isinstance(call, TracedFunction) else jax.make_jaxpr(call)(*args)


def _entries(sets: Sets, leaves: Sequence[Any]) -> list[Dependent]:
    """Make the leaves of ``x``, whose entries are numbered one leaf after the other."""
    nodes, made, start = sets.entries((sets.size,)), [], 0
    for leaf in leaves:
        size, value = int(np.size(leaf)), np.asarray(leaf) if sets.local else None
        own = nodes[start : start + size].reshape(np.shape(leaf))
        made.append(Dependent(own, None, value))
        start += size
    return made


def _context(sets: Sets, leaf: Any) -> Dependent:
    return unknown(np.shape(leaf), concrete(leaf) if sets.local else None)


def concrete(value: Any) -> Any | None:
    """Get an array of JAX's as one of NumPy's, unless it is of keys."""
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended):
        return None
    return np.asarray(value)


def constant_of(value: Any) -> Dependent:
    """Make an array that is known, if NumPy can hold it."""
    array = concrete(value)
    return unknown(np.shape(value)) if array is None else constant(array)


def _variables(atoms: Sequence[Any]) -> list[Any]:
    return [atom for atom in atoms if not isinstance(atom, jax.extend.core.Literal)]


@final
class Interpreter:
    """Runs jaxprs on index sets.

    Attributes:
        sets: where the nodes are.
        steps: how many equations were run.
        depth: how many custom rules are being followed, one within the other.
        memory: what equations stand for that were traced on the way.
        guesses: how often a value would have told where entries go, or whether they do, and was
            not known.
    """

    __slots__ = ("_live", "_strange", "depth", "guesses", "memory", "sets", "steps")

    def __init__(self, sets: Sets) -> None:
        self.sets = sets
        self.steps = self.guesses = self.depth = 0
        self.memory: dict[Any, Any] = {}
        self._live: dict[int, Any] = {}
        self._strange: list[str] = []

    def run(
        self, jaxpr: Any, constants: Sequence[Dependent], operands: Sequence[Dependent]
    ) -> list[Dependent]:
        """Run a jaxpr."""
        env: dict[Any, Dependent] = dict(zip(jaxpr.constvars, constants, strict=True))
        env.update(zip(jaxpr.invars, operands, strict=True))
        literal = jax.extend.core.Literal

        def read(atom: Any) -> Dependent:
            if isinstance(atom, literal):
                return Dependent(None, None, np.asarray(atom.val, atom.aval.dtype))
            return env[atom]

        for equation in self._needed(jaxpr):
            self.steps += 1
            results = self.apply(equation, [read(atom) for atom in equation.invars])
            env.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _needed(self, jaxpr: Any) -> list[Any]:
        """List the equations that results depend on."""
        if id(jaxpr) not in self._live:
            needed, kept = set(_variables(jaxpr.outvars)), []
            for equation in reversed(jaxpr.eqns):
                if not needed.isdisjoint(equation.outvars):
                    needed.update(_variables(equation.invars))
                    kept.append(equation)
            self._live[id(jaxpr)] = jaxpr, kept[::-1]
        found: list[Any] = self._live[id(jaxpr)][1]
        return found

    def run_closed(self, closed: Any, operands: Sequence[Dependent]) -> list[Dependent]:
        """Run a jaxpr with its constants."""
        return self.run(closed.jaxpr, [constant_of(one) for one in closed.consts], operands)

    def apply(self, equation: Any, operands: list[Dependent]) -> Sequence[Dependent]:
        """Apply a primitive."""
        rule = RULES.get(equation.primitive.name)
        results = (
            self.strange(equation, operands) if rule is None else rule(self, equation, operands)
        )
        return [results] if isinstance(results, Dependent) else results

    def known(self, operand: Dependent) -> Any | None:
        """Get values that tell where entries go; count it as a guess if they are not known."""
        found = known(self.sets, operand)
        if found is None:
            self.guesses += 1
        return found

    def cut(self, rounds: int | None) -> None:
        """Note that a loop is not followed to its end."""
        self._strange.append("a while loop" if rounds is None else f"a loop of {rounds} rounds")

    def strange(self, equation: Any, operands: list[Dependent]) -> Sequence[Dependent]:
        """Apply a primitive that no table knows: what it is made of, or everything to everything.

        Results that are no floats have no derivative.
        """
        avals = [atom.aval for atom in equation.outvars]
        if not all(isinstance(aval, jax.core.ShapedArray) for aval in avals):
            raise Mutable(equation.primitive.name)
        inner = control.composed(self, equation)
        if inner is not None:
            return self.run_closed(inner, operands)
        if not any(one.depends for one in operands):
            return values.evaluated(self, equation, operands)
        if any(values.inexact(aval) for aval in avals):
            self._strange.append(equation.primitive.name)
        return [
            mixed(self.sets, operands, aval.shape) if values.inexact(aval) else unknown(aval.shape)
            for aval in avals
        ]

    def warn(self, operator: str) -> None:
        """Say once which primitives made the pattern wider than it may be."""
        if self._strange:
            names = ", ".join(dict.fromkeys(self._strange))
            text = (
                f"{operator}: which entries depend on which is not followed (to its end) through "
                f"{names}: all are taken to depend on all. The pattern is sound, but may be wider "
                "than it needs to be; if you know it, pass KnownSparsityDetector(pattern)."
            )
            warn(text)
