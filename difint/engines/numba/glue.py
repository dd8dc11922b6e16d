"""Glue: what stands between flat buffers of duals and the arguments and results of ``f``.

It is written as source text, because trees have as many forms as users: a call of ``f`` with
dicts, tuples and lists is one that Numba can type only as they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree
from numba import njit
from numba.core import types

from difint.contexts import Cache, Constant
from difint.engines.numba.access import dtype_of, primal
from difint.engines.numba.buffers import borrowed, flattened, floats_like, lifted, lifted_like
from difint.engines.numba.dual import REALS, Active, Dual
from difint.engines.numba.functions import overloading
from difint.engines.numba.pipeline import PART
from difint.engines.numba.reductions import compiled
from difint.engines.numba.refusals import refuse_names
from difint.engines.numba.source import from_source
from difint.kinds import Leaf
from difint.problem import Lowering
from difint.trees import PYTHON_TREES


def written(source: str, name: str, env: dict[str, Any], fastmath: Any = False) -> Any:
    """Compile a function from its text, for calls from compiled code."""
    return njit(**PART, fastmath=fastmath)(from_source(source, name, env))


def display(structure: Any, leaves: Sequence[str], env: dict[str, Any]) -> str:
    """Write a tree as an expression, with these expressions as leaves."""
    if structure is None:
        return leaves[0]
    return _shown(PYTHON_TREES.unflatten(structure, list(leaves)), env)


def _shown(tree: Any, env: dict[str, Any]) -> str:
    if tree is None or isinstance(tree, str):
        return str(tree)
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(one, env)}" for key, one in tree.items()) + "}"
    parts = [_shown(one, env) for one in tree]
    if isinstance(tree, list):
        return f"[{', '.join(parts)}]"
    if optree.is_namedtuple(tree):
        name = type(tree).__name__
        env[name] = type(tree)
        return f"{name}({', '.join(parts)})"
    return f"({', '.join(parts)},)"


def presented(leaves: Sequence[Leaf]) -> list[str]:
    """Write each leaf of ``x`` as a part of the vector ``x`` of duals, in its shape."""
    parts, start = [], 0
    for leaf in leaves:
        stop = start + leaf.size
        whole = len(leaves) == 1
        if leaf.shape == ():
            parts.append(f"x[{start}]")
        else:
            part = "x" if whole else f"x[{start}:{stop}]"
            parts.append(part if len(leaf.shape) == 1 else f"{part}.reshape({leaf.shape!r})")
        start = stop
    return parts


def _arguments(lowering: Lowering, contexts: Sequence[Any], env: dict[str, Any]) -> list[str]:
    """Write the arguments of ``f`` after ``y``."""
    one = lowering.described
    arguments, at = [display(one.structure, presented(one.leaves), env)], 0
    for context in contexts:
        names = [f"leaves[{at + i}]" for i in range(len(context.leaves))]
        arguments.append(display(context.structure, names, env))
        at += len(names)
    return arguments


def caller(lowering: Lowering, f: Callable[..., Any], contexts: Sequence[Any]) -> Any:
    """Compile ``call(x, y, leaves) -> row`` on vectors of duals; ``y`` is for what fills it.

    ``leaves`` is a tuple: the leaves of all contexts, as ``contexts`` describes them.
    """
    env: dict[str, Any] = {"f": f}
    arguments = _arguments(lowering, contexts, env)
    if lowering.y is None:
        env["as_row"] = as_row
        body = f"    return as_row(f({', '.join(arguments)}), x)\n"
    else:
        shape = lowering.y.shape
        y = "y" if len(shape) == 1 else f"y.reshape({shape!r})"
        body = f"    f({', '.join([y, *arguments])})\n    return y\n"
    return written(f"def call(x, y, leaves):\n{body}", "call", env)


def valuer(lowering: Lowering, f: Callable[..., Any], contexts: Sequence[Any]) -> Any:
    """Compile ``call(x, leaves) -> values``, as ``f`` returns them, without derivatives."""
    env: dict[str, Any] = {"f": f, "values_of": values_of}
    arguments = ", ".join(_arguments(lowering, contexts, env))
    return written(f"def call(x, leaves):\n    return values_of(f({arguments}))\n", "call", env)


def as_row(y: Any, like: Any) -> Any:
    """Get the entries of a result of ``f``, to index; ``like`` are duals, for what is none.

    Those of a scalar are a tuple, which needs no memory.
    """


@overloading(as_row)
def _choose_row(y: Any, like: Any) -> Any:
    if isinstance(y, Active):
        return lambda y, like: (y,)
    if isinstance(y, REALS):
        return lambda y, like: (lifted_like(y, like),)
    return lambda y, like: as_vector(y, like)


def as_vector(y: Any, like: Any) -> Any:
    """Get the entries of a result of ``f`` as a vector of duals."""


@overloading(as_vector)
def _choose_vector(y: Any, like: Any) -> Any:
    if isinstance(y, types.Array) and isinstance(y.dtype, Active):
        if y.layout == "C":
            return lambda y, like: flattened(y)
        return lambda y, like: flattened(y.copy())
    if isinstance(y, types.Array):
        return _converted_vector
    if isinstance(y, (Active, *REALS)):
        return _single
    if isinstance(y, types.BaseTuple | types.LiteralStrKeyDict):
        return _joined(_members(y))
    return None


def _converted_vector(y: Any, like: Any) -> Any:
    vector = np.empty(y.size, like.dtype)
    for i, one in enumerate(y.flat):
        vector[i] = lifted_like(one, like)
    return vector


def _single(y: Any, like: Any) -> Any:
    vector = np.empty(1, like.dtype)
    vector[0] = lifted_like(y, like)
    return vector


def _members(y: Any) -> list[str]:
    if isinstance(y, types.LiteralStrKeyDict):
        return sorted(repr(str(key)) for key in y.fields)
    return [str(i) for i in range(len(y.types))]


def _joined(members: list[str]) -> Any:
    parts = ", ".join(f"as_vector(y[{member}], like)" for member in members)
    env = {"np": np, "as_vector": as_vector}
    source = f"def joined(y, like):\n    return np.concatenate(({parts},))\n"
    return from_source(source, "joined", env)


def values_of(y: Any) -> Any:
    """Get the values of a result of ``f``, without derivatives, for Python."""


@overloading(values_of)
def _choose_values(y: Any) -> Any:
    if isinstance(y, types.Array):
        return _values if isinstance(y.dtype, Dual) else lambda y: y.copy()
    if isinstance(y, types.LiteralStrKeyDict | types.DictType | types.BaseNamedTuple):
        refuse_names()
    if isinstance(y, types.BaseTuple):
        members = _members(y)
        parts = ", ".join(f"values_of(y[{member}])" for member in members)
        source = f"def values(y):\n    return ({parts},)\n"
        return from_source(source, "values", {"values_of": values_of})
    if isinstance(y, types.List) and isinstance(getattr(y.dtype, "dtype", y.dtype), Dual):
        return None
    return (lambda y: primal(y)) if isinstance(y, (Dual, *REALS)) else (lambda y: y)


def _values(y: Any) -> Any:
    values = floats_like(y)
    entries, row = borrowed(values), as_vector(y, y)
    for i in range(row.size):
        entries[i] = primal(row[i])
    return values


def freshener(contexts: Sequence[Any], like: Any) -> Any:
    """Compile ``fresh(leaves)``: the leaves, with new buffers for those that ``f`` writes.

    ``contexts`` are descriptions; a ``ConstantOrCache`` is copied, for it may be either.
    """
    env: dict[str, Any] = {"np": np, "like": like, "dtype_of": dtype_of, "copied": _copied}
    parts, at = [], 0
    for context in contexts:
        for leaf in context.leaves:
            name = f"leaves[{at}]"
            at += 1
            if context.wrapper is Constant or leaf.kind != "numpy":
                parts.append(name)
            elif leaf.dtype.kind != "f":
                parts.append(f"{name}.copy()")
            elif context.wrapper is Cache:
                parts.append(f"np.empty({name}.shape, dtype_of(like()))")
            else:
                parts.append(f"copied({name}, like())")
    tuple_of_parts = f"({', '.join(parts)},)" if parts else "()"
    return written(f"def fresh(leaves):\n    return {tuple_of_parts}\n", "fresh", env)


@compiled
def _copied(leaf: Any, like: Any) -> Any:
    duals = np.empty(leaf.shape, dtype_of(like))
    for i in np.ndindex(leaf.shape):
        duals[i] = lifted(leaf[i], like)
    return duals
