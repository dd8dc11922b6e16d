"""Delivery: the user's results from the kernel's, into fresh values, ``out=`` and ``y=``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from difint.errors import ArgumentError, message
from difint.kinds import Leaf, Memories, element_text
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
        memories: how arrays are filled.
        write: ``(target, value) -> None``: fills an array of the user's with an engine's.
        into: ``(args, target, full) -> lower orders``, which writes the result to an array that
            was checked; ``None`` where results are made, then copied.
    """

    operator: str
    kernel: Callable[..., Any]
    full: Callable[..., tuple[Any, ...]]
    forms: tuple[Form, ...]
    y_form: Form | None
    primal: Callable[..., Any] | None
    trees: Trees
    memories: Memories
    write: Callable[[Any, Any], None]
    into: Callable[..., tuple[Any, ...]] | None = None

    def deliver(self, args: tuple[Any, ...], out: Any, y: Any, *, full: bool) -> Any:
        """Run on unwrapped arguments that fit; fill ``out`` and ``y`` where they are given."""
        if y is None and out is not None:
            target = self._plain_target(out, args)
            if target is not None:
                lower = self._fill(args, target, full)
                return (*lower, out) if full else out
        self.check(args, out, y)
        return self.run(args, out, y, full=full)

    def _fill(self, args: tuple[Any, ...], target: Any, full: bool) -> Any:
        """Write the result to an array that fits; return the user's lower orders."""
        if self.into is not None:
            parts = self.into(args, target, full)
        else:
            made = self.full(*args) if full else (self.kernel(*args),)
            parts = made[:-1]
            self.write(target, made[-1])
        pairs = zip(self.forms, parts, strict=False)
        return [part if form.leave is None else form.leave(part) for form, part in pairs]

    def _plain_target(self, out: Any, args: tuple[Any, ...]) -> Any:
        """Get the array that ``out`` is, or holds, if it needs no further check; else ``None``."""
        form = self.forms[-1]
        if form.unpack is not single and self.into is None:
            return None
        (target,) = form.unpack(out)
        leaf = form.leaves[0]
        _, memory = self.memories.filled(leaf)
        if not memory.plain(target, leaf):
            return None
        kind, near = type(target), memory.near
        apart = all([type(arg) is kind and not near(target, arg) for arg in args])
        return target if apart else None

    def run(self, args: tuple[Any, ...], out: Any, y: Any, *, full: bool) -> Any:
        """Do what ``deliver`` does, after its checks."""
        valued = full or (y is not None and self.primal is None)
        parts = self._parts(args, out, valued)
        targets = [*[None] * (len(parts) - 1), out]
        if y is not None and self.primal is None:
            targets[0] = y
        elif y is not None and self.primal is not None:
            self.write(y, self.primal(*args))
        forms = self.forms[len(self.forms) - len(parts) :]
        done = tuple(map(self._hand_over, forms, parts, targets))
        return done if full else done[-1]

    def _parts(self, args: tuple[Any, ...], out: Any, valued: bool) -> tuple[Any, ...]:
        """Run the kernel; of what it writes to ``out`` itself, return ``out``'s array."""
        if self.into is None or out is None:
            return self.full(*args) if valued else (self.kernel(*args),)
        (target,) = self.forms[-1].unpack(out)
        return (*self.into(args, target, valued), target)

    def _hand_over(self, form: Form, part: Any, target: Any) -> Any:
        """Turn a kernel's result into the user's, fresh or in ``target``."""
        if target is None:
            return part if form.leave is None else form.leave(part)
        for into, leaf in zip(form.unpack(target), form.spread(part), strict=True):
            if into is not leaf:
                self.write(into, leaf)
        return target

    def check(self, args: tuple[Any, ...], out: Any, y: Any) -> None:
        """Refuse an ``out`` or a ``y`` that cannot be filled."""
        if y is not None:
            self._check_y(y, args)
        if out is None:
            return
        form = self.forms[-1]
        try:
            targets = form.unpack(out)
        except ArgumentError:
            raise  # it says itself what is wrong
        except ValueError as error:
            paths = ", ".join(path or "one array" for path in form.described.paths)
            remedy = "Pass out= with arrays in all of these places; None is no array."
            expected = f"the structure of the result, {error}: {paths}"
            got = f"a {type(out).__name__}"
            self._refuse("out", "has another structure than the result", expected, got, remedy)
        for target, leaf in zip(targets, form.leaves, strict=True):
            if not self.memories.filled(leaf)[1].plain(target, leaf):
                self._check_target("out", target, leaf)
        self._check_apart("out", targets, [*self._arrays(args), *([] if y is None else [y])])

    def _check_y(self, y: Any, args: tuple[Any, ...]) -> None:
        if self.y_form is None:
            text = message(
                self.operator,
                "y= was given, but this plan has no y to fill",
                remedy="Leave y= out: it is for plans of functions f(y, x, ...), not of one point.",
            )
            raise ArgumentError(text)
        self._check_target("y", y, self.y_form.leaves[0])
        self._check_apart("y", [y], list(self._arrays(args)))

    def _check_target(self, name: str, target: Any, leaf: Leaf) -> None:
        kind, memory = self.memories.filled(leaf)
        if not kind.owns(target) or np.isscalar(target):
            remedy = f"Pass {kind.article}, or leave {name}= out for a fresh result."
            expected = f"{kind.article} {_array(leaf)}"
            self._refuse(name, "cannot be filled", expected, _got(target), remedy)
        have = kind.leaf(target)
        if have.shape != leaf.shape or have.dtype != leaf.numpy_dtype:
            self._refuse(name, "does not fit the result", _array(leaf), _array(have))
        if leaf.kind == kind.name and have.device != leaf.device:
            self._refuse(name, "is on another device than the result", str(leaf), str(have))
        locked = memory.locked(target)
        if locked:
            self._refuse(name, f"is {locked}", "a writeable array", f"a {locked} one")

    def _check_apart(self, name: str, targets: Sequence[Any], others: Sequence[Any]) -> None:
        """Refuse targets that share memory with each other, or with arguments."""
        arrays = [*targets, *others]
        memory = [(*self._bounds(one), i) for i, one in enumerate(arrays)]
        memory.sort()
        for place, (_, stop, i) in enumerate(memory):
            for start, _, j in memory[place + 1 :]:
                if start >= stop:
                    break
                if min(i, j) < len(targets) and self._share(arrays[i], arrays[j]):
                    problem = "overlaps an argument, or another result, in memory"
                    self._refuse(name, problem, "memory of its own", "memory shared with it")

    def _bounds(self, array: Any) -> tuple[int, int]:
        memory = self.memories.of(array)
        return (0, 0) if memory is None else memory.bounds(array)

    def _share(self, one: Any, other: Any) -> bool:
        spans = [memory.span(a) for a in (one, other) if (memory := self.memories.of(a))]
        return len(spans) == 2 and bool(np.shares_memory(spans[0], spans[1]))

    def _new(self, leaf: Leaf) -> str:
        """Write the code that makes an array to fill."""
        _, memory = self.memories.filled(leaf)
        dtype = element_text(leaf.numpy_dtype)
        return memory.make.format(shape=leaf.shape, dtype=dtype, device=leaf.device)

    def _refuse(self, name: str, problem: str, expected: str, got: str, remedy: str = "") -> None:
        plain = name == "out" and self.forms[-1].unpack is single
        leaf = self.forms[-1].leaves[0] if plain else None
        make = f"Pass {name}={self._new(leaf)}." if leaf else ""
        remedy = remedy or make or f"Pass {name}= as at prepare, in memory of its own."
        text = message(
            self.operator, f"{name} {problem}", expected=expected, got=got, remedy=remedy
        )
        raise ArgumentError(text)

    def _arrays(self, args: Sequence[Any]) -> Iterator[Any]:
        """List the arguments' leaves whose memory can change."""
        for arg in args:
            leaves = [arg] if type(arg) is np.ndarray else self.trees.flatten(arg)[0]
            yield from (leaf for leaf in leaves if self.memories.of(leaf) is not None)


def _array(leaf: Leaf) -> str:
    return f"{element_text(leaf.numpy_dtype)}[{','.join(map(str, leaf.shape))}]"


def _got(target: Any) -> str:
    module = type(target).__module__.partition(".")[0]
    if module.startswith("jax"):
        return "a jax.Array, which is immutable"
    return f"a {type(target).__name__}"
