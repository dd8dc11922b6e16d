"""Nodes: index sets as a graph of unions, in compiled code.

A node is a number. Node 0 is the empty set of what is known, node 1 that of what is not known but
does not depend on ``x``. Another node is an atom (``left`` is -1), the union of two nodes, or a
pair of them (``right`` is ``-1 - node``): the product of two sets, a block of a Hessian. Both parts
of a node are older than it is, so that their order is an order of evaluation.

A union costs two numbers, whatever the sizes of the sets, which are written down at the end
(``members``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.compiling import compiled, inlined


@inlined
def either(left: Any, right: Any, count: int, a: int, b: int) -> Any:
    """Unite two nodes; append a node if neither holds the other at sight. Room must be there."""
    small, large = (a, b) if a < b else (b, a)
    node = large
    if small > 1 and small != large:
        holds = left[large] == small or right[large] == small
        if not (holds and right[large] >= 0 and left[large] >= 0):
            left[count], right[count] = small, large
            node = count
    return node


@inlined
def added(node: int, count: int) -> int:
    """Get the number of nodes after ``either`` has returned this one."""
    return count + 1 if node == count else count


@compiled
def unite(left: Any, right: Any, count: int, a: Any, b: Any) -> Any:
    """Unite entry by entry; there is room for as many nodes. Return the count and the nodes."""
    out = np.empty(a.size, np.int32)
    for i in range(a.size):
        out[i] = either(left, right, count, a[i], b[i])
        count = added(out[i], count)
    return count, out


@compiled
def unite_runs(left: Any, right: Any, count: int, starts: Any, members: Any) -> Any:
    """Unite the members of each run; there is room for as many nodes as members."""
    out = np.empty(starts.size - 1, np.int32)
    for i in range(out.size):
        node = 0
        for k in range(starts[i], starts[i + 1]):
            node = either(left, right, count, node, members[k])
            count = added(node, count)
        out[i] = node
    return count, out


@compiled
def unite_along(left: Any, right: Any, count: int, nodes: Any, turned: bool) -> Any:
    """Unite each entry of a row with those before it, or behind it; likewise there is room."""
    out = np.empty_like(nodes)
    for i in range(nodes.shape[0]):
        node = 0
        for step in range(nodes.shape[1]):
            k = nodes.shape[1] - 1 - step if turned else step
            node = either(left, right, count, node, nodes[i, k])
            count = added(node, count)
            out[i, k] = node
    return count, out


@compiled
def pair(left: Any, right: Any, count: int, a: Any, b: Any) -> Any:
    """Pair entry by entry; empty sets have none. There is room for as many nodes."""
    out = np.zeros(a.size, np.int32)
    for i in range(a.size):
        if a[i] > 1 and b[i] > 1:
            if i and a[i] == a[i - 1] and b[i] == b[i - 1]:
                out[i] = out[i - 1]
                continue
            left[count], right[count] = a[i], -1 - b[i]
            out[i] = count
            count += 1
    return count, out


@inlined
def grown(array: Any, room: int) -> Any:
    """Copy an array into one that is at least twice as long."""
    longer = np.empty(max(2 * array.size, room), array.dtype)
    longer[: array.size] = array
    return longer


@compiled
def contract(left: Any, right: Any, count: int, a: Any, b: Any, lacks: Any, misses: Any) -> Any:
    """Unite, for each row of ``a`` and column of ``b``, what stands at the same places of both.

    Where ``lacks`` of ``a`` or ``misses`` of ``b`` is set, the product is zero.
    """
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    out = np.zeros((rows, columns), np.int32)
    for i in range(rows):
        for j in range(columns):
            if count + 2 * inner > left.size:
                left, right = grown(left, 2 * inner), grown(right, 2 * inner)
            node = 0
            for k in range(inner):
                if not (lacks[i, k] or misses[k, j]):
                    node = either(left, right, count, node, a[i, k])
                    count = added(node, count)
                    node = either(left, right, count, node, b[k, j])
                    count = added(node, count)
            out[i, j] = node
    return left, right, count, out


@compiled
def contract_pairs(left: Any, right: Any, count: int, a: Any, b: Any) -> Any:
    """Unite, for each row of ``a`` and column of ``b``, the pairs of what stands at one place."""
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    out = np.zeros((rows, columns), np.int32)
    for i in range(rows):
        for j in range(columns):
            if count + 2 * inner > left.size:
                left, right = grown(left, 2 * inner), grown(right, 2 * inner)
            node = 0
            for k in range(inner):
                if a[i, k] > 1 and b[k, j] > 1:
                    left[count], right[count] = a[i, k], -1 - b[k, j]
                    count += 1
                    node = either(left, right, count, node, count - 1)
                    count = added(node, count)
            out[i, j] = node
    return left, right, count, out
