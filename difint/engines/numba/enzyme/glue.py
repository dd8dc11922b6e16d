"""Glue: the user's function of arrays and trees as one of pointers, which Enzyme differentiates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba.core import types
from numba.np.numpy_support import from_dtype

from difint.contexts import Cache, Constant
from difint.engines.numba.buffers import array_at, flattened
from difint.engines.numba.dual import REALS
from difint.engines.numba.entries import Place
from difint.engines.numba.enzyme.target import scalar_njit
from difint.engines.numba.functions import overloading
from difint.engines.numba.glue import display
from difint.engines.numba.kernels import ANOTHER_SIZE
from difint.engines.numba.memory_views import moved
from difint.engines.numba.refusals import refuse_names
from difint.engines.numba.source import from_source
from difint.problem import Lowering


def stored(y: Any, start: Any, value: Any) -> Any:
    """Write the entries of a result of ``f`` to ``y`` from ``start`` on; get where they end."""


@overloading(stored)
def _choose_stored(y: Any, start: Any, value: Any) -> Any:
    if isinstance(value, types.Array):
        return _store_contiguous if value.layout == "C" else _store_array
    if isinstance(value, types.LiteralStrKeyDict | types.DictType | types.BaseNamedTuple):
        refuse_names()
    if isinstance(value, types.BaseTuple):
        lines = [f"    start = stored(y, start, value[{i}])" for i in range(len(value))]
        source = "\n".join(["def store(y, start, value):", *lines, "    return start"])
        return from_source(source, "store", {"stored": stored})
    return _store_number if isinstance(value, REALS) else None


def _store_contiguous(y: Any, start: Any, value: Any) -> Any:
    entries = flattened(value)
    if start + entries.size > y.size:
        raise ValueError(ANOTHER_SIZE)
    for i in range(entries.size):
        y[start + i] = entries[i]
    return start + entries.size


def _store_array(y: Any, start: Any, value: Any) -> Any:
    if start + value.size > y.size:
        raise ValueError(ANOTHER_SIZE)
    at = start
    for one in value.flat:
        y[at] = one
        at += 1
    return at


def _store_number(y: Any, start: Any, value: Any) -> Any:
    if start >= y.size:
        raise ValueError(ANOTHER_SIZE)
    y[start] = value
    return start + 1


def fresh(leaves: Sequence[Place], contexts: Sequence[Any]) -> list[str]:
    """Write the leaves as ``f`` gets them: what it may write to is its own."""
    wrappers = [one.wrapper for one in contexts for _ in one.leaves]
    texts = []
    for place, wrapper in zip(leaves, wrappers, strict=True):
        text = place.name
        if place.is_array and wrapper is Cache:
            text = f"np.empty({place.shape!r}, {place.name}.dtype)"
        elif place.is_array and wrapper is not Constant:
            text = f"{place.name}.copy()"
        texts.append(text)
    return texts


def given(lowering: Lowering, contexts: Sequence[Any], leaves: Sequence[str], env: Any) -> str:
    """Write the arguments of ``f`` after ``y``; the leaves of ``x`` are ``x0``, ``x1``, ..."""
    one = lowering.described
    names = [f"x{i}" for i in range(len(one.leaves))]
    arguments, at = [display(one.structure, names, env)], 0
    for context in contexts:
        stop = at + len(context.leaves)
        arguments.append(display(context.structure, leaves[at:stop], env))
        at = stop
    return ", ".join(arguments)


def primal_of(
    lowering: Lowering, f: Any, contexts: Sequence[Any], leaves: Sequence[Place], sizes: Any
) -> tuple[Any, tuple[Any, ...]]:
    """Make ``primal(x, y, leaves...)`` of pointers, and its signature.

    ``sizes`` are the dtype of the entries of ``x``, their number, and likewise those of ``y``.
    """
    x_dtype, n, y_dtype, m = sizes
    x_ty, y_ty = from_dtype(x_dtype), from_dtype(y_dtype)
    env: dict[str, Any] = {"np": np, "f": f, "stored": stored, "message": ANOTHER_SIZE}
    lines = _inputs(lowering, x_ty, env)
    for place in leaves:
        if place.is_array:
            env[f"at_{place.name}"] = array_at(place.ty, place.shape)
            lines.append(f"{place.name} = at_{place.name}({place.name})")
    arguments = given(lowering, contexts, fresh(leaves, contexts), env)
    in_place = lowering.y is not None
    shape = lowering.y.shape if in_place else (m,)
    env["y_at"] = array_at(types.Array(y_ty, len(shape), "C"), shape)
    lines.append("y = y_at(y)")
    if in_place:
        lines.append(f"f(y, {arguments})")
    else:
        lines += [f"if stored(y, 0, f({arguments})) != {m}:", "    raise ValueError(message)"]
    names = ", ".join(["x", "y", *(place.name for place in leaves)])
    source = f"def primal({names}):\n" + "".join(f"    {line}\n" for line in lines)
    dispatcher = scalar_njit(error_model="numpy")(from_source(source, "primal", env))
    pointers = (types.CPointer(x_ty), types.CPointer(y_ty))
    return dispatcher, (*pointers, *(place.pointed for place in leaves))


def _inputs(lowering: Lowering, ty: Any, env: dict[str, Any]) -> list[str]:
    """Write the leaves of ``x``: arrays and numbers that stand one after the other in memory."""
    lines, start = [], 0
    for i, leaf in enumerate(lowering.described.leaves):
        shape = leaf.shape or (1,)
        env[f"x_at{i}"] = array_at(types.Array(ty, len(shape), "C"), shape)
        env[f"moved{i}"] = moved(start)
        entry = "" if leaf.shape else "[0]"
        lines.append(f"x{i} = x_at{i}(moved{i}(x)){entry}")
        start += leaf.size
    return lines
