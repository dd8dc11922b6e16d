"""Functions of NumPy's that move entries: applied to sets, pairs and values alike."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from difint.dependence.host.traced import (
    Escape,
    Origin,
    Trace,
    Traced,
    holds_traced,
    mapped,
    traced_in,
)
from difint.dependence.host.ufuncs import select

ALL: Final = -1
"""Every argument is an array to move."""

MOVES: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(
        "reshape ravel transpose matrix_transpose linalg.matrix_transpose permute_dims swapaxes "
        "moveaxis rollaxis roll flip fliplr flipud rot90 squeeze expand_dims broadcast_to repeat "
        "tile resize take take_along_axis diagonal linalg.diagonal diag diagflat tril triu delete "
        "copy split array_split vsplit hsplit dsplit unstack concatenate concat stack vstack "
        "hstack dstack column_stack block sliding_window_view".split(),
        (0,),
    ),
    **dict.fromkeys("atleast_1d atleast_2d atleast_3d broadcast_arrays".split(), (ALL,)),
    "meshgrid": (ALL,),
    "append": (0, 1),
    "insert": (0, 2),
    "choose": (1,),
    "compress": (1,),
    "extract": (1,),
}
"""Which arguments are the arrays whose entries are moved; the others tell where."""

FILLS: Final[dict[str, tuple[int, int]]] = {
    "put": (0, 2),
    "put_along_axis": (0, 2),
    "place": (0, 2),
    "fill_diagonal": (0, 1),
}
"""Which argument is written to, and which holds what is written."""

_FIRST = ("a", "m", "arr", "x", "v", "ary", "array", "A", "tup", "arrays")


def _parts(trace: Trace, value: Any) -> Any:
    """Lift an array, or each of a list of arrays."""
    if type(value) is Traced:
        return value
    if type(value) in (list, tuple) and holds_traced(value):
        return mapped(lambda part: _parts(trace, part), value)
    return trace.lift(value)


def _component(name: str, value: Any) -> Any:
    if type(value) is Traced:
        return getattr(value, name)
    return mapped(lambda part: _component(name, part), value)


def _joined(trace: Trace, nodes: Any, bends: Any, values: Any, origin: Any) -> Any:
    """Make traced arrays of the parts that a function has moved."""
    if isinstance(values, (list, tuple)):
        bends = [None] * len(values) if bends is None else bends
        parts = zip(nodes, bends, values, strict=True)
        return type(values)([_joined(trace, *part, origin) for part in parts])
    bends = None if bends is None else np.asarray(bends)
    return Traced(trace, np.asarray(nodes), bends, np.asarray(values), origin)


def move(places: tuple[int, ...], trace: Trace, function: Any, args: Any, options: Any) -> Any:
    """Apply a function to what its arguments consist of."""
    args, given = list(args), dict(options)
    out = given.pop("out", None)
    if not args or places[0] >= len(args):  # an array that is passed by its name
        args.insert(0, given.pop(next(name for name in _FIRST if name in given)))
    if "values" in given:
        args.append(given.pop("values"))
    which = range(len(args)) if places == (ALL,) else places
    parts = {i: _parts(trace, args[i]) for i in which if i < len(args)}
    others = [trace.read(one) if i not in parts else None for i, one in enumerate(args)]
    given = {name: trace.read(one) for name, one in given.items()}

    def apply(name: str) -> Any:
        mine = [_component(name, parts[i]) if i in parts else one for i, one in enumerate(others)]
        how = {k: v for k, v in given.items() if name == "value" or k not in ("dtype", "casting")}
        return function(*mine, **how)

    bends = apply("bends") if trace.sets.curved else None
    made = _joined(trace, apply("nodes"), bends, apply("value"), _origin(parts))
    return made if out is None else poured(made, out)


def poured(made: Any, out: Any) -> Any:
    """Write a result to where it is asked for."""
    out[...] = made
    return out


def _origin(parts: dict[int, Any]) -> Any:
    """Share the origin of a single array, of which the result may be a view."""
    every = traced_in(list(parts.values()))
    if len(every) == 1:
        return every[0].origin
    return Origin(all(one.is_constant for one in every))


def fill(places: tuple[int, int], trace: Trace, function: Any, args: list[Any]) -> None:
    """Apply a function that writes to an array."""
    target, value = args[places[0]], trace.lift(args[places[1]])
    if type(target) is not Traced:
        raise trace.fail(Escape)
    others = [None if i in places else trace.read(one) for i, one in enumerate(args)]
    for name in ("nodes", "bends", "value") if trace.sets.curved else ("nodes", "value"):
        mine = list(others)
        mine[places[0]], mine[places[1]] = getattr(target, name), getattr(value, name)
        function(*mine)
    target.origin.constant = False


def where(trace: Trace, condition: Any, *choices: Any) -> Any:
    """Choose, or list where a condition holds."""
    if not choices:
        return np.where(trace.read(condition))
    return select(trace, condition, *choices)


def copyto(trace: Trace, dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """Copy where a condition holds, or may hold."""
    if type(dst) is not Traced:
        raise trace.fail(Escape)
    dst[...] = src if where is True else select(trace, where, src, dst)


def putmask(trace: Trace, a: Any, mask: Any, values: Any) -> None:
    """Copy where a condition holds; values are repeated as often as needed."""
    values = trace.lift(values)
    repeated = values.like(lambda array: np.resize(array, a.shape))
    copyto(trace, a, repeated, where=mask)


_MOVING = ("constant", "edge", "wrap", "reflect", "symmetric", "empty")


def pad(trace: Trace, array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """Put entries round an array: known ones, or copies of its own."""
    array, pad_width = trace.lift(array), trace.read(pad_width)
    if mode not in _MOVING or holds_traced([*options.values()]):
        raise Unmovable(mode)
    value = np.pad(array.value, pad_width, mode, **options)
    how = {} if mode in ("constant", "empty") else options
    kind: Any = "constant" if mode == "empty" else mode

    def padded(part: Any) -> Any:
        return np.pad(part, pad_width, kind, **how)

    made = array.like(padded)
    made.value = value
    return made


class Unmovable(Exception):
    """Says that a function does more than move entries."""
