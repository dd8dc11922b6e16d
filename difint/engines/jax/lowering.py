"""Lowering for JAX: ``f`` traced to a jaxpr, at a precision that is not cut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, final

import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun

from difint.checks import check_returned
from difint.errors import ArgumentError, message
from difint.kinds import JAX, NUMPY, PYTHON, Kind, Leaf
from difint.problem import Convert, Form, Lowering, Problem, plain_form, single
from difint.signature import Argument, argument
from difint.trees import Trees

KINDS = (PYTHON, NUMPY, JAX)


def _paths(value: Any) -> list[str]:
    keyed, _ = jax.tree_util.tree_flatten_with_path(value)
    return [jax.tree_util.keystr(path) for path, _ in keyed]


TREES = Trees(flatten=jax.tree.flatten, unflatten=jax.tree.unflatten, paths=_paths)


def _leave_of(leaf: Leaf) -> Convert | None:
    """Get what turns a JAX array into a leaf of this kind: C functions, without a frame.

    NumPy gets a read-only view of memory that nothing else holds: JAX's arrays are immutable,
    and a copy would cost a tenth of a small kernel and double the memory of a large result.
    """
    if leaf.kind == "jax":
        return None
    if leaf.kind == "python":
        return float
    return np.asarray if leaf.shape else leaf.numpy_dtype.type


def _form(one: Argument) -> Form:
    """Make the form of the values that ``one`` describes: JAX takes them as they are."""
    if one.structure is None:
        return Form(one, single, None, _leave_of(one.leaves[0]), single)
    structure, finish = one.structure, [_leave_of(leaf) for leaf in one.leaves]

    def unpack(tree: Any) -> Any:
        leaves, got = TREES.flatten(tree)
        if got != structure:
            raise ValueError(str(structure))
        return leaves

    def leave(tree: Any) -> Any:
        parts = zip(finish, jax.tree.leaves(tree), strict=True)
        return TREES.unflatten(structure, [leaf if f is None else f(leaf) for f, leaf in parts])

    return Form(one, unpack, None, leave if any(finish) else None, jax.tree.leaves)


def matrix(problem: Problem, leaf: Leaf) -> Form:
    """Make the form of a matrix."""
    return plain_form(leaf, None, _leave_of(leaf))


def lower(x64: bool, lowering: Lowering) -> Problem:
    """Trace ``f`` once, to a jaxpr."""
    values = [context.value for context in lowering.contexts]
    operator, described = lowering.operator, lowering.described
    _check_precision(x64, operator, [("x", lowering.x, False)])
    _check_precision(x64, operator, [(f"context {i}", v, True) for i, v in enumerate(values)])
    trace = scoped(x64, jax.make_jaxpr(lowering.f, return_shape=True))
    try:
        jaxpr, y = trace(lowering.x, *values)
    except jax.errors.JAXTypeError as error:
        error.add_note(_TRACING)
        raise
    one = check_returned(operator, y, TREES, (_shaped(described),), tree=lowering.tree)
    leaves, structure = TREES.flatten(lowering.x)
    avals = jaxpr.in_avals[: len(leaves)]
    x = structure.unflatten([jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals])
    return Problem(TracedFunction(jaxpr, y), x, y, _form(described), _form(one), lowering)


_TRACING = (
    "difint: AutoJax traces f. Write it with jax.numpy and jax.lax, bind sizes and flags with "
    "functools.partial, or use AutoFiniteDiff()."
)


@final
class TracedFunction:
    """A function on trees, of a jaxpr on leaves.

    Attributes:
        jaxpr: the jaxpr, closed.
    """

    __slots__ = ("_run", "_structure", "jaxpr")

    def __init__(self, jaxpr: Any, y: Any) -> None:
        self.jaxpr = jaxpr
        self._run, self._structure = jaxpr_as_fun(jaxpr), jax.tree.structure(y)

    def __call__(self, x: Any, *contexts: Any) -> Any:
        """Evaluate the jaxpr."""
        return jax.tree.unflatten(self._structure, self._run(*jax.tree.leaves((x, *contexts))))


def _shaped(x: Argument) -> Kind:
    """Make the kind of the abstract outputs of ``f``, whose results are of the kind of ``x``."""
    kinds = {leaf.kind for leaf in x.leaves}
    device = next((leaf.device for leaf in x.leaves if leaf.kind == "jax"), None)

    def leaf(value: Any) -> Leaf:
        if "jax" in kinds:
            return Leaf("jax", value.shape, value.dtype, device)
        if kinds == {"python"} and value.shape == () and value.dtype == np.float64:
            return Leaf("python", (), float)
        return Leaf("numpy", value.shape, value.dtype)

    return Kind("abstract", lambda v: isinstance(v, jax.ShapeDtypeStruct), leaf, lambda v: None)


def _check_precision(x64: bool, operator: str, named: list[tuple[str, Any, bool]]) -> None:
    """Refuse arrays that JAX would silently cut to 32 bits; Python scalars may be weak."""
    narrow = not (x64 or jax.config.jax_enable_x64)
    for name, value, weak in named:
        one = argument(name, value, TREES, KINDS)
        for path, leaf in zip(one.paths, one.leaves, strict=True):
            dtype = np.dtype(leaf.dtype) if isinstance(leaf.dtype, type) else leaf.dtype
            if (weak and leaf.kind == "python") or not isinstance(dtype, np.dtype):
                continue  # extended dtypes, such as those of random keys, have no precision
            if narrow and dtype in _CUT:
                _refuse_narrow(operator, path, leaf)
            if dtype.kind in "OSUMm" or dtype.itemsize > _WIDEST[dtype.kind] or not dtype.isnative:
                remedy = f"Convert it: {path}.astype(numpy.float64)."
                text = message(operator, f"{path}: JAX has no {dtype}", remedy=remedy)
                raise ArgumentError(text)


_CUT = frozenset(map(np.dtype, ("float64", "int64", "uint64", "complex128")))
_WIDEST = defaultdict(lambda: 8, {"c": 16})


def _refuse_narrow(operator: str, path: str, leaf: Leaf) -> None:
    short = str(leaf.numpy_dtype).replace("128", "64x").replace("64", "32").replace("32x", "64")
    text = message(
        operator,
        f"{path} would lose precision: JAX is in 32-bit mode",
        expected="32-bit numbers, or JAX in 64-bit mode",
        got=f"{leaf.numpy_dtype}",
        remedy="Use AutoJax(x64=True), or set jax.config.update('jax_enable_x64', True) first; "
        f"or pass {short} if that is enough.",
    )
    raise ArgumentError(text)


def scoped(x64: bool, function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a function in 64-bit mode if the backend asks for it."""
    if not x64:
        return function

    def run(*args: Any) -> Any:
        with jax.enable_x64(True):
            return function(*args)

    return run
