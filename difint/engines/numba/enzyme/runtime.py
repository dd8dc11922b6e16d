"""Numba's runtime in LLVM IR: memory management that Enzyme can read, and that leaks nothing.

In reverse, what ``f`` allocates must live until the way back: references are not counted, and all
memory of a call is freed at its end. Forward, references are counted as Numba counts them, but
not atomically: no other thread sees them.
"""

from __future__ import annotations

import re

_ALLOCATIONS = """
declare noalias ptr @difint.malloc(i64) #0
declare void @difint.free(ptr allocptr captures(none)) #1
attributes #0 = { allockind("alloc,uninitialized") allocsize(0) "alloc-family"="difint"
  mustprogress nofree nounwind willreturn memory(inaccessiblemem: readwrite) }
attributes #1 = { allockind("free") "alloc-family"="difint"
  mustprogress nounwind willreturn memory(argmem: readwrite, inaccessiblemem: readwrite) }

define linkonce_odr noalias ptr @NRT_Allocate(i64 %size) alwaysinline {
  %data = call ptr @difint.malloc(i64 %size)
  ret ptr %data
}
define linkonce_odr noalias ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) alwaysinline {
  %info = call ptr @difint.malloc(i64 24)
  %data = call ptr @difint.malloc(i64 %size)
  store i64 1, ptr %info
  %place = getelementptr i8, ptr %info, i64 8
  store ptr %data, ptr %place
  %length = getelementptr i8, ptr %info, i64 16
  store i64 %size, ptr %length
  ret ptr %info
}
define linkonce_odr noalias ptr @NRT_MemInfo_alloc(i64 %size) alwaysinline {
  %info = call ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 16)
  ret ptr %info
}
define linkonce_odr noalias ptr @NRT_MemInfo_new_varsize(i64 %size) alwaysinline {
  %info = call ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 16)
  ret ptr %info
}
define linkonce_odr noalias ptr @NRT_MemInfo_new_varsize_dtor(i64 %size, ptr %dtor) alwaysinline {
  %info = call ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 16)
  ret ptr %info
}
define linkonce_odr ptr @NRT_MemInfo_data_fast(ptr %info) alwaysinline {
  %place = getelementptr i8, ptr %info, i64 8
  %data = load ptr, ptr %place
  ret ptr %data
}
define linkonce_odr ptr @NRT_MemInfo_varsize_alloc(ptr %info, i64 %size) alwaysinline {
  %data = call ptr @difint.malloc(i64 %size)
  %place = getelementptr i8, ptr %info, i64 8
  store ptr %data, ptr %place
  %length = getelementptr i8, ptr %info, i64 16
  store i64 %size, ptr %length
  ret ptr %data
}
define linkonce_odr void @NRT_MemInfo_varsize_free(ptr %info, ptr %data) alwaysinline {
  call void @NRT_Free(ptr %data)
  ret void
}
define linkonce_odr ptr @NRT_MemInfo_varsize_realloc(ptr %info, i64 %size) alwaysinline {
  %place = getelementptr i8, ptr %info, i64 8
  %length = getelementptr i8, ptr %info, i64 16
  %old = load ptr, ptr %place
  %before = load i64, ptr %length
  %data = call ptr @difint.malloc(i64 %size)
  %less = icmp ult i64 %before, %size
  %moved = select i1 %less, i64 %before, i64 %size
  call void @llvm.memcpy.p0.p0.i64(ptr %data, ptr %old, i64 %moved, i1 false)
  call void @NRT_Free(ptr %old)
  store ptr %data, ptr %place
  store i64 %size, ptr %length
  ret ptr %data
}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""

_KEEPING = """
define linkonce_odr void @NRT_incref(ptr %info) alwaysinline {
  ret void
}
define linkonce_odr void @NRT_decref(ptr %info) alwaysinline {
  ret void
}
define linkonce_odr void @NRT_Free(ptr %data) alwaysinline {
  ret void
}
"""

_COUNTING = """
define linkonce_odr void @NRT_incref(ptr %info) alwaysinline {
  %none = icmp eq ptr %info, null
  br i1 %none, label %done, label %count
count:
  %before = load i64, ptr %info
  %after = add i64 %before, 1
  store i64 %after, ptr %info
  br label %done
done:
  ret void
}
define linkonce_odr void @NRT_decref(ptr %info) alwaysinline {
  %none = icmp eq ptr %info, null
  br i1 %none, label %done, label %count
count:
  %before = load i64, ptr %info
  %after = sub i64 %before, 1
  store i64 %after, ptr %info
  %last = icmp eq i64 %after, 0
  br i1 %last, label %release, label %done
release:
  %place = getelementptr i8, ptr %info, i64 8
  %data = load ptr, ptr %place
  call void @difint.free(ptr %data)
  call void @difint.free(ptr %info)
  br label %done
done:
  ret void
}
define linkonce_odr void @NRT_Free(ptr %data) alwaysinline {
  call void @difint.free(ptr %data)
  ret void
}
"""


def with_malloc(code: str) -> str:
    """Give allocations the names that Enzyme knows; under these LLVM makes ``calloc`` of them."""
    return code.replace("@difint.malloc(", "@malloc(").replace("@difint.free(", "@free(")


_ROOT = """
define internal {ty} @difint_sqrt_{suffix}({ty} %x) alwaysinline {{
  %steep = fcmp ueq {ty} %x, 0.0
  %more = fmul {ty} %x, {big}
  %most = fmul {ty} %more, {big}
  %usual = call {ty} @llvm.sqrt.{suffix}({ty} %x)
  %root = select i1 %steep, {ty} %most, {ty} %usual
  ret {ty} %root
}}
"""
"""A square root whose derivative at 0, and at NaN, is not finite. Enzyme's own is 0 there."""

