"""Compiling: a kernel in each of the ways that ``AutoTorch(compile=...)`` names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from difint.engine import Apply
from difint.engines.torch.aot import package
from difint.engines.torch.arrays import flatten, mapped, unflatten
from difint.engines.torch.entering import as_tensors, converter, shared
from difint.engines.torch.inductor import inductor
from difint.engines.torch.primitives import AtPoint
from difint.engines.torch.program import program
from difint.engines.torch.simplifying import simplify
from difint.engines.torch.state import (
    WATCHED,
    autocasting,
    explaining,
    hinting,
    hinting_at_eager,
    refuse_nested,
    refuse_transformed,
    settled,
    transforming,
    unchanged_generators,
)
from difint.engines.torch.tracing import Traced, last_part, trace
from difint.errors import PreparationMismatchError, message
from difint.kinds import TORCH
from difint.trees import PYTHON_TREES

Kernel = Callable[..., Any]


def compile_kernel(
    mode: str, kernel: Kernel, args: tuple[Any, ...] | None, *, strict: bool = True
) -> Kernel:
    """Compile for arguments like ``args``; leave what runs once, or is eager, as it is."""
    if args is None:
        return _eager(kernel)
    if mode != "eager":
        return _compiled(mode, kernel, args, strict, whole=False)
    made = _eager(kernel)
    _warm_up(made, args)
    return made


def compile_both(
    mode: str, full: Kernel, args: tuple[Any, ...], *, strict: bool = True
) -> tuple[Kernel, Kernel]:
    """Compile the kernel without the lower orders, and the one with them, from one trace of it.

    A package takes ten seconds to make, and one more part of a result less than a microsecond:
    one serves as both.
    """
    tensors = as_tensors(args)
    traced = trace(full, tensors)
    if mode != "aot":
        parts = last_part(traced), traced
        alone, both = (_finished(mode, one, args, tensors, strict) for one in parts)
        return alone, both
    both = _finished(mode, traced, args, tensors, strict)

    def last(*args: Any) -> Any:
        return both(*args)[-1]

    last.__doc__ = both.__doc__
    return last, both


def attach(mode: str, kernel: Kernel, apply: Apply, t: Any, *, strict: bool = True) -> Kernel:
    """Compile ``t -> kernel(apply, t)``: what depends on the point alone is computed now."""
    if mode == "eager":
        return _eager(lambda t: kernel(apply, t))

    def at_tangent(t: Any) -> Any:
        return kernel(apply.again() if isinstance(apply, AtPoint) else apply, t)

    return _compiled(mode, at_tangent, (t,), strict, whole=True)


def tell(kernel: Kernel) -> str:
    """Say what a kernel is, and what making it cost."""
    return kernel.__doc__ or ""


def _eager(kernel: Kernel) -> Kernel:
    """Call a kernel as it is, on tensors of the arguments' memory."""

    def call(*args: Any) -> Any:
        if transforming() is not None:
            refuse_transformed()
        if WATCHED:
            refuse_nested(args)
        unusual = autocasting() or torch.is_inference_mode_enabled()
        with settled() if unusual else torch.no_grad(), explaining(), hinting(args[0]):
            return run(*args)

    def run(x: Any, *others: Any) -> Any:
        point = as_tensors(shared(x))
        values = [shared(other) for other in others]
        result = kernel(point, *values)
        return result if callable(result) else _owned(result, (point, *values))

    call.__doc__ = "f called as it is, nothing frozen"
    return call


def _owned(result: Any, args: Any) -> Any:
    """Copy what shares memory with an argument or another result, or is not contiguous."""
    inputs = [leaf for leaf in flatten(args)[0] if isinstance(leaf, torch.Tensor)]
    taken = {leaf.untyped_storage().data_ptr() for leaf in inputs}

    def own(leaf: torch.Tensor) -> torch.Tensor:
        memory = leaf.untyped_storage()
        alone = memory.data_ptr() not in taken and memory.nbytes() == leaf.nbytes
        taken.add(memory.data_ptr())
        if alone and leaf.is_contiguous():
            return leaf.detach()
        return leaf.detach().clone(memory_format=torch.contiguous_format)

    return mapped(own, result)


def _graph(module: Any, examples: Sequence[torch.Tensor]) -> tuple[Callable[[Any], Any], str]:
    run = program(module, examples)
    count = sum(node.op == "call_function" for node in module.graph.nodes)
    return run, f"a graph of {count} operations, called from Python"


_MAKERS = {"graph": _graph, "inductor": inductor, "aot": package}


def _compiled(
    mode: str, kernel: Kernel, args: tuple[Any, ...], strict: bool, *, whole: bool
) -> Kernel:
    """Trace a kernel, and make of its graph what the mode says."""
    tensors = as_tensors(args)
    return _finished(mode, trace(kernel, tensors), args, tensors, strict, whole=whole)


def _finished(
    mode: str,
    traced: Traced,
    args: tuple[Any, ...],
    tensors: Any,
    strict: bool,
    *,
    whole: bool = False,
) -> Kernel:
    """Simplify a graph, make of it what the mode says, and call it once."""
    leaves, reads = flatten(tensors)[0], mode != "graph"
    with settled(), unchanged_generators(leaves), hinting_at_eager():
        constants = simplify(traced.module, whole=whole, inline=reads)
        run, text = _MAKERS[mode](traced.module, [*leaves, *constants])
    checked = leaves if reads and not strict else None
    entry = _Entry(args, constants, strict=strict, reads=reads, checked=checked)
    made = entry.around(run, traced.structure, text)
    _warm_up(made, args)
    return made


