"""Places: which line of the user's code a traced array was asked from."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from difint.dependence.host.scopes import Scope


def frames() -> Iterator[FrameType]:
    """List the frames of calls, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def place() -> str:
    """Describe the innermost line of the user's own functions, as source and position."""
    for frame in frames():
        if isinstance(frame.f_globals, Scope) and not _module(frame).startswith("numpy"):
            path, number = frame.f_code.co_filename, frame.f_lineno
            line = linecache.getline(path, number, frame.f_globals).strip()
            where = f"line {number} of {Path(path).name}, in {frame.f_code.co_name}"
            return f"{line}  ({where})" if line else where
    return "code that is not Python"


def line_of(error: BaseException) -> str:
    """Describe the innermost line of the user's own functions that an error came through."""
    found, step = "", error.__traceback__
    while step is not None:
        frame, number = step.tb_frame, step.tb_lineno
        if isinstance(frame.f_globals, Scope) and not _module(frame).startswith("numpy"):
            path = frame.f_code.co_filename
            line = linecache.getline(path, number, frame.f_globals).strip()
            found = f"{line}  (line {number} of {Path(path).name}, in {frame.f_code.co_name})"
        step = step.tb_next
    return found


def asks_for_objects() -> bool:
    """Tell whether a sparse matrix asks what stands beside it in a product.

    SciPy's sparse matrices leave the product to the other operand if that is no array of numbers.
    """
    asking = next(frame for frame in frames() if not _module(frame).startswith("difint."))
    code = asking.f_code.co_name
    return _module(asking).startswith("scipy.sparse._") and code.endswith("matmul_dispatch")
