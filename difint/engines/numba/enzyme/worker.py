"""The process that runs Enzyme: reads LLVM IR, writes the IR of derivatives, or what went wrong.

It is a program of its own, started by ``process``: what makes Enzyme's compiler abort ends this
process alone, and what it complains of on stderr is caught here.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

FLAGS = (
    "-enzyme-fast-math=0",  # derivatives of infinite and undefined numbers are what they are
    "-enzyme-rematerialize=0",  # it takes arrays made in a loop for others
    "-enzyme-phi-restructure=1",  # else it loses values, and arrays, where several paths meet
    "-enzyme-postopt=0",  # LLVM optimizes afterwards anyway
    "-vectorize-slp=0",
    "-vectorize-loops=0",
    "-unroll-runtime=0",
    "-unroll-allow-partial=0",
)
"""Options of LLVM and Enzyme. Nothing is vectorized before the derivatives are there."""

LOOSE = "-enzyme-loose-types=1"
"""Let Enzyme take memory that nothing tells it the type of for what it looks like."""

_PROGRAM = """module @m {
  func.func public @main(%a: tensor<f32>) -> tensor<f32> {
    return %a : tensor<f32>
  }
}"""
"""Any program: XLA reads the options when it compiles one."""


def _library(place: str) -> Any:
    """Load the extension module alone; the package around it would import JAX."""
    spec = importlib.util.spec_from_file_location("enzyme_call", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _differentiated(enzyme: Any, source: str, folder: str) -> tuple[str, str]:
    """Run Enzyme; get the IR, and what was written to stderr."""
    out = Path(folder) / "derivative.ll"
    out.write_text("")
    error = ""
    with tempfile.TemporaryFile(dir=folder) as caught:
        os.dup2(caught.fileno(), 2)
        try:
            language = enzyme.Language.LLVM
            enzyme.compile_to_llvm(str(out), source, "f", [], [], [], language, False, "")
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}\n"
        caught.seek(0)
        error += caught.read().decode(errors="replace")
    return out.read_text(), error


def read(stream: BinaryIO) -> bytes | None:
    """Read one message: its length, then its bytes; ``None`` at the end."""
    head = stream.read(8)
    return stream.read(int.from_bytes(head, "little")) if len(head) == 8 else None


def write(stream: BinaryIO, message: bytes) -> None:
    """Write one message."""
    stream.write(len(message).to_bytes(8, "little") + message)
    stream.flush()


def main() -> None:
    """Answer each message with two: the IR, and the complaints."""
    # The pipe is for answers alone: what the library prints goes nowhere.
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.environ["XLA_FLAGS"] = "--xla_backend_extra_options=" + sys.argv[2]
    enzyme = _library(sys.argv[1])
    enzyme.compile_mhlo_to_llvm_with_xla(_PROGRAM, False, "")
    with tempfile.TemporaryDirectory() as folder:
        while (source := read(sys.stdin.buffer)) is not None:
            for part in _differentiated(enzyme, source.decode(), folder):
                write(answers, part.encode())
            os.dup2(nowhere, 2)


if __name__ == "__main__":
    main()
