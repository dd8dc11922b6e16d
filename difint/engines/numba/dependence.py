"""Dependence: the pattern of a Jacobian or Hessian, from one run of ``f`` on index sets.

``f`` is compiled for numbers with index sets (``indexed``), first so that it may be in doubt about
what depends on ``x`` or on a context; then, if that cannot be compiled, as plainly as for duals.
Floats in contexts may have other values later, and are not known; integers and truth values are
taken as they are at prepare.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from difint.contexts import Cache
from difint.dependence.sets import FIRST, UNKNOWN, Rows, Sets, everything
from difint.dependence.telling import warn
from difint.engine import Occasion
from difint.engines.numba import indexed_arrays  # noqa: F401  # it registers overloads
from difint.engines.numba.access import dtype_of
from difint.engines.numba.buffers import read, zero_of
from difint.engines.numba.compiling import function_of
from difint.engines.numba.entries import Place, input_place
from difint.engines.numba.functions import overloading
from difint.engines.numba.indexed import Indexed, Manner
from difint.engines.numba.indexed_nodes import COUNT, LEFT, NOTED, RIGHT, ROOM, WORDS
from difint.engines.numba.indexed_operators import Emitter
from difint.engines.numba.keeping import compiled_as
from difint.engines.numba.kernels import ANOTHER_SIZE
from difint.engines.numba.lowering import DualFunction
from difint.engines.numba.refusals import reason_of
from difint.engines.numba.source import from_source
from difint.errors import SparsityError, message
from difint.problem import Problem

_ROOM = 1 << 22
"""Nodes that there is room for at first; the system gives memory to those that are written."""

_MOST = 1 << 28
"""Nodes at most: what has more takes more memory than the matrix is worth."""


def rows(problem: Problem, occasion: Occasion, *, curved: bool, local: bool) -> Rows:
    """Find which entries of ``x`` each entry of ``f(x)``, or of the gradient, depends on."""
    function, reason = function_of(problem), ""
    for plain in (False, True):
        zeros = not plain and all(map(_is_float, function.leaves))
        entry = _entry(problem, function, Manner(curved, local, plain, zeros))
        if isinstance(entry, str):
            reason = reason or entry
            continue
        sets, nodes = _run(entry, problem, function, occasion)
        if sets is not None:
            return sets.hessian(nodes) if curved else sets.jacobian(nodes)
        reason = f"it unites index sets more than {_MOST} times"
        break
    return _whole(problem, reason, curved=curved)


def _whole(problem: Problem, reason: str, *, curved: bool) -> Rows:
    """Take all for all, and say why."""
    name = getattr(problem.source.f, "__name__", "f")
    text = message(
        problem.source.operator,
        f"index sets cannot be followed through {name}: {reason}",
        got="a pattern without zeros",
        remedy="If you know the pattern, pass KnownSparsityDetector(pattern).",
    )
    warn(text)
    n = problem.x.size
    return everything(n if curved else problem.y.size, n)


def _entry(problem: Problem, function: DualFunction, manner: Manner) -> Any:
    """Compile the run of ``f``, once; or say why it cannot be."""
    key = "dependence", manner, problem.y.size
    if key not in function.kernels:
        try:
            function.kernels[key] = _compiled(problem, function, manner)
        except Exception as error:  # the compiler's: nothing of the user's runs while it compiles
            function.kernels[key] = reason_of(error)
    return function.kernels[key]


def _compiled(problem: Problem, function: DualFunction, manner: Manner) -> Any:
    """Compile ``entry(x, leaves..., home, out)``, which writes a node for each entry of ``y``."""
    number = Indexed(from_dtype(problem.x.dtype), manner)
    made = number.with_float(from_dtype(problem.y.dtype)) if function.in_place else number
    names, fresh = _fresh(function, manner)
    lines = [
        f"def entry(x, {names}home, out):",
        "    numbers, given = np.empty(x.size, dtype_of(zero())), read(x)",
        "    for i in range(x.size):",
        "        numbers[i] = number(given[i], home, i + FIRST, zero())",
        f"    y = np.empty({problem.y.size if function.in_place else 0}, dtype_of(y_zero()))",
        f"    row = call(numbers, y, ({fresh}))",
        "    if len(row) != out.size:",
        "        raise ValueError(ANOTHER_SIZE)",
        "    for i in range(out.size):",
        "        out[i] = told(row[i], y_zero())",
    ]
    env = {"np": np, "dtype_of": dtype_of, "read": read, "FIRST": FIRST, "call": function.call}
    env |= {"zero": zero_of(number), "y_zero": zero_of(made), "ANOTHER_SIZE": ANOTHER_SIZE}
    env |= {"number": _number, "told": _told, "unknown": _unknown}
    source = "\n".join(lines)
    x = input_place("x", np.empty(problem.x.shape, problem.x.dtype))
    taken = (x.ty, *(one.ty for one in function.leaves), types.intp, types.int32[::1])
    entry = njit(nogil=True, error_model="numpy")(from_source(source, "entry", env))
    return compiled_as(entry, taken, function.digest.shared("dependence", manner, source))


def _is_float(place: Place) -> bool:
    """Tell whether a context can be numbers with index sets: integers stay what they are."""
    return isinstance(getattr(place.ty, "dtype", place.ty), types.Float)


def _fresh(function: DualFunction, manner: Manner) -> tuple[str, str]:
    """Write the leaves of the contexts: their names, and what becomes of them.

    Floats that may have other values later are numbers that are not known.
    """
    names, fresh = "", ""
    wrappers = [one.wrapper for one in function.contexts for _ in one.leaves]
    for place, wrapper in zip(function.leaves, wrappers, strict=True):
        one, floats = place.name, _is_float(place)
        written = place.is_array and place.ty.mutable
        if floats and wrapper is Cache and written:
            one = f"np.empty({place.name}.shape, dtype_of(zero()))"
        elif floats and (written or not manner.plain):
            one = f"unknown({place.name}, home, zero())"
        elif written:
            one = f"{place.name}.copy()"
        names, fresh = f"{names}{place.name}, ", f"{fresh}{one}, "
    return names, fresh


@intrinsic
def _number(typingctx: Any, x: Any, home: Any, node: Any, like: Any) -> Any:
    """Make a number of the type of ``like`` with this value and this node."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emitter = Emitter(context, builder, like)
        one = emitter.operand(x, args[0])._replace(home=args[1], node=args[2])
        return emitter.number(one)

    return like(x, types.intp, types.intp, like), emit


