"""Lowering for Numba: ``f`` compiled for duals, and called once to see what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numba import njit
from numba.core import types
from numba.np.numpy_support import from_dtype

from difint.checks import check_returned
from difint.contexts import Constant
from difint.engines.numba.adopted import Adopted, Recent, joined
from difint.engines.numba.adoption import Adoption, names_in
from difint.engines.numba.buffers import buffer_of, lifted, read, zero_of
from difint.engines.numba.chunks import ChunkSize, chunk_of
from difint.engines.numba.digest import Digest
from difint.engines.numba.dual import Dual
from difint.engines.numba.entries import Place, input_place, leaf_place
from difint.engines.numba.glue import caller, freshener, valuer, values_of
from difint.engines.numba.keeping import compiled_as
from difint.engines.numba.pipeline import PROBE
from difint.engines.numba.refusals import explained
from difint.engines.numba.source import from_source
from difint.errors import UnsupportedError, message
from difint.host_lowering import (
    check_concrete,
    check_example,
    check_filled,
    check_unwritten,
    form_of,
    kind_of_x,
    template,
)
from difint.kinds import NUMPY, PYTHON
from difint.problem import Lowering, Problem
from difint.signature import Argument, argument
from difint.trees import PYTHON_TREES

if TYPE_CHECKING:
    from difint.backends import AutoNumba

KINDS = (PYTHON, NUMPY)


@final
@dataclass(frozen=True, slots=True)
class DualFunction(Adopted):
    """A user's function, adopted: a function of engine's values, and what kernels are made of.

    Attributes:
        backend: the options of compilation.
        call: ``call(x, leaves)`` or ``call(y, x, leaves)`` on vectors of duals, compiled.
        contexts: descriptions of the contexts.
        leaves: the places of their leaves.
        in_place: ``f`` fills ``y``.
        frozen: the names of the values that were frozen.
        probe: ``probe(x, leaves..., fill) -> (y, x afterwards)``, values alone.
        kernels: kernels made so far, by what they were made for.
        digest: what all of it depends on.
    """

    backend: AutoNumba
    call: Any
    contexts: tuple[Any, ...]
    leaves: tuple[Place, ...]
    in_place: bool
    frozen: tuple[str, ...]
    probe: Any
    kernels: dict[Any, Any]
    digest: Digest

    def entered(self, x: Any) -> Any:
        """Present ``x`` as it is."""
        return x


def lower(backend: AutoNumba, lowering: Lowering) -> Problem:
    """Compile ``f`` for duals, and call it."""
    check_concrete(lowering)
    x_form = form_of(lowering.described)
    x = np.array(lowering.x if x_form.enter is None else x_form.enter(lowering.x))
    check_dtype(lowering, "x", x.dtype)
    x = x.astype(x.dtype.newbyteorder("="))
    with explained(lowering):
        function = _adopted(backend, lowering, x)
    y, y_form = tried(lowering, function, x)
    templates = (template(x), template(y))
    return Problem(function, *templates, x_form, y_form, lowering, frozen=function.frozen)


def check_dtype(lowering: Lowering, name: str, dtype: np.dtype[Any]) -> None:
    """Refuse what Numba computes in another precision."""
    if dtype.newbyteorder("=") in (np.float32, np.float64):
        return
    text = message(
        lowering.operator,
        f"Numba has no {dtype} for {name}",
        expected="float32 or float64",
        got=str(dtype),
        remedy=f"Pass {name}.astype(numpy.float64), or use AutoFiniteDiff().",
    )
    raise UnsupportedError(text)


_functions: Recent[DualFunction] = Recent()


def _adopted(backend: AutoNumba, lowering: Lowering, x: Any) -> DualFunction:
    """Adopt ``f``; the same function for the same arguments again is what it was."""
    contexts = tuple(
        argument(f" {i}", context, PYTHON_TREES, KINDS)
        for i, context in enumerate(lowering.contexts)
    )
    leaves = leaf_places(lowering, contexts)
    adoption = Adoption(lowering.operator, backend.fastmath)
    f = adoption.adopt(lowering.f)
    digest = digest_of(
        adoption, (backend, lowering.operator, lowering.described, contexts, leaves), lowering.y
    )
    key = digest.key()
    if (found := _functions.find(key)) is not None:
        return found
    call = caller(lowering, f, contexts)
    tried = Adoption(lowering.operator, backend.fastmath, checked=True).adopt(lowering.f)
    calls = tuple(make(lowering, tried, contexts) for make in (caller, valuer))
    dual = dual_for(lowering.operator, x.size, from_dtype(x.dtype), backend.chunk_size)
    probe = _probe(lowering, calls, (contexts, leaves, digest), dual, x)
    how = (lowering.y is not None, adoption.names, probe)
    made = DualFunction(backend, call, contexts, leaves, *how, {}, digest)
    return _functions.keep(key, made)


def leaf_places(lowering: Lowering, contexts: tuple[Argument, ...]) -> tuple[Place, ...]:
    """Describe the leaves of the contexts."""
    found = PYTHON_TREES.flatten([context.value for context in lowering.contexts])[0]
    written = [one.wrapper is not Constant for one in contexts for _ in one.leaves]
    pairs = enumerate(zip(found, written, strict=True))
    return tuple(leaf_place(f"leaf{i}", leaf, written=writes) for i, (leaf, writes) in pairs)


def digest_of(adoption: Adoption, arguments: tuple[Any, ...], y: Any) -> Digest:
    """Digest an adopted function and what it is compiled for."""
    codes = [code for code, _ in adoption.codes]
    digest = Digest(names_in(codes))
    digest.add(repr(arguments))
    digest.add(None if y is None else (y.shape, y.dtype))
    digest.add(adoption.codes)
    digest.add(adoption.links)
    digest.add(adoption.frozen)
    return digest


def dual_for(operator: str, n: int, ty: Any, size: ChunkSize) -> Dual:
    """Choose the type of duals that an operator calls ``f`` with, for one tangent."""
    if operator in ("pushforward", "derivative"):
        return Dual(ty, 1)
    if operator == "second_derivative":
        return Dual(Dual(ty, 1), 1)
    chunk = chunk_of(n, ty, size, second=operator == "hessian")
    if operator == "hvp":
        return Dual(Dual(ty, chunk), 1)
    return Dual(Dual(ty, chunk), chunk) if operator == "hessian" else Dual(ty, chunk)


def _probe(
    lowering: Lowering,
    calls: tuple[Any, ...],
    told: tuple[Any, tuple[Place, ...], Digest],
    dual: Dual,
    x: Any,
) -> Callable[..., Any]:
    """Compile the values of ``f``, as the operator calls it, but with its indices checked."""
    zero, (call, value_call), (contexts, leaves, digest) = zero_of(dual), calls, told
    names = "".join(f"{place.name}, " for place in leaves)
    lines = [
        f"def probe(x, {names}fill):",
        "    duals, given = buffer(), read(x)",
        "    for i in range(duals.size):",
        "        duals[i] = lifted(given[i], zero())",
    ]
    env = {"lifted": lifted, "read": read, "zero": zero, "values_of": values_of, "call": call}
    env |= {"fresh": freshener(contexts, zero), "buffer": buffer_of(x.size, dual, small=False)}
    if lowering.y is None:
        lines += [f"    y = value_call(duals, fresh(({names})))"]
        env["value_call"] = value_call
    else:
        y_dual = dual.with_float(from_dtype(lowering.y.dtype))
        env |= {
            "y_zero": zero_of(y_dual),
            "y_buffer": buffer_of(lowering.y.size, y_dual, small=False),
        }
        lines += [
            "    row = y_buffer()",
            "    for i in range(row.size):",
            "        row[i] = lifted(fill, y_zero())",
            f"    y = values_of(call(duals, row, fresh(({names}))))",
        ]
    lines += ["    return y, values_of(duals)"]
    taken = (input_place("x", x).ty, *(place.ty for place in leaves), types.float64)
    probe = njit(**PROBE)(from_source("\n".join(lines), "probe", env))
    made: Callable[..., Any] = compiled_as(probe, taken, digest.shared("probe", dual))
    return made


def tried(lowering: Lowering, function: Adopted, x: Any) -> Any:
    """Call ``f`` at the example; check that it leaves ``x`` alone, and fills all of ``y``."""
    leaves = function.flat([context.value for context in lowering.contexts])
    y, after = function.values(x, leaves)
    check_unwritten(lowering.operator, [after], [x.reshape(-1)])
    if lowering.y is None:
        one = check_returned(lowering.operator, y, PYTHON_TREES, KINDS, tree=lowering.tree)
        return joined(y), form_of(kind_of_x(one, lowering.described))
    one = check_example(lowering.operator, argument("y", lowering.y, PYTHON_TREES, KINDS))
    if np.isnan(y).any():
        again, _ = function.values(x, leaves, 0.0)
        shape = lowering.y.shape
        check_filled(lowering.operator, y.reshape(shape), again.reshape(shape))
    return y.reshape(lowering.y.shape), form_of(kind_of_x(one, lowering.described))
