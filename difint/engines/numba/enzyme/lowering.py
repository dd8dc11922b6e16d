"""Lowering for Enzyme: ``f`` compiled as it is, and called once to see what it returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numba import njit
from numba.core import types

from difint.engines.numba.adopted import Adopted, Recent
from difint.engines.numba.adoption import Adoption
from difint.engines.numba.digest import Digest
from difint.engines.numba.entries import Place, input_place
from difint.engines.numba.enzyme.derivatives import Primal
from difint.engines.numba.enzyme.glue import fresh, primal_of
from difint.engines.numba.enzyme.markers import Flat
from difint.engines.numba.enzyme.process import enzyme_version
from difint.engines.numba.enzyme.target import scalar_njit
from difint.engines.numba.glue import caller, valuer
from difint.engines.numba.keeping import compiled_as
from difint.engines.numba.lowering import (
    KINDS,
    check_dtype,
    digest_of,
    leaf_places,
    tried,
)
from difint.engines.numba.pipeline import PROBE
from difint.engines.numba.refusals import explained
from difint.engines.numba.source import from_source
from difint.errors import UnsupportedError, message
from difint.host_lowering import (
    check_concrete,
    form_of,
    template,
)
from difint.problem import Lowering, Problem
from difint.signature import argument
from difint.trees import PYTHON_TREES

if TYPE_CHECKING:
    from difint.backends import AutoEnzyme


@final
@dataclass(frozen=True, slots=True)
class EnzymeFunction(Adopted):
    """A user's function, adopted.

    Attributes:
        backend: the options.
        primal: the function of pointers, for Enzyme.
        contexts: descriptions of the contexts.
        leaves: the places of their leaves.
        in_place: ``f`` fills ``y``.
        length: the bytes of the bytecode of ``f`` and all that it calls.
        frozen: the names of the values that were frozen.
        probe: ``probe(x, leaves..., fill) -> (y, x afterwards)``, with its indices checked.
        kernels: kernels made so far, by what they were made for.
        derivatives: Enzyme's code so far, by primitive and width.
        digest: what all of it depends on.
    """

    backend: AutoEnzyme
    primal: Primal | None
    contexts: tuple[Any, ...]
    leaves: tuple[Place, ...]
    in_place: bool
    length: int
    frozen: tuple[str, ...]
    probe: Any
    kernels: dict[Any, Any]
    derivatives: dict[Any, Any]
    digest: Digest

    def entered(self, x: Any) -> Any:
        """Present ``x`` as a vector, as derivatives take it."""
        return x.reshape(-1)


def lower(backend: AutoEnzyme, lowering: Lowering) -> Problem:
    """Compile ``f``, and call it."""
    check_concrete(lowering)
    x_form = form_of(lowering.described)
    x = np.array(lowering.x if x_form.enter is None else x_form.enter(lowering.x))
    check_dtype(lowering, "x", x.dtype)
    x = x.astype(x.dtype.newbyteorder("="))
    with explained(lowering, "AutoEnzyme"):
        function = _adopted(backend, lowering, x)
    y, y_form = tried(lowering, function, x)
    if function.primal is None:
        with explained(lowering, "AutoEnzyme"):
            function = _with_primal(function, lowering, x, y)
    templates = (template(x), template(y))
    return Problem(function, *templates, x_form, y_form, lowering, frozen=function.frozen)


_functions: Recent[EnzymeFunction] = Recent()


def _adopted(backend: AutoEnzyme, lowering: Lowering, x: Any) -> EnzymeFunction:
    """Adopt ``f``; the same function for the same arguments again is what it was."""
    contexts = tuple(
        argument(f" {i}", context, PYTHON_TREES, KINDS)
        for i, context in enumerate(lowering.contexts)
    )
    leaves = tuple(map(_contiguous, leaf_places(lowering, contexts)))
    for place in leaves:
        _check_leaf(lowering, place)
    adoption = Adoption(lowering.operator, fastmath=False, checked=True)
    f = adoption.adopt(lowering.f)
    told = (backend, enzyme_version(), lowering.described, contexts, leaves)
    digest = digest_of(adoption, told, lowering.y)
    key = digest.key()
    if (found := _functions.find(key)) is not None:
        return found
    probe = _probe(lowering, f, (contexts, leaves, digest), x)
    length = sum(len(code.co_code) for code, _ in adoption.codes)
    how = (lowering.y is not None, length, adoption.names, probe)
    return EnzymeFunction(backend, None, contexts, leaves, *how, {}, {}, digest)


def _contiguous(place: Place) -> Place:
    """Let an array of any other layout be copied: code for Enzyme takes a pointer."""
    if place.is_array and place.ty.layout == "A":
        return replace(place, ty=place.ty.copy(layout="C"))
    return place


def _check_leaf(lowering: Lowering, place: Place) -> None:
    ty = getattr(place.ty, "dtype", place.ty)
    scalar = types.Float | types.Integer | types.Boolean
    if isinstance(ty, scalar) or (place.is_array and isinstance(ty, types.Complex)):
        return
    text = message(
        lowering.operator,
        f"AutoEnzyme takes no {ty} in a context",
        expected="real numbers, and arrays of numbers",
        got=str(place.ty),
        remedy="Pass its parts as contexts of their own, or use AutoNumba().",
    )
    raise UnsupportedError(text)


def _probe(lowering: Lowering, f: Any, told: tuple[Any, ...], x: Any) -> Any:
    """Compile the values of ``f``, with its indices checked."""
    contexts, leaves, digest = told
    names = "".join(f"{place.name}, " for place in leaves)
    parts = "".join(f"{one}, " for one in fresh(leaves, contexts))
    lines = [f"def probe(x, {names}fill):", "    given = x.copy()"]
    env: dict[str, Any] = {"np": np}
    if lowering.y is None:
        env["call"] = valuer(lowering, f, contexts)
        lines.append(f"    y = call(given, ({parts}))")
    else:
        env |= {"call": caller(lowering, f, contexts), "dtype": lowering.y.dtype}
        lines.append(f"    y = np.full({lowering.y.size}, fill).astype(dtype)")
        lines.append(f"    y = call(given, y, ({parts}))")
    lines.append("    return y, given")
    probe = njit(**PROBE)(from_source("\n".join(lines), "probe", env))
    taken = (input_place("x", x.reshape(-1)).ty, *(place.ty for place in leaves), types.float64)
    return compiled_as(probe, taken, digest.shared("probe"))


def _with_primal(function: EnzymeFunction, lowering: Lowering, x: Any, y: Any) -> EnzymeFunction:
    """Add the function that Enzyme reads, now that its result is known."""
    adoption = Adoption(lowering.operator, fastmath=False, jit=scalar_njit)
    sizes = (x.dtype, x.size, y.dtype, y.size)
    adopted = adoption.adopt(lowering.f)
    made = primal_of(lowering, adopted, function.contexts, function.leaves, sizes)
    llvm = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
    leaves = tuple(map(_llvm, function.leaves)), tuple(map(_hint, function.leaves))
    flat = Flat(x.size, y.size, llvm[x.dtype], llvm[y.dtype], *leaves)
    complete = replace(function, primal=Primal(*made, flat))
    return _functions.keep(function.digest.key(), complete)


def _llvm(place: Place) -> str:
    """Name a leaf's type in LLVM IR, as Numba passes it."""
    if place.is_array:
        return "ptr"
    if isinstance(place.ty, types.Float):
        return "double" if place.ty.bitwidth == 64 else "float"
    return f"i{place.ty.bitwidth}" if isinstance(place.ty, types.Integer) else "i8"


def _hint(place: Place) -> str:
    """Name what a leaf is made of in Enzyme's words."""
    ty = getattr(place.ty, "dtype", place.ty)
    ty = ty.underlying_float if isinstance(ty, types.Complex) else ty
    if isinstance(ty, types.Float):
        return "Float@double" if ty.bitwidth == 64 else "Float@float"
    return "Integer"
