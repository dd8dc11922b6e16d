"""Refusals: what Numba says of a function that it cannot compile, in a line or two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from numba.core.errors import NumbaError, TypingError, UnsupportedBytecodeError

from difint.errors import ArgumentError, DifintError, UnsupportedError, message
from difint.problem import Lowering

_CALL = re.compile(r">>> ([\w.<> ]+)\((.*)\)\s*$", re.MULTILINE)
_PLACE = re.compile(r'File "([^"]+)", line (\d+):')
_OURS = re.compile(r"(^|/)(numba|difint/engines)/|^<")
_DUAL = re.compile(r"Dual\((?:[^()]|\([^()]*\))*\)")
_INDEXED = re.compile(r"Doubt\(Indexed\([^()]*\)\)|Indexed\([^()]*\)")
_GLOBAL = re.compile(r"Untyped global name '(\w+)': ?.*?(<class '[^']+'>)?$", re.MULTILINE)
_UNKNOWN = re.compile(r"Use of unsupported NumPy function '([\w.]+)'")
_ATTRIBUTE = re.compile(r"Unknown attribute '(\w+)' of type (.+)")

_INSTEAD: Final = {
    "interp": "Write a loop over the intervals.",
    "det": "Eliminate in a loop, or use numpy.linalg.solve.",
    "median": "Sort (numpy.sort), and take the middle.",
    "sinc": "Write numpy.sin(numpy.pi * x) / (numpy.pi * x), with its value at 0.",
    "append": "Use numpy.concatenate((a, b)).",
    "cross": "Write the three components out.",
    "nansum": "Sum in a loop, with numpy.isnan.",
    "polyval": "Write Horner's loop.",
    "tensordot": "Reshape, and use @.",
    "einsum": "Write the loops, or use @.",
    "heaviside": "Use numpy.where.",
    "float64": "Leave the conversion out: numbers that depend on x are floats already.",
    "float32": "Leave the conversion out: numbers that depend on x are floats already.",
}
"""What to write instead of functions that have no derivative here."""

_SPECIAL: Final = "Of scipy.special, math has erf, erfc, gamma and lgamma."
_STRUCTURE: Final = "difint: a result with names"
_LISTS: Final = "Use an array, numpy.array([...]), or a tuple."
_OTHERWISE: Final = "Write it with arithmetic and loops, or use AutoFiniteDiff()."


@contextmanager
def explained(lowering: Lowering, backend: str = "AutoNumba") -> Iterator[None]:
    """Turn an error of Numba's compiler into one that names what cannot be compiled.

    Nothing of the user's runs while it compiles: any error is the compiler's.
    """
    try:
        yield
    except DifintError:
        raise
    except Exception as error:
        raise _explanation(lowering.operator, backend, _told(error)) from error


def _told(error: Exception) -> str:
    # Numba raises these with a text of its own: of types, of what it cannot lower, of bytecode.
    if isinstance(error, NumbaError | NotImplementedError | UnsupportedBytecodeError):
        return str(error)
    if isinstance(error, AttributeError) and "'args'" in str(error):
        return ">>> setitem()"  # Numba's in-place operators fail so where they should decline
    return f"{type(error).__name__}: {error}"


def _explanation(operator: str, backend: str, text: str) -> DifintError:
    if "Cannot modify readonly array" in text:
        problem = "f writes to a Constant or to a global array"
        remedy = "Let f work on a copy, or in a Cache."
        return ArgumentError(message(operator, problem + _where(text), remedy=remedy))
    problem, remedy = _finding(text)
    problem = f"{backend} cannot compile f: " + _DUAL.sub("dual", problem)
    return UnsupportedError(message(operator, problem + _where(text), remedy=remedy))


def reason_of(error: Exception) -> str:
    """Say in a few words what cannot be compiled for numbers with index sets."""
    problem, _ = _finding(_told(error))
    return _INDEXED.sub("number", problem) + _where(str(error))


def _finding(text: str) -> tuple[str, str]:
    """Find what cannot be compiled, and what to do about it."""
    if (unknown := _UNKNOWN.search(text)) is not None:
        name = unknown[1]
        return f"Numba has no {name}", _INSTEAD.get(name.rpartition(".")[2], _OTHERWISE)
    if (name := _GLOBAL.search(text)) is not None:
        remedy = (
            f"Let f read numbers, arrays, tuples and namedtuples instead of {name[1]}, as globals "
            "or as contexts."
        )
        return f"Numba has no type for the global {name[1]}", remedy
    if _STRUCTURE in text:
        return "it returns a dict or a namedtuple", "Return an array, a number or a tuple of them."
    if "cannot be represented as a NumPy dtype" in text or ">>> values_of(" in text:
        return "it makes, or returns, a list of numbers that depend on x", _LISTS
    call = _CALL.search(text)
    if call is not None and call[1].strip() == "setitem":
        remedy = "Make it with numpy.empty_like(x) or numpy.zeros(n, x.dtype); scratch is a Cache."
        return "a number that depends on x is stored in an array of floats", remedy
    if call is not None:
        name = call[1].strip().replace("<unknown function>", "float64")
        lack = "has no derivative here" if "Dual(" in call[2] else "is unknown to Numba"
        lack = "has no index sets here" if _INDEXED.search(call[2]) else lack
        return f"{name}({call[2]}) {lack}", _INSTEAD.get(name, _OTHERWISE)
    if (attribute := _ATTRIBUTE.search(text)) is not None and "Module(" in attribute[2]:
        name = attribute[1]
        remedy = f"Import the function itself, as in: from module import {name}. " + _SPECIAL
        return f"Numba finds no {name} in {attribute[2]}", remedy
    if attribute is not None:
        return f"no attribute {attribute[1]} of {attribute[2]}", _OTHERWISE
    first = next((line for line in text.splitlines() if _tells(line)), "see the cause")
    return first.strip(), _OTHERWISE


def _tells(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("Failed in nopython")


def _where(text: str) -> str:
    """Tell the line of the user's that led there."""
    places = [place for place in _PLACE.finditer(text) if not _OURS.search(place[1])]
    return f', in "{places[0][1]}", line {places[0][2]}' if places else ""


def refuse_names() -> None:
    """Refuse a result that is a dict or a namedtuple: its names would be lost."""
    raise TypingError(_STRUCTURE)
