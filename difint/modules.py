"""Modules: a ``torch.nn.Module`` and a loss as a function of the module's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

from difint.errors import ArgumentError, UnsupportedError, message


@final
class ModuleLoss:
    """Make ``f(parameters, inputs, *others) -> loss`` of a module and a loss.

    ``f`` computes ``loss(module(inputs), *others)`` with the given parameters in the place of the
    module's own; it leaves the module as it is. It keeps the module, and reads its buffers.

    Args:
        module: a ``torch.nn.Module``.
        loss: ``(outputs, *others) -> scalar tensor``, e.g. ``torch.nn.functional.cross_entropy``.

    Raises:
        UnsupportedError: a layer updates its buffers when it is called, as batch norm in training.
        ArgumentError: no parameter of the module requires a gradient.

    >>> import torch, difint as di
    >>> model = torch.nn.Linear(2, 1)
    >>> f = di.ModuleLoss(model, torch.nn.functional.mse_loss)
    >>> inputs, targets = di.Constant(torch.ones(4, 2)), di.Constant(torch.zeros(4, 1))
    >>> plan = di.prepare_gradient(f, di.AutoTorch(), f.parameters(), inputs, targets)
    >>> _ = plan.execute(f.parameters(), inputs, targets, out=f.gradients())
    >>> model.weight.grad.shape
    torch.Size([1, 2])
    """

    __slots__ = ("_loss", "_module")

    def __init__(self, module: Any, loss: Callable[..., Any]) -> None:
        self._module = module
        self._loss = loss
        if not self.parameters():
            text = message(
                "ModuleLoss",
                "the module has no parameters to differentiate",
                expected="parameters with requires_grad=True",
                got=f"none in {type(module).__name__}",
                remedy="Call module.requires_grad_(True), or pass x and use the module in f.",
            )
            raise ArgumentError(text)
        self._check_updates()

    def __call__(self, parameters: Mapping[str, Any], inputs: Any, *others: Any) -> Any:
        """Compute the loss with these parameters."""
        from torch.func import functional_call

        self._check_updates()
        return self._loss(functional_call(self._module, dict(parameters), (inputs,)), *others)

    def parameters(self) -> dict[str, Any]:
        """Return the module's parameters that require a gradient, by name: an ``x``."""
        named = self._module.named_parameters()
        return {name: one for name, one in named if one.requires_grad}

    def gradients(self) -> dict[str, Any]:
        """Return the parameters' ``.grad`` tensors, by name, made where there are none: an ``out``.

        An optimizer's ``zero_grad()`` drops them, and need not be called: ``execute`` overwrites.
        """
        import torch

        for one in self.parameters().values():
            if one.grad is None:
                one.grad = torch.zeros_like(one)
        return {name: one.grad for name, one in self.parameters().items()}

    @property
    def frozen(self) -> tuple[str, ...]:
        """The names of the tensors that a graph of it keeps as they are at prepare."""
        fixed = [name for name, one in self._module.named_parameters() if not one.requires_grad]
        return (*fixed, *(name for name, _ in self._module.named_buffers()))

    def _check_updates(self) -> None:
        """Refuse layers that write to their buffers: a plan has no side effects."""
        for name, layer in self._module.named_modules():
            if layer.training and getattr(layer, "track_running_stats", False):
                text = message(
                    "ModuleLoss",
                    f"the layer {name or 'itself'!r} updates its running statistics at every call",
                    expected="layers without side effects",
                    got=f"{type(layer).__name__} in training mode",
                    remedy="Call its eval(), or make it with track_running_stats=False.",
                )
                raise UnsupportedError(text)
