"""Validation at prepare: every argument is checked here once, completely."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from difint.contexts import Constant, Context
from difint.errors import ArgumentError, UnsupportedError, message
from difint.kinds import Kind, Leaf, Memories, element_text
from difint.problem import Form
from difint.signature import Argument, argument
from difint.trees import Trees

if TYPE_CHECKING:
    from difint.operator import Operator


def check_point(operator: Operator, x: Argument, kinds: tuple[Kind, ...]) -> None:
    """Require an ``x`` that can be differentiated, of the form that the operator takes."""
    if x.wrapper is not None:
        text = message(
            operator.name,
            f"x is wrapped in {x.wrapper.__name__}",
            remedy="Pass x itself, and contexts after it.",
        )
        raise ArgumentError(text)
    if operator.x != "any" and x.structure is not None:
        refuse_tree(operator.name, "x is a tree", listing=x.paths[0].startswith("x[0]"))
    check_differentiable(operator.name, x, kinds)
    leaf = x.leaves[0]
    if operator.x == "scalar" and leaf.shape != ():
        _refuse_shape(operator, "x", "a scalar", leaf)
    if operator.x == "array" and leaf.kind == "python":
        _refuse_shape(operator, "x", "an array", leaf)


def refuse_traced(operator: str) -> None:
    """Say that a backend works on numbers, not on the symbols of a transformation."""
    text = message(
        operator,
        "this backend cannot be traced by a transformation such as jax.jit",
        remedy="Use AutoJax(), or SecondOrder(AutoFiniteDiff(), AutoJax()) for second order.",
    )
    raise UnsupportedError(text)


def check_y(operator: Operator, y: Argument) -> None:
    """Require an ``f(x)`` of the form that the operator takes."""
    if operator.y == "scalar" and y.leaves[0].shape != ():
        _refuse_shape(operator, "f(x)", "a scalar, of shape ()", y.leaves[0])


def _refuse_shape(operator: Operator, name: str, expected: str, leaf: Leaf) -> None:
    text = message(
        operator.name,
        f"{name} is not what this operator takes",
        expected=expected,
        got=str(leaf),
        remedy=operator.instead,
    )
    raise ArgumentError(text)


def check_tangent(
    operator: str, t: Any, like: Form, trees: Trees, kinds: tuple[Kind, ...]
) -> int | None:
    """Require one tangent like ``like``, or a tuple of them; return the tuple's length."""
    name = like.described.name
    if _same_structure(t, like.described, trees, kinds):
        _check_one_tangent(operator, "t", t, like, trees, kinds)
        return None
    if isinstance(t, tuple) and t and _all_alike(t, like.described, trees, kinds):
        for i, one in enumerate(t):
            _check_one_tangent(operator, f"t[{i}]", one, like, trees, kinds)
        return len(t)
    remedy = f"Pass a t like {name}."
    if isinstance(t, list):
        remedy = "Pass numpy.asarray(t) for one tangent, tuple(t) for several."
    text = message(
        operator,
        f"t is neither one tangent like {name} nor a tuple of them",
        expected=", ".join(map(str, like.leaves)),
        got=_describe(t, trees, kinds),
        remedy=remedy,
    )
    raise ArgumentError(text)


def _describe(t: Any, trees: Trees, kinds: tuple[Kind, ...]) -> str:
    leaves = ", ".join(map(str, argument("t", t, trees, kinds).leaves))
    return (
        f"{type(t).__name__} of {leaves or 'nothing'}"
        if isinstance(t, list | tuple | dict)
        else leaves
    )


def _same_structure(t: Any, like: Argument, trees: Trees, kinds: tuple[Kind, ...]) -> bool:
    one = argument("t", t, trees, kinds)
    return one.wrapper is None and one.alike(like)


def _all_alike(t: tuple[Any, ...], like: Argument, trees: Trees, kinds: tuple[Kind, ...]) -> bool:
    return all(_same_structure(one, like, trees, kinds) for one in t)


