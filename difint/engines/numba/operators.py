"""Arithmetic and comparison of scalar duals: typed in one place, emitted without a call."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from difint.engines.numba.dual import REALS, Dual, value_of
from difint.engines.numba.emitting import Number, binary, negative

ARITHMETIC = {
    operator.add: "add",
    operator.sub: "subtract",
    operator.mul: "multiply",
    operator.truediv: "divide",
}

IN_PLACE = {
    operator.iadd: "add",
    operator.isub: "subtract",
    operator.imul: "multiply",
    operator.itruediv: "divide",
}

COMPARISONS = {
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.eq: "==",
    operator.ne: "!=",
}


def common(args: tuple[Any, ...]) -> Dual | None:
    """Get the type of duals that all of these scalars can become; ``None`` if none is a dual."""
    duals = [arg for arg in args if isinstance(arg, Dual)]
    if not duals or not all(isinstance(arg, (Dual, *REALS)) for arg in args):
        return None
    widest = max(duals, key=lambda one: (one.width, one.float.bitwidth))
    return widest if all(one == widest or widest.unify(None, one) for one in duals) else None


def settled(args: tuple[Any, ...], dual: Dual) -> tuple[Any, ...]:
    """Keep duals duals, and let reals be floats: without partials there is less to compute."""
    return tuple(dual if isinstance(arg, Dual) else dual.float for arg in args)


class _Template(AbstractTemplate):
    # Before Numba's own, some of which fail with duals instead of declining them.
    metadata = {"target": "cpu"}

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        dual = common(args)
        return None if dual is None or kws else signature(self.result(dual), *settled(args, dual))

    def result(self, dual: Dual) -> Any:
        return dual


class _Comparison(_Template):
    def result(self, dual: Dual) -> Any:
        return types.boolean


_FORMS = ((Dual, Dual), (Dual, types.Float), (types.Float, Dual))


def _install(op: Callable[..., Any], template: type[_Template], emit: Any, forms: Any) -> None:
    infer_global(op)(type(f"Dual_{op.__name__}", (template,), {"key": op}))
    for form in forms:
        lower_builtin(op, *form)(emit)


def _emit_arithmetic(name: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = map(Number, sig.args, args)
        return binary(builder, name, a, b).llvm

    return emit


def _emit_comparison(symbol: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left, right = (_bottom(builder, *pair) for pair in zip(sig.args, args, strict=True))
        compare = builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered
        return compare(symbol, left, right)

    return emit


def _bottom(builder: Any, ty: Any, value: Any) -> Any:
    return _bottom(builder, ty.base, value_of(builder, value)) if isinstance(ty, Dual) else value


def _emit_negative(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return negative(builder, Number(sig.args[0], args[0])).llvm


def _emit_positive(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


for _op, _name in (ARITHMETIC | IN_PLACE).items():
    _install(_op, _Template, _emit_arithmetic(_name), _FORMS)
for _op, _name in COMPARISONS.items():
    _install(_op, _Comparison, _emit_comparison(_name), _FORMS)
_install(operator.neg, _Template, _emit_negative, ((Dual,),))
_install(operator.pos, _Template, _emit_positive, ((Dual,),))
