"""TorchInductor: a graph as compiled code, in this process."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch
from torch.fx import GraphModule

from difint.engines.torch.tracing import drop_dead, traced
from difint.engines.torch.watching import SEEN
from difint.errors import BackendUnavailableError, UnsupportedError, message
from difint.text import duration


def inductor(
    module: GraphModule, examples: Sequence[torch.Tensor]
) -> tuple[Callable[[Any], Any], str]:
    """Compile a simplified graph: ``run(tensors) -> results``, and what it is."""
    start = perf_counter()
    with compiling("inductor"):
        run = _compile(module, examples)
        run(list(examples))
    return run, f"compiled by TorchInductor in {duration(perf_counter() - start)}"


def _compile(module: GraphModule, examples: Sequence[torch.Tensor]) -> Callable[[Any], Any]:
    if not _is_plain(module):
        return _general(module, examples)
    try:
        return _quick(module, examples)
    except Exception as error:
        if _lacks_compiler(error):
            raise
        return _general(module, examples)


def _is_plain(module: GraphModule) -> bool:
    """Tell whether a graph draws no random numbers, which the general way rewrites."""
    targets = [node.target for node in module.graph.nodes if node.op == "call_function"]
    overloads = [one for one in targets if isinstance(one, torch._ops.OpOverload)]
    return not any(torch.Tag.nondeterministic_seeded in one.tags for one in overloads)


def _general(module: GraphModule, examples: Sequence[torch.Tensor]) -> Callable[[Any], Any]:
    """Compile as ``torch.compile`` does after it has a graph."""
    from torch._inductor.compile_fx import compile_fx

    made = compile_fx(module, list(examples))
    return lambda tensors: made(*tensors)


def _quick(module: GraphModule, examples: Sequence[torch.Tensor]) -> Callable[[Any], Any]:
    """Compile without the layers that ``torch.compile`` needs for graphs of any kind.

    This graph is functional, its results are its own, and no gradient goes through it: that saves
    some 3 us a call.
    """
    from torch._guards import TracingContext, detect_fake_mode, tracing
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.decomposition import select_decomp_table

    fresh = [
        torch.empty_strided(one.shape, one.stride(), dtype=one.dtype, device=one.device)
        for one in examples
    ]
    lowered = traced(module, fresh, select_decomp_table())
    drop_dead(lowered)
    lowered.recompile()
    fakes = [node.meta["val"] for node in lowered.graph.nodes if node.op == "placeholder"]
    with tracing(TracingContext(detect_fake_mode(fakes))):
        made = compile_fx_inner(lowered, fakes)
    # What it calls, without the records of its own that it keeps at each call.
    run: Callable[[Any], Any] = made.current_callable
    return run


@contextmanager
def compiling(mode: str) -> Iterator[None]:
    """Count a compilation, and explain why one fails."""
    SEEN.compilations += 1
    try:
        # What PyTorch's compiler says of parts of itself is nothing that a user can mend.
        with warnings.catch_warnings(action="ignore"):
            yield
    except Exception as error:
        if _lacks_compiler(error):
            raise BackendUnavailableError(_no_compiler(mode), name="g++") from error
        raise UnsupportedError(_failed(mode, error)) from error


def _lacks_compiler(error: BaseException | None) -> bool:
    from torch._inductor.exc import InvalidCxxCompiler

    while error is not None:
        if isinstance(error, InvalidCxxCompiler | FileNotFoundError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _no_compiler(mode: str) -> str:
    return message(
        f"AutoTorch(compile={mode!r})",
        "no C++ compiler was found",
        expected="g++ or clang++ on the PATH, or the one that the environment variable CXX names",
        remedy="Install one (Debian: apt install g++), or use compile='graph' or compile='eager', "
        "which need none.",
    )


def _failed(mode: str, error: Exception) -> str:
    said = str(error).strip().splitlines() or ["no message"]
    return message(
        f"AutoTorch(compile={mode!r})",
        "PyTorch's compiler does not take this graph",
        got=f"{type(error).__name__}: {said[0]}",
        remedy="Use compile='graph'.",
    )
