"""Delivery: the user's results from the kernel's, into fresh values, ``out=`` and ``y=``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy import may_share_memory as may_share

from difint.errors import ArgumentError, message
from difint.kinds import Leaf
from difint.problem import Form, single
from difint.trees import Trees


@final
@dataclass(frozen=True, slots=True)
class Delivery:
    """What stands between a plan's kernels and the user's ``out=`` and ``y=``.

    Attributes:
        operator: the operator's name, for messages.
        kernel: ``(x, [t,] *contexts) -> result``.
        full: ``(x, [t,] *contexts) -> (lower orders..., result)``.
        forms: a form for each part that ``full`` returns.
        y_form: the form of ``y`` where ``f`` is in place; else ``None``.
        primal: ``(x, [t,] *contexts) -> y``, where ``full`` does not bring the value; else
            ``None``.
        trees: how arguments are taken apart.
    """

    operator: str
    kernel: Callable[..., Any]
    full: Callable[..., tuple[Any, ...]]
    forms: tuple[Form, ...]
    y_form: Form | None
    primal: Callable[..., Any] | None
    trees: Trees

    def deliver(self, args: tuple[Any, ...], out: Any, y: Any, *, full: bool) -> Any:
        """Run on unwrapped arguments that fit; fill ``out`` and ``y`` where they are given."""
        if y is None and not full and self._fits(out, args):
            out[...] = np.asarray(self.kernel(*args))
            return out
        self.check(args, out, y)
        return self.run(args, out, y, full=full)

    def _fits(self, out: Any, args: tuple[Any, ...]) -> bool:
        """Tell whether ``out`` is the plain case that needs no further check."""
        form = self.forms[-1]
        if type(out) is not np.ndarray or form.unpack is not single:
            return False
        leaf = form.leaves[0]
        if out.shape != leaf.shape or out.dtype != leaf.dtype:
            return False
        apart = all([type(arg) is np.ndarray and not may_share(out, arg) for arg in args])
        return apart and out.flags.writeable

    def run(self, args: tuple[Any, ...], out: Any, y: Any, *, full: bool) -> Any:
        """Do what ``deliver`` does, after its checks."""
        valued = full or (y is not None and self.primal is None)
        parts = self.full(*args) if valued else (self.kernel(*args),)
        targets = [*[None] * (len(parts) - 1), out]
        if y is not None and self.primal is None:
            targets[0] = y
        elif y is not None and self.primal is not None:
            y[...] = self.primal(*args)
        forms = self.forms[len(self.forms) - len(parts) :]
        done = tuple(map(hand_over, forms, parts, targets))
        return done if full else done[-1]

    def check(self, args: tuple[Any, ...], out: Any, y: Any) -> None:
        """Refuse an ``out`` or a ``y`` that cannot be filled."""
        if y is not None:
            self._check_y(y, args)
        if out is None:
            return
        form = self.forms[-1]
        try:
            targets = form.unpack(out)
        except ValueError as error:
            expected, got = f"the structure of the result, {error}", type(out).__name__
            self._refuse("out", "has another structure than the result", expected, got)
        inputs = [*self._arrays(args), *([] if y is None else [y])]
        for target, leaf in zip(targets, form.leaves, strict=True):
            self._check_target("out", target, leaf, inputs)
            inputs.append(target)

    def _check_y(self, y: Any, args: tuple[Any, ...]) -> None:
        if self.y_form is None:
            text = message(
                self.operator,
                "y= was given, but this plan has no y to fill",
                remedy="Leave y= out: it is for plans of functions f(y, x, ...), not of one point.",
            )
            raise ArgumentError(text)
        self._check_target("y", y, self.y_form.leaves[0], self._arrays(args))

    def _check_target(self, name: str, target: Any, leaf: Leaf, inputs: Iterable[Any]) -> None:
        dtype = leaf.numpy_dtype
        if not isinstance(target, np.ndarray):
            remedy = f"Pass a NumPy array, or leave {name}= out for a fresh result."
            self._refuse(
                name, "cannot be filled", f"a NumPy array {_array(leaf)}", _got(target), remedy
            )
        if target.shape != leaf.shape or target.dtype != dtype:
            got = f"{target.dtype}[{','.join(map(str, target.shape))}]"
            self._refuse(name, "does not fit the result", _array(leaf), got)
        if not target.flags.writeable:
            self._refuse(name, "is read-only", "a writeable array", "a read-only one")
        for other in inputs:
            if np.may_share_memory(target, other) and np.shares_memory(target, other):
                problem = "overlaps an argument, or another result, in memory"
                self._refuse(name, problem, "memory of its own", "memory shared with it")

    def _refuse(self, name: str, problem: str, expected: str, got: str, remedy: str = "") -> None:
        plain = name == "out" and self.forms[-1].unpack is single
        leaf = self.forms[-1].leaves[0] if plain else None
        make = f"Pass {name}=numpy.empty({leaf.shape}, '{leaf.numpy_dtype}')." if leaf else ""
        remedy = remedy or make or f"Pass {name}= as at prepare, in memory of its own."
        text = message(
            self.operator, f"{name} {problem}", expected=expected, got=got, remedy=remedy
        )
        raise ArgumentError(text)

    def _arrays(self, args: Sequence[Any]) -> Iterator[Any]:
        for arg in args:
            leaves = [arg] if type(arg) is np.ndarray else self.trees.flatten(arg)[0]
            yield from (leaf for leaf in leaves if isinstance(leaf, np.ndarray))


def hand_over(form: Form, part: Any, target: Any) -> Any:
    """Turn a kernel's result into the user's, fresh or in ``target``."""
    if target is None:
        return part if form.leave is None else form.leave(part)
    for into, leaf in zip(form.unpack(target), form.spread(part), strict=True):
        into[...] = np.asarray(leaf)
    return target


def _array(leaf: Leaf) -> str:
    return f"{leaf.numpy_dtype}[{','.join(map(str, leaf.shape))}]"


def _got(target: Any) -> str:
    module = type(target).__module__.partition(".")[0]
    if module.startswith("jax"):
        return "a jax.Array, which is immutable"
    return f"a {type(target).__name__}"
