"""Signature: what a plan requires of its arguments. A hot guard, a cold explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from numpy import float64, ndarray

from difint.contexts import Context
from difint.errors import ArgumentError, PreparationMismatchError, message
from difint.kinds import Kind, Leaf, describe, element_text, kind_of
from difint.trees import Trees


@final
@dataclass(frozen=True, slots=True)
class Argument:
    """What one argument must be.

    Attributes:
        name: ``x``, ``t``, or the name of the context's wrapper.
        wrapper: the context's class; ``None`` for ``x`` and ``t``.
        structure: the tree structure; ``None`` for a single array or scalar.
        paths: a name for each leaf, beginning with ``name``.
        leaves: what each leaf must be.
    """

    name: str
    wrapper: type[Context] | None
    structure: Any
    paths: tuple[str, ...]
    leaves: tuple[Leaf, ...]

    def fits(self, other: Argument) -> bool:
        """Tell whether an argument that is ``other`` may stand here."""
        if self.wrapper is not other.wrapper or not self.alike(other):
            return False
        if self.structure is None and _one_double(self.leaves[0], other.leaves[0]):
            return True
        return all(map(Leaf.like, self.leaves, other.leaves))

    def alike(self, other: Argument) -> bool:
        """Tell whether both are leaves, or trees of one structure."""
        if self.structure is None or other.structure is None:
            return self.structure is other.structure
        return bool(self.structure == other.structure)


def argument(name: str, value: Any, trees: Trees, kinds: tuple[Kind, ...]) -> Argument:
    """Describe an argument as it was passed; a context is named after its wrapper."""
    wrapper = type(value) if isinstance(value, Context) else None
    if wrapper is not None:
        name, value = f"{wrapper.__name__}{name}", value.value
    if trees.is_leaf(value):
        return Argument(name, wrapper, None, (name,), (describe(value, kinds),))
    leaves, structure = trees.flatten(value)
    paths = tuple(name + path for path in trees.paths(value))
    described = tuple(describe(leaf, kinds) for leaf in leaves)
    return Argument(name, wrapper, structure, paths, described)


def _one_double(a: Leaf, b: Leaf) -> bool:
    """Tell whether one is a Python float and the other NumPy's: solvers pass both in turn."""
    kinds = {a.kind, b.kind} == {"python", "numpy"}
    scalars = a.shape == b.shape == ()
    return kinds and scalars and {a.numpy_dtype.name, b.numpy_dtype.name} == {"float64"}


