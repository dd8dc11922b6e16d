"""Numbers with index sets, as Numba scalar types: which entries of ``x`` a number depends on.

``f`` is compiled for them as it is for duals, and run once: sums and other functions append nodes
to a table of sets (``difint.dependence.nodes``), so that the pattern of a Jacobian or Hessian costs
about as much as a call of ``f``. A number is its value, the address of the table, the node of its
index set, and for Hessians the node of its ``bends``, a union of pairs.

A comparison of such numbers is a *doubt*: a truth value that may be another one at another ``x``.
What chooses by it has the sets of all choices; what branches on it is noted in the table.
"""

from __future__ import annotations

from typing import Any, NamedTuple, final

from numba.core import types
from numba.core.typeconv import Conversion
from numba.extending import models, register_model

from difint.engines.numba.dual import REALS, Active


class Manner(NamedTuple):
    """How index sets are followed.

    Attributes:
        curved: pairs too, for a Hessian.
        local: the pattern holds near the example: choices are made by its values.
        plain: comparisons are truth values and roundings integers, as what cannot be compiled for
            doubts needs them; they are noted, and contexts are numbers without sets.
        zeros: what has no set is known, and a product with it is zero where it is.
    """

    curved: bool
    local: bool
    plain: bool
    zeros: bool

    @property
    def doubts(self) -> bool:
        """Whether comparisons are doubts."""
        return not self.local and not self.plain

    @property
    def notes(self) -> bool:
        """Whether what needs a value is noted."""
        return not self.local


@final
class Indexed(Active):
    """The type of numbers with index sets over a float type."""

    def __init__(self, float: Any, manner: Manner) -> None:
        self.float, self.manner = float, manner
        super().__init__(f"Indexed({float}, {', '.join(map(str, manner))})")

    @property
    def key(self) -> Any:
        """What makes two of these types the same."""
        return self.float, self.manner

    def with_float(self, dtype: Any) -> Indexed:
        """Make the same type over another float type."""
        return Indexed(dtype, self.manner)

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Say that reals and doubts become numbers with index sets."""
        if isinstance(other, (*REALS, Doubt)):
            return Conversion.safe
        if not isinstance(other, Indexed) or other.manner != self.manner:
            return None
        narrower = other.float.bitwidth < self.float.bitwidth
        return Conversion.promote if narrower else Conversion.unsafe

    def unify(self, typingctx: Any, other: Any) -> Any:
        """Say that a variable that holds a real here and one of these there is one of these."""
        if isinstance(other, (*REALS, Doubt)):
            return self
        if not isinstance(other, Indexed) or other.manner != self.manner:
            return None
        return max(self, other, key=lambda one: one.float.bitwidth)


@final
class Doubt(Active):
    """The type of truth values that depend on numbers of an ``Indexed`` type."""

    def __init__(self, number: Indexed) -> None:
        self.number, self.float, self.manner = number, number.float, number.manner
        super().__init__(f"Doubt({number})")

    @property
    def key(self) -> Any:
        """What makes two of these types the same."""
        return self.number

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Say that truth values become doubts."""
        known = isinstance(other, types.Boolean)
        return Conversion.safe if known or isinstance(other, Doubt) else None

    def can_convert_to(self, typingctx: Any, other: Any) -> Any:
        """Say that a doubt can be decided, by the value at the example."""
        return Conversion.unsafe if isinstance(other, types.Boolean) else None

    def unify(self, typingctx: Any, other: Any) -> Any:
        """Say that a variable that holds a truth value here and a doubt there is a doubt."""
        return self if isinstance(other, types.Boolean) else None


@final
@register_model(Indexed)
class _IndexedModel(models.StructModel):
    """Zeros in memory are a number that depends on nothing, and is known."""

    def __init__(self, manager: Any, fe_type: Indexed) -> None:
        members = [("value", fe_type.float), ("home", types.intp), ("node", types.intp)]
        members += [("bend", types.intp)] if fe_type.manner.curved else []
        super().__init__(manager, fe_type, members)


@final
@register_model(Doubt)
class _DoubtModel(models.StructModel):
    """The home is 0 where there is no doubt."""

    def __init__(self, manager: Any, fe_type: Doubt) -> None:
        super().__init__(manager, fe_type, [("value", types.boolean), ("home", types.intp)])


VALUE, HOME, NODE, BEND = range(4)
"""What stands where in a number; a doubt has the first two."""
