"""Markers: the small functions in LLVM IR that ask Enzyme for a derivative.

Each takes pointers: ``x``, ``y`` and vectors like them, tangents one after the other, then the
leaves of the contexts. Each returns Numba's status, which is not 0 where ``f`` raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

Kind = Literal["value", "push", "pull", "slip", "bend", "twice"]
"""A primitive: ``f``, pushforward, pullback, pullback without ``f(x)``, forward over reverse,
forward over forward. Where nobody wants ``f(x)`` Enzyme does not compute it, and may leave out the
whole way there."""

VECTORS: dict[Kind, tuple[str, ...]] = {
    "value": ("x", "y"),
    "push": ("x", "dx", "y", "dy"),
    "pull": ("x", "dx", "y", "dy"),
    "slip": ("x", "dx", "y", "dy"),
    "bend": ("x", "t", "g", "h", "y"),
    "twice": ("x", "dx", "s", "y", "ys", "dy", "ddy"),
}
"""What a primitive takes. Of ``dx``, ``dy``, ``t``, ``h``, ``s``, ``ys`` and ``ddy`` there is one
for each tangent of the width, but of ``dx`` and ``dy`` of ``twice``. ``g`` is a gradient, which
must be zero on entry, and so must ``h``. What stands in ``y`` of ``slip`` and ``bend`` means
nothing."""

_HEAD = """
declare void @__enzyme_autodiff(...)
declare void @__enzyme_fwddiff(...)
@difint_keep = external global ptr
"""


@final
@dataclass(frozen=True, slots=True)
class Flat:
    """A function ``flat(x, y, leaves..., status)`` in LLVM IR.

    Attributes:
        n: the number of entries of ``x``.
        m: the number of entries of ``y``.
        x: the LLVM type of entries of ``x``.
        y: the LLVM type of entries of ``y``.
        leaves: the LLVM types of the leaves.
        hints: what the leaves are, or what they point to, in Enzyme's words.
    """

    n: int
    m: int
    x: str
    y: str
    leaves: tuple[str, ...]
    hints: tuple[str, ...]

    def parameters(self, names: Sequence[str]) -> str:
        """Declare pointers of these names, and the leaves."""
        parts = [f"ptr noalias %{name}" for name in names]
        return ", ".join([*parts, *(f"{ty} %leaf{i}" for i, ty in enumerate(self.leaves))])

    def arguments(self, names: Sequence[str]) -> str:
        """Pass them on."""
        parts = [f"ptr %{name}" for name in names]
        return ", ".join([*parts, *(f"{ty} %leaf{i}" for i, ty in enumerate(self.leaves))])

    @property
    def hinted(self) -> str:
        """Declare ``x``, ``y`` and the leaves, with what Enzyme may not find out by itself."""
        given = [
            ("ptr noalias", f"Float@{ty}", name) for name, ty in (("x", self.x), ("y", self.y))
        ]
        pairs = enumerate(zip(self.leaves, self.hints, strict=True))
        given += [(ty, hint, f"leaf{i}") for i, (ty, hint) in pairs]
        return ", ".join(_hinted(*one) for one in given)

    @property
    def constants(self) -> str:
        """Mark the leaves and the status: nothing is differentiated by them."""
        parts = [f"{ty} %leaf{i}" for i, ty in enumerate(self.leaves)]
        return ", ".join(f'metadata !"enzyme_const", {one}' for one in (*parts, "ptr %status"))

    def rows(self, name: str, like: str, width: int) -> tuple[list[str], list[str]]:
        """Write the addresses of the rows of ``name``, each as long as ``like``."""
        size, ty = (self.n, self.x) if like == "x" else (self.m, self.y)
        names = [f"ptr %{name}.{k}" for k in range(width)]
        lines = [
            f"  %{name}.{k} = getelementptr {ty}, ptr %{name}, i64 {k * size}" for k in range(width)
        ]
        return lines, names


def _hinted(ty: str, hint: str, name: str) -> str:
    pointed = f"[-1]:Pointer, [-1,-1]:{hint}" if ty.startswith("ptr") else f"[-1]:{hint}"
    return f'{ty} "enzyme_type"="{{{pointed}}}" %{name}'


def asked(kind: Kind, width: int, flat: Flat, entry: str, *, runtime: bool) -> str:
    """Write the functions that ask for a primitive; ``runtime`` decides activity at run time."""
    body = {"push": _push, "pull": _pull, "slip": _slip, "bend": _bend, "twice": _twice}[kind]
    options = ['metadata !"enzyme_strong_zero"']
    options += ['metadata !"enzyme_runtime_activity"'] if runtime else []
    wide = [*options, f'metadata !"enzyme_width", i64 {width}'] if width > 1 else options
    inner, lines = body(width, flat, ", ".join(["", *options]), ", ".join(["", *wide]))
    head = f"define i32 @{entry}({flat.parameters(VECTORS[kind])}) {{"
    slot = ["  %status = alloca i32", "  store i32 0, ptr %status"]
    tail = ["  %told = load i32, ptr %status", "  ret i32 %told", "}", _kept(entry)]
    return _HEAD + inner + "\n".join([head, *slot, *lines, *tail])


def _kept(entry: str) -> str:
    """Write the function that Enzyme's driver wants, which keeps the entry alive."""
    return (
        "define void @f(ptr %a, ptr %b, ptr %c, ptr %d, ptr %e, ptr %g) {\n"
        f"  store ptr @{entry}, ptr @difint_keep\n  ret void\n}}\n"
    )


