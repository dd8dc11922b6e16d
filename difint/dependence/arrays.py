"""Arrays of index sets, and the rules by which functions of arrays move and unite them.

Four classes carry almost every function of every array library:

- *moves* bring entries somewhere else: the function itself, applied to nodes, tells where;
- *elementwise* functions unite the sets of the entries that meet;
- *contractions, reductions and scans* unite along axes, without what is known to be zero;
- everything else depends on everything (``mix``): sound, and as wide as it can be.

For Hessians each entry has a second node beside that of its gradient, a union of pairs: ``bends``.
A rule that is linear unites them; one that is not pairs the gradients that meet (second-order
propagation: Griewank and Walther, *Evaluating Derivatives*, 2008, section 7.2; Walther, *ACM
Trans. Math. Softw.* 34 (2008)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Literal, final

import numpy as np

from difint.dependence.sets import KNOWN, UNKNOWN, Sets

Kind = Literal["step", "linear", "nonlinear", "product", "quotient"]
"""What an elementwise function does: its derivative is zero wherever there is one; it is linear
or piecewise linear; it is anything else; it is ``a * b``; it is ``a / b``."""


@final
class Dependent:
    """An array whose entries depend on entries of ``x``.

    Attributes:
        nodes: the set of each entry; ``None`` if all are known.
        bends: the pairs of each entry; ``None`` if there are none.
        value: the array's values, those of entries that depend on nothing and are known
            (``KNOWN``); or of all entries where sets are local. ``None`` if there are none.
        shape: of the array.
    """

    __slots__ = ("bends", "nodes", "shape", "value")

    def __init__(self, nodes: Any, bends: Any = None, value: Any = None) -> None:
        self.nodes, self.bends, self.value = nodes, bends, value
        self.shape: tuple[int, ...] = value.shape if nodes is None else nodes.shape

    @property
    def depends(self) -> bool:
        """Whether any entry depends on ``x``."""
        return self.nodes is not None and bool((self.nodes > UNKNOWN).any())

    @property
    def full(self) -> Any:
        """The nodes, also of what is known."""
        return np.zeros(self.shape, np.int32) if self.nodes is None else self.nodes

    @property
    def zeros(self) -> Any | None:
        """Where the array is known to be zero for every ``x``; ``None`` if nowhere."""
        if self.value is None or self.value.dtype == object:
            return None
        zero = self.value == 0
        if self.nodes is not None:
            zero = zero & (self.nodes == KNOWN)
        return zero if zero.any() else None


def constant(value: Any) -> Dependent:
    """Make an array that is known."""
    return Dependent(None, None, np.asarray(value))


def unknown(shape: tuple[int, ...], value: Any = None) -> Dependent:
    """Make an array that depends on nothing, but is not known; locally it has a value."""
    return Dependent(np.full(shape, UNKNOWN, np.int32), None, value)


def known(sets: Sets, a: Dependent) -> Any | None:
    """Get the values of an array if all of them are known, here or everywhere."""
    if a.value is None or (a.nodes is not None and not sets.local and a.nodes.any()):
        return None
    return a.value


def settled(
    sets: Sets,
    nodes: Any,
    bends: Any,
    compute: Callable[[], Any] | None,
    shape: tuple[int, ...] | None = None,
) -> Dependent:
    """Make a result, with its values if they can be computed and say something.

    Args:
        sets: where the nodes are.
        nodes: the sets; ``None`` if all is known.
        bends: the pairs, or ``None``.
        compute: gets the values, of which those of entries that are not known are arbitrary; or
            returns ``None``. ``None`` instead of it if nothing can get them.
        shape: of the result, where all of it is known unless its values cannot be computed.
    """
    telling = nodes is None or sets.local or not nodes.all()
    value = compute() if telling and compute is not None else None
    if value is None and nodes is None:
        assert shape is not None, "what is known has values"
        return unknown(shape)
    if value is None:
        return Dependent(np.maximum(nodes, UNKNOWN), bends)
    return Dependent(nodes, bends, np.asarray(value))


def values_of(
    function: Callable[..., Any], operands: Sequence[Dependent]
) -> Callable[[], Any] | None:
    """Get what computes a function on the values of arrays, if all have some."""
    if any(one.value is None for one in operands):
        return None

    def compute() -> Any:
        with np.errstate(all="ignore"):
            return function(*(one.value for one in operands))

    return compute


def elementwise(
    sets: Sets, kind: Kind, operands: Sequence[Dependent], compute: Callable[[], Any] | None
) -> Dependent:
    """Apply an elementwise function, with NumPy's rules of broadcasting."""
    shape = np.broadcast_shapes(*(one.shape for one in operands))
    if all(one.nodes is None for one in operands):
        return settled(sets, None, None, compute, shape)
    if kind == "step":
        return settled(sets, _whether(shape, operands), None, compute)
    nodes = _united(sets, shape, [one.nodes for one in operands])
    bends = _united(sets, shape, [one.bends for one in operands]) if sets.curved else None
    if sets.curved and kind != "linear":
        bends = joined(sets, bends, _bent(sets, kind, nodes, operands))
    zero = _where_zero(kind, operands)
    if zero is not None:
        zero = np.broadcast_to(zero, shape)
        nodes = np.where(zero, KNOWN, nodes).astype(np.int32)
        bends = None if bends is None else np.where(zero, KNOWN, bends).astype(np.int32)
        compute = _with_zeros(sets, zero, compute, operands)
    return settled(sets, nodes, bends, compute)


