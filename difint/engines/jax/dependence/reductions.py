"""Rules on index sets for JAX primitives that reduce, or depend on all along some axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from difint.dependence.arrays import (
    Dependent,
    Kind,
    accumulated,
    as_steps,
    elementwise,
    known,
    largest,
    mixed,
    moved,
    reduced,
    spread,
    unknown,
    values_of,
)
from difint.engines.jax.dependence.values import evaluated, inexact

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter


def _along(function: Callable[..., Any], axes: Sequence[int]) -> Callable[..., Any]:
    return lambda a: function(a, axis=tuple(axes))


def _reduce(
    kind: Kind,
    function: Callable[..., Any],
    interpreter: Interpreter,
    equation: Any,
    operands: list[Dependent],
) -> Dependent:
    axes, (a,) = equation.params["axes"], operands
    aval = equation.outvars[0].aval
    plain = values_of(_along(function, axes), [a])
    worth = plain is not None and a.value.size
    compute = (lambda: np.asarray(plain(), aval.dtype)) if worth and plain is not None else None
    if function in (np.max, np.min):
        a = largest(interpreter.sets, a, axes, function)
    return reduced(interpreter.sets, kind, a, axes, compute)


def _position(
    function: Callable[..., Any],
    interpreter: Interpreter,
    equation: Any,
    operands: list[Dependent],
) -> Dependent:
    (axis,), (a,) = equation.params["axes"], operands
    value = known(interpreter.sets, a)
    if value is None:
        return unknown(equation.outvars[0].aval.shape)
    found = function(value, axis).astype(equation.params["index_dtype"])
    return as_steps(Dependent(None if a.nodes is None else a.nodes.max(axis), None, found))


def _cumulative(
    kind: Kind,
    function: Callable[..., Any] | None,
    interpreter: Interpreter,
    equation: Any,
    operands: list[Dependent],
) -> Dependent:
    axis, turned = equation.params["axis"], equation.params["reverse"]

    def along(a: Any) -> Any:
        assert function is not None, "a function was given"
        a = np.flip(a, axis) if turned else a
        made = function(a, axis=axis).astype(a.dtype)
        return np.flip(made, axis) if turned else made

    compute = None if function is None else values_of(along, operands)
    return accumulated(interpreter.sets, kind, operands[0], axis, compute, turned=turned)


def _window(kind: Kind, interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Any:
    """Reduce the windows of an array."""
    params, sets, (a,) = equation.params, interpreter.sets, operands[:1]
    size, steps = params["window_dimensions"], params["window_strides"]
    base, wide = params["base_dilation"], params["window_dilation"]
    edges = params["padding"]

    def windows(array: Any) -> Any:
        opened = tuple((n - 1) * d + 1 if n else 0 for n, d in zip(array.shape, base, strict=True))
        padded = np.zeros(opened, array.dtype)
        padded[tuple(slice(None, None, d) for d in base)] = array
        cut = (slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(opened, edges, strict=True))
        padded = np.pad(padded[tuple(cut)], np.maximum(edges, 0))
        spans = tuple((n - 1) * d + 1 for n, d in zip(size, wide, strict=True))
        view = np.lib.stride_tricks.sliding_window_view(padded, spans)
        strided = tuple(slice(None, None, s) for s in steps)
        return view[(*strided, *(slice(None, None, d) for d in wide))]

    axes = range(len(size), 2 * len(size))
    return reduced(sets, kind, moved(sets, windows, Dependent(a.full, a.bends)), axes, None)


def _by_axes(
    axes_of: Callable[[Any], Sequence[int]],
    kind: Kind,
    interpreter: Interpreter,
    equation: Any,
    operands: list[Dependent],
) -> list[Dependent]:
    """Let results depend on everything along some axes, which may have other lengths there."""
    sets, (a,) = interpreter.sets, operands[:1]
    if not a.depends:
        return evaluated(interpreter, equation, operands)
    axes = [axis % len(a.shape) for axis in axes_of(equation)]
    whole = spread(sets, kind, a, axes)
    first = tuple(slice(0, 1) if i in axes else slice(None) for i in range(len(a.shape)))
    made = []
    for atom in equation.outvars:
        shape = atom.aval.shape
        wide = moved(sets, lambda b, s=shape: np.broadcast_to(b[first], s), whole)
        made.append(wide if inexact(atom.aval) else as_steps(wide))
    return made


def _fft_axes(equation: Any) -> Sequence[int]:
    return range(-len(equation.params["fft_lengths"]), 0)


def _per_matrix(
    interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> list[Dependent]:
    """Let each matrix, or vector, of a stack depend on all of its counterparts'."""
    sets = interpreter.sets
    if not any(one.depends for one in operands):
        return evaluated(interpreter, equation, operands)
    stacked = [len(one.shape) - 2 for one in operands]
    lead = operands[0].shape[: stacked[0]]
    same = all(one.shape[:-2] == lead for one in operands) and lead
    avals = [atom.aval for atom in equation.outvars]
    if not same:
        return [mixed(sets, operands, a.shape) if inexact(a) else unknown(a.shape) for a in avals]
    flat = [
        moved(sets, lambda a: a.reshape(*lead, -1), Dependent(o.full, o.bends)) for o in operands
    ]
    joined = moved(sets, lambda *a: np.concatenate(a, -1), *flat)
    one = reduced(sets, "nonlinear", joined, [-1], None)
    made = []
    for aval in avals:
        rest = (1,) * (len(aval.shape) - len(lead))

        def wide(a: Any, rest: Any = rest, shape: Any = aval.shape) -> Any:
            return np.broadcast_to(a.reshape(*lead, *rest), shape)

        whole = moved(sets, wide, one)
        made.append(whole if inexact(aval) else as_steps(whole))
    return made


