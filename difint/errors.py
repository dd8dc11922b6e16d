"""Exceptions, and the one formatter of their messages."""

from __future__ import annotations


class DifintError(Exception):
    """Base class of every exception that difint raises on its own account."""


class ArgumentError(DifintError, ValueError):
    """An argument is not what the call requires."""


class PreparationMismatchError(DifintError, ValueError):
    """The arguments of ``execute`` do not fit what the plan was prepared for."""


class SparsityError(ArgumentError):
    """A pattern lacks entries that the function has, or a sparse ``out`` has another one."""


class UnsupportedError(DifintError, TypeError):
    """The backend cannot do this; the message names one that can."""


class PackageUnavailableError(DifintError, ImportError):
    """A package that this needs is not installed; the message says what brings it."""


class BackendUnavailableError(PackageUnavailableError):
    """A package that the backend needs is not installed."""


def message(where: str, problem: str, *, expected: str = "", got: str = "", remedy: str) -> str:
    """Lay out a message: what was called, what is wrong, expected beside got, the remedy."""
    lines = [f"{where}: {problem}"]
    if expected:
        lines.append(f"  expected  {expected}")
    if got:
        lines.append(f"  got       {got}")
    lines.append(remedy)
    return "\n".join(lines)


def unavailable(backend: str, package: str, extra: str) -> BackendUnavailableError:
    """Explain that ``backend`` needs ``package``, and which extra brings it."""
    text = message(
        backend,
        f"the package {package} is not installed",
        remedy=f"Install it with: pip install 'difint[{extra}]'",
    )
    return BackendUnavailableError(text, name=package)