_BIG = {"double": ("f64", "sqrt", "1.0e+308"), "float": ("f32", "sqrtf", "0x47D2CED320000000")}


def with_roots(code: str) -> str:
    """Give square roots the derivative that they have at 0."""
    for ty, (suffix, name, big) in _BIG.items():
        theirs = rf"(call [^@\n]*)@(?:llvm\.sqrt\.{suffix}|{name})\("
        called = re.sub(theirs, rf"\g<1>@difint_sqrt_{suffix}(", code)
        if called != code:
            declared = f"declare {ty} @llvm.sqrt.{suffix}({ty})\n"
            lines = [one for one in called.splitlines() if f"@llvm.sqrt.{suffix}(" not in one]
            code = "\n".join(lines) + "\n" + declared
            code += _ROOT.format(ty=ty, suffix=suffix, big=big)
    return code


_CUBE_ROOT = """
declare {ty} @llvm.pow.{suffix}({ty}, {ty})
declare {ty} @llvm.fabs.{suffix}({ty})
define linkonce_odr {ty} @{name}({ty} %x) alwaysinline {{
  %size = call {ty} @llvm.fabs.{suffix}({ty} %x)
  %root = call {ty} @llvm.pow.{suffix}({ty} %size, {ty} {third})
  %below = fcmp olt {ty} %x, 0.0
  %opposite = fneg {ty} %root
  %signed = select i1 %below, {ty} %opposite, {ty} %root
  ret {ty} %signed
}}
"""
"""A cube root whose derivative is right in reverse, which that of the C library's is not."""

_CUBE_ROOTS = _CUBE_ROOT.format(
    ty="double", suffix="f64", name="cbrt", third="0x3FD5555555555555"
) + _CUBE_ROOT.format(ty="float", suffix="f32", name="cbrtf", third="0x3FD5555560000000")


def runtime(*, reverse: bool) -> str:
    """Get the definitions of what Numba's code calls."""
    return _ALLOCATIONS + (_KEEPING if reverse else _COUNTING) + _CUBE_ROOTS


