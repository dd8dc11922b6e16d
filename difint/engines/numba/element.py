"""Terms and totals: the scalar types of a sum whose Hessian is written down term by term.

A function of many variables is mostly a sum of terms of few. A *term* is a number with its first
and second derivatives by a few *slots*, each of which stands for one variable of ``x``, though not
each for another one. Which slots there are, and which pairs of them have a second derivative, is
part of the type, so that LLVM sees straight-line arithmetic; which variables they stand for is
not. A *total* is a sum of terms whose derivatives were added to the compressed Hessian already
(``scattering``): nothing but a sum can be made of it.

Where terms would need ever more slots, as in a loop that sums over a stencil before the sum goes
through another function, or have to share an array with others, ``f`` is compiled for *blends*
instead. A blend has up to ``room`` variables, told apart by their tags, and grows while code runs
(``blending``). What has more of them is a total from then on.

Partial separability: Griewank and Toint, "Partitioned variable metric updates for large structured
optimization problems", Numerische Mathematik 39 (1982).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations_with_replacement
from typing import Any, final

from llvmlite import ir
from numba.core import types
from numba.core.typeconv import Conversion
from numba.extending import models, register_model

from difint.engines.numba.dual import REALS, Active

Pairs = tuple[tuple[int, int], ...]

MOST_SLOTS = 12
"""Slots of a term at most: with all pairs of them, 12 + 78 numbers."""


@final
class Term(Active):
    """The type of terms over a float type.

    Args:
        float: the float type.
        slots: how many slots there are.
        pairs: which pairs ``(p, q)`` of them, ``p <= q``, have a second derivative.
        unit: it is a variable itself: one slot, by which its derivative is 1.
        room: it is a variable, of which blends are made, of this room, instead of terms.
    """

    def __init__(
        self, float: Any, slots: int, pairs: Pairs, *, unit: bool = False, room: int = 0
    ) -> None:
        self.float = float
        self.slots = slots
        self.pairs = pairs
        self.unit = unit
        self.room = room
        told = "unit" if unit else "".join(f" {p}-{q}" for p, q in pairs)
        super().__init__(f"Term({float}, {slots}, {told}, {room})")

    @property
    def key(self) -> Any:
        """What makes two of these types the same."""
        return self.float, self.slots, self.pairs, self.unit, self.room

    def contains(self, other: Any) -> bool:
        """Tell whether a number of another type is one of this type with zeros for derivatives."""
        if self.unit or self.room:
            return bool(self == other)
        if isinstance(other, REALS):
            return True
        if not isinstance(other, Term) or self.float != other.float:
            return False
        return other.slots <= self.slots and set(other.pairs) <= set(self.pairs)

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Say that what has fewer slots and pairs becomes a term with more."""
        return Conversion.safe if self.contains(other) else None

    def unify(self, typingctx: Any, other: Any) -> Any:
        """Say that a variable that holds one term here and another there has the pairs of both."""
        if self.room:
            blend = Blend(self.float, self.room)
            return blend if blend.contains(other) else None
        if isinstance(other, REALS):
            return Term(self.float, self.slots, self.pairs)
        if not isinstance(other, Term) or self.float != other.float or other.room:
            return None
        slots, pairs = max(self.slots, other.slots), merged(self.pairs, other.pairs)
        return self if self == other else Term(self.float, slots, pairs)


@final
class Total(Active):
    """The type of totals over a float type."""

    def __init__(self, float: Any) -> None:
        self.float = float
        super().__init__(f"Total({float})")

    @property
    def key(self) -> Any:
        """What makes two of these types the same."""
        return self.float

    def contains(self, other: Any) -> bool:
        """Tell whether a number of another type can be the start of a total, or all of one."""
        same = isinstance(other, Term) and other.float == self.float and not other.room
        return same or isinstance(other, REALS)

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Say that reals and terms become totals."""
        return Conversion.safe if self.contains(other) else None

    def unify(self, typingctx: Any, other: Any) -> Any:
        """Say that a variable that holds a term here and a total there is a total."""
        return self if self.contains(other) else None


ROOT, HOME, COUNT, SIZE, FIRST = range(1, 6)
"""What stands in a blend's words, behind the value: the first bank, if it is not a constant; the
bank and the number of what was added to it; how many variables it has, and behind that what belongs
to them: tags, first derivatives, second derivatives."""

MOST_ROOM = 12
"""Variables of a blend at most."""

_LANES = 4


@final
class Blend(Active):
    """The type of blends over a float type, of up to ``room`` variables."""

    def __init__(self, float: Any, room: int) -> None:
        self.float = float
        self.room = room
        super().__init__(f"Blend({float}, {room})")

    @property
    def key(self) -> Any:
        """What makes two of these types the same."""
        return self.float, self.room

    @property
    def words(self) -> int:
        """How many words it takes."""
        size = FIRST + 2 * self.room + self.room * (self.room + 1) // 2
        return -(-size // _LANES) * _LANES

    def contains(self, other: Any) -> bool:
        """Tell whether a number of another type is a blend of one variable, or of none."""
        same = isinstance(other, Term) and (other.float, other.room) == self.key
        return same or isinstance(other, REALS)

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Say that reals and variables become blends."""
        return Conversion.safe if self.contains(other) else None

    def unify(self, typingctx: Any, other: Any) -> Any:
        """Say that a variable that holds a real here and a blend there is a blend."""
        return self if self.contains(other) else None


