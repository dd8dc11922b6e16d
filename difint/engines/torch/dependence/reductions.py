"""Operations along axes: reductions, scans, orders, norms, products of matrices, transforms."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Any

import numpy as np

from difint.dependence.arrays import Dependent, Kind, accumulated, elementwise, reduced
from difint.dependence.contractions import contracted
from difint.dependence.sets import UNKNOWN
from difint.engines.torch.dependence.calls import Call, Rule, array_of

_REDUCTIONS: dict[str, Kind] = {
    **dict.fromkeys(("all", "any", "argmax", "argmin", "count_nonzero"), "step"),
    **dict.fromkeys(("amax", "amin", "aminmax", "max", "min", "mean", "nansum", "sum"), "linear"),
    **dict.fromkeys(("kthvalue", "median", "mode", "nanmedian"), "linear"),
    **dict.fromkeys(("logsumexp", "prod", "std", "std_mean", "var", "var_mean"), "nonlinear"),
}

_EXTREMA = frozenset({"amax", "amin", "max", "min"})

_SCANS: dict[str, Kind] = {
    "cummax": "linear",
    "cummin": "linear",
    "cumprod": "nonlinear",
    "cumsum": "linear",
    "logcumsumexp": "nonlinear",
}

_ALONG: dict[str, Kind] = {
    **dict.fromkeys(("_log_softmax", "_safe_softmax", "_softmax"), "nonlinear"),
    **dict.fromkeys(("_fft_c2c", "_fft_c2r", "_fft_r2c", "sort", "topk"), "linear"),
}
"""What makes each entry of all that stand along an axis with it."""

_WITHIN = frozenset(
    """
    _linalg_det _linalg_eigh _linalg_slogdet _linalg_solve_ex _linalg_svd cholesky_inverse
    cholesky_solve linalg_cholesky_ex linalg_eig linalg_eigvals linalg_inv_ex linalg_ldl_factor_ex
    linalg_lu linalg_lu_factor_ex linalg_lu_solve linalg_matrix_exp linalg_lstsq linalg_pinv
    linalg_qr linalg_solve_triangular linalg_householder_product triangular_solve
    """.split()
)
"""Functions of matrices, of which stacks are taken matrix by matrix."""


def axes_of(call: Call, rank: int) -> tuple[int, ...]:
    """Get the axes that an operation works along; all of them if it names none."""
    named = call.get("dim", call.get("axis"))
    named = [named] if isinstance(named, int) else named
    if rank == 0:
        return ()
    return tuple(sorted({axis % rank for axis in (named or range(rank))}))


def shaped(a: Dependent, shape: Sequence[int]) -> Dependent:
    """Give arrays another shape, of as many entries or by repeating them."""

    def fit(array: Any) -> Any:
        if array is None or array.shape == tuple(shape):
            return array
        same = array.size == prod(shape)
        return np.array(array.reshape(shape) if same else np.broadcast_to(array, shape))

    return Dependent(fit(a.full), fit(a.bends))


def kept(call: Call, kind: Kind, a: Dependent, axes: Sequence[int]) -> Dependent:
    """Reduce along axes, which stay with the length one."""
    made = reduced(call.sets, kind, a, axes, None)
    return shaped(made, [1 if axis in axes else n for axis, n in enumerate(a.shape)])


def along(
    call: Call, kind: Kind, a: Dependent, axes: Sequence[int], shape: Sequence[int]
) -> Dependent:
    """Let each entry of a result depend on all that stand along axes."""
    return shaped(kept(call, kind, a, axes), shape)


def _reduce(call: Call) -> list[Dependent]:
    operand, name = call.operand("self"), call.name
    axes, kind = axes_of(call, len(operand.shape)), _REDUCTIONS[call.name]
    if call.complex and name in ("mean", "sum"):
        kind = "linear"
    if call.sets.local and name in _EXTREMA:
        operand = _extreme(operand, axes, np.max if "max" in name else np.min)
    made = reduced(call.sets, kind, operand, axes, None)
    return [shaped(made, like.shape) for like in call.likes]


def _extreme(a: Dependent, axes: Sequence[int], extreme: Any) -> Dependent:
    """Keep what is an extremum at the example, all of them if there are several."""
    if a.value is None or a.value.size == 0 or a.value.dtype.kind == "c":
        return a
    best = a.value == extreme(a.value, axis=tuple(axes), keepdims=True)
    bends = None if a.bends is None else np.where(best, a.bends, 0).astype(np.int32)
    nodes = np.where(best, a.full, np.minimum(a.full, UNKNOWN)).astype(np.int32)
    return Dependent(nodes, bends)


def _norm(call: Call) -> Dependent:
    operand, order = call.operand("self"), call.get("ord", 2)
    axes = axes_of(call, len(operand.shape))
    linear = order in (1, inf, -inf) and not call.complex
    return shaped(
        reduced(call.sets, "linear" if linear else "nonlinear", operand, axes, None), call.shape
    )


def _scan(call: Call) -> list[Dependent]:
    operand, kind = call.operand("self"), _SCANS[call.name]
    if not operand.shape:
        return [operand for _ in call.likes]
    made = accumulated(call.sets, kind, operand, call.get("dim"), None)
    return [made for _ in call.likes]


def _along(call: Call) -> list[Dependent]:
    operand = call.operand("self")
    if not operand.shape:
        return [elementwise(call.sets, "linear", [operand], None) for _ in call.likes]
    kind, axes = _ALONG[call.name], axes_of(call, len(operand.shape))
    ordered = _in_order(call, operand, axes[0]) if call.name in ("sort", "topk") else None
    made = ordered or along(call, kind, operand, axes, call.shape)
    return [made for _ in call.likes]


def _in_order(call: Call, a: Dependent, axis: int) -> Dependent | None:
    """Take entries in the order that they have at the example; ``None`` where two are equal."""
    results = call.evaluated() if call.sets.local else None
    if results is None:
        return None
    ordered = np.sort(a.value, axis)
    if (np.diff(ordered, axis=axis) == 0).any():
        return None
    places = array_of(results[1])

    def take(array: Any) -> Any:
        return None if array is None else np.take_along_axis(array, places, axis)

    return Dependent(take(a.full), take(a.bends))


def _within(call: Call) -> list[Dependent]:
    """Mix the entries of matrices, each stack for itself; ``det``, ``solve``, ..."""
    first = call.operands[0].shape[:-2]
    rank = len(first)
    fits = all(one.shape[:rank] == first for one in call.operands)
    fits &= all(tuple(like.shape[:rank]) == first for like in call.likes)
    if not fits:
        return call.widely(note=False)
    parts = []
    for one in call.operands:
        axes = tuple(range(rank, len(one.shape)))
        parts.append(shaped(reduced(call.sets, "linear", one, axes, None), first))
    made = elementwise(call.sets, "nonlinear", parts, None)
    shapes = [(*first, *(1,) * (len(like.shape) - rank)) for like in call.likes]
    pairs = zip(shapes, call.likes, strict=True)
    return [shaped(shaped(made, shape), like.shape) for shape, like in pairs]


def _matrices(call: Call) -> Dependent:
    a, b = (one.sets for one in call.tensors[-2:])
    if call.name in ("dot", "vdot"):
        a, b = shaped_with(a, (1, *a.shape)), shaped_with(b, (*b.shape, 1))
    elif call.name == "mv":
        b = shaped_with(b, (*b.shape, 1))
    return shaped(contracted(call.sets, a, b, None), call.shape)


def shaped_with(a: Dependent, shape: Sequence[int]) -> Dependent:
    """Give arrays another shape of as many entries, and values too."""
    parts = (a.nodes, a.bends, a.value)
    return Dependent(*(None if one is None else np.asarray(one).reshape(shape) for one in parts))


def _matrices_added(call: Call) -> Dependent:
    """Add a product of matrices to something, as ``addmm`` does."""
    product = _matrices(call)
    if call.get("beta") == 0:
        return product
    return elementwise(call.sets, "linear", [call.tensors[0].sets, product], None)


def _distances(call: Call) -> Dependent:
    """Get distances between rows, each of the one with each of the other."""
    one, other = (reduced(call.sets, "linear", part.sets, [-1], None) for part in call.tensors[:2])
    left, right = (
        shaped(one, (*one.shape, 1)),
        shaped(other, (*other.shape[:-1], 1, other.shape[-1])),
    )
    kind: Kind = "linear" if call.get("p") in (1, inf) else "nonlinear"
    return shaped(elementwise(call.sets, kind, [left, right], None), call.shape)


def _trilinear(call: Call) -> Dependent:
    """Multiply three arrays that are spread over each other's axes, and sum."""
    parts = []
    for number in (1, 2, 3):
        part, shape = call.operand(f"i{number}"), list[int]()
        rest = iter(part.shape)
        spread = call.get(f"expand{number}")
        for axis in range(len(part.shape) + len(spread)):
            shape.append(1 if axis in spread else next(rest))
        parts.append(shaped_with(part, shape))
    product = elementwise(call.sets, "product", parts[:2], None)
    product = elementwise(call.sets, "product", [product, parts[2]], None)
    made = reduced(call.sets, "linear", product, call.get("sumdim"), None)
    return shaped(made, call.shape)


RULES: dict[str, Rule] = {
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(_SCANS, _scan),
    **dict.fromkeys(_ALONG, _along),
    **dict.fromkeys(_WITHIN, _within),
    **dict.fromkeys(("bmm", "dot", "mm", "mv", "vdot"), _matrices),
    **dict.fromkeys(("addmm", "addmv", "baddbmm"), _matrices_added),
    **dict.fromkeys(("_cdist_forward", "_euclidean_dist"), _distances),
    "_trilinear": _trilinear,
    "linalg_vector_norm": _norm,
}