def _unknown(leaf: Any, home: Any, like: Any) -> Any:
    """Make numbers of what depends on nothing, but may have other values."""


@overloading(_unknown)
def _choose_unknown(leaf: Any, home: Any, like: Any) -> Any:
    if isinstance(leaf, types.Array):
        return _unknown_array
    return lambda leaf, home, like: _number(leaf, home, UNKNOWN, like)


def _unknown_array(leaf: Any, home: Any, like: Any) -> Any:
    made = np.empty(leaf.shape, dtype_of(like))
    for i in np.ndindex(leaf.shape):
        made[i] = _number(leaf[i], home, UNKNOWN, like)
    return made


@intrinsic
def _told(typingctx: Any, x: Any, like: Any) -> Any:
    """Get the node of a number: of its pairs, if it has any."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emitter = Emitter(context, builder, like)
        one = emitter.operand(x, args[0])
        return one.bend if like.manner.curved else one.node

    return types.intp(x, like), emit


def _run(entry: Any, problem: Problem, function: DualFunction, occasion: Occasion) -> Any:
    """Run ``f``; get the sets, and the nodes of its results. ``None`` for sets: too many nodes."""
    x, *contexts = occasion.args
    n, leaves = problem.x.size, function.flat(contexts)
    x = np.asarray(x, problem.x.dtype, order="C").reshape(problem.x.shape)
    nodes, room = np.zeros(problem.y.size, np.int32), max(_ROOM, 4 * n)
    while room <= _MOST:
        left, right = np.empty(room, np.int32), np.empty(room, np.int32)
        left[: FIRST + n], right[: FIRST + n] = -1, 0
        table = np.zeros(WORDS, np.int64)
        table[LEFT], table[RIGHT] = left.ctypes.data, right.ctypes.data
        table[COUNT], table[ROOM] = FIRST + n, room
        entry(x, *leaves, table.ctypes.data, nodes)
        if table[NOTED]:
            _refuse(problem)
        if table[COUNT] <= room:
            return Sets.adopt(n, left, right, int(table[COUNT])), nodes
        room = max(2 * room, int(table[COUNT]) * 9 // 8)
    return None, nodes


def _refuse(problem: Problem) -> None:
    text = message(
        problem.source.operator,
        "f branches on values of x or of a context, or makes integers of them",
        expected="the same operations for every x: compiled code runs one branch alone",
        got="a comparison, or a conversion, that decides how f goes on",
        remedy="Write numpy.where or numpy.maximum, which have both sides; or pass "
        "TracerSparsityDetector(local=True), whose pattern holds near x, or "
        "KnownSparsityDetector(pattern).",
    )
    raise SparsityError(text)
