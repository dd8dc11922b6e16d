"""Backends: inert descriptors. Each finds its engine through an import at prepare.

Past 400 lines, for it is a list: descriptors that share a base and are read side by side.
"""

from __future__ import annotations

import abc
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, ClassVar, Literal, TypeVar, final

from difint.engine import Engine
from difint.errors import (
    ArgumentError,
    BackendUnavailableError,
    UnsupportedError,
    message,
    unavailable,
)

Mode = Literal["forward", "reverse"]


class Backend(abc.ABC):
    """Base class of all backends: a way to differentiate, as plain data.

    Derive a frozen, slotted dataclass, and say in ``engine`` what it can do.

    Attributes:
        package: the distribution whose version ``python -m difint backends`` shows.
        extra: the extra of difint that installs it; ``""`` if none is needed.
    """

    __slots__ = ()

    package: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    @abc.abstractmethod
    def engine(self) -> Engine:
        """Import what is needed, and return the engine's record.

        Raises:
            BackendUnavailableError: a package that it needs is not installed.
        """

    @classmethod
    def candidates(cls) -> tuple[Backend, ...]:
        """List the settings to try on a function of which nothing is known, usual ones first."""
        return (cls(),)

    def gaps(self) -> Mapping[str, str]:
        """Say what it cannot differentiate: features as in ``difint.testing``, with reasons."""
        return {"complex x": _NO_COMPLEX}

    def counterpart(self, mode: Mode) -> Backend:
        """Return the backend that does the same in forward or in reverse mode alone."""
        engine = self.engine()
        if getattr(engine, _PRIMITIVE[mode]) is None:
            text = message(
                f"{mode}_counterpart",
                f"{self!r} has no {mode} mode",
                remedy=_other_backend(mode),
            )
            raise UnsupportedError(text)
        return PrimitiveOnly(self, mode) if engine.pushforward and engine.pullback else self

    def _import(self, package: str, engine: str) -> Any:
        """Import an engine's module, and explain what to install if ``package`` is missing."""
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            raise unavailable(repr(self), package, self.extra) from error
        return importlib.import_module(engine)

    def __repr__(self) -> str:
        given = [
            f"{field.name}={value!r}"
            for field in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"


def check_backend(where: str, backend: Any) -> None:
    """Require a backend descriptor."""
    if isinstance(backend, Backend):
        return
    got = f"a {type(backend).__name__}"
    remedy = "Pass the function first, then the backend, then x."
    if isinstance(backend, type):
        got, remedy = f"the class {backend.__name__}", f"Write {backend.__name__}()."
    text = message(
        where,
        "backend is not a backend",
        expected="a descriptor such as AutoJax() or AutoFiniteDiff()",
        got=got,
        remedy=remedy,
    )
    raise ArgumentError(text)


_NO_COMPLEX = "refused: pass the real and the imaginary part as two real arguments"

_PRIMITIVE = {"forward": "pushforward", "reverse": "pullback"}


def _other_backend(mode: Mode) -> str:
    return f"Use one that has, e.g. AutoJax(mode={mode!r})."


def check_choice(where: str, name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Require one of the values that a descriptor's field may have."""
    if value not in choices:
        text = message(
            where,
            f"{name} is not one of its choices",
            expected=" or ".join(map(repr, choices)),
            got=repr(value),
            remedy=f"Pass {name}={choices[0]!r}.",
        )
        raise ArgumentError(text)


def check_size(where: str, size: Any, default: str, *others: str, name: str = "chunk_size") -> None:
    """Require a ``chunk_size`` that is a positive integer, or one of ``others``."""
    if (type(size) is int and size > 0) or size in others:
        return
    text = message(
        where,
        f"{name} is not a size",
        expected=", ".join(["a positive integer", *map(repr, others)]) + ", or None",
        got=repr(size),
        remedy=f"Leave {name}= out for {default}.",
    )
    raise ArgumentError(text)


_Moded = TypeVar("_Moded", "AutoEnzyme", "AutoJax", "AutoTorch")


def of_one_mode(backend: _Moded, mode: Mode) -> _Moded:
    """Return a backend that has a mode in forward or in reverse mode alone."""
    if backend.mode in (None, mode):
        return replace(backend, mode=mode)
    remedy = f"Start from {replace(backend, mode=None)!r}."
    problem = f"{backend!r} has no {mode} mode"
    raise UnsupportedError(message(f"{mode}_counterpart", problem, remedy=remedy))


@final
@dataclass(frozen=True, slots=True, repr=False)
class AutoFiniteDiff(Backend):
    """Differentiate by finite differences: any function, no package, limited accuracy.

    A step in entry ``j`` has the size ``max(rel_step * |x[j]|, abs_step)``.

    Args:
        scheme: ``"central"``, two evaluations a tangent, relative error about 1e-11 in float64;
            ``"forward"``, one and 1e-8, with ``f(x)`` for free; ``"complex_step"``, one at full
            precision, for analytic functions that accept complex arrays.
        rel_step: the step relative to ``|x|``, without unit; ``None`` for the scheme's optimum
            at the dtype's precision.
        abs_step: the least step, in units of ``x``; ``None`` for ``rel_step``.

    Steps given here hold for first derivatives and for both differences of second ones, which
    need much wider steps; the outer difference of a complex step has its own.

    Raises:
        ArgumentError: an unknown scheme, or a step that is not positive.

    >>> import numpy as np, difint as di
    >>> di.derivative(np.exp, di.AutoFiniteDiff(scheme="complex_step"), 0.0)
    1.0

    The steps and their errors are those of Dennis and Schnabel, *Numerical Methods for
    Unconstrained Optimization and Nonlinear Equations* (1996), section 5.4; the complex step is
    that of Squire and Trapp, SIAM Review 40 (1998).
    """

    scheme: Literal["central", "forward", "complex_step"] = "central"
    rel_step: float | None = None
    abs_step: float | None = None

    package: ClassVar[str] = "numpy"

    def __post_init__(self) -> None:
        check_choice(
            "AutoFiniteDiff", "scheme", self.scheme, ("central", "forward", "complex_step")
        )
        for name in ("rel_step", "abs_step"):
            step = getattr(self, name)
            real = isinstance(step, Real) and not isinstance(step, bool)
            if step is not None and not (real and 0 < step < float("inf")):
                text = message(
                    "AutoFiniteDiff",
                    f"{name} is not a step",
                    expected="a positive number, or None",
                    got=repr(step),
                    remedy=f"Leave {name}= out for the optimal step.",
                )
                raise ArgumentError(text)

    @classmethod
    def candidates(cls) -> tuple[Backend, ...]:
        """List the three schemes."""
        return cls(), cls("forward"), cls("complex_step")

    def gaps(self) -> Mapping[str, str]:
        """Say what it cannot differentiate: a complex step takes analytic functions alone."""
        if self.scheme != "complex_step":
            return Backend.gaps(self)
        return {
            "complex x": _NO_COMPLEX,
            "not analytic": "refused: the imaginary part of such a function is not its derivative",
        }

    def engine(self) -> Engine:
        """Return the engine's record."""
        from difint.engines.finite_diff import engine

        return engine(self)


@final
@dataclass(frozen=True, slots=True, repr=False)
class AutoJax(Backend):
    """Differentiate with JAX, compiled once for each plan.

    ``f`` must be traceable: written with ``jax.numpy``, without Python branches on values.

    Args:
        mode: ``"forward"`` or ``"reverse"`` to use one primitive alone; ``None`` for the better.
        x64: compute in 64 bits within the plan, whatever JAX's global flag says.

    Raises:
        ArgumentError: an unknown mode.
    """

    mode: Mode | None = None
    x64: bool = False

    package: ClassVar[str] = "jax"
    extra: ClassVar[str] = "jax"

    def __post_init__(self) -> None:
        check_choice("AutoJax", "mode", self.mode, (None, "forward", "reverse"))
        check_choice("AutoJax", "x64", self.x64, (False, True))

    @classmethod
    def candidates(cls) -> tuple[Backend, ...]:
        """List the modes, in 64 bits, so that float64 is taken whatever JAX's global flag."""
        return cls(x64=True), cls("forward", x64=True), cls("reverse", x64=True)

    def gaps(self) -> Mapping[str, str]:
        """Say what it cannot differentiate: what JAX cannot trace."""
        return {
            "complex x": _NO_COMPLEX,
            "in-place function": "refused: JAX's arrays are immutable; let f return its result",
            "branch on values": "a traced value has no truth; use jax.numpy.where or jax.lax.cond",
        }

    def engine(self) -> Engine:
        """Return the engine's record."""
        module = self._import("jax", "difint.engines.jax")
        engine: Engine = module.engine(self)
        return engine

    def counterpart(self, mode: Mode) -> AutoJax:
        """Return the backend that does the same in forward or in reverse mode alone."""
        return of_one_mode(self, mode)


@final
@dataclass(frozen=True, slots=True, repr=False)
class AutoNumba(Backend):
    """Differentiate forward with dual numbers, compiled to machine code by Numba.

    ``f`` may be a plain Python function or a ``numba.njit`` function, with loops and branches. It
    and the functions that it calls are compiled; what it reads besides its arguments is frozen.

    Args:
        mode: ``"forward"``, the only one; ``None`` means the same.
        chunk_size: how many partial derivatives go through at once; ``None`` for what suits the
            vector registers; ``"measure"`` to time a few sizes at prepare, and keep the fastest.
        parallel: spread the chunks over Numba's threads.
        fastmath: let LLVM reorder and approximate, as ``numba.njit(fastmath=True)`` does.

    Raises:
        ArgumentError: an unknown mode, or a size that is not positive.

    >>> import numpy as np, difint as di
    >>> di.jacobian(lambda x: x[0] * x, di.AutoNumba(), np.array([2.0, 3.0]))
    array([[4., 0.],
           [3., 2.]])
    """

    mode: Literal["forward"] | None = None
    chunk_size: int | Literal["measure"] | None = None
    parallel: bool = False
    fastmath: bool = False

    package: ClassVar[str] = "numba"

    def __post_init__(self) -> None:
        check_choice("AutoNumba", "mode", self.mode, (None, "forward"))
        check_choice("AutoNumba", "parallel", self.parallel, (False, True))
        check_choice("AutoNumba", "fastmath", self.fastmath, (False, True))
        if self.chunk_size is not None:
            check_size("AutoNumba", self.chunk_size, "what suits this machine", "measure")

    def engine(self) -> Engine:
        """Return the engine's record."""
        module = self._import("numba", "difint.engines.numba")
        engine: Engine = module.engine(self)
        return engine


_ENZYME_WHEELS = (
    "Its package enzyme-ad has wheels for Python 3.11 alone, on Linux (x86-64 and ARM) and macOS "
    "(ARM)."
)


@final
@dataclass(frozen=True, slots=True, repr=False)
class AutoEnzyme(Backend):
    """Differentiate machine code, forward and in reverse, with Enzyme: for functions of Numba.

    ``f`` may be a plain Python function or a ``numba.njit`` function, with loops and branches. It
    and the functions that it calls are compiled; what it reads besides its arguments is frozen. A
    gradient costs a few times what ``f`` costs, whatever the size of ``x``.

    Args:
        mode: ``"forward"`` or ``"reverse"`` to use one mode alone; ``None`` for the better.
        width: how many tangents go through at once; ``None`` for up to 16.
        verify: compare each plan with differences of ``f`` at the example, and refuse it if they
            disagree.

    Raises:
        ArgumentError: an unknown mode, or a width that is not positive.
    """

    mode: Mode | None = None
    width: int | None = None
    verify: bool = True

    package: ClassVar[str] = "enzyme-ad"
    extra: ClassVar[str] = "enzyme"

    def __post_init__(self) -> None:
        check_choice("AutoEnzyme", "mode", self.mode, (None, "forward", "reverse"))
        check_choice("AutoEnzyme", "verify", self.verify, (True, False))
        if self.width is not None:
            check_size("AutoEnzyme", self.width, "up to 16 tangents at once", name="width")

    @classmethod
    def candidates(cls) -> tuple[Backend, ...]:
        """List both modes."""
        return cls(), cls("forward"), cls("reverse")

    def engine(self) -> Engine:
        """Return the engine's record."""
        try:
            module = self._import("enzyme_ad", "difint.engines.numba.enzyme")
            engine: Engine = module.engine(self)
        except BackendUnavailableError as error:
            text = str(unavailable(repr(self), "enzyme-ad", self.extra))
            raise BackendUnavailableError(f"{text}\n{_ENZYME_WHEELS}", name=error.name) from error
        return engine

    def counterpart(self, mode: Mode) -> AutoEnzyme:
        """Return the backend that does the same in forward or in reverse mode alone."""
        return of_one_mode(self, mode)


@final
@dataclass(frozen=True, slots=True, repr=False)
class AutoTorch(Backend):
    """Differentiate with PyTorch: a graph that is traced once for each plan, compiled or not.

    ``f`` is written with PyTorch's functions; it may work in place on its own tensors. A graph
    freezes what ``f`` captured, and takes no branch on a tensor's value: that is refused.

    Args:
        mode: ``"forward"`` or ``"reverse"`` to use one primitive alone; ``None`` for the better.
        compile: ``"graph"``, the operations of the derivative, called one by one; ``"eager"``,
            ``f`` called as it is, whatever Python it contains; ``"inductor"``, compiled by a C++
            compiler in seconds; ``"aot"``, compiled to a package on disk in some ten seconds, which
            later processes load in milliseconds, without a compiler.
        chunk_size: how many seeds of a Jacobian or Hessian go through at once; ``None`` for all.

    Raises:
        ArgumentError: an unknown mode or way to compile, or a size that is not positive.
    """

    mode: Mode | None = None
    compile: Literal["eager", "graph", "inductor", "aot"] = "graph"
    chunk_size: int | None = None

    package: ClassVar[str] = "torch"
    extra: ClassVar[str] = "torch"

    def __post_init__(self) -> None:
        check_choice("AutoTorch", "mode", self.mode, (None, "forward", "reverse"))
        ways = ("graph", "eager", "inductor", "aot")
        check_choice("AutoTorch", "compile", self.compile, ways)
        if self.chunk_size is not None:
            check_size("AutoTorch", self.chunk_size, "all seeds at once")

    @classmethod
    def candidates(cls) -> tuple[Backend, ...]:
        """List graphs, and calls as they are."""
        return cls(), cls("forward"), cls("reverse"), cls(compile="eager")

    def gaps(self) -> Mapping[str, str]:
        """Say what it cannot differentiate: what a graph would freeze."""
        gaps = {"complex x": _NO_COMPLEX}
        if self.compile != "eager":
            gaps["branch on values"] = (
                "refused: a graph would keep one branch; torch.where has both"
            )
        return gaps

    def engine(self) -> Engine:
        """Return the engine's record."""
        module = self._import("torch", "difint.engines.torch")
        engine: Engine = module.engine(self)
        return engine

    def counterpart(self, mode: Mode) -> AutoTorch:
        """Return the backend that does the same in forward or in reverse mode alone."""
        return of_one_mode(self, mode)


_DERIVED: dict[str, Any] = {"native": {}, "compiled": {}, "compressed": {}}
"""The tables of an engine whose operators are all to be derived from its primitives."""


@final
@dataclass(frozen=True, slots=True, repr=False)
class SecondOrder(Backend):
    """Differentiate with ``inner``, and its derivative again with ``outer``.

    Operators of first order use ``inner`` alone. The two must work in one array library, or one
    of them must be finite differences, which then works in the other's: with
    ``SecondOrder(AutoFiniteDiff(), AutoJax())``, differences of a compiled gradient.

    Args:
        outer: the backend of the second derivative.
        inner: the backend of the first.
    """

    outer: Backend
    inner: Backend

    def __post_init__(self) -> None:
        check_backend("SecondOrder", self.outer)
        check_backend("SecondOrder", self.inner)

    def gaps(self) -> Mapping[str, str]:
        """Say what one of the two cannot differentiate."""
        return {**self.outer.gaps(), **self.inner.gaps()}

    def counterpart(self, mode: Mode) -> SecondOrder:
        """Return the pair of the counterparts."""
        return SecondOrder(self.outer.counterpart(mode), self.inner.counterpart(mode))

    def engine(self) -> Engine:
        """Return the outer engine, which knows the inner one."""
        if self.outer == self.inner:
            return self.outer.engine()
        problem = "the outer backend cannot differentiate through the inner one"
        remedy = f"Use SecondOrder(AutoFiniteDiff(), {self.inner!r})."
        outer, inner = in_one_library(self, self.outer, self.inner, problem, remedy)
        return replace(outer, **_DERIVED, inner=inner, inplace=outer.inplace and inner.inplace)


def in_one_library(
    pair: Backend, outer: Backend, inner: Backend, problem: str, remedy: str
) -> tuple[Engine, Engine]:
    """Get the engines of two backends that work together: a black box in the other's arrays."""
    first, second = outer.engine(), inner.engine()
    if first.arrays is second.arrays:
        return first, second
    if first.black_box:
        return replace(first, arrays=second.arrays, inplace=second.inplace), second
    if second.black_box:
        return first, replace(second, arrays=first.arrays, native={}, inplace=first.inplace)
    text = message(
        repr(pair),
        problem,
        expected="two backends of one array library, or AutoFiniteDiff() as one of them",
        got=f"{first.arrays.name} and {second.arrays.name}",
        remedy=remedy,
    )
    raise UnsupportedError(text)


@final
@dataclass(frozen=True, slots=True, repr=False)
class MixedMode(Backend):
    """Take pushforwards from one backend, and pullbacks from another.

    The two must work in one array library, as those of ``SecondOrder``. All operators are derived
    from these two primitives; ``AutoSparse(MixedMode(forward, reverse), ...)`` colors rows and
    columns together where that takes fewer passes.

    Args:
        forward: the backend of pushforwards.
        reverse: the backend of pullbacks.
    """

    forward: Backend
    reverse: Backend

    def __post_init__(self) -> None:
        check_backend("MixedMode", self.forward)
        check_backend("MixedMode", self.reverse)

    def gaps(self) -> Mapping[str, str]:
        """Say what one of the two cannot differentiate."""
        return {**self.forward.gaps(), **self.reverse.gaps()}

    def counterpart(self, mode: Mode) -> Backend:
        """Return the backend of one of the two primitives."""
        return (self.forward if mode == "forward" else self.reverse).counterpart(mode)

    def engine(self) -> Engine:
        """Return the engine of both primitives."""
        problem = "the two backends do not work in one array library"
        remedy = f"Use one that has both modes, or MixedMode(AutoFiniteDiff(), {self.reverse!r})."
        forward, reverse = in_one_library(self, self.forward, self.reverse, problem, remedy)
        if forward.pushforward is None:
            self._refuse(self.forward, "forward")
        if reverse.pullback is None:
            self._refuse(self.reverse, "reverse")
        return replace(
            forward,
            **_DERIVED,
            pullback=reverse.pullback,
            pullback_cost=reverse.pullback_cost,
            inplace=forward.inplace and reverse.inplace,
            accuracy=min(forward.accuracy, reverse.accuracy),
            black_box=forward.black_box and reverse.black_box,
            complexifies=forward.complexifies or reverse.complexifies,
            inner=None,
        )

    def _refuse(self, backend: Backend, mode: Mode) -> None:
        problem = f"{backend!r} has no {mode} mode"
        raise UnsupportedError(message(repr(self), problem, remedy=_other_backend(mode)))


@final
@dataclass(frozen=True, slots=True, repr=False)
class PrimitiveOnly(Backend):
    """Restrict a backend to one primitive, so that all operators take their derived routes.

    Meant for tests: every fallback can be checked with any backend.

    Args:
        backend: the backend to restrict.
        mode: ``"forward"`` leaves the pushforward, ``"reverse"`` the pullback.

    Raises:
        ArgumentError: an unknown mode.
    """

    backend: Backend
    mode: Mode

    def __post_init__(self) -> None:
        check_backend("PrimitiveOnly", self.backend)
        check_choice("PrimitiveOnly", "mode", self.mode, ("forward", "reverse"))

    def gaps(self) -> Mapping[str, str]:
        """Say what the restricted backend cannot differentiate."""
        return self.backend.gaps()

    def engine(self) -> Engine:
        """Return the engine with one primitive, and nothing native; so for an inner engine."""
        return self._restricted(self.backend.engine())

    def _restricted(self, engine: Engine) -> Engine:
        name = _PRIMITIVE[self.mode]
        if getattr(engine, name) is None:
            problem = f"{self.backend!r} has no {name}"
            text = message(repr(self), problem, remedy=_other_backend(self.mode))
            raise UnsupportedError(text)
        kept = {"pushforward": None, "pullback": None, name: getattr(engine, name)}
        inner = None if engine.inner is None else self._restricted(engine.inner)
        return replace(engine, **kept, **_DERIVED, inner=inner)


BACKENDS: tuple[type[Backend], ...] = (AutoFiniteDiff, AutoJax, AutoNumba, AutoEnzyme, AutoTorch)
"""The backends that differentiate by themselves, for listings."""