def _with_zeros(
    sets: Sets, zero: Any, compute: Callable[[], Any] | None, operands: Sequence[Dependent]
) -> Callable[[], Any] | None:
    """Get what computes a product of which some entries are known, for a factor is zero.

    They are zero, even if the other factor, whose value is arbitrary, makes them something else.
    """
    if compute is None and sets.local:
        return None

    def computed() -> Any:
        value = None if compute is None else compute()
        if value is None:
            dtype = np.result_type(*(one.value for one in operands if one.value is not None))
            return None if sets.local else np.zeros(zero.shape, dtype)
        return np.where(zero, np.zeros((), value.dtype), value)

    return computed


def _whether(shape: tuple[int, ...], operands: Sequence[Dependent]) -> Any:
    """Tell where a step of operands is known, and where not."""
    open_ = np.zeros(shape, bool)
    for one in operands:
        if one.nodes is not None:
            open_ |= one.nodes != KNOWN
    return open_.astype(np.int32)


def _united(sets: Sets, shape: tuple[int, ...], arrays: Sequence[Any]) -> Any:
    """Unite arrays of nodes, of which some are missing; ``None`` if all of them are."""
    united = None
    for one in arrays:
        if one is not None:
            united = one if united is None or united is one else sets.unite(united, one)
    if united is None or united.shape == shape:
        return united
    return np.broadcast_to(united, shape).copy()


def joined(sets: Sets, a: Any, b: Any) -> Any:
    """Unite two arrays of nodes, each of which may be missing."""
    if a is None or b is None:
        return b if a is None else a
    return sets.unite(a, b)


def _bent(sets: Sets, kind: Kind, nodes: Any, operands: Sequence[Dependent]) -> Any:
    """Pair the gradients that a function multiplies."""
    if kind == "nonlinear" or len(operands) != 2:
        return None if nodes is None else sets.pair(nodes, nodes)
    a, b = (one.nodes for one in operands)
    bends = None if a is None or b is None else sets.pair(a, b)
    if kind == "quotient" and b is not None:
        bends = joined(sets, bends, sets.pair(b, b))
    return bends


def _where_zero(kind: Kind, operands: Sequence[Dependent]) -> Any:
    """Tell where a product is zero because a factor is known to be."""
    if kind not in ("product", "quotient") or len(operands) != 2:
        return None
    a, b = operands[0].zeros, operands[1].zeros if kind == "product" else None
    if a is None or b is None:
        return b if a is None else a
    return a | b