def _check_one_tangent(
    operator: str, name: str, t: Any, like: Form, trees: Trees, kinds: tuple[Kind, ...]
) -> None:
    one = argument(name, t, trees, kinds)
    check_differentiable(operator, one, kinds)
    for path, have, want in zip(one.paths, one.leaves, like.leaves, strict=True):
        scalar = have.kind == "python"
        if have.shape == want.shape and (scalar or have.numpy_dtype == want.numpy_dtype):
            continue
        place = like.described.name
        text = message(
            operator,
            f"{path} does not fit {place}",
            expected=f"shape {want.shape}, dtype {element_text(want.numpy_dtype)}",
            got=f"shape {have.shape}, dtype {element_text(have.numpy_dtype)}",
            remedy=f"Pass a tangent like {place}, e.g. {_package(want)}.ones_like({place}).",
        )
        raise ArgumentError(text)


def _package(leaf: Leaf) -> str:
    return {"jax": "jax.numpy", "torch": "torch"}.get(leaf.kind, "numpy")


def check_contexts(
    operator: str, contexts: Sequence[Any], trees: Trees, kinds: tuple[Kind, ...]
) -> None:
    """Refuse context leaves that are neither arrays nor scalars."""
    for position, context in enumerate(contexts):
        one = argument("", context, trees, kinds)
        for path, leaf in zip(one.paths, one.leaves, strict=True):
            if leaf.kind:
                continue
            text = message(
                operator,
                f"context {position}, {path}, is neither an array nor a scalar that f can be given",
                expected=_expected_kinds(kinds),
                got=str(leaf),
                remedy="Leave it out of the contexts: bind it with functools.partial.",
            )
            raise ArgumentError(text)


def _bounds(leaves: Sequence[Any], memories: Memories) -> Iterator[tuple[int, int]]:
    """List the first and the last address of arrays that can be written to."""
    for leaf in leaves:
        memory = memories.of(leaf)
        if memory is not None:
            start, stop = memory.bounds(leaf)
            yield from [(start, stop)] if start < stop else []


def check_caches(
    operator: str, x: Any, contexts: Sequence[Context], trees: Trees, kinds: tuple[Kind, ...]
) -> None:
    """Refuse caches that share memory with ``x``: ``f`` would overwrite it."""
    memories = Memories(kinds)
    mine = list(_bounds(trees.flatten(x)[0], memories))
    for position, context in enumerate(contexts):
        if isinstance(context, Constant):
            continue
        its = list(_bounds(trees.flatten(context.value)[0], memories))
        if any(start < last and first < stop for start, stop in mine for first, last in its):
            text = message(
                operator,
                f"context {position}, a {type(context).__name__}, overlaps x in memory",
                remedy="Pass scratch memory of its own: an argument is read or written, not both.",
            )
            raise ArgumentError(text)


def refuse_missing_tangent(operator: str) -> None:
    """Say that a context stands where the tangent belongs."""
    text = message(
        operator,
        "t is missing: a context stands in its place",
        expected=f"{operator}(f, backend, x, t, *contexts)",
        remedy="Pass the tangent after x.",
    )
    raise ArgumentError(text)


def _expected_kinds(kinds: tuple[Kind, ...]) -> str:
    return " or ".join(kind.article or kind.name for kind in reversed(kinds))


def check_differentiable(operator: str, one: Argument, kinds: tuple[Kind, ...]) -> None:
    """Require real floating point leaves of an accepted kind."""
    if not one.leaves:
        text = message(operator, f"{one.name} is a tree without leaves", remedy="Pass an array.")
        raise ArgumentError(text)
    for path, leaf in zip(one.paths, one.leaves, strict=True):
        if not leaf.kind:
            expected = _expected_kinds(kinds)
            text = message(
                operator,
                f"{path} is of a kind that this backend does not take",
                expected=expected,
                got=str(leaf),
                remedy=_kind_remedy(path, kinds),
            )
            raise ArgumentError(text)
        if not is_floating(leaf):
            _refuse_dtype(operator, path, leaf)


def _kind_remedy(path: str, kinds: tuple[Kind, ...]) -> str:
    if all(kind.name != "torch" for kind in kinds):
        return f"Convert it: numpy.asarray({path})."
    return (
        f"Convert it: torch.as_tensor({path}) or numpy.asarray({path}); a module's parameters are "
        "dict(module.named_parameters()), or those of ModuleLoss."
    )


