"""NumPy's array functions on traced arrays: a rule for each, by name.

A function without a rule is tried as NumPy wrote it, if it is Python code: it may be made of
functions that have rules. If that fails, all of its results depend on all of its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial, reduce
from inspect import Signature, signature
from typing import Any, Final

import numpy as np

from difint.dependence.arrays import Kind
from difint.dependence.host import moves, products
from difint.dependence.host.einsum import einsum
from difint.dependence.host.reductions import accumulate_to, plain, reduce_to
from difint.dependence.host.traced import (
    Escape,
    NoRule,
    Trace,
    Traced,
    Unseen,
    example,
    mapped,
    traced_in,
)
from difint.dependence.host.ufuncs import called, united
from difint.dependence.sets import KNOWN, UNKNOWN

Rule = Callable[..., Any]


@cache
def _signature(function: Any) -> Signature:
    return signature(function)


def named(function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Name the arguments of a call."""
    return dict(_signature(function).bind(*args, **options).arguments)


def into(out: Any, made: Any) -> Any:
    """Write a result where it is asked for, if it is."""
    return made if out is None else moves.poured(made, out)


def _reduction(kind: Kind) -> Rule:
    """Make the rule of a function that reduces along axes."""

    def rule(trace: Trace, function: Any, args: Any, options: Any) -> Any:
        given = named(function, args, options)
        first, out = next(iter(given)), given.pop("out", None)
        given[first] = a = trace.lift(given[first])
        value = np.asarray(_run(function, given))
        where, initial = plain(given.get("where", True)), given.get("initial")
        made = reduce_to(trace, kind, a, given.get("axis"), value, where)
        if traced_in(where):
            np.maximum(made.nodes, UNKNOWN, out=made.nodes)
        for one in [*traced_in(initial), *traced_in(given.get("q"))]:
            made = united(trace, kind, [made, trace.mixed([one], value)], value)
        return into(out, made)

    return rule


def _run(function: Any, given: dict[str, Any]) -> Any:
    """Call a function with the example's values of its arguments."""
    bound = _signature(function).bind_partial()
    bound.arguments.update({name: example(one) for name, one in given.items()})
    return function(*bound.args, **bound.kwargs)


def _scan(kind: Kind) -> Rule:
    """Make the rule of a function that reduces what stands before, along an axis."""

    def rule(trace: Trace, function: Any, args: Any, options: Any) -> Any:
        given = named(function, args, options)
        out, a, axis = given.pop("out", None), trace.lift(given["a"]), given.get("axis")
        given["a"] = a
        value = _run(function, given)
        a, axis = (a.ravel(), 0) if axis is None else (a, axis)
        return into(out, accumulate_to(trace, kind, a, axis, value))

    return rule


def _along(kind: Kind, name: str = "axis", default: Any = -1) -> Rule:
    """Make the rule of a function whose results depend on all along an axis, or several."""

    def rule(trace: Trace, function: Any, args: Any, options: Any) -> Any:
        given = named(function, args, options)
        first, out = next(iter(given)), given.pop("out", None)
        given[first] = a = trace.lift(given[first])
        value = np.asarray(_run(function, given))
        axis = given.get(name, default)
        if axis is None and value.ndim != a.ndim:
            a, axis = a.ravel(), 0
        axis = tuple(axis) if isinstance(axis, list) else axis
        kept = a.value.sum(axis=axis, keepdims=True)
        made = reduce_to(trace, kind, a, axis, kept)
        wide = made.like(lambda array: np.broadcast_to(array, value.shape))
        return into(out, trace.of(wide.dependent, value))

    return rule


