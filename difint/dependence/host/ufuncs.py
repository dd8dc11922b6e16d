"""NumPy's universal functions on traced arrays."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from difint.dependence.arrays import (
    Kind,
    as_steps,
    elementwise,
)
from difint.dependence.host.products import matrix_product, mixed_cores, sparse_product
from difint.dependence.host.traced import Escape, Origin, Trace, Traced
from difint.dependence.sets import KNOWN, UNKNOWN, Sets

STEPS: Final = frozenset(
    "floor ceil trunc rint sign signbit isnan isinf isfinite isnat greater greater_equal less "
    "less_equal equal not_equal logical_and logical_or logical_xor logical_not floor_divide "
    "spacing".split()
)

LINEAR: Final = frozenset(
    "add subtract negative positive absolute fabs maximum minimum fmax fmin conjugate deg2rad "
    "rad2deg degrees radians remainder fmod clip logical_and".split()
)
"""Linear, or linear between kinks and jumps."""

OTHERS: Final[dict[str, Kind]] = {"multiply": "product", "divide": "quotient"}

ONE_ONLY: Final = {"copysign": 1, "nextafter": 1, "ldexp": 1, "heaviside": 0}
"""Linear in one operand, for each value of the other, of which they are steps: its number."""

OUTPUTS: Final[dict[str, tuple[Kind, ...]]] = {
    "modf": ("linear", "step"),
    "frexp": ("linear", "step"),
    "divmod": ("step", "linear"),
}
"""What the functions with two results do."""

_POWERS = ("power", "float_power")

_MATRIX = ("matmul", "matvec", "vecmat", "vecdot")


def kind_of(name: str, value: Any) -> Kind:
    """Tell what a universal function does that has results of this type."""
    if name in STEPS or value.dtype.kind in "bui":
        return "step"
    if name == "absolute" and value.dtype.kind == "c":
        return "nonlinear"
    return "linear" if name in LINEAR else OTHERS.get(name, "nonlinear")


def called(trace: Trace, ufunc: Any, *inputs: Any, **options: Any) -> Any:
    """Call a universal function."""
    made = None if options else _of_numbers(trace, ufunc, inputs)
    if made is not None:
        return made
    if any(map(_is_sparse, inputs)):
        return _with_sparse(trace, ufunc, inputs)
    out, where = options.pop("out", None), options.pop("where", True)
    operands = [trace.lift(one) for one in inputs]
    # A plain number takes the precision of what it meets, as it stands.
    pairs = zip(inputs, operands, strict=True)
    values = [one if type(one) in _NUMBERS else other.value for one, other in pairs]
    made = _applied(trace, ufunc, operands, ufunc(*values, **options), options)
    results = made if type(made) is tuple else (made,)
    for result in results:
        result.origin.constant = all(one.is_constant for one in operands)
    if where is not True or out is not None:
        targets = out or (None,) * len(results)
        both = zip(results, targets, strict=True)
        results = tuple(delivered(trace, one, target, where) for one, target in both)
    return results if type(made) is tuple else results[0]


_NUMBERS = (int, float, complex)

_SCALARS = (*_NUMBERS, np.float64)

_SPECIAL = frozenset({*_POWERS, *_MATRIX, *ONE_ONLY, *OUTPUTS})


def _of_numbers(trace: Trace, ufunc: Any, inputs: tuple[Any, ...]) -> Any:
    """Apply a function to numbers, which loops do often; ``None`` if these are not all numbers."""
    sets, name, traced = trace.sets, ufunc.__name__, []
    for one in inputs:
        if type(one) is Traced and one.value.ndim == 0:
            traced.append(one)
        elif type(one) not in _SCALARS:
            return None
    if name in _SPECIAL or ufunc.signature is not None or ufunc.nout > 1:
        return None
    values = [one.value if type(one) is Traced else one for one in inputs]
    nodes = [int(one.nodes) if type(one) is Traced else KNOWN for one in inputs]
    value = ufunc(*values)
    kind = kind_of(name, value)
    whole = nodes[0] if len(nodes) == 1 else functools.reduce(sets.unite_two, nodes)
    vanishes = _vanishes(kind, nodes, values)
    if whole == KNOWN or (vanishes and np.isfinite(value)):
        return value
    if vanishes:  # zero times what is infinite here is zero elsewhere: that is not known
        whole, nodes, kind = UNKNOWN, [UNKNOWN], "step"
    if kind == "step":
        whole = UNKNOWN
    bends = None
    if sets.curved:
        bends = np.array(_bend(sets, kind, whole, nodes, traced), np.int32)
    origin = Origin(all(one.is_constant for one in traced))
    return Traced(trace, np.array(whole, np.int32), bends, np.asarray(value), origin)


def _vanishes(kind: Kind, nodes: list[int], values: list[Any]) -> bool:
    """Tell whether a number is zero because a factor of it is known to be."""
    if kind not in ("product", "quotient"):
        return False
    count = 1 if kind == "quotient" else 2
    return any(nodes[i] == KNOWN and values[i] == 0 for i in range(count))


def _bend(sets: Sets, kind: Kind, whole: int, nodes: list[int], traced: list[Traced]) -> int:
    """Unite the pairs of numbers, and pair what a function multiplies."""
    if kind == "step":
        return KNOWN
    bend = functools.reduce(sets.unite_two, (int(one.bends) for one in traced))
    if kind == "nonlinear":
        return sets.unite_two(bend, sets.pair_two(whole, whole))
    if kind != "linear":
        bend = sets.unite_two(bend, sets.pair_two(*nodes))
    if kind == "quotient":
        bend = sets.unite_two(bend, sets.pair_two(nodes[1], nodes[1]))
    return bend


def _is_sparse(value: Any) -> bool:
    return type(value).__module__.startswith("scipy.sparse")


def _with_sparse(trace: Trace, ufunc: Any, inputs: tuple[Any, ...]) -> Any:
    """Multiply by a sparse matrix; ``*`` does it for SciPy's matrices, not for its arrays."""
    matrices = [type(one).__name__.endswith("_matrix") for one in inputs if _is_sparse(one)]
    if ufunc is np.matmul or (ufunc is np.multiply and all(matrices)):
        return sparse_product(trace, *inputs)
    raise trace.fail(Escape)


