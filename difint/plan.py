"""Plans: a kernel bound to a signature, with ``execute``, ``out=``, ``bind`` and ``repr``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from difint.checks import refuse_traced
from difint.contexts import unwrap
from difint.delivery import Delivery
from difint.engine import Arrays, Compiled, Export, Sparsity, Unfit
from difint.errors import ArgumentError, UnsupportedError, message
from difint.problem import single
from difint.signature import Signature


@final
@dataclass(frozen=True, slots=True)
class PlanInfo:
    """What a plan is, for programs; ``repr(plan)`` says the same to people.

    Attributes:
        operator: the operator's name.
        backend: the backend, as its constructor call.
        signature: what ``execute`` requires of its arguments.
        result: shape and dtype of the result.
        route: how the operator is obtained, e.g. ``pushforward × 3``.
        program: what ``execute`` runs, and what making it cost, where that is not Python as it is.
        frozen: what ``f`` reads besides its arguments, by name, where the plan keeps the values
            that it had at prepare.
        prepare_seconds: what prepare took, in seconds.
        sparsity: of a sparse result, why its passes were chosen.
    """

    operator: str
    backend: str
    signature: str
    result: str
    route: str
    program: str
    frozen: tuple[str, ...]
    prepare_seconds: float
    sparsity: str = ""


class Plan:
    """A prepared operator: what ``prepare_*`` returns.

    A plan is read-only, and any number of threads may execute it at once. It keeps nothing of
    the numbers that it was prepared with, unless it was prepared for the same point.
    """

    __slots__ = (
        "_arrays",
        "_contexts_at",
        "_compiled",
        "_delivery",
        "_export",
        "_fill",
        "_fits",
        "_info",
        "_kernel",
        "_late",
        "_leave",
        "_signature",
        "_sparsity",
    )

    def __init__(
        self,
        info: PlanInfo,
        signature: Signature,
        delivery: Delivery,
        arrays: Arrays,
        compiled: Compiled | None = None,
        export: Export | None = None,
        sparsity: Sparsity | None = None,
    ) -> None:
        wrapped = [one.wrapper is not None for one in signature.arguments]
        self._info = info
        self._signature = signature
        self._delivery = delivery
        self._arrays = arrays
        self._compiled = compiled
        self._export = export
        self._sparsity = sparsity
        # What the hot path reads, flat.
        # Compiled code compares plain arrays itself; contexts have to be unwrapped first.
        self._fill = None if compiled is None or any(wrapped) else compiled.fill
        self._fits = signature.fits
        self._contexts_at = wrapped.index(True) if any(wrapped) else 0
        self._kernel = delivery.kernel
        self._leave = delivery.forms[-1].leave
        # Where the kernel runs on while Python goes on, the guard runs beside it, not before it.
        self._late = arrays.asynchronous and self._leave is None and signature.strict

    @property
    def info(self) -> PlanInfo:
        """What the plan is, for programs."""
        return self._info

    @property
    def route(self) -> str:
        """How the operator is obtained: ``native``, ``pushforward × 3``, ..."""
        return self.info.route

    @property
    def kernel(self) -> Any:
        """Get the compiled kernel, for calls from ``numba.njit`` functions.

        It is ``kernel(x, [t,] *contexts, out)`` with bare contexts, and fills ``out``, a
        contiguous array. A result that is one number it returns instead: ``kernel(x, [t,]
        *contexts)``. It is compiled for the argument types of its first caller.

        Raises:
            UnsupportedError: the backend compiles no such kernel, or ``x``, ``t`` or the result is
                a tree.
        """
        return self._exported("kernel").kernel()

    @property
    def ctypes(self) -> Any:
        """Get the kernel as a C function that ``ctypes`` can call; see ``address``."""
        return self._exported("ctypes").c_function()

    @property
    def address(self) -> int:
        """Get the address of a C function, for solvers that take one.

        It is ``void (const T *x, [const T *t,] contexts..., T *out)`` on contiguous arrays, with
        numbers by value; a result that is one number it returns, and has no ``out``. It lives as
        long as the plan.

        Raises:
            UnsupportedError: as for ``kernel``.
        """
        return self._exported("address").address()

    @property
    def low_level_callable(self) -> Any:
        """Get a ``scipy.LowLevelCallable``, which ``scipy.integrate.quad`` calls without Python.

        Its signature is ``double (double)``, or ``double (int, double *)`` with contexts, whose
        values are what ``quad`` is given as ``args``.

        Raises:
            UnsupportedError: as for ``kernel``; or the plan is not one from a float, and contexts
                that are floats, to a float.
        """
        return self._exported("low_level_callable").low_level_callable()

    def _exported(self, name: str) -> Export:
        if self._export is not None:
            return self._export
        text = message(
            self.info.operator,
            f"this plan has no {name}",
            expected="a plan of AutoNumba or AutoEnzyme, of arrays or numbers",
            got=f"{self.info.backend}, {self.info.signature} -> {self.info.result}",
            remedy="Prepare with AutoNumba() or AutoEnzyme(), without trees, or call execute.",
        )
        raise UnsupportedError(text)

    def execute(self, *args: Any, out: Any = None, y: Any = None) -> Any:
        """Compute the result at new values of the arguments.

        Args:
            args: the arguments as at prepare: ``x``, for some operators ``t``, then the
                contexts; a same-point plan takes ``t`` alone.
            out: a NumPy array, or a tensor where ``x`` is one (a tree or a tuple of them where the
                result is one) to fill and return; ``None`` for a fresh result.
            y: for a plan of an in-place ``f``, an array that is filled with ``f(x)``; ``None``
                if the value is not wanted.

        Returns:
            The result, of the kind of ``x``; ``out`` if it was given. It is new at every call.
            The NumPy results of ``AutoJax`` are read-only: memory that JAX made, not copied; for
            an array to change, pass ``out=``.

        Raises:
            PreparationMismatchError: the arguments are not like those of prepare.
            ArgumentError: ``out`` or ``y`` cannot be filled, or a context is bare.
        """
        fill = self._fill
        if fill is not None and out is not None and y is None:
            try:
                if fill(*args, out):
                    return out
            except TypeError:
                pass  # not as it was compiled for, or an error of f's own: both come again below
        late = self._late
        if not late and not self._fits(args):
            return self._unusual(args, out, y, full=False)
        start = self._contexts_at
        try:
            values = (*args[:start], *map(unwrap, args[start:])) if start else args
            if out is not None or y is not None:
                return self._deliver(args, values, out, y)
            result = self._kernel(*values)
        except Unfit:
            return self._unusual(args, out, y, full=False)
        except Exception:
            if late and not self._fits(args):
                return self._unusual(args, out, y, full=False)
            raise
        if late:
            return result if self._fits(args) else self._unusual(args, out, y, full=False)
        leave = self._leave
        return result if leave is None else leave(result)

    __call__ = execute

    def bind(self, *args: Any, out: Any = None, y: Any = None) -> Callable[[], Any]:
        """Fix the arguments' memory, and check once.

        Args:
            args: as for ``execute``; NumPy arrays or tensors, whose memory the returned function
                re-reads at each call. Scalars are fixed.
            out: as for ``execute``.
            y: as for ``execute``.

        Returns:
            ``step()``, which computes at what the arguments hold now; it returns ``out``, or a
            fresh result without one.

        Raises:
            PreparationMismatchError: the arguments are not like those of prepare.
            ArgumentError: ``out`` or ``y`` cannot be filled, or no argument can change.
        """
        # The guard leaves some checks to compiled kernels: here they come before any call.
        if (self._signature.strict or not self._fits(args)) and self._signature.check(args):
            refuse_traced(self.info.operator)
        self._check_memory()
        values = tuple(map(self._arrays.settle, self._signature.settle(self._unwrap(args))))
        self._delivery.check(values, out, y)
        kernel, form = self._kernel, self._delivery.forms[-1]
        if self._compiled is not None and self._compiled.bind is not None and y is None:
            step_in_memory: Callable[[], Any] | None = self._compiled.bind(values, out)
            if step_in_memory is not None:
                return step_in_memory
        into = self._delivery.into
        if y is None and out is not None and into is not None:
            (target,) = form.unpack(out)

            def step_into() -> Any:
                into(values, target, False)
                return out

            return step_into
        if y is None and out is not None and form.unpack is single:
            write = self._delivery.write

            def step() -> Any:
                write(out, kernel(*values))
                return out

            return step
        if y is None and out is None and form.leave is None:
            return lambda: kernel(*values)
        return lambda: self._delivery.run(values, out, y, full=False)

    def __repr__(self) -> str:
        info = self.info
        parts = [f"{info.signature} -> {info.result}", info.backend, info.route]
        parts += [info.program] if info.program else []
        parts += [f"frozen: {', '.join(info.frozen)}"] if info.frozen else []
        parts += [info.sparsity] if info.sparsity else []
        parts.append(f"prepared in {info.prepare_seconds * 1e3:.3g} ms")
        picture = "" if self._sparsity is None else f"\n{self._sparsity.picture}"
        return f"{type(self).__name__}({'; '.join(parts)}){picture}"

    def _with_lower(self, args: tuple[Any, ...], out: Any, y: Any) -> Any:
        """Execute the variant with the lower orders: ``(lower orders..., result)``."""
        if not self._fits(args):
            return self._unusual(args, out, y, full=True)
        try:
            return self._delivery.deliver(self._unwrap(args), out, y, full=True)
        except Unfit:
            return self._unusual(args, out, y, full=True)

    def _deliver(self, args: tuple[Any, ...], values: tuple[Any, ...], out: Any, y: Any) -> Any:
        if self._late and not self._fits(args):
            return self._unusual(args, out, y, full=False)
        return self._delivery.deliver(values, out, y, full=False)

    def _unwrap(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        at = self._contexts_at
        return (*args[:at], *map(unwrap, args[at:])) if at else args

    def _unusual(self, args: tuple[Any, ...], out: Any, y: Any, *, full: bool) -> Any:
        """Take arguments that guard or kernel did not know: raise, or run what fits anyway."""
        traced = self._signature.check(args)
        values = self._signature.settle(self._unwrap(args))
        if not traced:
            settled = tuple(map(self._arrays.settle, values))
            return self._delivery.deliver(settled, out, y, full=full)
        if not self._arrays.traceable or self._sparsity is not None:
            refuse_traced(self.info.operator)
        if out is not None or y is not None:
            text = message(
                self.info.operator,
                "out= and y= cannot be filled with traced values",
                remedy="Leave them out inside a transformation such as jax.jit.",
            )
            raise ArgumentError(text)
        return self._delivery.full(*values) if full else self._kernel(*values)

    def _check_memory(self) -> None:
        first = self._signature.arguments[0]
        kinds = {kind.name for kind in self._arrays.kinds if kind.memory is not None}
        if any(leaf.kind in kinds for leaf in first.leaves):
            return
        text = message(
            self.info.operator,
            f"bind re-reads {first.name}'s memory, and here {first.name} has none that changes",
            expected="a NumPy array, or a tensor",
            got=", ".join(map(str, first.leaves)),
            remedy="Prepare with NumPy arrays, or call execute.",
        )
        raise ArgumentError(text)
