"""Rules on index sets for JAX primitives that compute entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from difint.dependence.arrays import (
    Dependent,
    Kind,
    as_steps,
    constant,
    elementwise,
    extreme_of,
    known,
    settled,
    unknown,
    values_of,
)

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


def _no_derivative(
    interpreter: Interpreter, equation: Any, operands: list[Dependent]
) -> list[Dependent]:
    return evaluated(interpreter, equation, [as_steps(one) for one in operands])


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
    **dict.fromkeys(("bitcast_convert_type", "zeros_like", "empty"), _no_derivative),
}
