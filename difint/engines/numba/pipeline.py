"""Compilers: Numba's, with a pass of ours for displays of arrays, and into our libraries."""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any, final

from numba.core import ir, types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.ir_utils import find_callname, get_definition, guard, mk_unique_var
from numba.core.typed_passes import NopythonTypeInference
from numba.core.untyped_passes import InlineClosureLikes, RewriteDynamicRaises

from difint.engines.numba.element import Term
from difint.engines.numba.linking import AsPart, AsWhole, Roughly


@final
@register_pass(mutates_CFG=False, analysis_only=False)
class _ArrayDisplays(FunctionPass):
    """Reads ``numpy.array([a, b])`` as ``numpy.array((a, b))``, and ``stack`` and others likewise.

    A tuple lives in registers; and Numba's own treatment of such lists looks the type of the
    entries up in NumPy, which has no duals.
    """

    _name = "difint_array_displays"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        func_ir, changed = state.func_ir, False
        for block in func_ir.blocks.values():
            for call in block.find_exprs(op="call"):
                name = guard(find_callname, func_ir, call)
                if name in _TAKING_DISPLAYS and call.args:
                    changed |= _as_tuple(func_ir, call.args[0])
        return changed


_TAKING_DISPLAYS = {
    (name, "numpy")
    for name in ("array", "concatenate", "stack", "hstack", "vstack", "column_stack", "dstack")
}
"""Functions that take a tuple as well; of these, Numba takes a tuple for most, and no list."""


def _as_tuple(func_ir: Any, var: Any) -> bool:
    display = guard(get_definition, func_ir, var)
    if not isinstance(display, ir.Expr) or display.op != "build_list" or not display.items:
        return False
    display.op = "build_tuple"
    for item in display.items:
        _as_tuple(func_ir, item)
    return True


@final
@register_pass(mutates_CFG=False, analysis_only=False)
class _Squares(FunctionPass):
    """Reads ``r * r`` as ``r ** 2`` where ``r`` may be a term, which has half the slots then."""

    _name = "difint_squares"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        if not any(map(_has_terms, state.args)):
            return False
        changed = [_squared(state.func_ir, block) for block in state.func_ir.blocks.values()]
        return any(changed)


def _has_terms(ty: Any) -> bool:
    if isinstance(ty, types.BaseTuple):
        return any(map(_has_terms, ty.types))
    return isinstance(getattr(ty, "dtype", ty), Term)


def _squared(func_ir: Any, block: Any) -> bool:
    """Replace the products of a variable with itself in a block."""
    body, loaded, changed = [], {}, False
    written: Counter[str] = Counter()
    for step in block.body:
        if isinstance(step, ir.Assign):
            value, name = step.value, step.target.name
            if isinstance(value, ir.Var):
                loaded[name] = value.name, written[value.name]
            elif isinstance(value, ir.Expr) and value.op == "binop" and value.fn is operator.mul:
                one, other = (loaded.get(side.name, side.name) for side in (value.lhs, value.rhs))
                if one == other:
                    two = ir.Var(block.scope, mk_unique_var("$two"), step.loc)
                    body.append(_assigned(func_ir, ir.Const(2, step.loc), two))
                    value.fn, value.rhs = operator.pow, two
                    changed = True
            written[name] += 1
        body.append(step)
    block.body = body
    return changed


def _assigned(func_ir: Any, value: Any, target: Any) -> Any:
    func_ir._definitions[target.name].append(value)
    return ir.Assign(value, target, target.loc)


@final
class DualCompiler(CompilerBase):
    """Numba's compiler of a user's function: with our pass, and optimized before it is linked.

    LLVM makes more of its loops there than after it has met the sweep's.
    """

    def define_pipelines(self) -> list[Any]:
        """List the one pipeline."""
        passes = [(one, InlineClosureLikes) for one in (_ArrayDisplays, _Squares)]
        return [_with(self.state, AsWhole, *passes)]


@final
@register_pass(mutates_CFG=False, analysis_only=False)
class _BareRaises(FunctionPass):
    """Reads ``raise Error(...)`` as ``raise Error``, and drops what only its message needs."""

    _name = "difint_bare_raises"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        changed = False
        for block in state.func_ir.blocks.values():
            last = block.terminator
            if isinstance(last, ir.StaticRaise | ir.DynamicRaise) and last.exc_class is not None:
                block.body = [ir.StaticRaise(last.exc_class, None, last.loc)]
                changed = True
        return changed


@final
class BareCompiler(CompilerBase):
    """Numba's compiler of code that tells that it raises, and leaves to other code to say what.

    With our pass for displays of arrays.
    """

    def define_pipelines(self) -> list[Any]:
        """List the one pipeline."""
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.add_pass_after(_ArrayDisplays, InlineClosureLikes)
        manager.add_pass_after(_BareRaises, RewriteDynamicRaises)
        manager.finalize()
        return [manager]


@final
class PartCompiler(CompilerBase):
    """Numba's compiler of a function of ours, as a part of a program."""

    def define_pipelines(self) -> list[Any]:
        """List the one pipeline."""
        return [_with(self.state, AsPart)]


@final
class RoughCompiler(CompilerBase):
    """Numba's compiler, for code that runs a few times."""

    def define_pipelines(self) -> list[Any]:
        """List the one pipeline."""
        return [_with(self.state, Roughly)]


def _with(state: Any, library: Any, *passes: tuple[Any, Any]) -> Any:
    """Make Numba's pipeline with a choice of a library, and passes after others."""
    manager = DefaultPassBuilder.define_nopython_pipeline(state)
    for one, before in (*passes, (library, NopythonTypeInference)):
        manager.add_pass_after(one, before)
    manager.finalize()
    return manager


_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

PART = {"error_model": "numpy", **_INNER, "pipeline_class": PartCompiler}
"""How functions of ours are compiled: to be called from compiled code alone.
Division by zero gives ``inf``, as with NumPy's numbers."""

USERS_PART = {**_INNER, "pipeline_class": DualCompiler}
"""How functions of users are compiled, besides their own options."""

PROBE = {"error_model": "numpy", "nogil": True, "pipeline_class": RoughCompiler}
"""How a function is compiled that Python calls a few times."""
