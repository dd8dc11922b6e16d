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
        _check(module, loss)
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
        _check_parameters(parameters)
        # Copies, so that a layer that writes to its buffers does so to these, and is seen.
        buffers = {name: one.clone() for name, one in self._module.named_buffers()}
        before = {name: one._version for name, one in buffers.items()}
        outputs = functional_call(self._module, {**buffers, **parameters}, (inputs,))
        written = [name for name, one in buffers.items() if one._version != before[name]]
        if written:
            _refuse_writing(written[0])
        return self._loss(outputs, *others)

    def parameters(self) -> dict[str, Any]:
        """Return the module's parameters that require a gradient, by name: an ``x``."""
        named = self._module.named_parameters()
        return {name: one for name, one in named if one.requires_grad}

    def gradients(self) -> dict[str, Any]:
        """Return the parameters' ``.grad`` tensors, by name, made where there are none: an ``out``.

        Ask for them at every step: an optimizer's ``zero_grad()`` drops the tensors of the step
        before. It need not be called, for ``execute`` overwrites.
        """
        import torch

        for one in self.parameters().values():
            if one.grad is None:
                one.grad = torch.zeros_like(one)
        return {name: one.grad for name, one in self.parameters().items()}

    @property
    def frozen(self) -> tuple[str, ...]:
        """The names of what a graph of it keeps as it is at prepare."""
        fixed = [name for name, one in self._module.named_parameters() if not one.requires_grad]
        buffers = [name for name, _ in self._module.named_buffers()]
        return (*fixed, *buffers, "train() or eval()")

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


def _check(module: Any, loss: Any) -> None:
    """Require a module and a loss, in this order."""
    import torch

    if not isinstance(module, torch.nn.Module):
        text = message(
            "ModuleLoss",
            "module is not a module",
            expected="a torch.nn.Module",
            got=f"a {type(module).__name__}",
            remedy="Pass the module first, then the loss.",
        )
        raise ArgumentError(text)
    if not callable(loss) or isinstance(loss, type):
        name = getattr(loss, "__name__", type(loss).__name__)
        text = message(
            "ModuleLoss",
            "loss is not a function",
            expected="(outputs, *others) -> scalar tensor",
            got=f"the class {name}" if isinstance(loss, type) else f"a {name}",
            remedy=f"Write {name}()."
            if isinstance(loss, type)
            else "Pass e.g. torch.nn.functional.mse_loss.",
        )
        raise ArgumentError(text)


def _check_parameters(parameters: Any) -> None:
    if isinstance(parameters, Mapping):
        return
    text = message(
        "ModuleLoss",
        "the parameters are no dict",
        expected="a dict of tensors by name",
        got=f"a {type(parameters).__name__}",
        remedy="Pass x=f.parameters().",
    )
    raise ArgumentError(text)


def _refuse_writing(name: str) -> None:
    text = message(
        "ModuleLoss",
        f"a layer writes to its buffer {name!r} when it is called",
        expected="layers without side effects",
        got="an operation in place on a buffer",
        remedy="Call module.eval(), or leave that layer out.",
    )
    raise UnsupportedError(text)
