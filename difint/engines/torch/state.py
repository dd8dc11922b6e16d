"""The state of PyTorch that a plan does not depend on: grad mode, autocast, inference mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from difint.errors import UnsupportedError, message

_DEVICES = ("cpu", "cuda")

transforming = torch._C._functorch.maybe_current_level
autocasting = torch._C._is_any_autocast_enabled


@contextmanager
def settled() -> Iterator[None]:
    """Compute without autocast, inference mode or a record for autograd, as every plan does."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        if autocasting():
            for device in _DEVICES:
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


@contextmanager
def unchanged_generators(tensors: list[torch.Tensor]) -> Iterator[None]:
    """Give random generators back as they were."""
    devices = sorted({one.device.index or 0 for one in tensors if one.is_cuda})
    with torch.random.fork_rng(devices):
        yield


def refuse_transformed(*_: Any) -> Any:
    """Say that a plan is not differentiated, or mapped, by ``torch.func``."""
    text = message(
        "execute",
        "a plan of AutoTorch cannot be called inside a transformation of torch.func",
        expected="tensors with numbers in them",
        got="tensors that torch.func.grad, vmap or the like transforms",
        remedy="Transform f itself there; or prepare an operator of higher order, or with a tuple "
        "of tangents.",
    )
    raise UnsupportedError(text)
