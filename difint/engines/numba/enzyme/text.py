"""Text of LLVM IR: what Enzyme's LLVM and Numba's do not both know is written otherwise."""

from __future__ import annotations

import re
import struct

_METADATA = re.compile(r", ![\w.]+ ![0-9]+")
_DEFINED = re.compile(r"^!.*\n", re.MULTILINE)
_SCOPES = re.compile(r"^\s*(tail )?call void @llvm\.experimental\.noalias\.scope\.decl.*\n", re.M)
_MEMORY = re.compile(r"(, )?\b(target_mem\w*|errnomem): \w+")
_FLOAT = re.compile(r"\bf0x([0-9A-Fa-f]{8,16})\b")
_SPECIAL = re.compile(r"(?<=[ (,])([+-])(inf|q?nan(?:\(0x[0-9A-Fa-f]+\))?)(?=[,)>\]\s])")
_BITS = {"+inf": "0x7FF0000000000000", "-inf": "0xFFF0000000000000"}
_NEWER = re.compile(r"\b(nocreateundeforpoison|dead_on_return)\b ?")
_ENTRY = re.compile(r"^define dso_local void @entry\(.*?^}\n", re.MULTILINE | re.DOTALL)
_KEEP = re.compile(r"^@difint_keep = .*\n", re.MULTILINE)


def plain(code: str) -> str:
    """Drop metadata: of scopes Enzyme makes invalid code, and names differ in every process."""
    return _DEFINED.sub("", _METADATA.sub("", _SCOPES.sub("", code)))


def _as_double(found: re.Match[str]) -> str:
    """Write a float as the bits of a double, which is how older LLVM writes both."""
    digits = found[1]
    if len(digits) == 16:
        return f"0x{digits}"
    (number,) = struct.unpack(">f", bytes.fromhex(digits))
    return f"0x{struct.pack('>d', number).hex().upper()}"


def for_numba(code: str) -> str:
    """Prepare Enzyme's code for Numba's LLVM; drop what kept the entry alive."""
    code = plain(_KEEP.sub("", _ENTRY.sub("", code)))
    code = _NEWER.sub("", _MEMORY.sub("", code))
    code = as_intrinsics(code)
    code = _SPECIAL.sub(lambda found: _BITS.get(found[0], "0x7FF8000000000000"), code)
    return (
        _FLOAT.sub(_as_double, code)
        .replace("memory(, ", "memory(")
        .replace("memory()", "memory(none)")
    )


_NAME = r'"[^"\n]+"|[\w.$-]+'
_SYMBOL = re.compile(rf'c"[^"]*"|@({_NAME})')
"""A name, or bytes, in which no name is one."""


_MANGLED = re.compile(r"_ZN[\w.$]+")
"""Names of functions, which those of blocks contain where they were inlined."""


def canonical(code: str, fixed: frozenset[str]) -> str:
    """Rename what is defined here: Numba's names differ in every process, the code does not."""
    defined = re.findall(rf"^(?:define [^@\n]*|)@({_NAME})", code, re.MULTILINE)
    declared = re.findall(rf"^@({_NAME}) = external", code, re.MULTILINE)
    kept = {*declared, *fixed, *(one for one in defined if one.startswith("llvm."))}
    renamed = [one for one in dict.fromkeys(defined) if one not in kept]
    names = {one: f"@difint.{i}" for i, one in enumerate(renamed)}
    code = _SYMBOL.sub(lambda found: names.get(found[1], found[0]), code)
    mangled = {one: f"difint.{i}" for i, one in enumerate(dict.fromkeys(_MANGLED.findall(code)))}
    return _MANGLED.sub(lambda found: mangled[found[0]], code)


_INTRINSICS = "sin|cos|tan|asin|acos|atan|sinh|cosh|tanh|exp|exp2|log|log2|log10|pow"
_CALLED = re.compile(rf"@llvm\.({_INTRINSICS})\.f(32|64)\(")
_LIBRARY = re.compile(rf"@({_INTRINSICS})(f?)\((?=double|float)")


def as_calls(code: str) -> str:
    """Write elementary functions as calls of the C library's, of which LLVM knows nothing.

    Those that it knows it computes before a branch, and chooses then: Enzyme would multiply an
    infinite derivative of what is not chosen by zero.
    """

    def called(found: re.Match[str]) -> str:
        return f"@{found[1]}{'f' if found[2] == '32' else ''}("

    code = _CALLED.sub(called, code)
    return _declared(code, " nobuiltin nofree nosync nounwind willreturn memory(none)")


def as_intrinsics(code: str) -> str:
    """Write them as LLVM's own again, which it simplifies."""

    def own(found: re.Match[str]) -> str:
        return f"@llvm.{found[1]}.f{'32' if found[2] else '64'}("

    return _declared(_LIBRARY.sub(own, code), "")


_DECLARED = re.compile(
    rf"^declare [^@\n]*?(double|float) @((?:llvm\.)?({_INTRINSICS})(?:f|\.f\d+)?)\(.*$",
    re.MULTILINE,
)


def _declared(code: str, known: str) -> str:
    """Declare elementary functions once, and say no more of them than what is ``known``."""
    found = {one[2]: one for one in _DECLARED.finditer(code)}
    lines = [
        f"declare {one[1]} @{name}({', '.join([one[1]] * (2 if one[3] == 'pow' else 1))}){known}\n"
        for name, one in found.items()
    ]
    return _DECLARED.sub("", code) + "".join(lines)
