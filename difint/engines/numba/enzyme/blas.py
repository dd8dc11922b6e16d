"""Definitions, in LLVM IR, of the C functions behind Numba's linear algebra and ``reshape``.

Enzyme does not see into Numba's C library. What is real is defined here, by plain loops. Calls for
complex numbers, and of ``eig``, ``svd``, ``qr`` and ``lstsq``, remain calls of declarations.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any, Final, final

from llvmlite import binding
from numba.core import types
from numba.np.linalg import F_INT_nbtype

from difint.engines.numba.enzyme import blas_loops as loops
from difint.engines.numba.enzyme.reshaping import attempt_reshape
from difint.engines.numba.enzyme.target import code_of, machine, scalar_njit

_REAL: Final = ((ord("s"), types.float32), (ord("d"), types.float64))


@final
@dataclass(frozen=True, slots=True)
class _Definition:
    """How a C function is defined.

    Attributes:
        function: what it does, in Python.
        parameters: a letter for each of the C function: ``k`` or ``K`` by which it chooses loops,
            ``c`` a char, ``n`` a size, ``a`` an array that is read, ``o`` one that is written,
            ``p`` the pivots.
        work: how many columns the matrices have that the Python function takes at the end: ``n``
            as many as the first size, which is that of columns, ``c`` as many as the second.
        before: what is called before it with the same arguments, and has no derivatives.
        fails: a positive result says that it failed; of what does not fail, it is zero.
        kinds: the types of elements by what chooses: the kind; in ``reshape``, the order.
    """

    function: Any
    parameters: str
    work: str = ""
    before: Any = None
    fails: bool = False
    kinds: tuple[tuple[int, Any], ...] = _REAL


_DEFINITIONS: Final = {
    "numba_xxdot": _Definition(loops.dot, "kcnaao"),
    "numba_xxnrm2": _Definition(loops.nrm2, "knano"),
    "numba_xxgemv": _Definition(loops.gemv, "kcnnaanaao"),
    "numba_xxgemm": _Definition(loops.gemm, "kccnnnaananaon"),
    "numba_xgesv": _Definition(
        loops.solve_by_refinement, "knnonpon", work="ncc", before=loops.factor_apart, fails=True
    ),
    "numba_xxgetrf": _Definition(loops.getrf, "knnonp", fails=True),
    "numba_ez_xxgetri": _Definition(loops.getri, "knonp", work="n"),
    "numba_xxpotrf": _Definition(loops.potrf, "kcnon", fails=True),
    "numba_attempt_nocopy_reshape": _Definition(
        attempt_reshape, "naanaonK", fails=True, kinds=((0, types.intp),)
    ),
}
_LLVM: Final = {"k": "i8", "K": "i32", "c": "i8", "n": "i64"}
_NUMBA: Final = {"c": types.char, "n": types.intp, "p": types.CPointer(F_INT_nbtype)}
_HEAD: Final = """
declare ptr @NRT_Allocate(i64)
declare void @NRT_Free(ptr)
declare i32 @llvm.smax.i32(i32, i32)
"""
_INACTIVE: Final = 'noinline "enzyme_inactive"'


def definitions(names: Collection[str]) -> str:
    """Define those of the named C functions that Enzyme can be given.

    The result is a module, to be linked with the code that declares them before that is optimized.
    A call for another kind becomes one of ``NAME.refused``, which nothing defines.
    """
    module = binding.parse_assembly("")
    for name in sorted(_DEFINITIONS.keys() & set(names)):
        module.link_in(binding.parse_assembly(_defined(name)))
    for one in module.functions:
        if not one.is_declaration:
            one.linkage = "linkonce_odr"  # not before: nothing calls them here
    return str(module)


@cache
def _defined(name: str) -> str:
    one = _DEFINITIONS[name]
    module = binding.parse_assembly(_choice(name, one))
    for kind, number in one.kinds:
        for role, function in _roles(one).items():
            code = _compiled(f"{name}.{kind}{role}", function, one, number)
            module.link_in(binding.parse_assembly(code))
    return str(module)


def _roles(one: _Definition) -> dict[str, Any]:
    """Get the functions to call, in order, by the endings of their names."""
    return {".before": one.before, "": one.function} if one.before else {"": one.function}


def _choice(name: str, one: _Definition) -> str:
    """Write the C function: it calls what was compiled for the kind, known wherever it is called.

    Where all is inlined, no more than that call is left.
    """
    given = {f"%a{i}": _LLVM.get(letter, "ptr") for i, letter in enumerate(one.parameters)}
    kind = f"%a{one.parameters.lower().index('k')}"
    parameters = ", ".join(f"{ty} {at}" for at, ty in given.items())
    passed = [f"{ty} {at}" for at, ty in given.items() if at != kind]
    passed += [f"ptr %w{i}" for i in range(len(one.work))]
    call = f"(ptr %result, ptr %error, {', '.join(passed)})"
    declared = [f"{name}.{value}{role}" for value, _ in one.kinds for role in _roles(one)]
    labels = " ".join(f"{given[kind]} {value}, label %k{value}" for value, _ in one.kinds)
    return "\n".join(
        [
            *(f"declare i32 @{function}{call}" for function in declared),
            f"declare i32 @{name}.refused({parameters})",
            f"{_HEAD}define i32 @{name}({parameters}) alwaysinline {{",
            "  %result = alloca i32\n  %error = alloca ptr",
            *(_allocated(i, columns) for i, columns in enumerate(one.work)),
            f"  switch {given[kind]} {kind}, label %other [{labels}]",
            *(_case(name, one, value, call) for value, _ in one.kinds),
            f"other:\n  %no = call i32 @{name}.refused({parameters})\n  ret i32 %no\n}}",
        ]
    )


def _allocated(i: int, columns: str) -> str:
    """Write the allocation of a matrix for the loops, large enough for each kind."""
    return f"""  %e{i} = mul i64 %a1, %a{1 if columns == "n" else 2}
  %s{i} = mul i64 %e{i}, 8
  %w{i} = call ptr @NRT_Allocate(i64 %s{i})"""


def _case(name: str, one: _Definition, value: int, call: str) -> str:
    """Write the calls for one kind; the result is that of the first."""
    first, *others = (f"  call i32 @{name}.{value}{role}{call}" for role in _roles(one))
    others += [f"  call void @NRT_Free(ptr %w{i})" for i in range(len(one.work))]
    rest = "\n".join(others)
    if not one.fails:
        return f"k{value}:\n{first}\n{rest}\n  ret i32 0"
    # LLVM is to see that it isn't negative: then Numba would end the process.
    return f"""k{value}:
{first}
  %l{value} = load i32, ptr %result
  %r{value} = call i32 @llvm.smax.i32(i32 %l{value}, i32 0)
{rest}
  ret i32 %r{value}"""


def _compiled(name: str, function: Any, one: _Definition, number: Any) -> str:
    """Compile loops, and optimize them as far as Enzyme reads it: without vectors."""
    letters = one.parameters.lower().replace("k", "") + "o" * len(one.work)
    array = types.CPointer(number)
    compiled = scalar_njit(error_model="numpy")(function)
    module, old, _ = code_of(compiled, tuple(_NUMBA.get(letter, array) for letter in letters))
    code = str(module)
    for letter, parameter in zip(letters, signature(function).parameters, strict=True):
        # What is written is nothing else. What is read can be the same twice, as in x @ x.
        if letter in "op":
            code = code.replace(f"ptr %arg.{parameter}", f"ptr noalias %arg.{parameter}", 1)
    made = _optimized(code, old, name, inline="K" in one.parameters)
    if function is one.before:
        made = re.sub(
            r"^(define .*\.before\(.*) \{$", rf"\1 {_INACTIVE} {{", made, flags=re.MULTILINE
        )
    return made


def _optimized(code: str, old: str, new: str, *, inline: bool) -> str:
    # A sum may be taken in any order, as BLAS does; else it runs at the latency of one addition.
    module = binding.parse_assembly(code.replace(" fadd ", " fadd reassoc "))
    for one in [*module.functions, *module.global_variables]:
        if not one.is_declaration:
            one.linkage = "internal"
    entry = module.get_function(old)
    entry.name, entry.linkage = new, "external"
    if inline:
        entry.add_function_attribute("alwaysinline")
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_unrolling = options.loop_interleaving = False
    builder = binding.create_pass_builder(machine(), options)
    builder.getModulePassManager().run(module, builder)
    return str(module)