Element = Term | Total | Blend


def merged(one: Iterable[tuple[int, int]], other: Iterable[tuple[int, int]]) -> Pairs:
    """Get the pairs in either of two."""
    return tuple(sorted({*one, *other}))


def shifted(pairs: Pairs, by: int) -> Pairs:
    """Get the same pairs of slots that stand behind ``by`` others."""
    return tuple((p + by, q + by) for p, q in pairs)


def all_pairs(slots: int) -> Pairs:
    """Get all pairs of slots."""
    return tuple(combinations_with_replacement(range(slots), 2))


@final
@register_model(Term)
class _TermModel(models.StructModel):
    """Terms in LLVM: value, home, and for each slot and pair a tag or a derivative."""

    def __init__(self, manager: Any, fe_type: Term) -> None:
        number, members = fe_type.float, [("value", fe_type.float), ("home", types.intp)]
        members += [(f"tag{p}", types.intp) for p in range(fe_type.slots)]
        if not fe_type.unit:
            members += [(f"slope{p}", number) for p in range(fe_type.slots)]
        members += [(f"bend{p}_{q}", number) for p, q in fe_type.pairs]
        super().__init__(manager, fe_type, members)


@final
@register_model(Total)
class _TotalModel(models.StructModel):
    """Totals in LLVM: value, home, and the sum of the numbers of what was scattered."""

    def __init__(self, manager: Any, fe_type: Total) -> None:
        members = [("value", fe_type.float), ("home", types.intp), ("count", types.intp)]
        super().__init__(manager, fe_type, members)


@final
@register_model(Blend)
class _BlendModel(models.PrimitiveModel):
    """Blends in LLVM: vectors of words, in registers and in memory."""

    def __init__(self, manager: Any, fe_type: Blend) -> None:
        lanes = ir.VectorType(ir.IntType(64), _LANES)
        llvm = ir.LiteralStructType([lanes] * (fe_type.words // _LANES), packed=True)
        super().__init__(manager, fe_type, llvm)


@final
class Parts:
    """A term while code is emitted.

    Attributes:
        value: the number.
        home: where the compressed Hessian is; 0 in constants.
        tags: for each slot which variable it stands for.
        slopes: the first derivatives.
        bends: the second derivatives, by pair.
    """

    __slots__ = ("bends", "home", "slopes", "tags", "value")

    def __init__(self, value: Any, home: Any, tags: list[Any], slopes: list[Any], bends: Any):
        self.value, self.home, self.tags, self.slopes = value, home, tags, slopes
        self.bends: dict[tuple[int, int], Any] = bends


def taken_apart(builder: Any, ty: Term, llvm: Any) -> Parts:
    """Emit: the parts of a term."""
    parts = [builder.extract_value(llvm, i) for i in range(len(llvm.type.elements))]
    tags, rest = parts[2 : 2 + ty.slots], parts[2 + ty.slots :]
    slopes = [ir.Constant(parts[0].type, 1.0)] if ty.unit else rest[: ty.slots]
    bends = dict(zip(ty.pairs, rest[0 if ty.unit else ty.slots :], strict=True))
    return Parts(parts[0], parts[1], tags, slopes, bends)


def put_together(context: Any, builder: Any, ty: Term, parts: Parts) -> Any:
    """Emit: a term from its parts; those that it lacks are zeros."""
    whole = ir.Constant(context.get_value_type(ty), None)
    slots = range(len(parts.tags))
    placed = {0: parts.value, 1: parts.home}
    placed |= {2 + p: parts.tags[p] for p in slots}
    if not ty.unit:
        placed |= {2 + ty.slots + p: parts.slopes[p] for p in slots}
    behind = 2 + ty.slots + (0 if ty.unit else ty.slots)
    placed |= {behind + ty.pairs.index(pair): one for pair, one in parts.bends.items()}
    for i, one in placed.items():
        whole = builder.insert_value(whole, one, i)
    return whole
