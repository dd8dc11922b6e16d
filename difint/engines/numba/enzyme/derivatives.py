"""Derivatives: from the code of a function to that of a primitive, which compiled code calls."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from llvmlite import binding
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.types import int32
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from difint import keeping
from difint.engines.numba.digest import sources
from difint.engines.numba.enzyme.blas import definitions
from difint.engines.numba.enzyme.markers import VECTORS, Flat, Kind, asked, valued
from difint.engines.numba.enzyme.process import differentiate, enzyme_version
from difint.engines.numba.enzyme.runtime import runtime, with_malloc, with_roots, within_arena
from difint.engines.numba.enzyme.target import code_of, machine
from difint.engines.numba.enzyme.text import as_calls, canonical, for_numba, plain
from difint.engines.numba.enzyme.understood import misunderstood
from difint.engines.numba.enzyme.worker import FLAGS
from difint.engines.numba.linking import Part

_MOST = 1000
"""Files of derivatives that are kept."""

_HARMLESS = re.compile(r"^(WARNING: All log|[IWE]\d{4} |freeing without malloc)")
"""Notes of XLA's; and that Enzyme leaves memory which then is freed at the end of the call."""


_LITERAL = re.compile(
    r"Mismatched activity for: .* const val: (double|float) [-+]?(\d|f?0x|inf|nan)"
)
"""That a number in the code does not depend on ``x``, and another that is chosen here does."""

_GUESSED = re.compile(r"^warning: binary operator is integer and .*= (add|sub|mul|sdiv|srem) ")
"""What it says where it guesses: that arithmetic of integers has no derivative."""


class NotDifferentiable(Exception):
    """Says why Enzyme gives no derivative; the planner's side explains it."""


@final
@dataclass(frozen=True, slots=True)
class Primal:
    """A function ``primal(x, y, leaves...)`` of pointers, compiled for Enzyme when first asked.

    Attributes:
        dispatcher: the function.
        signature: its Numba types.
        flat: what it is like.
        texts: its code so far, with memory that is kept, or that is counted.
    """

    dispatcher: Any
    signature: tuple[Any, ...]
    flat: Flat
    texts: dict[bool, str] = field(default_factory=dict)

    def text(self, *, reverse: bool) -> str:
        """Get the code of ``flat``, optimized but not vectorized."""
        if reverse not in self.texts:
            with global_compiler_lock:
                self.texts[reverse] = self._compiled(reverse)
        return self.texts[reverse]

    def _compiled(self, reverse: bool) -> str:
        module, name, ty = code_of(self.dispatcher, self.signature)
        whole = binding.parse_assembly(as_calls(str(module)))
        needed = [one.name for one in whole.functions if one.is_declaration]
        for one in (self._flattened(name, ty), definitions(needed), runtime(reverse=reverse)):
            whole.link_in(binding.parse_assembly(as_calls(one)))
        for one in (*whole.functions, *whole.global_variables):
            if not one.is_declaration and one.name != "flat":
                one.linkage = "internal"
        _simplify(whole)
        code = with_roots(with_malloc(plain(str(whole))))
        return canonical(code, frozenset({"flat"}))

    def _flattened(self, name: str, ty: Any) -> str:
        """Write ``flat``, which takes no slots for a result and an exception."""
        flat = self.flat
        declared = f"declare i32 @{name}({', '.join(['ptr'] * 4 + list(flat.leaves))})\n"
        head = f"define void @flat({flat.hinted}, ptr noalias %status) {{\n"
        call = f"  %told = call i32 @{name}(ptr %result, ptr %raised, {flat.arguments(['x', 'y'])})"
        slots = "  %result = alloca ptr\n  %raised = alloca ptr\n"
        return f"{declared}{head}{slots}{call}\n  store i32 %told, ptr %status\n  ret void\n}}\n"


_INLINED = 1000
"""Up to which size functions are inlined: in those that return structures Enzyme sees less."""


def _simplify(module: Any) -> None:
    """Inline, and simplify; loops stay loops, whose rounds Enzyme counts."""
    chosen = binding.create_pipeline_tuning_options(speed_level=3)
    chosen.loop_vectorization = chosen.slp_vectorization = chosen.loop_interleaving = False
    chosen.loop_unrolling = False
    chosen.inlining_threshold = _INLINED
    builder = binding.create_pass_builder(machine(), chosen)
    manager = builder.getModulePassManager()
    manager.add_global_dead_code_eliminate_pass()
    manager.run(module, builder)


def _optimize(module: Any) -> None:
    """Optimize a derivative before other code is linked to it: LLVM sees its loops best so."""
    chosen = binding.create_pipeline_tuning_options(speed_level=3)
    chosen.loop_vectorization = chosen.slp_vectorization = True
    builder = binding.create_pass_builder(machine(), chosen)
    builder.getModulePassManager().run(module, builder)