def is_floating(leaf: Leaf) -> bool:
    """Tell whether a leaf is real and floating point, extension types included."""
    if isinstance(leaf.dtype, type):
        return leaf.dtype is float
    dtype = leaf.dtype
    return (isinstance(dtype, np.dtype) and dtype.kind == "f") or "float" in element_text(dtype)


def _refuse_dtype(operator: str, path: str, leaf: Leaf) -> None:
    scalar = isinstance(leaf.dtype, type)
    complexes = leaf.dtype is complex or "complex" in str(leaf.dtype)
    array = f"{path}.to(torch.float64)" if leaf.kind == "torch" else f"{path}.astype(float)"
    convert = f"float({path})" if scalar else array
    if complexes:
        convert = f"{path}.real and {path}.imag as two real arguments"
    constant = "; what is not differentiated goes into Constant(...)" if path[0] == "x" else ""
    text = message(
        operator,
        f"{path} cannot be differentiated",
        expected="a real floating point type",
        got=str(leaf),
        remedy=f"Pass {convert}{constant}.",
    )
    raise ArgumentError(text)


def check_function(operator: str, f: Any, args: int, y: Any, inplace: bool) -> None:
    """Require ``y=`` exactly where ``f`` fills its first argument, and an engine that takes it."""
    if not callable(f):
        text = message(
            operator,
            "f is not callable",
            expected="a function f(x, *contexts)",
            got=f"a {type(f).__name__}",
            remedy="Pass the function first, then the backend.",
        )
        raise ArgumentError(text)
    if y is not None and not inplace:
        text = message(
            operator,
            "y= was given, but this backend cannot differentiate a function that fills y",
            remedy="Let f return its result and leave y= out, or use AutoFiniteDiff().",
        )
        raise UnsupportedError(text)
    if not _takes(f, args + (y is not None)):
        _refuse_call(operator, f, args, y)


def _refuse_call(operator: str, f: Any, args: int, y: Any) -> None:
    """Say what ``f`` would be called with, and what it may want instead."""
    given = "y, x" if y is not None else "x"
    contexts = f" and {args - 1} context{'s' * (args != 2)}" if args > 1 else ""
    problem = f"f cannot be called with {given}{contexts}"
    remedy = "Pass what f takes besides x as contexts: Constant(value), Cache(buffer)."
    otherwise = _takes(f, args + (y is None))
    if otherwise and y is None:
        problem += ": y= is missing, or a context"
        remedy = "Pass y=, an array of the output's shape and dtype, if f fills it. " + remedy
    elif otherwise:
        problem += ", and y= was given"
        remedy = "Leave y= out, or let f fill its first argument: f(y, x, ...)."
    raise ArgumentError(message(operator, problem, remedy=remedy))


def _takes(f: Callable[..., Any], count: int) -> bool:
    """Tell whether ``f`` can be called with ``count`` positional arguments."""
    try:
        inspect.signature(f, follow_wrapped=False).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature: nothing is known
        return True
    return True


def check_returned(
    operator: str, y: Any, trees: Trees, kinds: tuple[Kind, ...], *, tree: bool
) -> Argument:
    """Require that what ``f`` returned can be differentiated; describe it."""
    if y is None:
        text = message(
            operator,
            "f returned None",
            expected="an array",
            remedy="Let f return its result; if f fills its first argument, pass y=.",
        )
        raise ArgumentError(text)
    one = argument("f(x)", y, trees, kinds)
    if one.structure is not None and not tree:
        refuse_tree(
            operator, f"f returned a {type(y).__name__}", listing=isinstance(y, list | tuple)
        )
    check_differentiable(operator, one, kinds)
    return one


def refuse_tree(operator: str, problem: str, *, listing: bool) -> None:
    """Say that an operator needs one array where a tree arrived."""
    remedy = "Use an operator that takes trees: pushforward, pullback, gradient or hvp."
    if listing:
        remedy = "Stack its parts into one array (numpy.array, jax.numpy.stack, torch.stack)."
    raise ArgumentError(message(operator, problem, expected="one array", remedy=remedy))