def _applied(
    trace: Trace, ufunc: Any, operands: list[Traced], value: Any, options: dict[str, Any]
) -> Any:
    name = ufunc.__name__
    if name in _POWERS:
        return _power(trace, operands[0], operands[1], value)
    if name == "vecdot" and "axis" in options:
        axis = options.pop("axis")
        operands = [one.like(lambda array: np.moveaxis(array, axis, -1)) for one in operands]
    if name in _MATRIX and not {"axes", "axis", "keepdims"} & set(options):
        return matrix_product(trace, name, operands[0], operands[1], value)
    if ufunc.signature is not None:
        return mixed_cores(trace, ufunc, operands, value, options)
    if type(value) is tuple:
        other: Kind = "nonlinear"
        pairs = zip(OUTPUTS.get(name) or (other,) * len(value), value, strict=True)
        return tuple(united(trace, _cut(kind, one), operands, one) for kind, one in pairs)
    if name not in ONE_ONLY:
        return united(trace, kind_of(name, np.asarray(value)), operands, value)
    parts, number = list(operands), ONE_ONLY[name]
    parts[number] = trace.of(as_steps(parts[number].dependent), parts[number].value)
    return united(trace, "linear", parts, value)


def _cut(kind: Kind, value: Any) -> Kind:
    return "step" if np.asarray(value).dtype.kind in "bui" else kind


def united(trace: Trace, kind: Kind, operands: list[Traced], value: Any) -> Traced:
    """Apply an elementwise function of which the example's result is known."""
    value, parts = np.asarray(value), [one.dependent for one in operands]
    made = trace.of(elementwise(trace.sets, kind, parts, lambda: value), value)
    if kind in ("product", "quotient") and any(one.nodes.any() for one in operands):
        # Zero times what is infinite here is zero elsewhere: that is not known.
        made.nodes[(made.nodes == KNOWN) & ~np.isfinite(value)] = UNKNOWN
    return made


def _power(trace: Trace, base: Traced, exponent: Traced, value: Any) -> Traced:
    """Raise to a power; to those that are known to be 0 and 1 it is known, and linear."""
    value = np.asarray(value)
    made = united(trace, kind_of("power", value), [base, exponent], value)
    if not trace.sets.local and exponent.nodes.any():
        return made
    if trace.sets.local and (exponent.nodes > UNKNOWN).any():
        return made
    plain = np.broadcast_to(exponent.value, value.shape)
    if made.bends is not None and base.bends is not None:
        bends = np.broadcast_to(base.bends, value.shape)
        made.bends[...] = np.where(plain == 1, bends, made.bends)
        made.bends[plain == 0] = KNOWN
    made.nodes[plain == 0] = KNOWN
    return made


def delivered(trace: Trace, result: Traced, target: Any, where: Any) -> Any:
    """Write a result to where it is asked for."""
    if type(target) is not Traced:
        if where is not True:
            result = select(trace, where, result, trace.filled(result.value, UNKNOWN))
        return result if target is None else _poured(trace, result, target)
    if where is not True:
        result = select(trace, where, result, target)
    target[...] = result
    return target


def _poured(trace: Trace, result: Traced, target: Any) -> Any:
    """Write a result to an array that is not traced, which holds known values alone."""
    if result.nodes.any():
        raise trace.fail(Escape)
    target[...] = result.value
    return target


def select(trace: Trace, condition: Any, a: Any, b: Any) -> Traced:
    """Take each entry from ``a`` or ``b``; from both where it is not known from which."""
    condition, a, b = (trace.lift(one) for one in (condition, a, b))
    value = np.where(condition.value, a.value, b.value)
    made = united(trace, "linear", [a, b], value)
    if trace.sets.local:
        decided = np.ones(value.shape, bool)
    else:
        decided = np.broadcast_to(condition.nodes == KNOWN, value.shape)
    same = (a.nodes == KNOWN) & (b.nodes == KNOWN) & (a.value == b.value)
    least = np.where(same, KNOWN, np.maximum(made.nodes, UNKNOWN))
    made.nodes[...] = np.where(decided, np.where(condition.value, a.nodes, b.nodes), least)
    if made.bends is not None:
        taken = np.where(condition.value, a.bends, b.bends)
        made.bends[...] = np.where(decided, taken, made.bends)
    return made