_ARENA = """
declare ptr @malloc(i64)
declare ptr @realloc(ptr, i64)
declare void @free(ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal void @difint_link(ptr %arena, ptr %block) {
  %first = load ptr, ptr %arena
  store ptr %first, ptr %block
  %back = getelementptr ptr, ptr %block, i64 1
  store ptr %arena, ptr %back
  store ptr %block, ptr %arena
  %next = getelementptr ptr, ptr %first, i64 1
  store ptr %block, ptr %next
  ret void
}
define internal void @difint_unlink(ptr %block) {
  %next = load ptr, ptr %block
  %place = getelementptr ptr, ptr %block, i64 1
  %back = load ptr, ptr %place
  store ptr %next, ptr %back
  %place2 = getelementptr ptr, ptr %next, i64 1
  store ptr %back, ptr %place2
  ret void
}
define internal noalias ptr @difint_malloc(ptr %arena, i64 %size) {
  %whole = add i64 %size, 16
  %block = call ptr @malloc(i64 %whole)
  call void @difint_link(ptr %arena, ptr %block)
  %data = getelementptr i8, ptr %block, i64 16
  ret ptr %data
}
define internal noalias ptr @difint_calloc(ptr %arena, i64 %count, i64 %size) {
  %whole = mul i64 %count, %size
  %data = call ptr @difint_malloc(ptr %arena, i64 %whole)
  call void @llvm.memset.p0.i64(ptr %data, i8 0, i64 %whole, i1 false)
  ret ptr %data
}
define internal void @difint_free(ptr %arena, ptr %data) {
  %none = icmp eq ptr %data, null
  br i1 %none, label %done, label %release
release:
  %block = getelementptr i8, ptr %data, i64 -16
  call void @difint_unlink(ptr %block)
  call void @free(ptr %block)
  br label %done
done:
  ret void
}
define internal ptr @difint_realloc(ptr %arena, ptr %data, i64 %size) {
  %none = icmp eq ptr %data, null
  br i1 %none, label %new, label %grow
new:
  %fresh = call ptr @difint_malloc(ptr %arena, i64 %size)
  ret ptr %fresh
grow:
  %block = getelementptr i8, ptr %data, i64 -16
  call void @difint_unlink(ptr %block)
  %whole = add i64 %size, 16
  %moved = call ptr @realloc(ptr %block, i64 %whole)
  call void @difint_link(ptr %arena, ptr %moved)
  %there = getelementptr i8, ptr %moved, i64 16
  ret ptr %there
}
define internal void @difint_release(ptr %arena) {
entry:
  br label %each
each:
  %block = load ptr, ptr %arena
  %last = icmp eq ptr %block, %arena
  br i1 %last, label %done, label %one
one:
  call void @difint_unlink(ptr %block)
  call void @free(ptr %block)
  br label %each
done:
  ret void
}
"""
"""Memory of one call: blocks in a ring, each behind two pointers, to the next and the last one."""

_ALLOCATORS = ("malloc", "calloc", "realloc", "free")
_FUNCTION = re.compile(r"^define internal [^@\n]*@([\w.\"$-]+)\(", re.MULTILINE)


def within_arena(code: str, entry: str, parameters: str, arguments: str) -> str:
    """Let all that derivatives allocate be freed at the end of each call.

    Every function gets the call's arena as a first argument. ``entry`` becomes a function that
    makes one; ``parameters`` are its own as they are declared, ``arguments`` as they are passed.
    """
    called = {name for name in _ALLOCATORS if f"@{name}(" in code}
    names = _FUNCTION.findall(code)
    inner = f"{entry}.inner"
    text = re.sub(rf"@{re.escape(entry)}\b", f"@{inner}", code)
    if called:
        lines = text.splitlines()
        kept = [one for one in lines if not _declares(one)]
        text = "\n".join(_threaded(one, {*names, inner}, called) for one in kept) + _ARENA
    return text + _opened(entry, inner, parameters, arguments, arena=bool(called))


def _declares(line: str) -> bool:
    """Tell whether a line declares what the arena has or declares itself."""
    names = (*_ALLOCATORS, "llvm.memset.p0.i64")
    return line.startswith("declare") and any(f"@{name}(" in line for name in names)


def _threaded(line: str, names: set[str], called: set[str]) -> str:
    """Pass the arena on, in a definition or a call."""
    kind = "ptr %difint_arena"

    def passed(found: re.Match[str]) -> str:
        name, follows = found[1], found[2]
        if name in called:
            name = f"difint_{name}"
        elif name not in names:
            return found[0]
        return f"@{name}({kind}" + (")" if follows == ")" else f", {follows}")

    return re.sub(r"@([\w.\"$-]+)\((.)", passed, line)


def _opened(entry: str, inner: str, parameters: str, arguments: str, *, arena: bool) -> str:
    """Write the entry, which makes the arena, and frees what is left in it."""
    lines = [f"define i32 @{entry}({parameters}) {{"]
    passed = arguments
    if arena:
        passed = f"ptr %ring, {arguments}"
        lines += ["  %ring = alloca [2 x ptr]", "  store ptr %ring, ptr %ring"]
        lines += ["  %back = getelementptr ptr, ptr %ring, i64 1", "  store ptr %ring, ptr %back"]
    lines.append(f"  %status = call i32 @{inner}({passed})")
    lines += ["  call void @difint_release(ptr %ring)"] if arena else []
    return "\n" + "\n".join([*lines, "  ret i32 %status", "}", ""])
