"""Telling: warnings about patterns, which point at the caller's line."""

from __future__ import annotations

import sys
import warnings
from types import FrameType


def warn(text: str) -> None:
    """Warn in the name of the first caller outside difint."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("difint."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, UserWarning, stacklevel=level)