@final
@dataclass(frozen=True, slots=True)
class Signature:
    """What a plan requires of its arguments, in order: ``x``, ``t``, contexts.

    Attributes:
        operator: the operator's name, for messages.
        arguments: one entry an argument.
        fits: the guard: whether the arguments are exactly of the prepared form. It may say no
            to a rare form that fits all the same (a memory map, a traced array); ``check``
            has the last word.
        trees: how arguments are taken apart.
        kinds: the kinds of values that the engine accepts.
        strict: the guard compares more than the wrapping of contexts.
    """

    operator: str
    arguments: tuple[Argument, ...]
    fits: Callable[[tuple[Any, ...]], bool]
    trees: Trees
    kinds: tuple[Kind, ...]
    strict: bool

    def __str__(self) -> str:
        return ", ".join(f"{one.name}: {summary(one)}" for one in self.arguments)

    def check(self, args: Sequence[Any]) -> bool:
        """Raise unless the arguments fit; tell whether any of them is traced."""
        expected = self.arguments
        start = sum(one.wrapper is None for one in expected)
        for position, arg in enumerate(args[start : len(expected)]):
            check_context(self.operator, arg, position)
        names = argument_names([one.name for one in expected[:start]], len(args) - start)
        got = [argument(n, arg, *self._how) for n, arg in zip(names, args, strict=False)]
        if len(got) != len(expected) or not all(map(Argument.fits, expected, got)):
            raise PreparationMismatchError(_mismatch(self.operator, expected, got))
        return any(leaf.traced for one in got for leaf in one.leaves)

    def settle(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Give doubles, unwrapped, the type that was prepared: NumPy's or Python's."""
        pairs = zip(self.arguments, values, strict=True)
        return tuple(_settled(one, value) for one, value in pairs)

    @property
    def _how(self) -> tuple[Trees, tuple[Kind, ...]]:
        return self.trees, self.kinds


def _settled(one: Argument, value: Any) -> Any:
    if one.structure is not None or one.leaves[0].shape != ():
        return value
    kind = one.leaves[0].kind
    if kind == "python" and isinstance(value, float | ndarray):
        return float(value)
    return float64(value) if kind == "numpy" and type(value) is float else value


def make_signature(
    operator: str,
    names: Sequence[str],
    args: Sequence[Any],
    trees: Trees,
    kinds: tuple[Kind, ...],
    *,
    strict: bool,
    sealed: frozenset[str],
) -> Signature:
    """Describe ``args``, and build the guard that compares later arguments with them.

    Of trees whose leaves are all of the kinds in ``sealed`` it compares the types of the leaves:
    the kernel checks the rest.
    """
    arguments = tuple(argument(n, a, trees, kinds) for n, a in zip(names, args, strict=True))
    if not strict:
        return Signature(operator, arguments, _wrapping_guard(arguments), trees, kinds, strict)
    pairs = zip(args, arguments, strict=True)
    fits = _guard([_row(arg, one, trees, kinds, sealed) for arg, one in pairs])
    return Signature(operator, arguments, fits, trees, kinds, strict)


def _wrapping_guard(arguments: Sequence[Argument]) -> Callable[[tuple[Any, ...]], bool]:
    """Build the guard of ``strict=False``: contexts must be wrapped, nothing else is compared."""
    bare = [one.wrapper is None for one in arguments]

    def fits(args: tuple[Any, ...]) -> bool:
        wrapped = [not isinstance(arg, Context) for arg in args]
        return wrapped == bare

    return fits


def _array_guard(shape: tuple[int, ...], dtype: Any) -> Callable[[tuple[Any, ...]], bool]:
    """Build the guard of the commonest signature, one NumPy array, for speed.

    The usual dtypes are single objects; for another one ``check`` has the last word.
    """

    def fits(args: tuple[Any, ...]) -> bool:
        if len(args) != 1:
            return False
        x = args[0]
        return type(x) is ndarray and x.dtype is dtype and x.shape == shape

    return fits


_Row = tuple[type[Context] | None, tuple[type, ...], Callable[[Any], Any] | None, Any]
"""Wrapper, classes, what to read off a value of them, what that must be."""


def _guard(rows: Sequence[_Row]) -> Callable[[tuple[Any, ...]], bool]:
    if len(rows) == 1 and rows[0][:2] == (None, (ndarray,)):
        return _array_guard(*rows[0][3])

    def fits(args: tuple[Any, ...]) -> bool:
        if len(args) != len(rows):
            return False
        for arg, (wrapper, classes, key, expected) in zip(args, rows, strict=True):
            if wrapper is not None:
                if type(arg) is not wrapper:
                    return False
                arg = arg.value
            if type(arg) not in classes or (key is not None and key(arg) != expected):
                return False
        return True

    return fits


def _row(
    arg: Any, one: Argument, trees: Trees, kinds: tuple[Kind, ...], sealed: frozenset[str]
) -> _Row:
    """Say how to compare one argument: wrapper, classes, what to read off, what it must be."""
    value = arg if one.wrapper is None else arg.value
    if any(leaf.traced for leaf in one.leaves):
        return one.wrapper, (_NeverFits,), None, None
    if one.structure is None:
        key = _leaf_key(value, kinds)
    elif all(leaf.kind in sealed for leaf in one.leaves):
        key = _leaf_types(trees)
    else:
        key = _tree_key(value, trees, kinds)
    return one.wrapper, _classes(value, kinds), key, None if key is None else key(value)


def _classes(value: Any, kinds: tuple[Kind, ...]) -> tuple[type, ...]:
    kind = kind_of(value, kinds)
    return (type(value),) if kind is None else kind.classes(value)


def _leaf_key(value: Any, kinds: tuple[Kind, ...]) -> Callable[[Any], Any] | None:
    kind = kind_of(value, kinds)
    return None if kind is None else kind.key(value)


def _leaf_types(trees: Trees) -> Callable[[Any], Any]:
    flatten = trees.flatten
    return lambda tree: tuple(map(type, flatten(tree)[0]))


@final
class _NeverFits:
    """The class of no argument: what was prepared on a traced value is always checked."""


def _tree_key(value: Any, trees: Trees, kinds: tuple[Kind, ...]) -> Callable[[Any], Any]:
    """Build the reader of a tree: its structure, then the type and the key of each leaf."""
    example = trees.flatten(value)[0]
    readers = [(_classes(leaf, kinds), _leaf_key(leaf, kinds)) for leaf in example]

    def key(tree: Any) -> Any:
        leaves, structure = trees.flatten(tree)
        if len(leaves) != len(readers):
            return None
        return structure, [
            read(leaf) if type(leaf) in classes and read is not None else type(leaf)
            for leaf, (classes, read) in zip(leaves, readers, strict=True)
        ]

    return key


def argument_names(lead: Sequence[str], contexts: int) -> list[str]:
    """Name the arguments: ``x`` and ``t``, then a number for each context if there are several."""
    numbers = [f" {i}" for i in range(contexts)] if contexts > 1 else [""] * max(contexts, 0)
    return [*lead, *numbers]


def check_context(operator: str, arg: Any, position: int) -> None:
    """Refuse a context that is not wrapped."""
    if not isinstance(arg, Context):
        text = message(
            operator,
            f"context {position} is bare",
            expected="Constant(value), Cache(buffer) or ConstantOrCache(tree)",
            got=type(arg).__name__,
            remedy="Wrap it, e.g. Constant(value) if f only reads it; what f fills is y=.",
        )
        raise ArgumentError(text)


def _mismatch(operator: str, expected: Sequence[Argument], got: Sequence[Argument]) -> str:
    rows = _rows(expected, got)
    widths = [max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)]
    lines = [f"{operator}: the arguments do not fit this plan"]
    for name, prepared, arrived, differs in rows:
        cells = f"  {name:<{widths[0]}}  prepared {prepared:<{widths[1]}}  got {arrived}"
        lines.append(cells.rstrip() + ("   <- differs" if differs else ""))
    lines.append(_remedy(expected, got))
    return "\n".join(lines)


_Line = tuple[str, str, str, bool]
"""Name, prepared, got, differs."""


def _rows(expected: Sequence[Argument], got: Sequence[Argument]) -> list[_Line]:
    rows: list[_Line] = []
    for i in range(max(len(expected), len(got))):
        want = expected[i] if i < len(expected) else None
        have = got[i] if i < len(got) else None
        name = (want or have).name  # type: ignore[union-attr]  # one of the two is there
        if want is None or have is None or want.wrapper is not have.wrapper:
            rows.append((name, summary(want, wrapped=True), summary(have, wrapped=True), True))
        elif not want.alike(have):
            rows.append((name, summary(want), summary(have), True))
        else:
            leaves = zip(want.paths, want.leaves, have.leaves, strict=True)
            rows += [(path, str(a), str(b), not a.like(b)) for path, a, b in leaves]
    return rows


def summary(one: Argument | None, *, wrapped: bool = False) -> str:
    """Describe an argument in one line, or in two words that it is not there."""
    if one is None:
        return "nothing"
    text = str(one.leaves[0]) if one.structure is None else _tree_summary(one)
    return f"{one.wrapper.__name__} of {text}" if wrapped and one.wrapper else text


_SHOWN = 6
"""How many leaves of a tree a summary spells out."""


def _tree_summary(one: Argument) -> str:
    strip, texts = len(one.name), [str(leaf) for leaf in one.leaves]
    names = [path[strip:] for path in one.paths]
    plain = names == [f"[{i}]" for i in range(len(names))]
    shown = texts if plain else [f"{name} {text}" for name, text in zip(names, texts, strict=True)]
    more = [f"{len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
    inside = ", ".join(shown[:_SHOWN] + more)
    return f"({inside})" if plain else f"tree {{{inside}}}"


def _remedy(expected: Sequence[Argument], got: Sequence[Argument]) -> str:
    """Name the way out: a conversion where one argument's dtype is all that differs."""
    if len(expected) != len(got):
        return f"Pass {len(expected)} arguments as at prepare, or prepare again with these."
    pairs = zip(expected, got, strict=True)
    want, have = next((a, b) for a, b in pairs if not a.fits(b))
    if want.structure is not None or want.wrapper is not have.wrapper:
        if sorted(want.paths) == sorted(have.paths) and want.leaves and not want.alike(have):
            return "Both hold the same leaves, in other containers: convert, e.g. dict(x)."
        return "Prepare again with arguments like these, or pass ones like those prepared."
    if have.structure is not None and want.name == "t":
        return "Prepare again with a tuple as t, or pass one tangent."
    leaf = have.leaves[0] if have.structure is None else Leaf("", (), object)
    return _conversion(want, want.leaves[0], leaf)


def _conversion(one: Argument, want: Leaf, have: Leaf) -> str:
    again = f"Prepare again with {'an' if one.name == 'x' else 'a'} {one.name} like this one"
    name = "value" if one.wrapper else one.name
    if want.dtype is int and have.dtype is float:
        return f"{again}: as an int it would lose what is behind the point."
    if isinstance(want.dtype, type):
        return f"{again}, or convert it: {want.dtype.__name__}({name})."
    if have.kind and want.shape != have.shape:
        return f"{again}, or pass one of shape {want.shape}."
    if want.kind != have.kind:
        how = _CONVERSIONS.get(want.kind, "to " + want.kind)
        how = how.format(name, element_text(want.dtype))
        return f"{again}, or convert it: {how}."
    if want.dtype != have.dtype:
        dtype = element_text(want.dtype)
        change = {"numpy": "astype(numpy.{})", "torch": "to(torch.{})"}
        how = change.get(want.kind, "astype(jax.numpy.{})").format(dtype)
        return f"{again}, or convert it: {name}.{how}."
    return f"{again}, or move it to {want}."


_CONVERSIONS = {
    "numpy": "numpy.asarray({}, numpy.{})",
    "jax": "jax.numpy.asarray({}, jax.numpy.{})",
    "torch": "torch.asarray({}, dtype=torch.{})",
}