def _warm_up(kernel: Kernel, args: tuple[Any, ...]) -> None:
    """Run at the example: what fails does so at prepare, and what is lazy is done."""
    with unchanged_generators(flatten(args)[0]):
        kernel(*args)


class _Entry:
    """What brings a call's arguments to a compiled graph: written for their forms, as text."""

    def __init__(
        self,
        args: tuple[Any, ...],
        constants: Sequence[torch.Tensor],
        *,
        strict: bool,
        reads: bool,
        checked: Sequence[torch.Tensor] | None,
    ) -> None:
        self._strict, self._reads = strict, reads
        self._names = [f"argument_{i}" for i in range(len(args))]
        self._env: dict[str, Any] = {}
        self._lines: list[str] = []
        self._tensors: list[str] = []
        for name, arg in zip(self._names, args, strict=True):
            self._enter(name, arg)
        for one in constants:
            self._tensors.append(self._named(f"constant_{len(self._env)}", one))
        if checked is not None:
            self._named("check", _checking(checked))
            self._lines.append(f"check([{', '.join(self._tensors[: len(checked)])}])")

    def _named(self, name: str, value: Any) -> str:
        self._env[name] = value
        return name

    def _enter(self, name: str, arg: Any) -> None:
        """Write what makes tensors of one argument."""
        if PYTHON_TREES.is_leaf(arg):
            places = [name]
            leaves = [arg]
        else:
            leaves, structure = flatten(arg)
            take = flatten if self._strict else partial(_matching, structure)
            self._lines.append(f"leaves = {self._named(f'take_{name}', take)}({name})[0]")
            places = [f"leaves[{i}]" for i in range(len(leaves))]
        for place, leaf in zip(places, leaves, strict=True):
            into = self._named(f"into_{len(self._env)}", converter(leaf))
            # Code that reads memory sees no negative bit; operations of PyTorch do.
            plain = f"{place}.contiguous(){'.resolve_neg()' if self._reads else ''}"
            text = plain if TORCH.owns(leaf) else f"{into}({place})"
            tensor = f"tensor_{len(self._tensors)}"
            self._lines.append(f"{tensor} = {text}")
            self._tensors.append(tensor)

    def around(self, run: Callable[[Any], Any], structure: Any, text: str) -> Kernel:
        """Write the kernel: arguments to tensors, the graph, its results as they were built."""
        self._env |= {
            "aside": _aside,
            "autocasting": autocasting,
            "is_grad_enabled": torch.is_grad_enabled,
            "run": run,
            "set_grad_enabled": torch._C._set_grad_enabled,
            "transforming": transforming,
            "watched": WATCHED,
            "structure": structure,
            "unflatten": unflatten,
        }
        names, result = ", ".join(self._names), _result(structure)
        source = f"""
def kernel({names}):
    if transforming() is not None or autocasting() or watched:
        unusual = aside(kernel, {names})
        if unusual is not None:
            return unusual[0]
    {"; ".join(self._lines)}
    if not is_grad_enabled():
        results = run([{", ".join(self._tensors)}])
        return {result}
    set_grad_enabled(False)
    try:
        results = run([{", ".join(self._tensors)}])
    finally:
        set_grad_enabled(True)
    return {result}
"""
        exec(compile(source, "<an entry of difint>", "exec"), self._env)
        kernel: Kernel = self._env["kernel"]
        kernel.__doc__ = text
        return kernel


def _matching(structure: Any, tree: Any) -> Any:
    """Take a tree apart that nobody has looked at, and refuse one of another structure."""
    leaves, got = flatten(tree)
    if got != structure:
        text = message(
            "execute",
            "a tree has another structure than at prepare",
            expected=str(structure),
            got=str(got),
            remedy="Prepare again with arguments like these.",
        )
        raise PreparationMismatchError(text)
    return leaves, got


def _result(structure: Any) -> str:
    """Write how a kernel's result is built."""
    children = structure.children()
    if structure.is_leaf():
        return "results[0]"
    if structure.type is tuple and all(child.is_leaf() for child in children):
        return "tuple(results)"
    return "unflatten(structure, results)"


def _aside(kernel: Kernel, *args: Any) -> tuple[Any] | None:
    """Refuse, or compute without autocast; ``None`` where there is nothing unusual after all."""
    if transforming() is not None:
        refuse_transformed()
    refuse_nested(args)
    if not autocasting():
        return None
    with settled():
        return (kernel(*args),)


def _checking(examples: Sequence[torch.Tensor]) -> Callable[[Sequence[torch.Tensor]], None]:
    """Get what refuses tensors that compiled code, which reads memory, was not made for."""
    forms = [(one.shape, one.dtype, one.device) for one in examples]

    def check(tensors: Sequence[torch.Tensor]) -> None:
        got = [(one.shape, one.dtype, one.device) for one in tensors]
        if got != forms:
            text = message(
                "execute",
                "compiled code does not take these arguments",
                expected=", ".join(f"{d}{list(s)} on {where}" for s, d, where in forms),
                got=", ".join(f"{d}{list(s)} on {where}" for s, d, where in got),
                remedy="Prepare again with arguments like these; strict=True says which differ.",
            )
            raise PreparationMismatchError(text)

    return check
