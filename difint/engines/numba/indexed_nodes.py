"""Nodes of index sets, appended to a table by code that is emitted as it is: it compiles at once.

As ``difint.dependence.nodes`` appends them: a union of two nodes, or their pair. Where there is no
more room, nodes are only counted, and results mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LEFT, RIGHT, COUNT, ROOM, NOTED = range(5)
"""What stands in a table, at the address that numbers have as their home: the addresses of both
parts of the nodes, how many there are, how many there is room for, and whether a value that depends
on ``x`` was asked for."""

WORDS = 5

_I32, _I64 = ir.IntType(32), ir.IntType(64)


class _Table:
    """The table while code is emitted."""

    def __init__(self, builder: Any, home: Any) -> None:
        self.builder, self.home = builder, home

    def word(self, index: int) -> Any:
        """Emit: a pointer to a word."""
        address = self.builder.add(self.home, _I64(8 * index))
        return self.builder.inttoptr(address, _I64.as_pointer())

    def part(self, index: int, node: Any) -> Any:
        """Emit: a pointer to a part of a node."""
        first = self.builder.load(self.word(index))
        return self.builder.gep(self.builder.inttoptr(first, _I32.as_pointer()), [node])

    def counted(self) -> Any:
        """Emit: the number of nodes, and count one more."""
        count = self.builder.load(self.word(COUNT))
        self.builder.store(self.builder.add(count, _I64(1)), self.word(COUNT))
        return count

    def is_full(self, count: Any) -> Any:
        """Emit: whether there is no room for this node."""
        return self.builder.icmp_signed(">=", count, self.builder.load(self.word(ROOM)))

    def write(self, node: Any, left: Any, right: Any) -> None:
        """Emit: write a node down, and return it."""
        for index, part in ((LEFT, left), (RIGHT, right)):
            self.builder.store(self.builder.trunc(part, _I32), self.part(index, node))
        self.builder.ret(node)


def _emit_united(builder: Any, home: Any, a: Any, b: Any) -> None:
    less = builder.icmp_signed("<", a, b)
    small, large = builder.select(less, a, b), builder.select(less, b, a)
    empty = builder.icmp_signed("<=", small, _I64(1))
    table = _Table(builder, home)
    with builder.if_then(builder.or_(empty, builder.icmp_signed("==", small, large))):
        builder.ret(large)
    count = builder.load(table.word(COUNT))
    full = table.is_full(count)
    with builder.if_then(builder.not_(full)):
        parts = [builder.sext(builder.load(table.part(i, large)), _I64) for i in (LEFT, RIGHT)]
        same = builder.or_(*(builder.icmp_signed("==", one, small) for one in parts))
        union = builder.and_(*(builder.icmp_signed(">=", one, _I64(0)) for one in parts))
        with builder.if_then(builder.and_(same, union)):
            builder.ret(large)
    table.counted()
    with builder.if_then(full):
        builder.ret(large)
    table.write(count, small, large)


def _emit_paired(builder: Any, home: Any, a: Any, b: Any) -> None:
    empty = builder.or_(*(builder.icmp_signed("<=", one, _I64(1)) for one in (a, b)))
    with builder.if_then(empty):
        builder.ret(_I64(0))
    table = _Table(builder, home)
    count = table.counted()
    with builder.if_then(table.is_full(count)):
        builder.ret(_I64(0))
    table.write(count, a, builder.sub(_I64(-1), b))


def _emit_noted(builder: Any, home: Any) -> None:
    with builder.if_then(builder.icmp_signed("!=", home, _I64(0))):
        builder.store(_I64(1), _Table(builder, home).word(NOTED))
    builder.ret(_I64(0))


def _called(name: str, emit: Callable[..., None], builder: Any, *args: Any) -> Any:
    """Emit: a call of a function that stands once in each module."""
    kind = ir.FunctionType(_I64, [_I64] * len(args))
    function = cgutils.get_or_insert_function(builder.module, kind, f"difint_{name}")
    if function.is_declaration:
        function.linkage = "internal"
        emit(ir.IRBuilder(function.append_basic_block()), *function.args)
    return builder.call(function, args)


def united(builder: Any, home: Any, a: Any, b: Any) -> Any:
    """Emit: the union of two nodes."""
    return _called("united", _emit_united, builder, home, a, b)


def paired(builder: Any, home: Any, a: Any, b: Any) -> Any:
    """Emit: the pair of two nodes; empty sets have none."""
    return _called("paired", _emit_paired, builder, home, a, b)


def noted(builder: Any, home: Any) -> None:
    """Emit: a note that a value was asked for, if it depends on anything."""
    _called("noted", _emit_noted, builder, home)
