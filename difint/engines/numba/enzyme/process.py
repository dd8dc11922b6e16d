"""The other side of ``worker``: one process for Enzyme, started when first needed."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Timer
from typing import Any, final

from difint.engines.numba.enzyme.worker import FLAGS, LOOSE, read, write
from difint.errors import unavailable

_SECONDS = 300.0
"""How long Enzyme may take for one function, before it is taken to hang."""


@final
class _Worker:
    """A process with certain options, and the lock that gives it one question at a time."""

    def __init__(self, flags: tuple[str, ...]) -> None:
        self._flags = ",".join(flags)
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, source: str) -> tuple[str, str]:
        """Differentiate; get the IR, and what went wrong, one of which is empty."""
        with self._lock:
            process = self._running()
            timer = Timer(_SECONDS, process.kill)
            timer.start()
            try:
                code, complaint = _exchanged(process, source.encode())
            except BaseException:  # interrupted: its answer would be taken for the next one
                self.stop()
                raise
            finally:
                timer.cancel()
            if code is not None and complaint is not None:
                return code.decode(), complaint.decode()
            self._process = None
            process.communicate()  # closes the pipes
            return "", _ended(process.returncode)

    def _running(self) -> Any:
        """Start the process, unless it runs; a forked process has none."""
        if self._process is None or self._owner != os.getpid():
            program = str(files(__package__) / "worker.py")
            pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
            self._process = subprocess.Popen(
                [sys.executable, "-I", program, str(extension()), self._flags],
                stderr=subprocess.DEVNULL,
                **pipes,
            )
            self._owner = os.getpid()
            atexit.register(self.stop)
        return self._process

    def stop(self) -> None:
        """End the process, if it is this one's."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
            self._process = None


def _exchanged(process: Any, message: bytes) -> tuple[bytes | None, bytes | None]:
    """Send a message, and read the two that answer it; ``None`` for what does not come."""
    try:
        write(process.stdin, message)
    except BrokenPipeError:
        return None, None
    return read(process.stdout), read(process.stdout)


def _ended(code: int) -> str:
    """Say how the process ended."""
    if code == -signal.SIGKILL:
        return f"Enzyme was stopped after {_SECONDS:.0f} seconds, or for want of memory"
    name = signal.Signals(-code).name if code < 0 else str(code)
    return f"Enzyme's compiler aborted ({name})"


_workers = {False: _Worker(FLAGS), True: _Worker((*FLAGS, LOOSE))}


def differentiate(source: str, *, loose: bool = False) -> tuple[str, str]:
    """Run Enzyme on LLVM IR; get the IR of derivatives, and what it complains of.

    ``loose`` lets it guess the types of memory.
    """
    return _workers[loose].ask(source)


@cache
def extension() -> Path:
    """Find Enzyme's extension module, without importing it.

    Raises:
        BackendUnavailableError: it is not there.
    """
    spec = find_spec("enzyme_ad")
    folders = [] if spec is None else spec.submodule_search_locations or []
    found = [place for one in folders for place in Path(one).glob("jax/enzyme_call*.so")]
    if not found:
        raise unavailable("AutoEnzyme", "enzyme-ad", "enzyme")
    return found[0]


@cache
def enzyme_version() -> str:
    """Get the version of the package."""
    return version("enzyme-ad")