def moved(sets: Sets, function: Callable[..., Any], *operands: Dependent) -> Dependent:
    """Apply a function that only moves entries: it is applied to nodes, pairs and values.

    What it fills gaps with is zero: the node of what is known, and a value that is.
    """
    nodes = bends = None
    if any(one.nodes is not None for one in operands):
        nodes = np.asarray(function(*(one.full for one in operands)), np.int32)
    if any(one.bends is not None for one in operands):
        zeros = [
            one.bends if one.bends is not None else np.zeros_like(one.full) for one in operands
        ]
        bends = np.asarray(function(*zeros), np.int32)
    lacking = [one.value is None for one in operands]
    if all(lacking) or (sets.local and any(lacking)):
        compute = None
    else:
        compute = values_of(function, [_with_value(one, operands) for one in operands])
    return settled(sets, nodes, bends, compute)


def _with_value(one: Dependent, others: Sequence[Dependent]) -> Dependent:
    """Give an array of which no entry is known values that nobody looks at."""
    if one.value is not None:
        return one
    dtype = next(other.value.dtype for other in others if other.value is not None)
    return Dependent(one.nodes, one.bends, np.zeros(one.shape, dtype))


def chosen(sets: Sets, which: Any, operands: Sequence[Dependent]) -> Dependent:
    """Take each entry from the operand whose number is in ``which``, arrays of one shape."""

    def choose(*arrays: Any) -> Any:
        return np.choose(which, arrays) if len(arrays) < 32 else _taken(which, arrays)

    return moved(sets, choose, *operands)


def _taken(which: Any, arrays: Sequence[Any]) -> Any:
    return np.take_along_axis(np.stack(arrays), np.asarray(which)[None], 0)[0]


def reduced(
    sets: Sets,
    kind: Kind,
    a: Dependent,
    axes: Sequence[int],
    compute: Callable[[], Any] | None,
) -> Dependent:
    """Reduce along axes, which are dropped: ``"linear"`` sums and extrema, a ``"product"``."""
    nodes = sets.unite_axis(_last(a.full, axes))
    if a.nodes is None:
        return settled(sets, None, None, compute, nodes.shape)
    if kind == "step":
        return settled(sets, np.minimum(nodes, UNKNOWN), None, compute)
    bends = None if a.bends is None else sets.unite_axis(_last(a.bends, axes))
    if sets.curved and kind == "product":
        bends = joined(sets, bends, sets.unite_axis(_factors(sets, _last(a.full, axes))))
    elif sets.curved and kind != "linear":
        bends = joined(sets, bends, sets.pair(nodes, nodes))
    return settled(sets, nodes, bends, compute)


def _factors(sets: Sets, rows: Any) -> Any:
    """Pair each factor of a product with those before it."""
    before = sets.unite_along(rows)[..., :-1]
    pairs = np.zeros(rows.shape, np.int32)
    pairs[..., 1:] = sets.pair(before, rows[..., 1:])
    return pairs


def _last(array: Any, axes: Sequence[int]) -> Any:
    """Bring axes to the end, as one."""
    axes = [axis % array.ndim for axis in axes]
    rest = [axis for axis in range(array.ndim) if axis not in axes]
    shape = [array.shape[axis] for axis in rest]
    length = prod(array.shape[axis] for axis in axes)
    return np.ascontiguousarray(array.transpose(*rest, *axes)).reshape(*shape, length)


def largest(
    sets: Sets, a: Dependent, axes: Sequence[int], extreme: Callable[..., Any]
) -> Dependent:
    """Forget, where sets are local, the entries that are not the extreme one along some axes."""
    if not sets.local or a.value is None or a.nodes is None or a.value.size == 0:
        return a
    best = extreme(a.value, axis=tuple(axes), keepdims=True)
    kept = (a.value == best) | np.isnan(best)
    bends = None if a.bends is None else np.where(kept, a.bends, 0).astype(np.int32)
    return Dependent(np.where(kept, a.nodes, np.minimum(a.nodes, UNKNOWN)), bends, a.value)


