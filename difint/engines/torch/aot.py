"""AOTInductor: a graph as a shared library in a package on disk, for this process and the next."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch.fx import GraphModule

import difint
from difint import keeping
from difint.engines.torch.inductor import compiling
from difint.engines.torch.tracing import held_by, unlike
from difint.text import duration

_FORMAT = 1
"""The number of this way to make packages: another way gives them other names."""

_MOST = 200
"""Packages that are kept: each is a megabyte or two."""


def package(
    module: GraphModule, examples: Sequence[torch.Tensor]
) -> tuple[Callable[[Any], Any], str]:
    """Load the package of a simplified graph, or compile it: ``run(tensors) -> results``."""
    start, place = perf_counter(), _place(module, examples)
    run, how = _kept(place), "loaded"
    if run is None:
        with compiling("aot"):
            _compile(module, examples, place)
        run, how = _loaded(place), "compiled"
    return run, f"{how} in {duration(perf_counter() - start)}: {place}"


def _kept(place: Path) -> Callable[[Any], Any] | None:
    """Load a package that an earlier process made; ``None`` if there is none that is whole."""
    try:
        return _loaded(place) if place.exists() else None
    except RuntimeError:  # cut short: it is made again
        return None


def _compile(module: GraphModule, examples: Sequence[torch.Tensor], place: Path) -> None:
    from torch._inductor import aoti_compile_and_package

    # Each a tensor of its own: where one is given twice, an export makes one input of both.
    apart = tuple(map(unlike, examples))
    exported = torch.export.export(module, apart, strict=False)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        made = aoti_compile_and_package(exported, package_path=f"{folder}/{place.name}")
        Path(made).replace(place)
    keeping.drop_old(place.parent, f"*{place.suffix}", _MOST)


def _loaded(place: Path) -> Callable[[Any], Any]:
    # The loader itself: aoti_load_package would import the compiler first, which takes a second.
    loader = torch._C._aoti.AOTIModelPackageLoader(str(place), "model", False, 1, -1)
    keeping.touch(place)
    run: Callable[[Any], Any] = loader.boxed_run
    return run


def _place(module: GraphModule, examples: Sequence[torch.Tensor]) -> Path:
    """Name a package after all that its code depends on, so that it never grows stale."""
    forms = [(list(one.shape), one.stride(), str(one.dtype), str(one.device)) for one in examples]
    versions = _FORMAT, torch.__version__, difint.__version__, _processor()
    devices = sorted({_hardware(one) for one in examples})
    threads = torch.get_num_threads()
    held = [held_by(module, node) for node in module.graph.nodes if node.op == "get_attr"]
    numbers = [(str(one.dtype), repr(one.tolist())) for one in held]
    told = [module.code, numbers, forms, versions, devices, threads]
    text = json.dumps(told, default=str)
    name = hashlib.sha256(text.encode()).hexdigest()
    folder = keeping.directory() or _temporary()
    return folder / f"{name[:32]}.pt2"


def _processor() -> list[str]:
    """Tell what code is compiled for, as far as this machine says."""
    told = [platform.machine(), platform.processor(), torch.backends.cpu.get_cpu_capability()]
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    for name in ("model name", "flags"):
        told += [line for line in lines if line.startswith(name)][:1]
    return told


def _hardware(tensor: torch.Tensor) -> str:
    return torch.cuda.get_device_name(tensor.device) if tensor.is_cuda else "cpu"


_FOLDERS: list[Any] = []


def _temporary() -> Path:
    """Make a folder for this process, where the user wants nothing kept."""
    if not _FOLDERS:
        _FOLDERS.append(tempfile.TemporaryDirectory(prefix="difint-"))
    return Path(_FOLDERS[0].name)
