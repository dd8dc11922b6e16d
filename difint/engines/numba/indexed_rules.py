"""What the rules of derivatives say of index sets: which arguments count, and which are paired.

A function depends on an argument by which its derivative is not zero everywhere; two arguments are
paired where the derivative by one depends on the other, but for jumps.
"""

from __future__ import annotations

import ast
from functools import cache

from difint.rules import CONSTANTS, RULES, arguments


@cache
def counted(name: str) -> tuple[bool, ...]:
    """Tell of each argument whether a function depends on it otherwise than in jumps.

    >>> counted("copysign")
    (True, False)
    """
    return tuple(partial != "0" for partial in RULES[name])


@cache
def pairs(name: str) -> frozenset[tuple[int, int]]:
    """List the arguments, by number, of which a function has a second derivative.

    >>> sorted(pairs("multiply")), sorted(pairs("divide")), sorted(pairs("maximum"))
    ([(0, 1)], [(0, 1), (1, 1)], [])
    """
    names, found = arguments(name), set()
    for i, partial in enumerate(RULES[name]):
        smooth = _smooth(ast.parse(partial, mode="eval").body)
        for j, one in enumerate(names):
            if one in smooth or ("y" in smooth and counted(name)[j]):
                found.add((min(i, j), max(i, j)))
    return frozenset(found)


def _smooth(expression: ast.expr) -> set[str]:
    """Name what an expression depends on otherwise than in jumps."""
    if isinstance(expression, ast.Name):
        return {expression.id} - CONSTANTS.keys()
    if isinstance(expression, ast.Call):
        assert isinstance(expression.func, ast.Name), "rules call functions by their names"
        name = expression.func.id
        matter = (False, True, True) if name == "where" else _matter(name)
        inner = [one for one, counts in zip(expression.args, matter, strict=True) if counts]
    else:
        inner = [one for one in ast.iter_child_nodes(expression) if isinstance(one, ast.expr)]
    return set().union(*map(_smooth, inner))


def _matter(name: str) -> tuple[bool, ...]:
    return counted(name) if name in RULES else (True,)
