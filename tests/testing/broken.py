"""Backends that are deliberately broken, each in one way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import difint as di
from difint.engine import Engine


@dataclass(frozen=True, slots=True, repr=False)
class AutoBroken(di.Backend):
    """Finite differences (or JAX) with a fault planted by name."""

    fault: str = ""

    def engine(self) -> Engine:
        if self.fault in JAX_FAULTS:
            return JAX_FAULTS[self.fault](di.AutoJax().engine())
        engine = di.AutoFiniteDiff("complex_step").engine()
        return FAULTS[self.fault](engine) if self.fault else engine


def jacobians(change: Callable[..., Any]) -> Callable[[Engine], Engine]:
    """Plant a fault in the Jacobian: ``change(kernel, problem) -> kernel(x, *contexts) -> J``."""

    def plant(engine: Engine) -> Engine:
        def native(arrays: Any, problem: Any, *, value: bool) -> Any:
            inner = engine.native["jacobian"](arrays, problem, value=False)
            kernel = change(inner, problem)
            if not value:
                return kernel
            return lambda x, *contexts: (problem.call(x, *contexts).copy(), kernel(x, *contexts))

        return replace(engine, native={**engine.native, "jacobian": native})

    return plant


def _wrong_entry(inner: Any, problem: Any) -> Any:
    def kernel(x: Any, *contexts: Any) -> Any:
        matrix = inner(x, *contexts)
        matrix[-1, 0] += 0.5
        return matrix

    return kernel


def _factor(inner: Any, problem: Any) -> Any:
    return lambda x, *contexts: 2 * inner(x, *contexts)


def _buffer(inner: Any, problem: Any) -> Any:
    buffer = np.empty((problem.y.size, problem.x.size))

    def kernel(x: Any, *contexts: Any) -> Any:
        buffer[...] = inner(x, *contexts)
        return buffer

    return kernel


def _remembered(inner: Any, problem: Any) -> Any:
    """Return an earlier result, writeable, for the same point."""
    seen: dict[bytes, Any] = {}

    def kernel(x: Any, *contexts: Any) -> Any:
        key = x.tobytes()
        if key not in seen:
            seen[key] = inner(x, *contexts)
        return seen[key]

    return kernel


def _mutating(inner: Any, problem: Any) -> Any:
    def kernel(x: Any, *contexts: Any) -> Any:
        matrix = inner(x, *contexts)
        x += 1.0
        return matrix

    return kernel


def _mutating_constants(inner: Any, problem: Any) -> Any:
    def kernel(x: Any, *contexts: Any) -> Any:
        matrix = inner(x, *contexts)
        for one in contexts:
            one *= 2.0
        return matrix

    return kernel


def _stale_constants(inner: Any, problem: Any) -> Any:
    old = [context.value for context in problem.source.contexts]
    return lambda x, *contexts: inner(x, *(old if contexts else ()))


def _prepared_point(inner: Any, problem: Any) -> Any:
    old = np.array(problem.source.x)
    return lambda x, *contexts: inner(old, *contexts)


def _first_result(inner: Any, problem: Any) -> Any:
    """Give the first result again and again: wrong only where a plan is used twice."""
    first: list[Any] = []

    def kernel(x: Any, *contexts: Any) -> Any:
        first[:] = first or [inner(x, *contexts)]
        return first[0].copy()

    return kernel


def _shared_between_threads(inner: Any, problem: Any) -> Any:
    work = np.empty(problem.x.shape)

    def kernel(x: Any, *contexts: Any) -> Any:
        work[...] = x
        time.sleep(1e-5)
        return inner(work, *contexts)

    return kernel


def _fortran_columns(inner: Any, problem: Any) -> Any:
    order = np.arange(problem.x.size).reshape(problem.x.shape).ravel("F")
    return lambda x, *contexts: np.ascontiguousarray(inner(x, *contexts)[:, order])


def _fortran_rows(inner: Any, problem: Any) -> Any:
    order = np.arange(problem.y.size).reshape(problem.y.shape).ravel("F")
    return lambda x, *contexts: inner(x, *contexts)[order]


def _fortran_matrix(inner: Any, problem: Any) -> Any:
    def kernel(x: Any, *contexts: Any) -> Any:
        matrix = inner(x, *contexts)
        return matrix.ravel("F").reshape(matrix.shape)

    return kernel


def _raw_memory(inner: Any, problem: Any) -> Any:
    """Read the memory of x as if it were contiguous."""

    def kernel(x: Any, *contexts: Any) -> Any:
        plain = np.empty(x.shape).strides
        return inner(np.lib.stride_tricks.as_strided(x, x.shape, plain), *contexts)

    return kernel


def _swapped_contexts(inner: Any, problem: Any) -> Any:
    return lambda x, *contexts: inner(x, *contexts[::-1])


def _transposed(inner: Any, problem: Any) -> Any:
    return lambda x, *contexts: np.ascontiguousarray(inner(x, *contexts).T)


def _single(inner: Any, problem: Any) -> Any:
    return lambda x, *contexts: inner(x, *contexts).astype("f4")


def _listed(inner: Any, problem: Any) -> Any:
    return lambda x, *contexts: inner(x, *contexts)[0]


def _in_jax(inner: Any, problem: Any) -> Any:
    import jax.numpy as jnp

    return lambda x, *contexts: jnp.asarray(inner(x, *contexts))


def _raising(inner: Any, problem: Any) -> Any:
    def kernel(x: Any, *contexts: Any) -> Any:
        raise RuntimeError("the kernel is out of order")

    return kernel


def _hungry(inner: Any, problem: Any) -> Any:
    kept: list[Any] = []

    def kernel(x: Any, *contexts: Any) -> Any:
        kept.append(inner(x, *contexts))
        return kept[-1].copy()

    return kernel


def _moody(inner: Any, problem: Any) -> Any:
    calls: list[Any] = []

    def kernel(x: Any, *contexts: Any) -> Any:
        calls.append(1)
        for _ in calls:
            problem.call(x, *contexts)
        return inner(x, *contexts)

    return kernel


def _nan(inner: Any, problem: Any) -> Any:
    def kernel(x: Any, *contexts: Any) -> Any:
        matrix = inner(x, *contexts)
        matrix[0, 0] = np.nan
        return matrix

    return kernel


def _wrong_value(engine: Engine) -> Engine:
    def native(arrays: Any, problem: Any, *, value: bool) -> Any:
        inner = engine.native["jacobian"](arrays, problem, value=False)
        if not value:
            return inner
        return lambda x, *c: (problem.call(x, *c) + 0.25, inner(x, *c))

    return replace(engine, native={**engine.native, "jacobian": native})


def _value_is_x(engine: Engine) -> Engine:
    """Hand the argument itself out as the value of the identity."""

    def native(arrays: Any, problem: Any, *, value: bool) -> Any:
        inner = engine.native["jacobian"](arrays, problem, value=False)
        return (lambda x, *c: (x, inner(x, *c))) if value else inner

    return replace(engine, native={**engine.native, "jacobian": native})


def _batch_factor(engine: Engine) -> Engine:
    def each(apply: Any, tangents: Any) -> Any:
        y, results = engine.arrays.each(apply, tangents)
        return y, tuple(1.5 * one for one in results)

    return replace(engine, arrays=replace(engine.arrays, each=each))


def _batch_swapped(engine: Engine) -> Engine:
    def each(apply: Any, tangents: Any) -> Any:
        y, results = engine.arrays.each(apply, tangents)
        return y, results[::-1]

    return replace(engine, arrays=replace(engine.arrays, each=each))


def _stale_tangent(engine: Engine) -> Engine:
    """Keep the tangent of prepare, in same-point plans alone."""

    def attach(kernel: Any, apply: Any, t: Any, *, strict: bool = True) -> Any:
        return lambda other: kernel(apply, t)

    return replace(engine, arrays=replace(engine.arrays, attach=attach))


def _frozen_when_bound(engine: Engine) -> Engine:
    """Copy bound arguments, so that what is written to them later is not seen."""
    return replace(engine, arrays=replace(engine.arrays, settle=np.array))


def _remembering_tangents(engine: Engine) -> Engine:
    """Give the result of the first tangent for every later one, in same-point plans alone."""

    def attach(kernel: Any, apply: Any, t: Any, *, strict: bool = True) -> Any:
        first: list[Any] = []

        def attached(t: Any) -> Any:
            first[:] = first or [kernel(apply, t)]
            got = first[0]
            return tuple(map(np.array, got)) if isinstance(got, tuple) else np.array(got)

        return attached

    return replace(engine, arrays=replace(engine.arrays, attach=attach))


def _remembering_values(engine: Engine) -> Engine:
    """Give the first results of the variant with the value again and again."""

    def compiled(kernel: Any, args: Any, *, strict: bool = True) -> Any:
        inner, first = engine.arrays.compile(kernel, args, strict=strict), []

        def call(*args: Any) -> Any:
            got = inner(*args)
            if not isinstance(got, tuple):
                return got
            first[:] = first or [got]
            return first[0]

        return call

    return replace(engine, arrays=replace(engine.arrays, compile=compiled))


def _one_chunk(engine: Engine) -> Engine:
    """Feed zeros after the first chunk of seeds."""

    def basis(like: Any, start: int, stop: int) -> Any:
        return engine.arrays.basis(like, start, stop) * (start == 0)

    return replace(engine, arrays=replace(engine.arrays, basis=basis))


def _writing_y(inner: Any, problem: Any) -> Any:
    y = problem.source.y

    def kernel(x: Any, *contexts: Any) -> Any:
        if y is not None:
            y[...] = 7.0
        return inner(x, *contexts)

    return kernel


def _racing_values(engine: Engine) -> Engine:
    """Share a buffer between threads, in the variant with the value alone."""

    def native(arrays: Any, problem: Any, *, value: bool) -> Any:
        inner = engine.native["jacobian"](arrays, problem, value=value)
        work = np.empty(problem.x.shape)

        def kernel(x: Any, *contexts: Any) -> Any:
            work[...] = x
            time.sleep(1e-5)
            return inner(work, *contexts)

        return kernel if value else inner

    return replace(engine, native={**engine.native, "jacobian": native})


def _gradient_instead(engine: Engine) -> Engine:
    """Forget the tangent: H 1 instead of H t."""

    def native(arrays: Any, problem: Any, *, value: bool, reuse: bool = False) -> Any:
        inner = engine.native["hvp"](arrays, problem, value=value, reuse=reuse)

        def at(x: Any, *contexts: Any) -> Any:
            apply = inner(x, *contexts)
            return lambda t: apply(np.ones_like(t))

        return at

    return replace(engine, native={**engine.native, "hvp": native})


FAULTS: dict[str, Callable[[Engine], Engine]] = {
    "wrong entry": jacobians(_wrong_entry),
    "factor": jacobians(_factor),
    "buffer": jacobians(_buffer),
    "remembered": jacobians(_remembered),
    "mutates x": jacobians(_mutating),
    "mutates constants": jacobians(_mutating_constants),
    "stale constants": jacobians(_stale_constants),
    "prepared point": jacobians(_prepared_point),
    "first result": jacobians(_first_result),
    "threads": jacobians(_shared_between_threads),
    "Fortran columns": jacobians(_fortran_columns),
    "Fortran rows": jacobians(_fortran_rows),
    "Fortran matrix": jacobians(_fortran_matrix),
    "transposed": jacobians(_transposed),
    "raw memory": jacobians(_raw_memory),
    "swapped contexts": jacobians(_swapped_contexts),
    "float32": jacobians(_single),
    "shape": jacobians(_listed),
    "kind": jacobians(_in_jax),
    "raises": jacobians(_raising),
    "leak": jacobians(_hungry),
    "calls": jacobians(_moody),
    "NaN": jacobians(_nan),
    "wrong value": _wrong_value,
    "value is x": _value_is_x,
    "batch factor": _batch_factor,
    "batch swapped": _batch_swapped,
    "stale tangent": _stale_tangent,
    "tangent forgotten": _gradient_instead,
    "frozen when bound": _frozen_when_bound,
    "remembers tangents": _remembering_tangents,
    "chunks": _one_chunk,
    "writes prepare's y": jacobians(_writing_y),
    "value races": _racing_values,
}


def _recompiling(engine: Engine) -> Engine:
    """Compile at every call, what was compiled at prepare."""
    import jax

    def compile_each_time(kernel: Any, args: Any, *, strict: bool = True) -> Any:
        return lambda *args: jax.jit(lambda *values: kernel(*values))(*args)

    return replace(engine, arrays=replace(engine.arrays, compile=compile_each_time))


JAX_FAULTS: dict[str, Callable[[Engine], Engine]] = {
    "recompiles": _recompiling,
    "remembers values": _remembering_values,
}
