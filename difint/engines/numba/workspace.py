"""Workspaces: memory that outlives a call, with the seeds laid down in it once.

A plan owns one. A call takes it by an atomic exchange, and puts it back; a call that finds it taken
by another thread works on a copy of its own.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_I64 = ir.IntType(64)

FLAT, ENTRIES, STARTS, COLORS, POOL, SEEDS, SEEDS_SIZE, SIZE = range(8)
"""What stands in the slots of a state, 8 bytes each: addresses and sizes in bytes."""


@final
class State:
    """What compressed code reads besides its arguments, and its memory.

    Args:
        flat: where entries stand in the floats of results, chunk after chunk; uint32.
        entries: which entries these are; uint32.
        starts: where each chunk starts in both, and the last one ends.
        colors: the color of each column, for seeds that are laid down in each call; int32.
        seeds: what the memory of a workspace starts with: duals of ``x``, a row a chunk.
        rest: how many bytes a workspace has besides.
    """

    __slots__ = ("_kept", "address")

    def __init__(
        self, flat: Any, entries: Any, starts: Any, colors: Any, seeds: Any, rest: int
    ) -> None:
        memory = np.zeros(seeds.nbytes + rest, np.uint8)
        memory[: seeds.nbytes] = seeds.reshape(-1).view(np.uint8)
        arrays = [flat, entries, starts, colors, memory]
        addresses = [one.ctypes.data for one in arrays]
        block = [*addresses, memory.ctypes.data, seeds.nbytes, memory.nbytes]
        slots = np.array(block, np.int64)
        self._kept = slots, arrays
        self.address: int = slots.ctypes.data


def _slot(builder: Any, state: Any, index: int) -> Any:
    address = builder.add(state, ir.Constant(_I64, 8 * index))
    return builder.inttoptr(address, _I64.as_pointer())


@intrinsic(prefer_literal=True)
def slot(typingctx: Any, state: Any, index: Any) -> Any:
    """Read a slot of a state."""
    if not isinstance(index, types.IntegerLiteral):
        return None

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_slot(builder, args[0], index.literal_value))

    return types.intp(types.intp, index), emit


def within_workspace(run: Any) -> Any:
    """Make an intrinsic ``(x, state, leaves, out, lower, first, last)`` that runs in a workspace.

    ``run`` takes the workspace's address as a last argument. Whatever it raises, the workspace is
    put back.
    """

    @intrinsic
    def guarded(
        typingctx: Any,
        x: Any,
        state: Any,
        leaves: Any,
        out: Any,
        lower: Any,
        first: Any,
        last: Any,
    ) -> Any:
        taken = (x, state, leaves, out, lower, types.intp, types.intp, types.intp)
        run.compile(taken)
        compiled = run.overloads[taken]

        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            context.active_code_library.add_linking_library(compiled.library)
            function = context.declare_function(builder.module, compiled.fndesc)
            (work, is_own), pool = _taken(context, builder, args[1]), _slot(builder, args[1], POOL)
            described = compiled.fndesc
            status, _ = context.call_conv.call_function(
                builder, function, described.restype, described.argtypes, [*args, work]
            )
            with builder.if_else(is_own) as (own, shared):
                with own:
                    pointer = builder.inttoptr(work, cgutils.voidptr_t)
                    context.nrt.free(builder, pointer)
                with shared:
                    builder.atomic_rmw("xchg", pool, work, "release")
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return context.get_dummy_value()

        arguments = (x, state, leaves, out, lower, types.intp, types.intp)
        return types.void(*arguments), emit

    return guarded


def _taken(context: Any, builder: Any, state: Any) -> tuple[Any, Any]:
    """Emit: take the workspace, or make a copy; its address, and whether it is a copy."""
    nothing = ir.Constant(_I64, 0)
    pooled = builder.atomic_rmw("xchg", _slot(builder, state, POOL), nothing, "acquire")
    is_own = builder.icmp_unsigned("==", pooled, nothing)
    place = cgutils.alloca_once_value(builder, pooled)
    with cgutils.if_unlikely(builder, is_own):
        size = builder.load(_slot(builder, state, SIZE))
        memory = context.nrt.allocate(builder, size)
        seeds = builder.inttoptr(builder.load(_slot(builder, state, SEEDS)), cgutils.voidptr_t)
        length = builder.load(_slot(builder, state, SEEDS_SIZE))
        cgutils.raw_memcpy(builder, memory, seeds, length, 1)
        builder.store(builder.ptrtoint(memory, _I64), place)
    return builder.load(place), is_own
