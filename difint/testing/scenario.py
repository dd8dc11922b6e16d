"""Scenario: one operator of one function at one point, with the right answer, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from difint.contexts import Context
from difint.errors import ArgumentError, message
from difint.kinds import describe
from difint.operator import Operator
from difint.operators import OPERATORS
from difint.testing.values import KINDS, leaves_of, moved

FEATURES = {
    "in-place function": "`f(y, x, ...)` fills `y`",
    "complex x": "`x` is complex, and `f` holomorphic",
    "not analytic": "`abs`, `maximum`, `conj` and the like, away from their kinks",
    "branch on values": "a Python `if` on an entry of `x`",
}
"""What a scenario may have that not every backend takes; ``Backend.gaps`` speaks of these."""


class Place(NamedTuple):
    """Whether the operator's result, and ``f``'s, may be written into memory that is given.

    Attributes:
        operator: ``"in"`` where ``out=`` can be filled, ``"out"`` where results are Python
            scalars.
        function: ``"in"`` for ``f(y, x, ...)``, ``"out"`` for ``f(x, ...) -> y``.
    """

    operator: str
    function: str


@final
@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class Scenario:
    """One operator of one function at one point, and what it must return there.

    Args:
        operator: the operator's name, e.g. ``"jacobian"``.
        f: ``f(x, *contexts) -> y``, or ``f(y, x, *contexts) -> None`` with ``y=`` given.
        x: the point.
        contexts: the contexts, wrapped.
        t: the tangent, or a tuple of them, of the operators that take one.
        y: for an in-place ``f``, an array of the output's shape and dtype.
        result: what the operator returns, in NumPy arrays and Python scalars (or SciPy's sparse
            arrays); ``None`` to have it filled by ``compute_results``.
        lower: the lower orders that its variant returns before the result, as a tuple: ``(y,)``,
            for ``hvp`` the gradient alone, for ``hessian`` ``(y, gradient)``.
        prepare_args: the arguments ``(x, [t,] *contexts)`` to prepare with, of the same form;
            ``None`` for the given ones with all numbers shrunk to 7/8. Results must not depend
            on them.
        name: what messages call it; ``None`` for one made from the operator and ``f``.
        features: which of ``FEATURES`` ``f`` has, beside those that can be seen from the rest.
        source: an expression that makes this scenario again, for messages.

    Raises:
        ArgumentError: an unknown operator or feature, a bare context, a missing or a needless
            ``t``.

    >>> import numpy as np
    >>> s = Scenario("gradient", lambda x: x @ x, np.ones(2), result=np.array([2.0, 2.0]))
    >>> s, s.place
    (Scenario('gradient of <lambda>'), Place(operator='in', function='out'))
    """

    operator: str
    f: Callable[..., Any]
    x: Any
    contexts: tuple[Context, ...]
    t: Any
    y: Any
    result: Any
    lower: tuple[Any, ...] | None
    prepare_args: tuple[Any, ...]
    name: str
    features: frozenset[str]
    source: str | None

    def __init__(
        self,
        operator: str,
        f: Callable[..., Any],
        x: Any,
        *contexts: Context,
        t: Any = None,
        y: Any = None,
        result: Any = None,
        lower: tuple[Any, ...] | None = None,
        prepare_args: Sequence[Any] | None = None,
        name: str | None = None,
        features: Iterable[str] = (),
        source: str | None = None,
    ) -> None:
        _check(operator, t, contexts)
        _check_lower(operator, lower)
        args = (x, *contexts) if OPERATORS[operator].tangent is None else (x, t, *contexts)
        function = getattr(f, "__name__", type(f).__name__)
        values = {
            "operator": operator,
            "f": f,
            "x": x,
            "contexts": contexts,
            "t": t,
            "y": y,
            "result": result,
            "lower": lower,
            "prepare_args": _preparation(operator, args, prepare_args),
            "name": name or f"{operator} of {function}",
            "features": _features(x, y, features),
            "source": source,
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        return f"Scenario({self.name!r})"

    @property
    def record(self) -> Operator:
        """The operator's record."""
        return OPERATORS[self.operator]

    @property
    def args(self) -> tuple[Any, ...]:
        """What an operator is called with: ``(x, [t,] *contexts)``."""
        tangent = () if self.record.tangent is None else (self.t,)
        return (self.x, *tangent, *self.contexts)

    @property
    def place(self) -> Place:
        """Where the operator and ``f`` may write their results."""
        seen = self.x if self.result is None else self.result
        scalars = all(describe(leaf, KINDS).kind == "python" for leaf in leaves_of(seen))
        return Place("out" if scalars else "in", "out" if self.y is None else "in")

    @property
    def parts(self) -> tuple[Any, ...] | None:
        """What the variant with the lower orders returns; ``None`` if it is not known."""
        if self.lower is None or self.result is None:
            return None
        return (*self.lower, self.result)

    def replace(self, **changes: Any) -> Scenario:
        """Make a scenario with some of the arguments changed, ``contexts`` by name.

        Where ``x``, ``t`` or a context changes, ``prepare_args`` are made from the new ones unless
        they are given; ``source`` is kept only if it is given, for it makes another scenario.
        """
        if not changes.keys().isdisjoint(("x", "t", "contexts")):
            changes.setdefault("prepare_args", None)
        changes.setdefault("source", None)
        names = ("t", "y", "result", "lower", "prepare_args", "name", "features", "source")
        kept = {name: getattr(self, name) for name in names}
        positional = {name: getattr(self, name) for name in ("operator", "f", "x", "contexts")}
        positional |= {name: changes.pop(name) for name in list(changes) if name in positional}
        contexts = positional.pop("contexts")
        return Scenario(*positional.values(), *contexts, **{**kept, **changes})


