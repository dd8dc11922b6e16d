"""``python -m difint backends``: which backends there are, and what brings the missing ones."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import final

import difint
from difint.backends import BACKENDS, Backend
from difint.queries import check_available
from difint.text import document, table


@final
@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a backend cannot differentiate.

    Attributes:
        backend: the backend, as its constructor call; without its modes and precision where
            these do not matter.
        feature: what it cannot differentiate.
        reason: what happens instead, or what to write.
    """

    backend: str
    feature: str
    reason: str


@final
@dataclass(frozen=True, slots=True)
class Listed:
    """A backend, as listed.

    Attributes:
        backend: its name.
        available: whether it can be used here.
        package: the distribution that does its work.
        version: that distribution's version; ``None`` if the backend is not available.
        extra: the extra of difint that brings it; ``None`` if difint alone does.
    """

    backend: str
    available: bool
    package: str
    version: str | None
    extra: str | None


def listed(backends: Sequence[type[Backend]]) -> list[Listed]:
    """Look up each backend."""
    return [_look_up(backend) for backend in backends]


def gaps_of(backends: Sequence[type[Backend]]) -> list[Gap]:
    """List what each backend cannot differentiate; of its settings, those that differ in that."""
    found = []
    for cls in backends:
        seen: list[object] = []
        for backend in cls.candidates():
            gaps = dict(backend.gaps())
            if gaps not in seen:
                seen.append(gaps)
                name = repr(backend) if len(seen) > 1 else f"{cls.__name__}()"
                found += [Gap(name, feature, reason) for feature, reason in gaps.items()]
    return found


def main(*, as_json: bool, gaps: bool = False) -> int:
    """Print the list, or the gaps; return the exit code."""
    rows: Sequence[Listed | Gap] = gaps_of(BACKENDS) if gaps else listed(BACKENDS)
    if as_json:
        versions = {"difint": difint.__version__, "python": platform.python_version()}
        name = "gaps" if gaps else "backends"
        print(document({**versions, name: [asdict(row) for row in rows]}))
    else:
        print(f"difint {difint.__version__}, Python {platform.python_version()}\n")
        print(_gap_table(gaps_of(BACKENDS)) if gaps else _table(listed(BACKENDS)))
    return 0


def install(extra: str | None) -> str:
    """Say how to install what an extra brings."""
    return f"pip install 'difint[{extra}]'" if extra else "pip install difint"


def _look_up(backend: type[Backend]) -> Listed:
    available = check_available(backend())
    version = _version(backend.package) if available else None
    return Listed(backend.__name__, available, backend.package, version, backend.extra or None)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # importable, but not installed by a package manager
        return None


def _table(rows: Sequence[Listed]) -> str:
    cells = [
        [
            row.backend,
            "yes" if row.available else "no",
            " ".join(filter(None, [row.package, row.version])),
            "" if row.available else install(row.extra),
        ]
        for row in rows
    ]
    return table(["backend", "available", "package", "to install"], cells, "<<<<")


def _gap_table(gaps: Sequence[Gap]) -> str:
    cells = [[gap.backend, gap.feature, gap.reason] for gap in gaps]
    return table(["backend", "cannot differentiate", "because"], cells, "<<<")
