"""Keeping: files of compiled code, for the next process that prepares the same."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

_VARIABLE = "DIFINT_CACHE_DIR"


def directory() -> Path | None:
    """Find where compiled code is kept; ``None`` if the user wants none kept."""
    chosen = os.environ.get(_VARIABLE)
    if chosen is None:
        import platformdirs

        return platformdirs.user_cache_path("difint")
    return Path(chosen) if chosen else None


def store(place: Path, content: bytes, most: int) -> None:
    """Write a file at once, so that no process reads half of it; drop old ones like it."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=place.parent, suffix=".part", delete=False) as file:
        file.write(content)
    Path(file.name).replace(place)
    drop_old(place.parent, f"*{place.suffix}", most)


def touch(place: Path) -> None:
    """Note that a file was used."""
    os.utime(place)


def drop_old(folder: Path, pattern: str, most: int) -> None:
    """Delete the files that were not used for longest, if there are more than ``most``."""
    files = list(folder.glob(pattern))
    if len(files) <= most:
        return
    for old in sorted(files, key=lambda file: file.stat().st_mtime)[: len(files) - most * 9 // 10]:
        old.unlink(missing_ok=True)