def valued(flat: Flat, entry: str) -> str:
    """Write the function that calls ``flat`` as it is."""
    return "\n".join(
        [
            f"define internal i32 @{entry}({flat.parameters(VECTORS['value'])}) {{",
            "  %status = alloca i32",
            f"  call void @flat({flat.arguments(VECTORS['value'])}, ptr %status)",
            "  %told = load i32, ptr %status",
            "  ret i32 %told",
            "}",
        ]
    )


def _dup(primal: str, shadows: Sequence[str], *, needed: bool = True) -> str:
    marker = "enzyme_dup" if needed else "enzyme_dupnoneed"
    return ", ".join([f'metadata !"{marker}"', f"ptr %{primal}", *shadows])


def _call(function: str, target: str, options: str, marked: Sequence[str]) -> str:
    return f"  call void (...) @{function}(ptr @{target}{options}, {', '.join(marked)})"


def _push(width: int, flat: Flat, options: str, wide: str) -> tuple[str, list[str]]:
    given, dx = flat.rows("dx", "x", width)
    more, dy = flat.rows("dy", "y", width)
    marked = [_dup("x", dx), _dup("y", dy), flat.constants]
    return "", [*given, *more, _call("__enzyme_fwddiff", "flat", wide, marked)]


def _pull(
    width: int, flat: Flat, options: str, wide: str, *, needed: bool = True
) -> tuple[str, list[str]]:
    given, dx = flat.rows("dx", "x", width)
    more, dy = flat.rows("dy", "y", width)
    marked = [_dup("x", dx), _dup("y", dy, needed=needed), flat.constants]
    return "", [*given, *more, _call("__enzyme_autodiff", "flat", wide, marked)]


def _slip(width: int, flat: Flat, options: str, wide: str) -> tuple[str, list[str]]:
    return _pull(width, flat, options, wide, needed=False)


def _bend(width: int, flat: Flat, options: str, wide: str) -> tuple[str, list[str]]:
    one = [_dup("x", ["ptr %g"]), _dup("y", ["ptr %seed"], needed=False), flat.constants]
    lines = [
        f"define void @slope({flat.parameters(['x', 'g', 'y'])}, ptr noalias %status) {{",
        f"  %seed = alloca {flat.y}",
        f"  store {flat.y} 1.0, ptr %seed",
        _call("__enzyme_autodiff", "flat", options, one),
        "  ret void\n}\n",
    ]
    given, t = flat.rows("t", "x", width)
    more, h = flat.rows("h", "x", width)
    rest, ys = flat.rows("ys", "y", width)
    marked = [_dup("x", t), _dup("g", h), _dup("y", ys), flat.constants]
    slot = f"  %ys = alloca [{width * flat.m} x {flat.y}]"
    call = _call("__enzyme_fwddiff", "slope", wide, marked)
    return "\n".join(lines), [slot, *given, *more, *rest, call]


def _twice(width: int, flat: Flat, options: str, wide: str) -> tuple[str, list[str]]:
    one = [_dup("x", ["ptr %dx"]), _dup("y", ["ptr %dy"]), flat.constants]
    lines = [
        f"define void @slope({flat.parameters(['x', 'dx', 'y', 'dy'])}, ptr noalias %status) {{",
        _call("__enzyme_fwddiff", "flat", options, one),
        "  ret void\n}\n",
    ]
    given, s = flat.rows("s", "x", width)
    more, ys = flat.rows("ys", "y", width)
    rest, ddy = flat.rows("ddy", "y", width)
    marked = [_dup("x", s), 'metadata !"enzyme_const", ptr %dx', _dup("y", ys), _dup("dy", ddy)]
    call = _call("__enzyme_fwddiff", "slope", wide, [*marked, flat.constants])
    return "\n".join(lines), [*given, *more, *rest, call]