def _steps(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    """Apply a function that is constant between jumps."""
    out = options.pop("out", None)
    operands = traced_in([*args, *options.values()])
    node = UNKNOWN if any(one.nodes.any() for one in operands) else KNOWN
    constant = all(one.is_constant for one in operands)
    value = function(*example(args), **example(options))

    def wrap(part: Any) -> Any:
        if type(part) in (tuple, list):
            return mapped(wrap, part)
        return trace.filled(part, node, constant=constant)

    return into(out, wrap(value))


def _told(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    """Call a function that looks at shapes and types alone."""
    return function(*example(args), **example(options))


def _read(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    """Call a function whose result has a shape that depends on values."""
    how = {name: trace.read(one) for name, one in options.items()}
    return function(*trace.read(tuple(args)), **how)


def _listed(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    """Call a function that returns values, as many as it finds."""
    trace.read((*args, *options.values()))
    return _unruled(trace, function, "quiet", args, options)


def _made(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    """Make an array like another."""
    node = UNKNOWN if function is np.empty_like else KNOWN
    fill = [one for one in args[1:2] if type(one) is Traced] + traced_in(options.get("fill_value"))
    value = function(*example(args), **example(options))
    made = trace.filled(value, node)
    if fill:
        made[...] = fill[0]
    return made


def _clip(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    given = named(function, args, options)
    given.update(given.pop("kwargs", {}))
    out, made = given.pop("out", None), trace.lift(given["a"])
    for names, ufunc in ((("a_min", "min"), np.maximum), (("a_max", "max"), np.minimum)):
        for name in names:
            if given.get(name, None) is not None and given[name] is not np._NoValue:
                made = called(trace, ufunc, made, given[name])
    return into(out, made)


def _interp(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    given = named(function, args, options)
    x, xp, fp = (trace.lift(given[name]) for name in ("x", "xp", "fp"))
    value = _run(function, given)
    if not (xp.nodes.any() or fp.nodes.any()):
        return united(trace, "linear", [x], value)
    if x.nodes.any() or xp.nodes.any() or given.get("period") is not None:
        table = trace.mixed([xp, fp], np.zeros(()))
        return united(trace, "nonlinear", [x, table], value)
    right = np.clip(np.searchsorted(xp.value, x.value), 0, len(xp) - 1)
    near = [fp[np.clip(right + shift, 0, len(xp) - 1)] for shift in (-1, 0)]
    return united(trace, "linear", [trace.lift(one) for one in near], value)


def _linspace(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    given = named(function, args, options)
    if given.get("retstep"):
        raise NoRule("steps beside the numbers")
    start, stop = trace.lift(given["start"]), trace.lift(given["stop"])
    value, axis = np.asarray(_run(function, given)), given.get("axis", 0)
    count, ends = value.shape[axis], given.get("endpoint", True)
    part = np.linspace(0.0, 1.0, count, ends).reshape(-1, *(1,) * (value.ndim - 1))
    made = start * (1 - part) + stop * part
    return trace.of(made.like(lambda array: np.moveaxis(array, 0, axis)).dependent, value)


def _piecewise(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    x, conditions, functions = trace.lift(args[0]), args[1], list(args[2])
    first = conditions[0] if type(conditions) in (list, tuple, Traced) else None
    if first is None or (x.ndim and np.ndim(example(first)) == 0):
        conditions = [conditions]
    conditions = [trace.lift(one) for one in conditions]
    made = trace.filled(np.zeros_like(x.value), KNOWN)
    if len(functions) == len(conditions) + 1:
        conditions.insert(0, ~reduce(np.logical_or, conditions))
        functions.insert(0, functions.pop())
    for condition, one in zip(conditions, functions, strict=True):
        part = trace.convert(one)(x, *args[3:], **options) if callable(one) else one
        made = moves.where(trace, condition, part, made)
    return made


def _bincount(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    given = dict(zip(("x", "weights", "minlength"), args, strict=False), **options)
    places, weights = trace.read(given["x"]), given.get("weights")
    value = np.bincount(places, minlength=given.get("minlength", 0))
    if weights is None:
        return value
    made = trace.filled(np.zeros(value.shape), KNOWN)
    np.add.at(made, places, weights)
    return made


def _apply_along_axis(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    function, axis, a, *rest = args
    a = trace.lift(a)
    rows = a.like(lambda array: np.moveaxis(array, axis, -1))
    lead = rows.shape[:-1]
    one = trace.convert(function)
    parts = [trace.lift(one(rows[i], *rest, **options)) for i in np.ndindex(*lead)]
    whole = trace.lift(np.stack(parts))
    shaped = whole.like(lambda array: array.reshape(*lead, *array.shape[1:]))
    ends = range(len(lead), shaped.ndim)
    start = axis % a.ndim
    return shaped.like(
        lambda array: np.moveaxis(array, list(ends), [start + i for i in range(len(ends))])
    )


def _trace(trace: Trace, function: Any, args: Any, options: Any) -> Any:
    given = named(function, args, options)
    sides = {name: one for name, one in given.items() if name in ("offset", "axis1", "axis2")}
    return into(given.get("out"), trace.lift(given["a"]).diagonal(**sides).sum(-1))


def _fill(places: tuple[int, int], trace: Trace, function: Any, args: Any, options: Any) -> None:
    given = named(function, args, options)
    moves.fill(places, trace, function, list(given.values()))


def _plain(rule: Callable[..., Any]) -> Rule:
    """Make a rule of one that takes the function's own arguments."""
    return lambda trace, function, args, options: rule(trace, *args, **options)


def _named(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


_FFT_1 = "fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft"
_FFT_2 = "fft.fft2 fft.ifft2 fft.rfft2 fft.irfft2"
_FFT_N = "fft.fftn fft.ifftn fft.rfftn fft.irfftn"

RULES: Final[dict[str, Rule]] = {
    **_named("sum mean max min amax amin ptp nansum nanmean nanmax nanmin", _reduction("linear")),
    **_named("median nanmedian quantile percentile nanquantile", _reduction("linear")),
    **_named("nanpercentile", _reduction("linear")),
    **_named("prod nanprod", _reduction("product")),
    **_named("std var nanstd nanvar", _reduction("nonlinear")),
    **_named("linalg.norm linalg.vector_norm", _reduction("nonlinear")),
    **_named("cumsum nancumsum", _scan("linear")),
    **_named("cumprod nancumprod", _scan("product")),
    **_named("sort partition", _along("linear")),
    **_named(_FFT_1, _along("linear")),
    **_named(_FFT_2, _along("linear", "axes", (-2, -1))),
    **_named(_FFT_N, _along("linear", "axes", None)),
    **_named("all any argmax argmin nanargmax nanargmin argsort argpartition lexsort", _steps),
    **_named("count_nonzero searchsorted digitize isclose allclose array_equal", _steps),
    **_named("array_equiv isin in1d around round fix linalg.matrix_rank", _steps),
    **_named("isposinf isneginf isreal iscomplex", _steps),
    **_named("shape ndim size result_type can_cast iscomplexobj isrealobj common_type", _told),
    **_named("min_scalar_type shares_memory may_share_memory einsum_path", _told),
    **_named("nonzero flatnonzero argwhere", _read),
    **_named("unique unique_values unique_counts unique_inverse unique_all", _listed),
    **_named("union1d intersect1d setdiff1d setxor1d", _listed),
    **_named("zeros_like ones_like empty_like full_like", _made),
    "linalg.qr": lambda trace, function, args, options: _unruled(
        trace,
        function,
        "linalg.",
        args,
        options,  # NumPy's code writes to an array in C
    ),
    "clip": _clip,
    "interp": _interp,
    "piecewise": _piecewise,
    "bincount": _bincount,
    "trace": _trace,
    "linspace": _linspace,
    "apply_along_axis": _apply_along_axis,
    "dot": _plain(products.dot),
    "inner": _plain(products.inner),
    "vdot": _plain(products.vdot),
    "tensordot": _plain(products.tensordot),
    "einsum": _plain(einsum),
    "convolve": _plain(products.convolve),
    "correlate": _plain(products.correlate),
    "where": _plain(moves.where),
    "copyto": _plain(moves.copyto),
    "putmask": _plain(moves.putmask),
    "pad": _plain(moves.pad),
    "astype": _plain(lambda trace, x, dtype, **options: x.astype(dtype)),
    **{name: partial(_fill, places) for name, places in moves.FILLS.items()},
    **{name: partial(moves.move, places) for name, places in moves.MOVES.items()},
}
"""By name, after that of the submodule: ``(trace, function, args, options) -> result``."""

_SPACES: Final = {"numpy.linalg": "linalg.", "numpy.fft": "fft."}


_WRITING: Final = frozenset({*moves.FILLS, "copyto", "putmask"})
"""Functions that change an argument, which the example's values would not tell."""


def apply_function(
    trace: Trace, function: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Apply a function of NumPy's."""
    space = _SPACES.get(function.__module__, "")
    rule = RULES.get(space + function.__name__)
    before = trace.failure
    try:
        if rule is not None:
            return rule(trace, function, args, options)
        return _as_written(trace, function)(*args, **options)
    except Unseen:
        if rule is not None:
            raise
    except Exception:  # whatever its code is not written for: its own errors come again below
        if function.__name__ in _WRITING:
            raise trace.fail(Escape) from None
    trace.failure = before
    return _unruled(trace, function, space, args, options)


def _as_written(trace: Trace, function: Any) -> Callable[..., Any]:
    made: Callable[..., Any] = trace.convert(function._implementation)
    return made


def _unruled(trace: Trace, function: Any, space: str, args: Any, options: Any) -> Any:
    """Let all results depend on all arguments, and note it where that is not the nature of it."""
    out, options = options.get("out"), {k: v for k, v in options.items() if k != "out"}
    operands = traced_in([*args, *options.values()])
    if any(map(callable, args)):  # which may read other traced arrays
        raise trace.fail(Escape)
    value = function(*example(args), **example(options))

    def wrap(part: Any) -> Any:
        if isinstance(part, (tuple, list)):
            parts = [wrap(one) for one in part]
            named = type(part) not in (tuple, list)
            return type(part)(*parts) if named else type(part)(parts)
        if isinstance(part, (np.ndarray, np.generic, float, int, complex)):
            return trace.mixed(operands, part)
        return part

    if not space:
        trace.unruled.append(f"numpy.{function.__name__}")
    return into(out, wrap(value))
