"""What Enzyme understands: anything else in the code of ``f`` is refused before it sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_MATH: Final = frozenset(
    "acos acosh asin asinh atan atan2 atanh cos cosh erf erfc exp exp2 expm1 fabs floor fmod "
    "hypot log log10 log1p log2 pow sin sinh sqrt tan tanh trunc ceil round rint "
    "copysign fmax fmin".split()
)
"""Functions of the C library with derivatives known to Enzyme; floats have an ``f`` at the end."""

_KNOWN: Final = _MATH | {f"{name}f" for name in _MATH} | {"malloc", "calloc", "free"}

_INTRINSICS: Final = frozenset(
    "abs acos asin assume atan atan2 bswap ceil copysign cos cosh ctlz ctpop cttz exp exp10 exp2 "
    "expect fabs floor fma fmuladd fshl fshr is lifetime log log10 log2 maxnum maximum memcpy "
    "memmove memset minnum minimum nearbyint pow powi rint round roundeven sadd sinh sin sincos "
    "smax smin smul sqrt ssub tan tanh trunc uadd umax umin umul usub".split()
)

_REFUSED: Final = {
    "atomicrmw": "an atomic operation",
    "cmpxchg": "an atomic operation",
    "fence": "an atomic operation",
    "invoke": "an exception that compiled code catches",
    "callbr": "inline assembly",
    "indirectbr": "a jump to an address",
}

_CALL = re.compile(r"\bcall\b[^@%\n]*?([@%])(\"[^\"]+\"|[\w.$-]+)\(")
_INSTRUCTION = re.compile(r"^\s+(?:%\S+ = )?(?:tail |musttail |notail )?(\w+)", re.MULTILINE)
_MUTABLE = re.compile(r"^@(\S+) = .*\b(?:global)\b", re.MULTILINE)

_REASONS: Final = (
    ("numba_ez_", "a decomposition of LAPACK"),
    ("numba_xx", "a function of BLAS or LAPACK"),
    ("numba_xgesv", "a function of LAPACK"),
    ("numba_get_internal_random_state", "a set"),
    ("numba_set", "a set"),
    ("numba_gil", "printing, or else what needs Python's lock"),
    ("Py", "an object of Python"),
    ("numba_unpickle", "an exception whose message is made at run time"),
    ("NRT_", "a list that grows, a dict or a set"),
    ("numba_list", "a list that grows"),
    ("numba_dict", "a dict"),
    ("numba_rnd", "random numbers"),
    ("numba_get_np_random", "random numbers"),
    ("numba_get_py_random", "random numbers"),
    ("printf", "printing"),
    ("puts", "printing"),
)


def misunderstood(code: str) -> str:
    """Say what in the code Enzyme does not understand; nothing where it understands all."""
    for name in _called(code):
        if not _is_known(name):
            return f"it needs {_reason(name)} ({name[:60]})"
    for found in _INSTRUCTION.finditer(code):
        if found[1] in _REFUSED:
            return f"it contains {_REFUSED[found[1]]}"
    if re.search(r"\bcall\b[^\n]*\basm\b", code):
        return "it contains inline assembly"
    if re.search(r"<\d+ x (double|float|i\d+|ptr)>", code):
        return "Numba vectorized it"
    variable = _MUTABLE.search(code)
    return "" if variable is None else f"it reads {_variable(variable[1])}"


def _called(code: str) -> Iterator[str]:
    defined = set(re.findall(r'^define [^@\n]*@("[^"]+"|[\w.$-]+)\(', code, re.MULTILINE))
    for found in _CALL.finditer(code):
        if found[1] == "%":
            yield "%" + found[2]
        elif found[2] not in defined:
            yield found[2]


def _is_known(name: str) -> bool:
    if name.startswith("llvm."):
        return name.split(".")[1] in _INTRINSICS
    return name in _KNOWN


def _reason(name: str) -> str:
    if name.startswith("%"):
        return "a function by its address"
    found = next((reason for start, reason in _REASONS if name.startswith(start)), None)
    return found or "a function whose derivative Enzyme does not know"


def _variable(name: str) -> str:
    return "itself: it is recursive" if "unresolved" in name else f"a global variable ({name})"
