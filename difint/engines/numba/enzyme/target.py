"""The target: Numba's compiler for code that Enzyme reads, scalar and not yet optimized.

Numba optimizes each function as soon as it is compiled, and vectorizes its loops; of vectorized
code Enzyme makes wrong derivatives. Functions compiled for this target, which Numba's extension
API makes one of its own, with all overloads that they call, stay as they were lowered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, final

from numba import jit
from numba.core import externals, typing
from numba.core.codegen import JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import CPUContext, CPUTargetOptions
from numba.core.descriptors import TargetDescriptor
from numba.core.dispatcher import Dispatcher
from numba.core.fastmathpass import rewrite_module
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from numba.core.target_extension import (
    CPU,
    dispatcher_registry,
    jit_registry,
    target_override,
    target_registry,
)
from numba.extending import overload
from numba.np.arrayobj import raise_with_shape_context

from difint.engines.numba.linking import Whole
from difint.engines.numba.pipeline import BareCompiler

_NAME = "difint"


@final
class _Raw(Whole):
    """The code of a function and all that it calls, for reading alone."""

    def _optimize_functions(self, ll_module: Any) -> None: ...

    def _optimize_final_module(self) -> None: ...

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._declare_environments()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Say that there is no machine code, not even of recursive functions."""
        self._ensure_finalized()
        return 0


@final
class _Codegen(JITCPUCodegen):
    _library_class = _Raw


@final
class _Context(CPUContext):
    """Numba's context, with that code generator, and without its own memory management."""

    @global_compiler_lock
    def init(self) -> None:
        self.is32bit = False
        self._internal_codegen = _Codegen("difint.scalar")
        externals.c_math_functions.install(self)

    def post_lowering(self, mod: Any, library: Any) -> None:
        """Leave calls of the runtime open: ``runtime`` has definitions that Enzyme can read."""
        if self.fastmath:
            rewrite_module(mod, self.fastmath)


@final
class ScalarCode(CPU):
    """The target, as Numba's registries know it."""


@final
class _Descriptor(TargetDescriptor):
    options = CPUTargetOptions

    @cached_property
    def typing_context(self) -> Any:
        return typing.Context()

    @cached_property
    def target_context(self) -> Any:
        return _Context(self.typing_context, _NAME)


@cache
def _registered() -> None:
    """Tell Numba of the target, when it is first needed."""
    rtsys.initialize(cpu_target.target_context)  # it is set up once, and not for this target

    class ScalarDispatcher(Dispatcher):
        targetdescr = _Descriptor(_NAME)

    target_registry[_NAME] = ScalarCode
    dispatcher_registry[ScalarCode] = ScalarDispatcher
    jit_registry[ScalarCode] = _decorator
    overload(raise_with_shape_context, target=_NAME)(_choose_mismatch)


def _choose_mismatch(src_shapes: Any, index_shape: Any) -> Any:
    """Raise without a text of the shapes, which takes Python's strings."""
    return _mismatch


def _mismatch(src_shapes: Any, index_shape: Any) -> Any:
    raise ValueError("cannot assign slice from input of different size")


def _decorator(*args: Any, **options: Any) -> Any:
    """Compile an overload for the target, as Numba asks for it."""
    options.pop("nopython", None)
    return jit(*args, **{"pipeline_class": BareCompiler, **options, "_target": _NAME})


def scalar_njit(**options: Any) -> Callable[[Any], Any]:
    """Make a decorator like ``numba.njit`` for this target."""
    _registered()
    inner = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    made: Callable[[Any], Any] = _decorator(**{**options, **inner})
    return made


def code_of(dispatcher: Any, signature: tuple[Any, ...]) -> tuple[Any, str, Any]:
    """Compile for a signature; get the module, the function's name in it, and its LLVM type."""
    with target_override(_NAME):
        dispatcher.compile(signature)
    made = dispatcher.overloads[signature]
    code, described = made._asdict()["library"], made.fndesc
    context = dispatcher.targetctx
    ty = context.call_conv.get_function_type(described.restype, described.argtypes)
    return code._final_module, described.llvm_func_name, ty


def machine() -> Any:
    """Get the target machine, for LLVM's passes."""
    _registered()
    return dispatcher_registry[ScalarCode].targetdescr.target_context.codegen()._tm
