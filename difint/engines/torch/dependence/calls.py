"""Calls: one operation of a graph, with arrays of index sets in the place of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch._ops import OpOverload

from difint.dependence.arrays import Dependent, known, mixed, unknown
from difint.dependence.sets import Sets
from difint.engines.torch.arrays import flatten

_WIDENED = {torch.bfloat16: torch.float32}
"""What stands for dtypes that NumPy does not have."""


@final
@dataclass(frozen=True, slots=True)
class Held:
    """A tensor as index sets.

    Attributes:
        sets: of each entry.
        like: its template.
    """

    sets: Dependent
    like: torch.Tensor

    @property
    def dtype(self) -> torch.dtype:
        """The tensor's dtype; values of it may be wider."""
        return self.like.dtype

    @property
    def value(self) -> torch.Tensor | None:
        """The values as a tensor, where there are some."""
        value = self.sets.value
        return None if value is None else tensor_of(value).to(self.dtype)


def array_of(tensor: torch.Tensor) -> Any:
    """Make a NumPy array of a tensor's numbers."""
    plain = tensor.detach().cpu()
    if plain._is_zerotensor():
        plain = torch.zeros(plain.shape, dtype=plain.dtype)
    plain = plain.resolve_conj().resolve_neg()
    return plain.to(_WIDENED.get(plain.dtype, plain.dtype)).contiguous().numpy()


def differentiable(dtype: torch.dtype) -> bool:
    """Tell whether numbers of a dtype carry derivatives."""
    return bool(dtype.is_floating_point or dtype.is_complex)


def tensor_of(array: Any) -> torch.Tensor:
    """Make a tensor of a NumPy array, in memory of its own."""
    return torch.from_numpy(np.array(array))


FILLS = frozenset({"value", "fill_value"})
"""Arguments that are numbers, or tensors, to be put beside entries."""


@final
@dataclass(frozen=True, slots=True)
class Call:
    """One operation.

    Attributes:
        sets: where the nodes are.
        target: the operation.
        args: its arguments, tensors as ``Held``.
        kwargs: likewise, by name.
        like: a template of its result, or several of them.
        cuts: ``detach`` cuts the derivative: it is the user's, not PyTorch's own.
        wide: the names of operations that no rule knows, which a result depends on.
    """

    sets: Sets
    target: OpOverload
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    like: Any
    cuts: bool
    wide: set[str]

    @property
    def name(self) -> str:
        """The operation's name, without that of its overload."""
        return str(self.target._schema.name).removeprefix("aten::")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result, of the first one if there are several."""
        return tuple(self.likes[0].shape)

    @property
    def likes(self) -> list[Any]:
        """The templates of the results."""
        return list(self.like) if isinstance(self.like, list | tuple) else [self.like]

    def named(self) -> Iterator[tuple[str, Any]]:
        """List the names and the values of the arguments that were passed."""
        arguments = [one for one in self.target._schema.arguments if not one.kwarg_only]
        yield from zip((one.name for one in arguments), self.args, strict=False)
        yield from self.kwargs.items()

    def get(self, name: str, default: Any = None) -> Any:
        """Get an argument, or what the operation takes without it."""
        for one, value in self.named():
            if one == name:
                return value
        for one in self.target._schema.arguments:
            if one.name == name and one.has_default_value():
                return one.default_value
        return default

    def held(self, name: str) -> Dependent | None:
        """Get the sets of an argument; a number is known, and ``None`` is ``None``."""
        value = self.get(name)
        if value is None or isinstance(value, Held):
            return None if value is None else value.sets
        return Dependent(None, None, np.asarray(value))

    def operand(self, name: str) -> Dependent:
        """Get the sets of an argument that must be there."""
        found = self.held(name)
        assert found is not None, f"{self.name} without {name}"
        return found

    @property
    def tensors(self) -> list[Held]:
        """List the tensors among the arguments, also those in lists."""
        leaves = flatten((self.args, self.kwargs))[0]
        return [one for one in leaves if isinstance(one, Held)]

    @property
    def operands(self) -> list[Dependent]:
        """List the sets of the tensors."""
        return [one.sets for one in self.tensors]

    @property
    def complex(self) -> bool:
        """Whether any tensor is complex."""
        return any(one.dtype.is_complex for one in self.tensors)

    def known(self, name: str) -> torch.Tensor | None:
        """Get the values of a tensor if all of them are known."""
        held = self.get(name)
        if not isinstance(held, Held) or known(self.sets, held.sets) is None:
            return None
        return held.value

    def run(self, change: Callable[[str, Held], torch.Tensor], *, filling: bool = True) -> Any:
        """Run the operation, with tensors in the place of what is held.

        Args:
            change: ``(name of the argument, held) -> tensor``.
            filling: what fills gaps has its number; otherwise it is zero.
        """

        def apply(name: str, value: Any) -> Any:
            if isinstance(value, Held):
                return change(name, value)
            if isinstance(value, list | tuple):
                return [apply(name, one) for one in value]
            zero = name in FILLS and not filling and value is not None
            return 0 if zero else value

        names = [one.name for one in self.target._schema.arguments if not one.kwarg_only]
        args = [apply(name, one) for name, one in zip(names, self.args, strict=False)]
        kwargs = {name: apply(name, one) for name, one in self.kwargs.items()}
        if not filling and "value" in names[len(args) :]:
            kwargs["value"] = 0
        return self.target(*args, **kwargs)

    def evaluated(self) -> list[torch.Tensor] | None:
        """Compute the operation on the values; ``None`` if one lacks."""
        if any(one.value is None for one in self.operands):
            return None
        result = self.run(lambda name, one: one.value)
        return list(result) if isinstance(result, list | tuple) else [result]

    def widely(self, *, note: bool, linear: bool = False) -> list[Dependent]:
        """Let every result depend on everything.

        Args:
            note: whether the user is told.
            linear: the operation is linear in its operands together.
        """
        operands = self.operands
        if note and any(one.depends for one in operands):
            self.wide.add(self.target._schema.name)
        return [
            mixed(self.sets, operands, tuple(like.shape), linear=linear)
            if isinstance(like, torch.Tensor)
            else unknown(())
            for like in self.likes
        ]


Results = Dependent | Sequence[Dependent]
"""What a rule makes: the sets of the result, or of several."""

Rule = Callable[[Call], Results]