@final
@dataclass(frozen=True, slots=True)
class Derivative:
    """A primitive of a function, in LLVM IR.

    Attributes:
        primal: the function.
        kind: which one.
        width: how many tangents go through at once.
        made: its library, when it is there.
    """

    primal: Primal
    kind: Kind
    width: int
    made: list[Any] = field(default_factory=list)

    def linked(self) -> tuple[str, Any]:
        """Make the library that code which calls it links; and the name in it."""
        if not self.made:
            self.made.append(self._linkable())
        name, library = self.made[0]
        return name, library

    def _linkable(self) -> tuple[str, Any]:
        name, code = self._differentiated()
        with global_compiler_lock:
            try:
                module = binding.parse_assembly(code)
                module.verify()
                _optimize(module)
            except RuntimeError as error:
                raise NotDifferentiable(f"Enzyme made code that is not valid: {error}") from None
            library = Part(cpu_target.target_context.codegen(), name)
            library.add_llvm_module(module)
            library.finalize()
        return name, library

    def _differentiated(self) -> tuple[str, str]:
        """Run Enzyme, or find what it made before.

        Forward it may fail to follow how references are counted; memory is kept then.
        """
        if self.kind in ("pull", "slip", "bend"):
            return self._with(reverse=True)
        try:
            return self._with(reverse=False)
        except NotDifferentiable:
            return self._with(reverse=True)

    def _with(self, *, reverse: bool) -> tuple[str, str]:
        source = self.primal.text(reverse=reverse)
        if reason := misunderstood(source):
            raise NotDifferentiable(reason)
        told = (source, self.kind, self.width, repr(self.primal.flat), _versions())
        key = hashlib.sha256(repr(told).encode()).hexdigest()
        entry, within = f"difint_{self.kind}_{key[:24]}", keeping.directory()
        place = None if within is None else within / f"{key}.enzyme"
        kept = _kept(place)
        if kept is None:
            kept = (self._valued if self.kind == "value" else self._asked)(source, entry)
            if place is not None:
                _store(place, kept)
        return entry, kept

    def _valued(self, source: str, entry: str) -> str:
        """Make a function of ``f`` as it is."""
        flat, names = self.primal.flat, VECTORS["value"]
        code = source.replace("define void @flat(", "define internal void @flat(")
        code += valued(flat, entry)
        return within_arena(code, entry, flat.parameters(names), flat.arguments(names))

    def _asked(self, source: str, entry: str) -> str:
        """Run Enzyme, and again with what it says that it lacks."""
        flat, names = self.primal.flat, VECTORS[self.kind]
        careful = loose = False
        while True:
            marked = asked(self.kind, self.width, flat, entry, runtime=careful)
            code, complaint = differentiate(source + marked, loose=loose)
            lines = _complaints(complaint, loose=loose)
            left = "\n".join(lines)
            if "runtime activity" in left and not careful:
                careful = True
            elif "Cannot deduce type" in left and not loose:
                loose = True
            else:
                break
        if lines or f"@{entry}(" not in code:
            raise NotDifferentiable(_told(lines))
        code = for_numba(code)
        if _never_returns(code, entry):
            raise NotDifferentiable("Enzyme made code that never returns")
        return within_arena(code, entry, flat.parameters(names), flat.arguments(names))


def _complaints(text: str, *, loose: bool) -> list[str]:
    lines = [one for one in text.splitlines() if one.strip() and not _HARMLESS.match(one)]
    lines = [one for one in lines if not _LITERAL.search(one)]
    return [one for one in lines if not (loose and _GUESSED.match(one))]


def _never_returns(code: str, entry: str) -> bool:
    """Tell whether Enzyme took all paths for impossible."""
    head = re.search(rf"^define [^\n]*@{entry}\([^\n]*#(\d+) \{{", code, re.MULTILINE)
    return head is not None and bool(
        re.search(rf"^attributes #{head[1]} = .*\bnoreturn\b", code, re.MULTILINE)
    )


def _told(lines: list[str]) -> str:
    """Choose the line that says most."""
    clear = [one for one in lines if "Enzyme: " in one and "Function Attrs" not in one]
    first = (clear or lines or ["Enzyme made no code"])[0]
    return first.replace("error: <unknown>:0:0: ", "")[:300]


def _versions() -> tuple[Any, ...]:
    return enzyme_version(), binding.llvm_version_info, FLAGS, sources()


def _kept(place: Path | None) -> str | None:
    """Read code, if it is whole."""
    try:
        if place is None:
            return None
        told, _, code = place.read_text().partition("\n")
        keeping.touch(place)
        return code if told == _digest(code) else None
    except (OSError, UnicodeDecodeError):
        return None


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _store(place: Path, code: str) -> None:
    try:
        keeping.store(place, f"{_digest(code)}\n{code}".encode(), _MOST)
    except OSError:  # a full disk: nothing is kept
        return


def caller(derivative: Derivative) -> Any:
    """Make an intrinsic ``call(vectors, leaves) -> status``, on tuples of arrays."""

    @intrinsic
    def call(typingctx: Any, vectors: Any, leaves: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            name, library = derivative.linked()
            context.active_code_library.add_linking_library(library)
            values = []
            for group, ty in zip(args, sig.args, strict=True):
                for i, one in enumerate(ty):
                    values.append(_passed(context, builder, one, builder.extract_value(group, i)))
            function = _declared(context, builder, name, [value.type for value in values])
            return builder.call(function, values)

        return int32(vectors, leaves), emit

    return call


def _passed(context: Any, builder: Any, ty: Any, value: Any) -> Any:
    from numba.core import types

    return make_array(ty)(context, builder, value).data if isinstance(ty, types.Array) else value


def _declared(context: Any, builder: Any, name: str, given: list[Any]) -> Any:
    from llvmlite import ir
    from numba.core import cgutils

    return cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.IntType(32), given), name
    )
