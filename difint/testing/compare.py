"""Comparison of a result with the right one, and a guess at what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.kinds import describe
from difint.testing.scenario import Scenario
from difint.testing.values import KINDS, dense, is_sparse
from difint.trees import Trees


@final
@dataclass(frozen=True, slots=True)
class Tolerance:
    """How near is near enough.

    Attributes:
        rtol: relative to the largest entry of the result and of its lower orders.
        atol: absolute, in the units of the result.
    """

    rtol: float
    atol: float

    def allows(self, got: Any, want: Any, scale: float) -> Any:
        """Tell for each entry whether it is near enough."""
        with np.errstate(all="ignore"):
            near = np.abs(got - want) <= self.atol + self.rtol * scale
        return near | (got == want) | (np.isnan(got) & np.isnan(want))


def scale_of(*values: Any) -> float:
    """Get the largest finite entry of arrays, or 1 where all are zero."""
    entries = [np.abs(np.asarray(value, _wide(value))).ravel() for value in values]
    finite = [one[np.isfinite(one)] for one in entries]
    return max((float(one.max()) for one in finite if one.size), default=0.0) or 1.0


def _wide(value: Any) -> Any:
    return complex if np.iscomplexobj(value) else float


def compare(
    got: Any, want: Any, trees: Trees, tolerance: Tolerance, scale: float, shapes: tuple[Any, Any]
) -> str | None:
    """Say how a result differs from the right one; ``None`` if it does not.

    Args:
        got: the result.
        want: the right one, in NumPy arrays and Python scalars.
        trees: how both are taken apart.
        tolerance: how near is near enough.
        scale: what the relative tolerance is relative to.
        shapes: of ``x`` and of ``y``, to see whether a matrix follows them in another order.
    """
    got, want = dense(got), dense(want)
    have, structure = trees.flatten(got)
    right, expected = trees.flatten(want)
    if structure != expected or isinstance(got, tuple) is not isinstance(want, tuple):
        return f"its structure is {_outline(got)}, not {_outline(want)}"
    paths = trees.paths(want) if len(right) > 1 else [""] * len(right)
    for path, one, other in zip(paths, have, right, strict=True):
        text = _leaf(one, other, tolerance, scale, shapes)
        if text is not None:
            return f"at {path}: {text}" if path else text
    return None


def _outline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_outline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(_outline, value))})"
    return type(value).__name__


def _leaf(
    got: Any, want: Any, tolerance: Tolerance, scale: float, shapes: tuple[Any, Any]
) -> str | None:
    array, right = np.asarray(got), np.asarray(want)
    if array.shape != right.shape:
        return f"its shape is {array.shape}, not {right.shape}"
    if array.dtype != right.dtype:
        return f"its dtype is {array.dtype}, not {right.dtype}"
    a, b = np.asarray(array, _wide(array)), np.asarray(right, _wide(right))
    near = tolerance.allows(a, b, scale)
    if near.all():
        return None
    guess = next(_guesses(a, b, near, tolerance, scale, shapes), "")
    return _entries(a, b, near, tolerance, scale) + guess


def _entries(got: Any, want: Any, near: Any, tolerance: Tolerance, scale: float) -> str:
    """Describe the worst entry."""
    with np.errstate(all="ignore"):
        distance = np.where(near, -1.0, np.abs(got - want))
    distance[np.isnan(distance)] = np.inf
    at = np.unravel_index(int(np.argmax(distance)), got.shape)
    place = f"entry [{', '.join(map(str, map(int, at)))}] is" if got.shape else "it is"
    allowed = tolerance.atol + tolerance.rtol * scale
    text = f"{place} {got[at]:.10g}, not {want[at]:.10g} (within {allowed:.1g})"
    return f"{text}; {int((~near).sum())} of {near.size} entries differ" if got.shape else text


def _guesses(
    got: Any, want: Any, near: Any, tolerance: Tolerance, scale: float, shapes: tuple[Any, Any]
) -> Iterator[str]:
    """Guess at the cause, from the likeliest down."""

    def alike(other: Any) -> bool:
        return other.shape == want.shape and bool(tolerance.allows(other, want, scale).all())

    missing = np.isnan(got) & ~np.isnan(want)
    if missing.any():
        yield f"; {int(missing.sum())} entries are NaN: not written, or undefined"
    if got.ndim == 2 and alike(got.T):
        yield "; its transpose would be right"
    either = got.ravel("F").reshape(got.shape), got.reshape(got.shape[::-1]).T
    if got.ndim > 1 and any(map(alike, either)):
        yield "; in Fortran order it would be right: C and F order are mixed up"
    if got.ndim == 2 and any(alike(one) for one in _reordered(got, shapes)):
        yield "; with x or y raveled in Fortran order it would be right: C and F are mixed up"
    factor = _factor(got, want)
    if factor is not None and alike(got / factor):
        yield f"; it is off by the factor {factor:.6g}"


def _reordered(matrix: Any, shapes: tuple[Any, Any]) -> Iterator[Any]:
    """Reorder a matrix as if ``x``, ``y`` or both had been raveled in Fortran order."""
    x, y = shapes
    orders: list[tuple[Callable[[int, Any], Any], Callable[[int, Any], Any]]] = [
        (_plain, _fortran),
        (_fortran, _plain),
        (_fortran, _fortran),
    ]
    for rows, columns in orders:
        first, second = rows(matrix.shape[0], y), columns(matrix.shape[1], x)
        yield matrix[np.ix_(first, second)]


def _plain(count: int, shape: Any) -> Any:
    return np.arange(count)


def _fortran(count: int, shape: Any) -> Any:
    """Get, for each index in C order, its place in Fortran order."""
    if shape is None or int(np.prod(shape)) != count:
        return np.arange(count)
    return np.arange(count).reshape(shape, order="F").ravel()


# A factor nearer to 1 is no mistake of scale, but a lack of accuracy.
_INACCURACY = 1e-2
_LARGEST = 1e3


def shapes_of(scenario: Scenario) -> tuple[Any, Any]:
    """Get the shapes of ``x`` and ``f(x)`` where both are known, and are arrays."""
    y = scenario.y
    if y is None and scenario.record.parts[0] == "y" and scenario.lower:
        y = scenario.lower[0]
    arrays = isinstance(scenario.x, np.ndarray) and isinstance(y, np.ndarray)
    return (scenario.x.shape, y.shape) if arrays else (None, None)


def _factor(got: Any, want: Any) -> Any:
    """Get the ratio at the largest entry, if it means anything."""
    if not want.size or not np.isfinite(got).all() or not np.isfinite(want).all():
        return None
    at = np.unravel_index(int(np.argmax(np.abs(want))), want.shape)
    ratio = got[at] / want[at] if want[at] else 0.0
    likely = _INACCURACY < abs(ratio - 1) and 1 / _LARGEST < abs(ratio) < _LARGEST
    return ratio if likely else None


def wrong_kind(got: Any, x: Any, trees: Trees) -> str | None:
    """Say if a result is not of the kind of ``x``: NumPy in, NumPy out, and so on."""
    kinds = {describe(leaf, KINDS).kind for leaf in trees.flatten(x)[0]}
    for leaf in trees.flatten(got)[0]:
        if is_sparse(leaf):  # SciPy's, whatever x is: no other library has them all
            continue
        one = describe(leaf, KINDS)
        allowed = kinds
        if kinds == {"python"} and (one.shape or (one.kind and one.numpy_dtype != np.float64)):
            allowed = {"numpy"}
        if (
            kinds.isdisjoint(("jax", "torch")) and not one.shape
        ):  # f may return a number for an array
            allowed = kinds | {"python"}
        if one.kind not in allowed:
            names = " or ".join(sorted(allowed))
            return f"its kind is {one.kind or type(leaf).__name__}, not {names} as that of x"
    return None
