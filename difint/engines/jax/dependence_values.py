"""Rules on index sets for JAX primitives that compute: elementwise, contractions, reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from difint.dependence.arrays import (
    Dependent,
    Kind,
    accumulated,
    as_steps,
    constant,
    contracted,
    elementwise,
    extreme_of,
    known,
    largest,
    mixed,
    moved,
    reduced,
    settled,
    spread,
    unknown,
    values_of,
)
from difint.dependence.convolution import Windows, convolved

if TYPE_CHECKING:
    from difint.engines.jax.dependence import Interpreter

_KINDS: dict[Kind, tuple[str, ...]] = {
    "step": (
        *("floor", "ceil", "round", "sign", "is_finite", "nextafter", "population_count", "clz"),
        *("eq", "ne", "lt", "le", "gt", "ge", "eq_to", "lt_to", "le_to", "and", "or", "not"),
        *("xor", "shift_left", "shift_right_logical", "shift_right_arithmetic"),
    ),
    "linear": (
        *("add", "add_any", "sub", "neg", "real", "imag", "conj", "complex", "copy", "copy_p"),
        *("rem", "reduce_precision", "pvary"),
    ),
    "product": ("mul",),
    "quotient": ("div",),
    "nonlinear": (
        *("exp", "exp2", "log", "log1p", "expm1", "sin", "cos", "tan", "asin", "acos", "atan"),
        *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "logistic", "sqrt", "rsqrt", "cbrt"),
        *(
            "square",
            "erf",
            "erfc",
            "erf_inv",
            "lgamma",
            "digamma",
            "polygamma",
            "igamma",
            "zeta",
            "random_gamma",
        ),
        *("igammac", "igamma_grad_a", "random_gamma_grad", "regularized_incomplete_beta"),
        *("bessel_i0e", "bessel_i1e", "atan2"),
    ),
}

_VALUES: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "add_any": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "max": np.maximum,
    "min": np.minimum,
    "floor": np.floor,
    "ceil": np.ceil,
    "sign": np.sign,
    "is_finite": np.isfinite,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "not": np.invert,
    "xor": np.bitwise_xor,
    "real": np.real,
    "imag": np.imag,
    "conj": np.conjugate,
    "copy": np.copy,
    "copy_p": np.copy,
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "sqrt": np.sqrt,
    "square": np.square,
    "cbrt": np.cbrt,
    "atan2": np.arctan2,
    "abs": np.abs,
    "pow": np.power,
    "rem": np.fmod,
    "shift_left": np.left_shift,
}
"""Primitives that NumPy computes alike, and without compiling."""


def inexact(aval: Any) -> bool:
    """Tell whether values have derivatives: floats and complex numbers do."""
    return bool(jax.numpy.issubdtype(aval.dtype, jax.numpy.inexact))


def computing(
    interpreter: Interpreter, equation: Any, operands: Sequence[Dependent]
) -> Callable[[], Any] | None:
    """Get what computes a primitive's values: NumPy, or where they are needed JAX."""
    numpy = _VALUES.get(equation.primitive.name)
    aval = equation.outvars[0].aval
    if numpy is not None:
        compute = values_of(numpy, operands)
        return None if compute is None else lambda: np.asarray(compute(), aval.dtype)
    if equation.primitive.name == "div":
        integers = np.dtype(aval.dtype).kind in "iu"
        return values_of(_truncated if integers else np.divide, operands)
    if any(known(interpreter.sets, one) is None for one in operands):
        return None
    if not interpreter.sets.local and inexact(aval):
        return None  # its values are not worth a compilation
    return partial(_bound, equation, operands)


def _truncated(a: Any, b: Any) -> Any:
    return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)


def _bound(equation: Any, operands: Sequence[Dependent]) -> Any:
    """Compute a primitive's only result by JAX."""
    found = _all_bound(equation, operands)
    return None if found is None else np.asarray(found[0])


def _all_bound(equation: Any, operands: Sequence[Dependent]) -> list[Any] | None:
    primitive, values = equation.primitive, [one.value for one in operands]
    # A value that cannot be computed here is merely not known.
    try:
        made = primitive.bind(*values, **equation.params)
        return [np.asarray(one) for one in (made if primitive.multiple_results else [made])]
    except Exception:
        return None


