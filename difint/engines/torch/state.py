"""The state of PyTorch that a plan does not depend on: grad mode, autocast, inference mode."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, final

import torch
from torch.overrides import TorchFunctionMode

from difint.engines.torch.arrays import flatten, unflatten
from difint.errors import DifintError, UnsupportedError, message

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
def unchanged_generators(values: list[Any]) -> Iterator[None]:
    """Give random generators back as they were, on the devices of these values too."""
    tensors = [one for one in values if isinstance(one, torch.Tensor)]
    devices = sorted({one.device.index or 0 for one in tensors if one.is_cuda})
    with torch.random.fork_rng(devices):
        yield


# What PyTorch says where an operation has no derivative of the kind that is asked for.
_MISSING = re.compile(
    "forward AD with .* that does not support it|derivative for .* is not implemented|"
    "must override the setup_context staticmethod|must implement the jvp function"
)


def lacks_derivative(error: BaseException) -> bool:
    """Tell whether an error says that an operation cannot be differentiated in this way."""
    return _MISSING.search(str(error)) is not None


@contextmanager
def explaining() -> Iterator[None]:
    """Name the way out where PyTorch lacks a derivative."""
    try:
        yield
    except (NotImplementedError, RuntimeError) as error:
        if not lacks_derivative(error):
            raise
        text = message(
            "AutoTorch",
            "PyTorch lacks a derivative that this needs",
            expected="rules for the mode, or the order, of differentiation",
            got=str(error).strip().splitlines()[0],
            remedy="Use AutoTorch(mode='reverse') if forward mode is what is missing, or "
            "AutoFiniteDiff(), or write f with other operations.",
        )
        raise UnsupportedError(text) from error


@contextmanager
def hinting(x: Any) -> Iterator[None]:
    """Say what ``f`` is given, where an error may come from taking it for something else."""
    try:
        yield
    except (AttributeError, RuntimeError, TypeError) as error:
        given = any(isinstance(leaf, torch.Tensor) for leaf in flatten(x)[0])
        if not given or "numpy" in str(error):
            error.add_note(_TENSORS)
        raise


@contextmanager
def hinting_at_eager() -> Iterator[None]:
    """Say, where making a graph fails, that there is a way without one."""
    try:
        yield
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        if not isinstance(error, DifintError):
            error.add_note(_WITHOUT)
        raise


_WITHOUT = (
    "difint: AutoTorch makes a graph of f, which takes numbers of Constants as tensors: bind sizes "
    "and indices with functools.partial. If f works without it, use AutoTorch(compile='eager')."
)

_TENSORS = (
    "difint: AutoTorch gives f tensors, whatever kind x is of. Write f with torch, without NumPy's "
    "functions, or use AutoFiniteDiff()."
)


class _Here(threading.local):
    watched = False


_HERE = _Here()


@contextmanager
def watched() -> Iterator[None]:
    """Mark that ``f`` is called to see what it does."""
    before, _HERE.watched = _HERE.watched, True
    WATCHED.append(None)
    try:
        yield
    finally:
        _HERE.watched = before
        WATCHED.pop()


WATCHED: list[None] = []
"""Not empty while a thread calls ``f`` to see what it does: looked at in every call of a plan."""


def refuse_nested(args: Any) -> None:
    """Refuse a plan within ``f``, whose results carry no derivative on to ``f``'s own."""
    leaves = flatten(args)[0]
    depends = any(isinstance(one, torch.Tensor) and one.requires_grad for one in leaves)
    if not (_HERE.watched and depends and torch.is_grad_enabled()):
        return
    text = message(
        "execute",
        "a plan is executed within a function that is differentiated",
        expected="operations of torch from x to f(x)",
        got="a plan of AutoTorch, whose results carry no derivative",
        remedy="Prepare an operator of higher order, use torch.func within f, or .detach() the "
        "plan's arguments if that is meant.",
    )
    raise UnsupportedError(text)


@final
class Watch(TorchFunctionMode):
    """Notes what a function does that cuts its derivative.

    Attributes:
        switches: it switches the record for autograd off.
        cuts: what takes numbers out of tensors that depend on ``x``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.switches = False
        self.cuts: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note it, and do what was asked for."""
        self.switches |= func is torch._C._set_grad_enabled and not args[0]
        name = _CUTS.get(func)
        if name is not None and torch.is_grad_enabled():
            depends = any(isinstance(one, torch.Tensor) and one.requires_grad for one in args)
            self.cuts |= {name} if depends else set()
        return func(*args, **(kwargs or {}))


_CUTS = {
    torch.Tensor.item: ".item()",
    torch.Tensor.tolist: ".tolist()",
    torch.Tensor.__float__: "float()",
}


@final
class _Cut(TorchFunctionMode):
    """Drops tangents where the record for autograd is off, as reverse mode does."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function, with plain numbers where derivatives are switched off."""
        kwargs = kwargs or {}
        if func is torch._C._set_grad_enabled or torch.is_grad_enabled():
            return func(*args, **kwargs)
        leaves, structure = flatten((args, kwargs))
        plain = [one.detach() if isinstance(one, torch.Tensor) else one for one in leaves]
        args, kwargs = unflatten(structure, plain)
        return func(*args, **kwargs)


def cutting(f: Callable[..., Any]) -> Callable[..., Any]:
    """Let forward mode see ``torch.no_grad()`` within a function, which it ignores by itself."""

    def cut(*args: Any) -> Any:
        with torch.enable_grad(), _Cut():
            return f(*args)

    return cut


def refuse_transformed() -> None:
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
