"""JAX: both primitives, traced and compiled once a plan.

``f`` is traced to a jaxpr when it is lowered, and never called again: derivatives are taken of
the jaxpr, and the whole operator is one ``jax.jit``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import SingleDeviceSharding
from jax.tree_util import Partial

from difint.engine import Apply, Arrays, At, Engine, Occasion, Unfit
from difint.engines.jax.lowering import KINDS, TREES, lower, matrix, scoped
from difint.engines.jax.watching import watch
from difint.errors import PreparationMismatchError, message
from difint.kinds import JAX, device_count
from difint.problem import Problem

if TYPE_CHECKING:
    from difint.backends import AutoJax
    from difint.dependence.sets import Rows


# XLA folds them in a second; what it may fold costs half the time of an evaluation.
_FIXED_SEEDS = 2**20


def _compile(
    x64: bool, kernel: Callable[..., Any], args: tuple[Any, ...] | None, *, strict: bool = True
) -> Callable[..., Any]:
    """Compile for arguments like ``args``, now; run once without compiling if there are none."""
    if args is None:
        return scoped(x64, lambda *args: kernel(*map(_private, args)))
    leaves = jax.tree.leaves(args)
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    forms: list[Any] = []
    guarded = _sealed(x64, kernel, forms if strict and not traced else None)
    compiled = scoped(x64, jax.jit(guarded, **_placement(leaves)))
    if traced:
        return compiled
    settle, form_of = scoped(x64, _settle), scoped(x64, _form_of)
    for example in (args, settle(args)):
        forms.append(form_of(example))
        jax.block_until_ready(compiled(*example))
    return compiled


def _placement(leaves: list[Any]) -> dict[str, Any]:
    """Take arrays that are committed to the only device, and others, with one compilation."""
    concrete = [leaf for leaf in leaves if JAX.owns(leaf) and not isinstance(leaf, jax.core.Tracer)]
    if device_count() > 1 or not any(leaf.committed for leaf in concrete):
        return {}
    return {"in_shardings": SingleDeviceSharding(jax.devices()[0])}


def _sealed(x64: bool, kernel: Callable[..., Any], forms: list[Any] | None) -> Callable[..., Any]:
    """Let a kernel be traced in one precision mode, and for these forms of arguments only.

    JAX calls a jitted function again when it meets arguments that it has no code for: a check
    of every call that costs nothing, because JAX makes it anyway.
    """
    wide = bool(jax.config.jax_enable_x64)

    def traced(*args: Any) -> Any:
        if not x64 and bool(jax.config.jax_enable_x64) is not wide:
            _refuse_mode(wide)
        if forms is not None and _form_of(args) not in forms:
            raise Unfit
        return kernel(*args)

    return traced


def _form_of(args: tuple[Any, ...]) -> Any:
    """Get what a compilation depends on."""
    leaves, structure = jax.tree.flatten(args)
    avals = [jax.typeof(leaf) for leaf in leaves]
    return structure, tuple((aval.shape, aval.dtype, aval.weak_type) for aval in avals)


def _private(value: Any) -> Any:
    """Copy NumPy arrays: an uncompiled kernel might hand their memory through to its result."""
    return jax.tree.map(lambda leaf: leaf.copy() if type(leaf) is np.ndarray else leaf, value)


def _refuse_mode(wide: bool) -> None:
    bits = {True: "64-bit mode", False: "32-bit mode"}
    text = message(
        "execute",
        "JAX's precision mode has changed since this plan was prepared",
        expected=bits[wide],
        got=bits[not wide],
        remedy="Prepare again in this mode, or prepare with AutoJax(x64=True).",
    )
    raise PreparationMismatchError(text)


def _attach(
    x64: bool, kernel: Callable[..., Any], apply: Apply, t: Any, *, strict: bool = True
) -> Callable[..., Any]:
    """Compile for tangents like ``t``; the residuals in ``apply`` are arguments if they can be."""
    if isinstance(apply, Partial):
        return partial(_compile(x64, kernel, (apply, t), strict=strict), apply)
    return _compile(x64, partial(kernel, apply), (t,), strict=strict)


def _sealed_kinds() -> frozenset[str]:
    """Seal JAX's own arrays: NumPy's may be cut to 32 bits before JAX looks at them.

    With several devices in the process, where an array lives has to be compared too.
    """
    return frozenset({"jax"}) if device_count() == 1 else frozenset()


def _settle(value: Any) -> Any:
    """Make weakly typed arrays strong: the plan was compiled for these."""

    def strong(leaf: Any) -> Any:
        weak = JAX.owns(leaf) and jax.typeof(leaf).weak_type
        return lax.convert_element_type(leaf, leaf.dtype) if weak else leaf

    return jax.tree.map(strong, value)


def _identity(value: Any) -> Any:
    return value


def _one(like: Any) -> Any:
    return jnp.ones(like.shape, like.dtype)


def _ravel(value: Any) -> Any:
    flat = [jnp.ravel(leaf) for leaf in jax.tree.leaves(value)]
    return flat[0] if len(flat) == 1 else jnp.concatenate(flat)


def _split(vector: Any, like: Any, axis: int) -> list[Any]:
    """Cut an axis of ``vector`` into a piece for each leaf of ``like``."""
    stops = np.cumsum([leaf.size for leaf in jax.tree.leaves(like)])[:-1]
    return jnp.split(vector, stops.tolist(), axis=axis)


def _unravel(vector: Any, like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    pieces = zip(_split(vector, like, 0), leaves, strict=True)
    return structure.unflatten([p.reshape(leaf.shape).astype(leaf.dtype) for p, leaf in pieces])


def _inner(a: Any, b: Any) -> Any:
    # Not a dot product: accelerators compute those in reduced precision by default.
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum(jnp.sum(one * other) for one, other in pairs)


def _cast(value: Any, like: Any) -> Any:
    return jax.tree.map(lambda leaf, one: jnp.asarray(one, leaf.dtype), like, value)


def _basis(like: Any, start: int, stop: int) -> Any:
    leaves, structure = jax.tree.flatten(like)
    total, seeds = sum(leaf.size for leaf in leaves), stop - start
    pieces = zip(_split(jnp.eye(seeds, total, start), like, 1), leaves, strict=True)
    return structure.unflatten(
        [piece.reshape(seeds, *leaf.shape).astype(leaf.dtype) for piece, leaf in pieces]
    )


def _constant(array: Any, like: Any) -> Any:
    return jnp.asarray(array, like.dtype if array.dtype.kind == "f" else None)


def _take(rows: Any, flat: Any) -> Any:
    return rows.reshape(-1).at[flat].get(mode="promise_in_bounds")


def _dependence(x64: bool, problem: Problem, occasion: Occasion, **how: bool) -> Rows:
    # Its compiled code is loaded where a pattern is asked for.
    from difint.engines.jax.dependence import dependence

    return dependence(x64, problem, occasion, **how)


def _batch(apply: Apply, seeds: Any) -> tuple[Any, Any]:
    y, rows = jax.vmap(apply, out_axes=(None, 0))(seeds)
    return y, rows.reshape(rows.shape[0], math.prod(rows.shape[1:]))


def _each(apply: Apply, tangents: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tangents)
    y, results = jax.vmap(apply, out_axes=(None, 0))(stacked)
    return y, tuple(jax.tree.map(lambda leaf, i=i: leaf[i], results) for i in range(len(tangents)))


def _linear(y: Any, linear: Callable[[Any], Any], t: Any) -> tuple[Any, Any]:
    return y, linear(t)


def _pushforward(arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False) -> At:
    """Build the JVP; to be reused, the linearization, whose residuals are computed once."""

    def at(x: Any, *contexts: Any) -> Apply:
        f, x = _at_contexts(problem, contexts), _cast(x, problem.x)
        if not reuse:
            return lambda t: jax.jvp(f, (x,), (t,))
        apply: Apply = Partial(_linear, *jax.linearize(jax.jit(f), x))
        return apply

    return at


def _pullback(arrays: Arrays, problem: Problem, *, value: bool, reuse: bool = False) -> At:
    """Build the VJP; its residuals are computed once a point."""

    def at(x: Any, *contexts: Any) -> Apply:
        f, x = _at_contexts(problem, contexts), _cast(x, problem.x)
        y, pull = jax.vjp(jax.jit(f) if reuse else f, x)
        apply: Apply = Partial(_linear, y, Partial(_only, pull))
        return apply

    return at


def _only(pull: Callable[[Any], tuple[Any]], t: Any) -> Any:
    return pull(t)[0]


def _at_contexts(problem: Problem, contexts: tuple[Any, ...]) -> Callable[[Any], Any]:
    return lambda x: problem.call(x, *contexts)


@cache
def _arrays(x64: bool) -> Arrays:
    """Make the record of JAX's array operations; one for each precision mode."""
    return Arrays(
        name="jax",
        kinds=KINDS,
        trees=TREES,
        lower=partial(lower, x64),
        matrix=matrix,
        compile=partial(_compile, x64),
        attach=partial(_attach, x64),
        sealed=_sealed_kinds,
        asynchronous=True,
        traceable=True,
        settle=_settle,
        copy=_identity,
        one=_one,
        ravel=_ravel,
        unravel=_unravel,
        inner=_inner,
        cast=_cast,
        transpose=jnp.transpose,
        concatenate=jnp.concatenate,
        basis=_basis,
        constant=scoped(x64, _constant),
        fixed_seeds=_FIXED_SEEDS,
        take=_take,
        dependence=partial(_dependence, x64),
        batch=_batch,
        each=_each,
        watch=watch,
    )


def engine(backend: AutoJax) -> Engine:
    """Make the engine's record."""
    return Engine(
        arrays=_arrays(backend.x64),
        pushforward=None if backend.mode == "reverse" else _pushforward,
        pullback=None if backend.mode == "forward" else _pullback,
    )