def check_operator(where: str, operator: str) -> None:
    """Require the name of one of the eight operators."""
    if not isinstance(operator, str) or operator not in OPERATORS:
        text = message(
            where,
            "operator is not one of the eight",
            expected=", ".join(OPERATORS),
            got=repr(operator) if isinstance(operator, str) else f"a {type(operator).__name__}",
            remedy="Pass its name, e.g. 'jacobian'.",
        )
        raise ArgumentError(text)


def _check(operator: str, t: Any, contexts: tuple[Any, ...]) -> None:
    check_operator("Scenario", operator)
    takes = OPERATORS[operator].tangent
    if takes is not None and t is None:
        problem, remedy = f"{operator} takes a tangent", f"Pass t=, a tangent like {takes}."
        raise ArgumentError(message("Scenario", problem, expected="t=", remedy=remedy))
    if takes is None and t is not None:
        remedy = "Leave t= out; pushforward, pullback and hvp take one."
        raise ArgumentError(message("Scenario", f"{operator} takes no tangent", remedy=remedy))
    for position, context in enumerate(contexts):
        if not isinstance(context, Context):
            problem = f"context {position} is bare"
            remedy = "Wrap it: Constant(value), Cache(buffer) or ConstantOrCache(tree)."
            text = message("Scenario", problem, got=type(context).__name__, remedy=remedy)
            raise ArgumentError(text)


def _check_lower(operator: str, lower: Any) -> None:
    parts = len(OPERATORS[operator].parts) - 1
    if lower is None or (isinstance(lower, tuple) and len(lower) == parts):
        return
    text = message(
        "Scenario",
        "lower does not hold the lower orders",
        expected=f"a tuple of {parts}: what {OPERATORS[operator].variant} returns but the result",
        got=f"a tuple of {len(lower)}" if isinstance(lower, tuple) else f"a {type(lower).__name__}",
        remedy="Pass e.g. lower=(y,), or leave it out.",
    )
    raise ArgumentError(text)


def _preparation(operator: str, args: tuple[Any, ...], given: Any) -> tuple[Any, ...]:
    if given is None:
        return tuple(map(moved, args))
    if len(given) != len(args):
        text = message(
            "Scenario",
            "prepare_args does not have the arguments of execute",
            expected=f"{len(args)} of them",
            got=str(len(given)),
            remedy="Pass (x, [t,] *contexts), of the same form as those of the scenario.",
        )
        raise ArgumentError(text)
    return tuple(given)


def _features(x: Any, y: Any, features: Iterable[str]) -> frozenset[str]:
    found = set(features)
    for feature in found - FEATURES.keys():
        text = message(
            "Scenario",
            "a feature is unknown",
            expected=", ".join(FEATURES),
            got=repr(feature),
            remedy="Pass features=() if f has none of them.",
        )
        raise ArgumentError(text)
    if y is not None:
        found.add("in-place function")
    if any(describe(leaf, KINDS).numpy_dtype.kind == "c" for leaf in leaves_of(x) if _known(leaf)):
        found.add("complex x")
    return frozenset(found)


def _known(leaf: Any) -> bool:
    return bool(describe(leaf, KINDS).kind)