def evaluated(
    interpreter: Interpreter, equation: Any, operands: Sequence[Dependent]
) -> list[Dependent]:
    """Compute the results of a primitive whose operands do not depend on ``x``."""
    avals = [atom.aval for atom in equation.outvars]
    worth = interpreter.sets.local or not any(map(inexact, avals))
    if worth and all(known(interpreter.sets, one) is not None for one in operands):
        found = _all_bound(equation, operands)
        if found is not None:
            opened = any(one.nodes is not None and one.nodes.any() for one in operands)
            return [unknown(value.shape, value) if opened else constant(value) for value in found]
    return [unknown(aval.shape) for aval in avals]


def _elementwise(
    kind: Kind, interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> Dependent:
    if all(one.nodes is None for one in operands):
        numpy = _VALUES.get(equation.primitive.name)
        if numpy is not None:  # of counters of loops, again and again
            made = numpy(*(one.value for one in operands))
            return Dependent(None, None, np.asarray(made, equation.outvars[0].aval.dtype))
    compute = computing(interpreter, equation, operands)
    if not inexact(equation.outvars[0].aval) and kind in ("nonlinear", "quotient"):
        kind = "step"
    return elementwise(interpreter.sets, kind, operands, compute)


def _abs(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    kind: Kind = "nonlinear" if np.dtype(equation.invars[0].aval.dtype).kind == "c" else "linear"
    return _elementwise(kind, interpreter, equation, operands)


def _integer_pow(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    return _power_of(interpreter, equation, operands, equation.params["y"])


def _power_of(
    interpreter: Interpreter, equation: Any, operands: list[Dependent], exponent: Any
) -> Dependent:
    kinds: dict[Any, Kind] = {0: "step", 1: "linear"}
    base = operands[:1]
    compute = values_of(lambda a: np.power(a, exponent), base)
    return elementwise(interpreter.sets, kinds.get(exponent, "nonlinear"), base, compute)


def _pow(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    exponent = operands[1].value if operands[1].nodes is None else None
    if exponent is not None and exponent.size == 1 and operands[0].shape == ():
        return _power_of(interpreter, equation, operands, exponent.item())
    if exponent is not None and exponent.size and (exponent == exponent.flat[0]).all():
        return _power_of(interpreter, equation, operands, exponent.flat[0].item())
    return _elementwise("nonlinear", interpreter, equation, operands)


def _convert(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    dtype = np.dtype(equation.params["new_dtype"])
    (a,) = operands
    value = None if a.value is None else a.value.astype(dtype)
    changed = Dependent(a.nodes, a.bends, value)
    return changed if inexact(equation.outvars[0].aval) else as_steps(changed)


def _stop_gradient(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Any:
    return as_steps(operands[0])


def _extreme(
    extreme: Callable[..., Any],
    interpreter: Interpreter,
    equation: Any,
    operands: list[Dependent],
) -> Dependent:
    a, b = operands
    return extreme_of(interpreter.sets, a, b, extreme, computing(interpreter, equation, operands))


def _clamp(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    (low, a, high), sets = operands, interpreter.sets
    raised = extreme_of(sets, a, low, np.max, values_of(np.maximum, [a, low]))
    return extreme_of(sets, raised, high, np.min, values_of(np.minimum, [raised, high]))


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


def _dot_general(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    (contracts, batches), sets = equation.params["dimension_numbers"], interpreter.sets
    stacks, free = [], []
    for side, one in enumerate(operands):
        lead, inner = list(batches[side]), list(contracts[side])
        rest = [axis for axis in range(len(one.shape)) if axis not in (*lead, *inner)]
        free.append([one.shape[axis] for axis in rest])
        order = [*lead, *rest, *inner] if side == 0 else [*lead, *inner, *rest]
        sizes = [one.shape[axis] for axis in lead]
        length = int(np.prod([one.shape[axis] for axis in inner], dtype=int))
        count = int(np.prod(free[-1], dtype=int))
        shape = (*sizes, count, length) if side == 0 else (*sizes, length, count)
        stacks.append(moved(sets, partial(_restacked, order, shape), one))
    whole = (*[operands[0].shape[axis] for axis in batches[0]], *free[0], *free[1])
    a, b = stacks
    whole_known = all(known(sets, one) is not None for one in stacks)
    made = contracted(sets, a, b, values_of(np.matmul, stacks) if whole_known else None)
    return moved(sets, lambda a: a.reshape(whole), made)


def _restacked(order: list[int], shape: tuple[int, ...], a: Any) -> Any:
    return a.transpose(order).reshape(shape)


def _convolution(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    params, sets = equation.params, interpreter.sets
    numbers = params["dimension_numbers"]
    lhs = moved(sets, lambda a: a.transpose(numbers.lhs_spec), operands[0])
    rhs = moved(sets, lambda a: a.transpose(numbers.rhs_spec), operands[1])
    if params["batch_group_count"] != 1:
        return mixed(sets, operands, equation.outvars[0].aval.shape)
    made = convolved(
        sets,
        lhs,
        rhs,
        Windows(
            params["window_strides"],
            params["padding"],
            params["lhs_dilation"],
            params["rhs_dilation"],
        ),
        params["feature_group_count"],
    )
    back = np.argsort(numbers.out_spec)
    return moved(sets, lambda a: a.transpose(back), made)


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


def _no_derivative(
    interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> list[Dependent]:
    return evaluated(interpreter, equation, [as_steps(one) for one in operands])


def _ranked_axis(equation: Any) -> Sequence[int]:
    return [equation.params.get("axis", -1)]


def _approximate_axis(equation: Any) -> Sequence[int]:
    return [equation.params["reduction_dimension"]]


def _iota(interpreter: Interpreter, equation: Any, operands: list[Dependent]) -> Dependent:
    shape, axis = equation.params["shape"], equation.params["dimension"]
    along = np.arange(shape[axis]).astype(equation.params["dtype"])
    places = [1] * len(shape)
    places[axis] = shape[axis]
    return settled(
        interpreter.sets, None, None, lambda: np.broadcast_to(along.reshape(places), shape)
    )


RULES: dict[str, Callable[..., Any]] = {
    **{name: partial(_elementwise, kind) for kind, names in _KINDS.items() for name in names},
    "abs": _abs,
    "integer_pow": _integer_pow,
    "pow": _pow,
    "convert_element_type": _convert,
    "stop_gradient": _stop_gradient,
    "clamp": _clamp,
    "max": partial(_extreme, np.max),
    "min": partial(_extreme, np.min),
    "iota": _iota,
    "reduce_sum": partial(_reduce, "linear", _sum),
    "reduce_max": partial(_reduce, "linear", np.max),
    "reduce_min": partial(_reduce, "linear", np.min),
    "reduce_prod": partial(_reduce, "product", np.prod),
    "reduce_and": partial(_reduce, "step", np.bitwise_and.reduce),
    "reduce_or": partial(_reduce, "step", np.bitwise_or.reduce),
    "reduce_xor": partial(_reduce, "step", np.bitwise_xor.reduce),
    "argmax": partial(_position, np.argmax),
    "argmin": partial(_position, np.argmin),
    "cumsum": partial(_cumulative, "linear", np.cumsum),
    "cummax": partial(_cumulative, "linear", np.maximum.accumulate),
    "cummin": partial(_cumulative, "linear", np.minimum.accumulate),
    "cumprod": partial(_cumulative, "product", np.cumprod),
    "cumlogsumexp": partial(_cumulative, "nonlinear", None),
    "reduce": _reduce_any,
    "reduce_window": _window_any,
    **dict.fromkeys(("bitcast_convert_type", "zeros_like", "empty"), _no_derivative),
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    "reduce_window_sum": partial(_window, "linear"),
    "reduce_window_max": partial(_window, "linear"),
    "reduce_window_min": partial(_window, "linear"),
    "fft": partial(_by_axes, _fft_axes, "linear"),
    "top_k": partial(_by_axes, _ranked_axis, "linear"),
    "approx_top_k": partial(_by_axes, _approximate_axis, "linear"),
    **dict.fromkeys(
        ("cholesky", "eig", "eigh", "hessenberg", "householder_product", "lu", "qr", "geqrf"),
        _per_matrix,
    ),
    **dict.fromkeys(
        ("schur", "svd", "tridiagonal", "geqp3", "ormqr", "cholesky_update", "symmetric_product"),
        _per_matrix,
    ),
    "lu_pivots_to_permutation": _per_matrix,
}