def extreme_of(
    sets: Sets, a: Dependent, b: Dependent, extreme: Callable[..., Any], compute: Any
) -> Dependent:
    """Take the larger or the smaller of two: where sets are local, the one that it is."""
    if not sets.local or a.value is None or b.value is None:
        return elementwise(sets, "linear", [a, b], compute)
    values = np.stack(np.broadcast_arrays(a.value, b.value))
    shape = values.shape[1:]
    both = [moved(sets, lambda array: np.broadcast_to(array, shape), one) for one in (a, b)]
    stacked = moved(sets, lambda *arrays: np.stack(arrays), *both)
    telling = largest(sets, stacked, [0], extreme)
    return reduced(sets, "linear", telling, [0], lambda: extreme(values, axis=0))


def accumulated(
    sets: Sets,
    kind: Kind,
    a: Dependent,
    axis: int,
    compute: Callable[[], Any] | None,
    *,
    turned: bool = False,
) -> Dependent:
    """Reduce along an axis, keeping what is reduced so far: as ``cumsum``, or from the end."""
    if a.nodes is None:
        return settled(sets, None, None, compute, a.shape)

    def along(array: Any, function: Callable[[Any], Any] | None = None) -> Any:
        rows = np.ascontiguousarray(np.moveaxis(array, axis, -1))
        whole = sets.unite_along(rows, turned=turned) if function is None else function(rows)
        return np.moveaxis(whole, -1, axis)

    nodes = along(a.full)
    bends = None if a.bends is None else along(a.bends)
    if sets.curved and kind == "product":
        factors = along(a.full, lambda rows: _factors_along(sets, rows, turned))
        bends = joined(sets, bends, factors)
    elif sets.curved and kind != "linear":
        bends = joined(sets, bends, sets.pair(nodes, nodes))
    return settled(sets, nodes, bends, compute)


def _factors_along(sets: Sets, rows: Any, turned: bool) -> Any:
    rows = rows[..., ::-1] if turned else rows
    made = sets.unite_along(_factors(sets, np.ascontiguousarray(rows)))
    return made[..., ::-1] if turned else made


def spread(sets: Sets, kind: Kind, a: Dependent, axes: Sequence[int]) -> Dependent:
    """Let each entry depend on all that stand along these axes; of the same shape."""
    if a.nodes is None:
        return unknown(a.shape)
    whole = reduced(sets, kind, a, axes, None)
    axes = [axis % len(a.shape) for axis in axes]

    def wide(array: Any) -> Any:
        for axis in sorted(axes):
            array = np.expand_dims(array, axis)
        return np.broadcast_to(array, a.shape).copy()

    nodes = np.maximum(wide(whole.full), UNKNOWN)
    return Dependent(nodes, None if whole.bends is None else wide(whole.bends))


def mixed(
    sets: Sets, operands: Sequence[Dependent], shape: tuple[int, ...], *, linear: bool = False
) -> Dependent:
    """Make a result all of whose entries depend on all entries of the operands.

    Args:
        sets: where the nodes are.
        operands: what it depends on.
        shape: of the result.
        linear: the function is linear in its operands together: no pairs are new.
    """
    node = sets.unite_all(*(one.nodes for one in operands if one.nodes is not None))
    nodes = np.full(shape, max(node, UNKNOWN), np.int32)
    if not sets.curved or node <= UNKNOWN:
        return Dependent(nodes)
    bend = sets.unite_all(*(one.bends for one in operands if one.bends is not None))
    if not linear:
        whole = np.array([node], np.int32)
        bend = sets.unite_all(np.array([bend], np.int32), sets.pair(whole, whole))
    return Dependent(nodes, np.full(shape, bend, np.int32))


def as_steps(a: Dependent) -> Dependent:
    """Cut the derivative: what is left is known, or not."""
    if a.nodes is None:
        return a
    return Dependent(np.minimum(a.nodes, UNKNOWN), None, a.value)
