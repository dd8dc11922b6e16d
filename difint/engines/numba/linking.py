"""Linking: functions of duals as parts of a program, which LLVM optimizes once, as a whole.

Numba optimizes each function and makes machine code of it, then again within each function that
calls it: with duals, which make much code of little, that takes most of the time of prepare. These
functions are never called but from compiled code. So they get no machine code of their own; and
parts, which are all but the user's own functions, are optimized where they are linked in.
"""

from __future__ import annotations

from typing import Any, final

from llvmlite import binding, ir
from numba.core import types
from numba.core.codegen import JITCodeLibrary, RuntimeLinker
from numba.core.compiler_machinery import FunctionPass, register_pass

_ENVIRONMENT = "_ZN08NumbaEnv"


def is_recursive(library: Any) -> bool:
    """Tell whether code calls a function by an address that this process writes into it."""
    variables = library._final_module.global_variables
    return any(one.name.startswith(RuntimeLinker.PREFIX) for one in variables)


class Whole(JITCodeLibrary):
    """The code of a function and all that it calls, optimized, for linking alone."""

    def _finalize_final_module(self) -> None:
        if is_recursive(self):  # it is called by its address
            super()._finalize_final_module()
            return
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._declare_environments()
        self._finalized = True

    def _declare_environments(self) -> None:
        """Give the functions' environments a place: Numba writes there as soon as it has one."""
        module, pointer = ir.Module(), ir.IntType(8).as_pointer()
        engine = self._codegen._engine
        for variable in self._final_module.global_variables:
            name = variable.name
            if name.startswith(_ENVIRONMENT) and not engine.is_symbol_defined(name):
                place = ir.GlobalVariable(module, pointer, name)
                place.linkage, place.initializer = "common", ir.Constant(pointer, None)
        if module.global_values:
            made = binding.parse_assembly(str(module))
            made.data_layout = self._codegen._data_layout
            self._codegen._add_module(made)
            engine.finalize_object()

    def get_pointer_to_function(self, name: str) -> int:
        """Say that there is no machine code, but of recursive functions."""
        self._ensure_finalized()
        found: int = super().get_pointer_to_function(name) if is_recursive(self) else 0
        return found


@final
class Part(Whole):
    """The code of one function, as it is, for linking alone."""

    def _optimize_final_module(self) -> None: ...


@final
class Rough(JITCodeLibrary):
    """Machine code of a function that is called a few times: not optimized."""

    def _optimize_final_module(self) -> None: ...


def _choosing(name: str, library: Any) -> Any:
    """Make a compiler pass that compiles into a kind of library, after types are known.

    A recursive function is left to Numba: it is called by the address of its machine code.
    """

    class Choose(FunctionPass):
        _name = name

        def __init__(self) -> None:
            FunctionPass.__init__(self)

        def run_pass(self, state: Any) -> bool:
            kinds = state.typemap.values()
            if not any(isinstance(one, types.RecursiveCall) for one in kinds):
                made = library(state.targetctx.codegen(), state.func_id.func_qualname)
                made.enable_object_caching()
                state["library"] = made
            return False

    return register_pass(mutates_CFG=False, analysis_only=False)(Choose)


AsWhole = _choosing("difint_as_whole", Whole)
AsPart = _choosing("difint_as_part", Part)
Roughly = _choosing("difint_roughly", Rough)
