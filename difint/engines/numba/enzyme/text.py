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
    code = _SPECIAL.sub(lambda found: _BITS.get(found[0], "0x7FF8000000000000"), code)
    return _FLOAT.sub(_as_double, code).replace("memory(, ", "memory(")


_NAME = r'"[^"\n]+"|[\w.$-]+'
_SYMBOL = re.compile(rf'c"[^"]*"|@({_NAME})')
"""A name, or bytes, in which no name is one."""


def canonical(code: str, fixed: frozenset[str]) -> str:
    """Rename what is defined here: Numba's names differ in every process, the code does not."""
    defined = re.findall(rf"^(?:define [^@\n]*|)@({_NAME})", code, re.MULTILINE)
    declared = re.findall(rf"^@({_NAME}) = external", code, re.MULTILINE)
    kept = {*declared, *fixed, *(one for one in defined if one.startswith("llvm."))}
    renamed = [one for one in dict.fromkeys(defined) if one not in kept]
    names = {one: f"@difint.{i}" for i, one in enumerate(renamed)}
    return _SYMBOL.sub(lambda found: names.get(found[1], found[0]), code)
