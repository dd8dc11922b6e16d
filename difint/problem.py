"""Problem: ``f`` lowered once to ``call(x, *contexts) -> y`` on an engine's own values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

from difint.contexts import Constant, Context
from difint.kinds import Leaf
from difint.signature import Argument

Convert = Callable[[Any], Any]


@final
@dataclass(frozen=True, slots=True)
class Form:
    """How the values of one place (``x``, ``y``, a result) look to the user and to the engine.

    Attributes:
        described: what the user sees.
        unpack: the leaves of a user's value of this form; raises ``ValueError`` if it has
            another structure.
        enter: user's value -> engine's value; ``None`` where they are the same.
        leave: engine's value -> user's value, sharing no memory with a plan; ``None`` where
            they are the same.
        spread: engine's value -> one array a leaf, to copy from.
    """

    described: Argument
    unpack: Callable[[Any], Sequence[Any]]
    enter: Convert | None
    leave: Convert | None
    spread: Callable[[Any], Sequence[Any]]

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """What the user sees, leaf by leaf."""
        return self.described.leaves

    @property
    def size(self) -> int:
        """The number of entries over all leaves."""
        return sum(leaf.size for leaf in self.leaves)


def repeat_form(form: Form, count: int) -> Form:
    """Make the form of a tuple of ``count`` values of ``form``: a batch of tangents."""

    def each(convert: Convert | None) -> Convert | None:
        if convert is None:
            return None
        return lambda values: tuple(map(convert, values))

    def flat(part: Callable[[Any], Sequence[Any]], values: Any) -> list[Any]:
        if not isinstance(values, tuple) or len(values) != count:
            raise ValueError(f"a tuple of {count}")
        return [leaf for value in values for leaf in part(value)]

    one = form.described
    described = replace(one, paths=one.paths * count, leaves=one.leaves * count)
    return Form(
        described=described,
        unpack=lambda values: flat(form.unpack, values),
        enter=each(form.enter),
        leave=each(form.leave),
        spread=lambda values: flat(form.spread, values),
    )


def plain_form(leaf: Leaf, enter: Convert | None = None, leave: Convert | None = None) -> Form:
    """Make the form of one array or scalar."""
    described = Argument("result", None, None, ("result",), (leaf,))
    return Form(described, single, enter, leave, single)


def single(value: Any) -> tuple[Any]:
    """Return the only leaf of a value that is not a tree."""
    return (value,)


@final
@dataclass(slots=True)
class Lowering:
    """What ``Arrays.lower`` works from, and engines while they build.

    Attributes:
        operator: the operator's name, for messages.
        f: the user's function.
        described: the description of ``x``.
        x: the example input; ``None`` after ``release``.
        contexts: the example contexts, wrapped; empty after ``release``.
        y: the example output of an in-place ``f``; ``None`` if ``f`` returns, or after
            ``release``.
        tree: ``f`` may return a tree.
        order: the order of the operator.
        written: for each context, whether ``f`` may write to it.
    """

    operator: str
    f: Callable[..., Any]
    described: Argument
    x: Any
    contexts: tuple[Context, ...]
    y: Any
    tree: bool
    order: int = 1
    written: tuple[bool, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.written = tuple(not isinstance(context, Constant) for context in self.contexts)

    def release(self) -> None:
        """Let go of the example's numbers: a plan keeps none."""
        self.x, self.contexts, self.y = None, (), None


@final
@dataclass(frozen=True, slots=True)
class ContextChange:
    """A call that changes some of its contexts on the way into another call.

    Attributes:
        inner: the other call.
        change: what is done to them.
        which: for each context, whether it is changed.
    """

    inner: Callable[..., Any]
    change: Convert
    which: Sequence[bool]

    def __call__(self, x: Any, *contexts: Any) -> Any:
        """Change them, and call."""
        pairs = zip(contexts, self.which, strict=True)
        return self.inner(x, *(self.change(one) if mine else one for one, mine in pairs))


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """A function to differentiate, in an engine's own values.

    Attributes:
        call: ``(x, *contexts) -> y``; every call returns what the caller may keep.
        x: a template of ``x``: shapes and dtypes, no numbers.
        y: a template of ``y``.
        x_form: how ``x`` looks to the user.
        y_form: how ``y`` looks to the user.
        source: what it was lowered from, for engines that compile the user's own code.
        accuracy: the relative error of ``call``, as a power of the machine epsilon.
        derived: ``call`` is itself a derivative.
        once: the names of rules of derivatives that cannot be differentiated again.
        frozen: the names of what ``f`` reads besides its arguments, where prepare has read it
            once and for all.
    """

    call: Callable[..., Any]
    x: Any
    y: Any
    x_form: Form
    y_form: Form
    source: Lowering
    accuracy: float = 1.0
    derived: bool = False
    once: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
