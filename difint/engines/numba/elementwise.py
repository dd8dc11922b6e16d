"""Ufuncs and operators on arrays of duals: Numba's own loops over the scalar functions.

Numba fuses an expression of several of them into one loop, as it does with floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.core.typing.npydecl import (
    Numpy_rules_ufunc,
    NumpyRulesArrayOperator,
    NumpyRulesInplaceArrayOperator,
    NumpyRulesUnaryArrayOperator,
)
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin
from numba.np import npyimpl

from difint.engines.numba.dual import Active
from difint.rules import RULES

_COMPARING = (
    *("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"),
    *("isnan", "isinf", "isfinite", "signbit"),
)


def involves_duals(args: Iterable[Any]) -> bool:
    """Tell whether a dual, or an array of duals, is among the types."""
    return any(isinstance(getattr(arg, "dtype", arg), Active) for arg in args)


class _Elementwise(AbstractTemplate):
    """The type of an elementwise function: that of the scalar function, as an array."""

    metadata = {"target": "cpu"}
    count: int
    scalar: Callable[..., Any]
    in_place = False

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        args = tuple(arg.type if isinstance(arg, types.Optional) else arg for arg in args)
        given = (*args, args[0]) if self.in_place else args
        inputs = args[: self.count]
        arrays = any(isinstance(arg, types.Array) for arg in given)
        if kws or len(inputs) < self.count or not arrays or not involves_duals(given):
            return None
        fake = SimpleNamespace(nin=self.count, nout=1, nargs=self.count + 1, __name__="ufunc")
        scalars, outputs, ndim, layout = Numpy_rules_ufunc._handle_inputs(fake, given, kws)
        scalar = self.context.resolve_function_type(self.scalar, tuple(scalars[: self.count]), {})
        if outputs:
            result = outputs[0]
            if self.context.can_convert(scalar.return_type, result.dtype) is None:
                refuse_store(scalar.return_type, result.dtype)
        else:
            kind = scalar.return_type
            result = types.Array(kind, ndim, layout) if ndim else kind  # as NumPy: no array
        return signature(result, *args)

    def get_impl_key(self, sig: Any) -> Any:
        return _impl_key(self.scalar, self.count, self.in_place)


@cache
def _impl_key(function: Callable[..., Any], count: int, in_place: bool) -> Callable[..., Any]:
    """Register what emits the loop; return the key to find it by."""

    def key(*args: Any) -> None: ...

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if in_place:
            args = (*args, args[0])
            sig = signature(sig.return_type, *sig.args, sig.args[0])
        ufunc = SimpleNamespace(nin=count, nout=1, nargs=count + 1, __name__="ufunc")
        kernel = type("Kernel", (_ScalarKernel,), {"function": staticmethod(function)})
        return npyimpl.numpy_ufunc_kernel(context, builder, sig, args, ufunc, kernel)

    lower_builtin(key, types.VarArg(types.Any))(emit)
    return key


class _ScalarKernel(npyimpl._Kernel):
    """One step of the loop: a call of the scalar function."""

    function: Callable[..., Any]

    def generate(self, *args: Any) -> Any:
        outer, typing = self.outer_sig, self.context.typing_context
        fnty = typing.resolve_value_type(self.function)
        scalar = fnty.get_call_type(typing, tuple(outer.args), {})
        triples = zip(args, outer.args, scalar.args, strict=True)
        values = [self.context.cast(self.builder, *triple) for triple in triples]
        call = self.context.get_function(fnty, scalar)
        self.context.add_linking_libs(getattr(call, "libs", ()))
        result = call(self.builder, values)
        return self.cast(result, scalar.return_type, outer.return_type)


def _install() -> None:
    names = [
        *(name for name in RULES if isinstance(getattr(np, name, None), np.ufunc)),
        *_COMPARING,
    ]
    for name in names:
        register(getattr(np, name), getattr(np, name).nin)
    for rules, count, in_place in _OPERATORS:
        for op in rules._op_map:
            register(op, count, in_place=in_place)


_OPERATORS = (
    (NumpyRulesArrayOperator, 2, False),
    (NumpyRulesInplaceArrayOperator, 2, True),
    (NumpyRulesUnaryArrayOperator, 1, False),
)


def register(
    function: Callable[..., Any], count: int, scalar: Any = None, *, in_place: bool = False
) -> None:
    """Let a function of ``count`` scalar duals take arrays of them, with broadcasting.

    ``scalar`` is what to call on the entries, if it is another function.
    """
    scalar = staticmethod(scalar or function)
    body = {"key": function, "count": count, "scalar": scalar, "in_place": in_place}
    infer_global(function)(type("DualArray_" + function.__name__, (_Elementwise,), body))


class _DualScalar(npyimpl._ScalarHelper):
    """A scalar dual in a loop of Numba's; as a result it stands on the stack as in registers."""

    def __init__(self, context: Any, builder: Any, value: Any, ty: Any) -> None:
        super().__init__(context, builder, value, ty)
        self._ptr = cgutils.alloca_once(builder, context.get_value_type(ty))


def _extended(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """Let Numba's loops take scalar duals: it asks for its own types of numbers, by name."""

    def prepare_argument(context: Any, builder: Any, value: Any, ty: Any, *where: Any) -> Any:
        if isinstance(ty, Active):
            return _DualScalar(context, builder, value, ty)
        return prepare(context, builder, value, ty, *where)

    return prepare_argument


def refuse_store(dual: Any, dtype: Any) -> None:
    """Say that numbers which depend on ``x`` cannot be kept in an array of floats."""
    from numba.core.errors import TypingError

    raise TypingError(f"difint: a {dual} cannot be stored in an array of {dtype}")


npyimpl._prepare_argument = _extended(npyimpl._prepare_argument)
_install()
