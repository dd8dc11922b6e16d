"""Engine and Arrays: what a backend brings, as records of functions.

A *primitive* here is staged, so that work at the point is shared between tangents::

    at = engine.pushforward(engine.arrays, problem, value=..., reuse=...)
    apply = at(x, *contexts)        # what depends on the point alone
    y, dy = apply(t)                # what depends on the tangent

Everything here speaks the engine's own values: the form in which ``Arrays.lower`` hands over
``x`` and ``y`` (for NumPy a single array, for JAX a tree of JAX arrays). Contexts are unwrapped.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from operator import methodcaller
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np

from difint.kinds import Kind
from difint.trees import Trees

if TYPE_CHECKING:
    from difint.dependence.sets import Rows
    from difint.problem import Form, Lowering, Problem

Apply = Callable[[Any], tuple[Any, Any]]
"""``t -> (y, result)``; ``y`` is ``None`` where it was not asked for."""

At = Callable[..., Apply]
"""``(x, *contexts) -> apply``."""

Kernel = Callable[..., Any]
"""``(x, *contexts) -> (lower orders..., result)``; or the result alone, if that is all."""

Primitive = Callable[..., At]
"""``(arrays, problem, *, value, reuse=False) -> at``: builds a pushforward or a pullback.

``value`` asks for ``y`` beside the result; without it ``None`` may stand there. ``reuse`` says
that one ``apply`` will serve many tangents: spend more at the point if that makes each cheaper.
"""

Native = Callable[..., Callable[..., Any]]
"""``(arrays, problem, *, value) -> kernel``: builds an operator that the engine brings itself.

