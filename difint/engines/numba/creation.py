"""Arrays of duals from sequences, and by choice."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from difint.engines.numba.access import dtype_of
from difint.engines.numba.dual import REALS, Active
from difint.engines.numba.element_functions import joint_float
from difint.engines.numba.elementwise import involves_duals, register
from difint.engines.numba.functions import overloading
from difint.engines.numba.operators import common
from difint.engines.numba.reductions import is_dual_array
from difint.engines.numba.views import leaves_of, uniform

_SEQUENCES = (types.List, types.UniTuple, types.ListType)


def _innermost(ty: Any) -> Any:
    return _innermost(ty.dtype) if isinstance(ty, _SEQUENCES) else ty


@overloading(np.array)
def _choose_array(object: Any, dtype: Any = None) -> Any:
    """Make an array of numbers, of rows, or of a copy; a float ``dtype`` is that of duals."""
    if is_dual_array(object):
        return lambda object, dtype=None: object.copy()
    if isinstance(object, types.BaseTuple) and involves_duals(leaves := leaves_of(object)):
        if all(isinstance(one, (Active, *REALS)) for one in leaves) and len(set(leaves)) > 1:
            return lambda object, dtype=None: np.array(uniform(object))
    if not isinstance(object, _SEQUENCES) or not involves_duals((_innermost(object),)):
        return None
    entry = object.dtype
    if isinstance(entry, Active):
        return _numbers
    return _rows_of_arrays if isinstance(entry, types.Array) else _rows_of_sequences


def _numbers(object: Any, dtype: Any = None) -> Any:
    filled = np.empty(len(object), dtype_of(object[0]))
    for i in range(len(object)):
        filled[i] = object[i]
    return filled


def _rows_of_arrays(object: Any, dtype: Any = None) -> Any:
    first = object[0]
    filled = np.empty((len(object), *first.shape), first.dtype)
    for i in range(len(object)):
        filled[i] = object[i]
    return filled


def _rows_of_sequences(object: Any, dtype: Any = None) -> Any:
    first = np.array(object[0])
    filled = np.empty((len(object), *first.shape), first.dtype)
    for i in range(len(object)):
        filled[i] = np.array(object[i])
    return filled


@overloading(np.stack)
def _choose_stack(arrays: Any, axis: Any = 0) -> Any:
    """Stack scalars, which Numba's own does not take."""
    if not isinstance(arrays, types.BaseTuple) or not arrays.types:
        return None
    if not all(isinstance(one, (Active, *REALS)) for one in arrays.types):
        return None
    return lambda arrays, axis=0: np.array(arrays)


def select(condition: Any, x: Any, y: Any) -> Any:
    """Choose between scalars."""
    return x if condition else y


@overloading(select)
def _choose_select(condition: Any, x: Any, y: Any) -> Any:
    """Choose between scalars: of both types, what both can be."""
    if common((x, y)) is None and joint_float(x, y) is None:
        return None
    return lambda condition, x, y: x + 0 if condition else y + 0


@overloading(np.where)
def _choose_where(condition: Any, x: Any, y: Any) -> Any:
    scalar = isinstance(condition, types.Boolean | types.Integer | types.Float)
    return _choose_select(condition, x, y) if scalar else None


register(np.where, 3, select)


def clipped(a: Any, a_min: Any, a_max: Any) -> Any:
    """Clip a scalar."""
    return min(max(a, a_min), a_max)


@overloading(clipped)
def _choose_clipped(a: Any, a_min: Any, a_max: Any) -> Any:
    """Clip a scalar; at a bound the derivative is half, as that of ``maximum`` is."""
    if common((a, a_min, a_max)) is None and joint_float(a, a_min, a_max) is None:
        return None
    return lambda a, a_min, a_max: np.minimum(np.maximum(a, a_min), a_max)


overloading(np.clip)(_choose_clipped)
register(np.clip, 3, clipped)


_SCALARS = (Active, types.Float)


@infer_global(operator.getitem)
class _Lengthened(AbstractTemplate):
    """The type of ``x[None]`` for a scalar, which NumPy's scalars have too: an array of one."""

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        if isinstance(args[0], _SCALARS) and isinstance(args[1], types.NoneType):
            return signature(types.Array(args[0], 1, "C"), *args)
        return None


@lower_builtin(operator.getitem, Active, types.NoneType)
@lower_builtin(operator.getitem, types.Float, types.NoneType)
def _lengthen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    inner = signature(sig.return_type, sig.args[0])
    return context.compile_internal(builder, lambda x: np.array((x,)), inner, args[:1])