def _sum(a: Any, axis: Any) -> Any:
    return a.sum(axis)


def _reduce_any(
    interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> list[Dependent]:
    """Reduce by a function of the user's: each result depends on all that is reduced to it."""
    axes, sets = equation.params["dimensions"], interpreter.sets
    half = len(operands) // 2
    wide = [reduced(sets, "nonlinear", one, axes, None) for one in operands[:half]]
    joined = elementwise(sets, "nonlinear", [*wide, *operands[half:]], None)
    return [joined if inexact(a.aval) else as_steps(joined) for a in equation.outvars]


def _window_any(
    interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> list[Dependent]:
    half = len(operands) // 2
    wide = [_window("nonlinear", interpreter, equation, [one]) for one in operands[:half]]
    joined = elementwise(interpreter.sets, "nonlinear", [*wide, *operands[half:]], None)
    return [joined if inexact(a.aval) else as_steps(joined) for a in equation.outvars]


def _ranked_axis(equation: Any) -> Sequence[int]:
    return [equation.params.get("axis", -1)]


def _approximate_axis(equation: Any) -> Sequence[int]:
    return [equation.params["reduction_dimension"]]


_FACTORIZATIONS = (
    *("cholesky", "eig", "eigh", "hessenberg", "householder_product", "lu", "qr", "geqrf", "schur"),
    *("svd", "tridiagonal", "geqp3", "ormqr", "cholesky_update", "symmetric_product"),
    "lu_pivots_to_permutation",
)

RULES: dict[str, Callable[..., Any]] = {
    "reduce_sum": partial(_reduce, "linear", _sum),
    "reduce_max": partial(_reduce, "linear", np.max),
    "reduce_min": partial(_reduce, "linear", np.min),
    "reduce_prod": partial(_reduce, "product", np.prod),
    "reduce_and": partial(_reduce, "step", np.bitwise_and.reduce),
    "reduce_or": partial(_reduce, "step", np.bitwise_or.reduce),
    "reduce_xor": partial(_reduce, "step", np.bitwise_xor.reduce),
    "reduce": _reduce_any,
    "argmax": partial(_position, np.argmax),
    "argmin": partial(_position, np.argmin),
    "cumsum": partial(_cumulative, "linear", np.cumsum),
    "cummax": partial(_cumulative, "linear", np.maximum.accumulate),
    "cummin": partial(_cumulative, "linear", np.minimum.accumulate),
    "cumprod": partial(_cumulative, "product", np.cumprod),
    "cumlogsumexp": partial(_cumulative, "nonlinear", None),
    "reduce_window": _window_any,
    "reduce_window_sum": partial(_window, "linear"),
    "reduce_window_max": partial(_window, "linear"),
    "reduce_window_min": partial(_window, "linear"),
    "fft": partial(_by_axes, _fft_axes, "linear"),
    "top_k": partial(_by_axes, _ranked_axis, "linear"),
    "approx_top_k": partial(_by_axes, _approximate_axis, "linear"),
    **dict.fromkeys(_FACTORIZATIONS, _per_matrix),
}