``value`` asks for the lower orders; without it a kernel returns the result alone. An operator
with a tangent is built like a primitive: it takes ``reuse`` too, and yields an ``At``.
"""


class Unfit(Exception):
    """Says that a compiled kernel met arguments that it was not compiled for.

    A signal from kernel to plan, which explains the mismatch or settles it.
    """


@final
@dataclass(slots=True)
class Traces:
    """What a library has traced and compiled, counted while somebody watches.

    Attributes:
        traces: functions traced.
        compilations: programs compiled.
    """

    traces: int = 0
    compilations: int = 0


def _write(target: Any, value: Any) -> None:
    target[...] = np.asarray(value)


def _nothing(kernel: Callable[..., Any]) -> str:
    return ""


def _constant(array: Any, like: Any) -> Any:
    return array.astype(like.dtype) if array.dtype.kind == "f" else array


@final
@dataclass(frozen=True, slots=True)
class Arrays:
    """One array library as the glue of derived operators uses it.

    Engines of one library share one record: by its identity difint knows that one engine can
    differentiate through another.

    Attributes:
        name: the library's name.
        kinds: the kinds of values accepted for ``x``, ``t`` and contexts.
        trees: how trees of them are taken apart.
        lower: turns ``f`` with its arguments into a ``Problem``.
        matrix: the form of a matrix result: ``(problem, leaf) -> Form``.
        compile: ``(kernel, args, strict=...) -> kernel``, for arguments like ``args``; with
            ``args=None`` for a kernel that runs once.
        compile_both: ``(full, args, strict=...) -> (kernel, full)``: compiles the kernel with the
            lower orders, and makes of it the one without them; ``None`` to build and compile each.
        attach: ``(kernel, apply, t, strict=...) -> (t -> kernel(apply, t))``, compiled: for
            same-point plans.
        sealed: the names of the kinds of which trees are checked by strict compiled kernels
            themselves, shapes and dtypes, raising ``Unfit``: the guard looks at types alone.
        asynchronous: kernels have no side effects, and return before they are done.
        traceable: kernels accept values that a transformation traces.
        settle: brings a value that fits, but not exactly, into the form that was compiled for.
        copy: a value that shares no memory with another.
        one: the unit seed of a scalar.
        ravel: a value as a vector, in C order.
        unravel: ``(vector, like) -> value``.
        inner: the sum of the products of two values' entries.
        cast: ``(value, like) -> value`` with the dtypes of ``like``.
        transpose: a matrix, transposed.
        concatenate: matrices, one under the other.
        basis: ``(like, start, stop)`` -> the unit tangents of these entries, stacked.
        constant: ``(array, like)`` -> a NumPy array as the library's own, where ``like`` lives,
            and floats in its precision.
        host: a value as a NumPy array, of its own memory where that can be read.
        batch: ``(apply, seeds) -> (y, rows)``: applies to stacked seeds, a raveled result a row.
        each: ``(apply, tangents) -> (y, results)``: applies to each of a tuple.
        write: ``(target, value) -> None``: fills an array of the user's with a value.
        tell: says in a few words what a compiled kernel is and what making it cost.
        watch: a context in which a ``Traces`` counts what the library traces and compiles.
        space: ``value -> namespace``: the array API that takes such values.
        fixed_seeds: up to how many entries seeds are better constants of the compiled code than
            arguments of it: what is linear in them alone is then computed at prepare.
        dependence: ``(problem, occasion, *, curved, local) -> Rows``: the pattern of the Jacobian,
            or of the Hessian of a scalar function if ``curved``, found by tracing index sets
            through the function; valid near the example alone if ``local``. ``None`` for
            libraries that have no such tracer.
        holds_integers: ``dependence`` takes the integers and truth values in contexts as they are:
            a pattern holds for these.
        take: ``(rows, flat) -> vector`` of the entries at these places of a matrix in C order, in
            the compiled code that has fixed seeds.
        chunk: how many seeds are held at once; ``None`` for all.
    """

    name: str
    kinds: tuple[Kind, ...]
    trees: Trees
    lower: Callable[[Lowering], Problem]
    matrix: Callable[[Problem, Any], Form]
    compile: Callable[..., Callable[..., Any]]
    attach: Callable[..., Callable[..., Any]]
    sealed: Callable[[], frozenset[str]]
    asynchronous: bool
    traceable: bool
    settle: Callable[[Any], Any]
    copy: Callable[[Any], Any]
    one: Callable[[Any], Any]
    ravel: Callable[[Any], Any]
    unravel: Callable[[Any, Any], Any]
    inner: Callable[[Any, Any], Any]
    cast: Callable[[Any, Any], Any]
    transpose: Callable[[Any], Any]
    concatenate: Callable[[list[Any]], Any]
    basis: Callable[[Any, int, int], Any]
    batch: Callable[[Apply, Any], tuple[Any, Any]]
    each: Callable[[Apply, tuple[Any, ...]], tuple[Any, tuple[Any, ...]]]
    watch: Callable[[], AbstractContextManager[Traces]]
    write: Callable[[Any, Any], None] = _write
    compile_both: Callable[..., tuple[Callable[..., Any], Callable[..., Any]]] | None = None
    tell: Callable[[Callable[..., Any]], str] = _nothing
    space: Callable[[Any], Any] = methodcaller("__array_namespace__")
    constant: Callable[[Any, Any], Any] = _constant
    host: Callable[[Any], Any] = np.asarray
    fixed_seeds: int = 0
    take: Callable[[Any, Any], Any] | None = None
    dependence: Callable[..., Rows] | None = None
    holds_integers: bool = False
    chunk: int | None = None


@final
@dataclass(frozen=True, slots=True)
class Occasion:
    """What an operator is prepared with.

    Attributes:
        args: example arguments in the engine's values: ``x``, ``t`` if there is one, contexts.
        batch: the number of tangents in a tuple; ``None`` for one, or none.
        once: the plan will run once: compiling it would cost more than it saves.
        strict: ``execute`` compares its arguments with the signature.
    """

    args: tuple[Any, ...]
    batch: int | None
    once: bool
    strict: bool


@final
@dataclass(frozen=True, slots=True)
class Compiled:
    """An operator as code that writes its results where it is told.

    Attributes:
        kernel: ``(x, [t,] *contexts) -> result``.
        full: ``(x, [t,] *contexts) -> (lower orders..., result)``.
        fill: ``(x, [t,] *contexts, out) -> done``: writes the result to ``out`` after checking
            it; declines with ``False`` or ``TypeError`` what it was not compiled for. ``None``
            where results are tuples.
        bind: ``(args, out[, returned]) -> step``, which reads the arguments' memory again at each
            call, fills ``out`` and returns it, or what is to be returned instead; ``None`` for
            memory that it was not compiled for, or instead of the function.
        export: what other compiled code can call; ``None`` for trees and tuples.
        route: how the operator is obtained.
        form: the form of the result; ``None`` for that of the operator.
        into: ``(args, target, full) -> lower orders``: writes the result to an array of the
            form's, which was checked before; ``None`` to copy it there.
        sparsity: the pattern and the colors of a sparse result.
        product: ``(args, t) -> result``: of a compressed operator, its product with any tangent.
    """

    kernel: Callable[..., Any]
    full: Callable[..., Any]
    fill: Callable[..., Any] | None
    bind: Callable[..., Any] | None
    export: Export | None
    route: str
    form: Form | None = None
    into: Callable[..., tuple[Any, ...]] | None = None
    sparsity: Sparsity | None = None
    product: Callable[[tuple[Any, ...], Any], Any] | None = None


@final
@dataclass(frozen=True, slots=True)
class Compression:
    """A Jacobian or Hessian to be computed by groups of columns, entry by entry.

    Pass ``p`` pushes the sum of the unit tangents of the columns that have color ``p``; entry
    ``k`` is number ``rows[k]`` of its result, for ``p = passes[k]``.

    Attributes:
        colors: the color of each column; negative for those that no pass needs.
        count: the number of colors.
        passes: for each entry the pass that it is read from.
        rows: for each entry where it stands in the result of that pass.
        chunk: how many passes go through at once; ``None`` for what suits the engine.
        lean: hold the seeds of one chunk at a time, though laying them down takes time.
    """

    colors: Any
    count: int
    passes: Any
    rows: Any
    chunk: int | None
    lean: bool


class Sides(NamedTuple):
    """Something of the rows of a matrix, and of its columns.

    Attributes:
        rows: of the rows, which pullbacks compute; ``None`` where no pass is one.
        columns: of the columns, which pushforwards compute, or products with a Hessian; ``None``
            likewise.
    """

    rows: Any
    columns: Any


class Sparsity(abc.ABC):
    """What a plan with a sparse result knows of its pattern and its colors.

    Attributes:
        pattern: where the matrix may have entries.
        colors: the color of each row and column; -1 for those that no pass needs.
        reason: why these passes were chosen.
    """

    __slots__ = ("colors", "pattern", "reason")

    pattern: Any
    colors: Sides
    reason: str

    @property
    @abc.abstractmethod
    def summary(self) -> str:
        """The result in a few words: shape, dtype, entries."""

    @property
    @abc.abstractmethod
    def picture(self) -> str:
        """The pattern, drawn in braille."""

    @property
    @abc.abstractmethod
    def groups(self) -> Sides:
        """The indices that have each color."""

    @abc.abstractmethod
    def verify(self, args: tuple[Any, ...], samples: int, seed: int) -> None:
        """Compare random products with those of the dense engine, and raise if they differ."""

    @abc.abstractmethod
    def spy(self, axes: Any) -> Any:
        """Draw the colored pattern and the compressed matrix."""


class Export(abc.ABC):
    """What a compiled plan offers to code that is not Python; made when first asked for."""

    __slots__ = ()

    @abc.abstractmethod
    def kernel(self) -> Any:
        """Get a function for ``numba.njit`` code."""

    @abc.abstractmethod
    def c_function(self) -> Any:
        """Get a C function that ``ctypes`` can call."""

    @abc.abstractmethod
    def address(self) -> int:
        """Get the address of the C function."""

    @abc.abstractmethod
    def low_level_callable(self) -> Any:
        """Get a ``scipy.LowLevelCallable``."""


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


@final
@dataclass(frozen=True, slots=True)
class Engine:
    """What one backend can do. One of the two primitives at least must be there.

    Attributes:
        arrays: the array library that it works in.
        pushforward: builds the primitive ``t -> J t``.
        pullback: builds the primitive ``t -> J^T t``.
        native: builders of the operators that beat the derived route, by operator name.
        compiled: builders of whole operators that fill their results, by operator name:
            ``(arrays, problem, occasion) -> Compiled``.
        compressed: builders of ``jacobian`` and ``hessian`` that compute their entries by groups
            of columns: ``(arrays, problem, compression) -> Compiled``, whose result is the vector
            of entries; ``None`` from a builder that cannot.
        value_free: ``y`` costs nothing beside what the primitives compute.
        widths: ``(arrays, problem) -> (vector -> weights)``: how far, relative to each other, the
            entries of ``x`` should move where one product tells the derivatives by many of
            them; ``None`` where that does not matter.
        inplace: functions ``f(y, x, *contexts)`` are accepted.
        accuracy: the relative error of a first derivative, as a power of the machine epsilon: an
            outer difference takes its step from it.
        second_accuracy: likewise of its native operators of second order; ``None`` where a
            derivative of a derivative is as accurate as the two together.
        black_box: it differentiates by calling ``f`` and by real array arithmetic alone, so
            that it can work within any other engine's arrays.
        complexifies: it calls ``f`` with complex numbers, which another engine's derivative
            does not take.
        pullback_cost: how many pushforwards one pullback costs; the direction of a Jacobian
            follows from it.
        inner: the engine of the inner derivative in second-order operators, and of first-order
            operators; ``None`` for this one.
    """

    arrays: Arrays
    pushforward: Primitive | None = None
    pullback: Primitive | None = None
    native: Mapping[str, Native] = field(default_factory=_empty)
    compiled: Mapping[str, Callable[..., Compiled]] = field(default_factory=_empty)
    compressed: Mapping[str, Callable[..., Compiled | None]] = field(default_factory=_empty)
    value_free: bool = False
    widths: Callable[..., Callable[[Any], Any]] | None = None
    inplace: bool = False
    accuracy: float = 1.0
    second_accuracy: float | None = None
    black_box: bool = False
    complexifies: bool = False
    # A pullback keeps or recomputes the primal's intermediate results and runs them backwards:
    # about twice the work of a pushforward (Griewank and Walther, Evaluating Derivatives, 2008,
    # ch. 4).
    pullback_cost: float = 2.0
    inner: Engine | None = None
