"""Elementwise operations: which are steps, which linear; PyTorch's tags tell of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from difint.dependence.arrays import (
    Dependent,
    Kind,
    as_steps,
    elementwise,
    known,
    settled,
)
from difint.engines.torch.dependence.calls import Call, Held, array_of, differentiable

_STEPS = frozenset(
    """
    angle bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil
    eq floor floor_divide gcd ge gt heaviside isfinite isinf isnan isneginf isposinf lcm le
    logical_and logical_not logical_or logical_xor lt ne round sgn sign signbit trunc
    """.split()
)

_LINEAR = frozenset(
    """
    _conj _conj_physical _neg_view _to_copy abs add clamp clamp_max clamp_min clone conj_physical
    copysign deg2rad detach fmax fmin fmod frac hardshrink hardsigmoid hardtanh hardtanh_backward
    imag leaky_relu leaky_relu_backward masked_fill max maximum min minimum nan_to_num
    native_dropout_backward neg positive rad2deg real relu relu6 remainder rrelu_with_noise rsub
    softshrink sub threshold threshold_backward where
    """.split()
)
"""Linear in their operands together, or piecewise linear."""

_COMPLEX_LINEAR = frozenset(
    """
    _conj _conj_physical _neg_view _to_copy add clone conj_physical detach imag masked_fill neg
    positive real rsub sub where
    """.split()
)
"""Those that are linear of complex numbers too, over the real ones."""

_CONDITIONS = {
    "copysign": ("other",),
    "heaviside": ("values",),
    "masked_fill": ("mask",),
    "where": ("condition",),
    "threshold_backward": ("self",),
    "hardtanh_backward": ("self",),
    "leaky_relu_backward": ("self",),
}
"""Arguments that only choose between others."""

UNTAGGED = frozenset(
    """
    _conj _conj_physical _neg_view _to_copy detach floor_divide frac hardtanh_backward imag
    leaky_relu_backward native_dropout real rrelu_with_noise
    """.split()
)
"""Elementwise operations that PyTorch's tags do not tell of."""


def is_elementwise(call: Call) -> bool:
    """Tell whether an operation works entry by entry."""
    return torch.Tag.pointwise in call.target.tags or call.name in UNTAGGED


def apply_elementwise(call: Call) -> Dependent:
    """Unite what meets."""
    if call.name == "detach" and call.cuts:
        return as_steps(call.operand("self"))
    kind, operands = kind_of(call), _operands(call)
    values = [one.value for one in operands]
    telling = all(one is not None for one in values)

    def compute() -> Any:
        (result,) = call.evaluated() or [None]
        return None if result is None else array_of(result)

    made = elementwise(call.sets, kind, operands, compute if telling else None)
    if call.sets.local and kind == "linear" and made.value is not None and made.depends:
        return _here(call, operands, made)
    return made


def kind_of(call: Call) -> Kind:
    """Tell what an elementwise operation does."""
    name = call.name
    if not differentiable(call.likes[0].dtype):
        return "step"
    if name in ("div", "true_divide"):
        return "quotient" if call.get("rounding_mode") is None else "step"
    if name == "mul":
        return "product"
    if name == "pow":
        return _kind_of_power(call)
    if call.complex and name not in _COMPLEX_LINEAR:
        return "nonlinear"
    return "step" if name in _STEPS else "linear" if name in _LINEAR else "nonlinear"


def _kind_of_power(call: Call) -> Kind:
    exponent = known(call.sets, call.operand("exponent"))
    if exponent is not None and (exponent == 0).all():
        return "step"
    return "linear" if exponent is not None and (exponent == 1).all() else "nonlinear"


def _operands(call: Call) -> list[Dependent]:
    """List what an operation takes, conditions as steps, and the factors that are numbers."""
    if call.name in ("mul", "div", "true_divide"):
        return [call.operand("self"), call.operand("other")]
    conditions = _CONDITIONS.get(call.name, ())
    pairs = [(name, one.sets) for name, one in call.named() if isinstance(one, Held)]
    return [as_steps(one) if name in conditions else one for name, one in pairs]


def _here(call: Call, operands: list[Dependent], made: Dependent) -> Dependent:
    """Leave out what a piecewise linear operation does not depend on at the example.

    Beside a kink, where a derivative jumps, both sides count.
    """
    if call.name in _COMPLEX_LINEAR or call.complex:
        return made
    lives = _lives(call)
    if lives is None:
        return made
    pairs = zip(operands, lives, strict=True)
    parts = [one if live is None else _masked(one, live) for one, live in pairs]
    found = elementwise(call.sets, "linear", parts, None)
    bends = found.bends
    return settled(call.sets, np.maximum(found.full, made.full > 0), bends, lambda: made.value)


def _masked(one: Dependent, live: Any) -> Dependent:
    nodes = np.broadcast_to(one.full, live.shape)
    bends = None if one.bends is None else np.broadcast_to(one.bends, live.shape)
    bends = None if bends is None else np.where(live, bends, 0).astype(np.int32)
    return Dependent(np.where(live, nodes, np.minimum(nodes, 1)).astype(np.int32), bends)


def _lives(call: Call) -> list[Any] | None:
    """Tell, for each operand, where the operation depends on it, at the example and beside it."""
    held = [one for _, one in call.named() if isinstance(one, Held)]
    found: list[Any] = [None] * len(held)
    for side in (-1.0, 0.0, 1.0):
        gradients = _gradients(call, held, side)
        for k, one in enumerate(gradients):
            if one is not None:
                live = array_of(one != 0)
                found[k] = live if found[k] is None else found[k] | live
    return found


def _gradients(call: Call, held: list[Held], side: float) -> list[Any]:
    """Compute the derivatives by each operand, with the first one moved a little."""
    leaves: dict[int, torch.Tensor] = {}
    for one in held:
        value = one.value
        assert value is not None, "local sets have values"
        if differentiable(one.dtype):
            value = value.double().expand(call.shape).clone()
            step = side * (1e-9 + 1e-9 * value.abs()) if not leaves else 0.0
            leaves[id(one)] = (value + step).requires_grad_()
        else:
            leaves[id(one)] = value
    with torch.enable_grad():
        result = call.run(lambda name, one: leaves[id(one)])
    wanted = [one for one in leaves.values() if one.requires_grad]
    if not result.requires_grad:
        return [torch.zeros(call.shape) if differentiable(one.dtype) else None for one in held]
    got = torch.autograd.grad(result.sum(), wanted, allow_unused=True, materialize_grads=True)
    rows = dict(zip((id(one) for one in wanted), got, strict=True))
    return [rows.get(id(leaves[id(one)])) for one in held]
