"""Methods of arrays of duals: those that Numba cannot compile call the functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr
from numba.extending import lower_builtin

from difint.engines.numba.functions import overloading
from difint.engines.numba.reductions import is_dual_array


def _astype(a: Any, dtype: Any) -> Any:
    """Convert to another type of numbers; to the floats of the duals, they stay duals."""


@overloading(_astype)
def _choose_astype(a: Any, dtype: Any) -> Any:
    kept = getattr(dtype, "dtype", None) in (a.dtype, a.dtype.float)
    return (lambda a, dtype: a.copy()) if kept else None


_METHODS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "prod": np.prod,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "cumsum": np.cumsum,
    "dot": np.dot,
    "astype": _astype,
}


@infer_getattr
class _DualArrayMethods(AttributeTemplate):
    """Attributes of arrays of duals, before Numba's own of all arrays."""

    key = types.Array
    metadata = {"target": "cpu"}

    def generic_resolve(self, typ: Any, attr: str) -> Any:
        function = _METHODS.get(attr) if is_dual_array(typ) else None
        if function is None:
            return None

        def generic(template: Any, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
            sig = template.context.resolve_function_type(function, (typ, *args), kws)
            return None if sig is None else sig.as_method()

        body = {"key": ("difint", attr), "generic": generic, "prefer_literal": True}
        return types.BoundFunction(type("DualArray_" + attr, (AbstractTemplate,), body), typ)


def _emit_call(function: Callable[..., Any]) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        typing = context.typing_context
        fnty = typing.resolve_value_type(function)
        call = context.get_function(fnty, fnty.get_call_type(typing, sig.args, {}))
        context.add_linking_libs(getattr(call, "libs", ()))
        return call(builder, args)

    return emit


for _name, _function in _METHODS.items():
    lower_builtin(("difint", _name), types.Array, types.VarArg(types.Any))(_emit_call(_function))
