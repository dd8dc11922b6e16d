"""Questions about a backend: is it installed, what does it take, what is its other mode."""

from __future__ import annotations

from difint.backends import Backend, check_backend
from difint.errors import BackendUnavailableError


def check_available(backend: Backend) -> bool:
    """Tell whether the packages that ``backend`` needs are installed.

    >>> import difint as di
    >>> di.check_available(di.AutoFiniteDiff())
    True
    """
    check_backend("check_available", backend)
    try:
        backend.engine()
    except BackendUnavailableError:
        return False
    return True


def check_inplace(backend: Backend) -> bool:
    """Tell whether ``backend`` differentiates functions ``f(y, x)`` that fill ``y``.

    Raises:
        BackendUnavailableError: a package that it needs is not installed.

    >>> import difint as di
    >>> di.check_inplace(di.AutoFiniteDiff())
    True
    """
    check_backend("check_inplace", backend)
    return backend.engine().inplace


def forward_counterpart(backend: Backend) -> Backend:
    """Return the backend that does the same in forward mode alone.

    Raises:
        UnsupportedError: it has no forward mode.
        BackendUnavailableError: a package that it needs is not installed.

    >>> import difint as di
    >>> di.forward_counterpart(di.AutoFiniteDiff())
    AutoFiniteDiff()
    """
    check_backend("forward_counterpart", backend)
    return backend.counterpart("forward")


def reverse_counterpart(backend: Backend) -> Backend:
    """Return the backend that does the same in reverse mode alone.

    Raises:
        UnsupportedError: it has no reverse mode.
        BackendUnavailableError: a package that it needs is not installed.

    >>> import difint as di
    >>> di.reverse_counterpart(di.AutoFiniteDiff())
    Traceback (most recent call last):
    ...
    difint.errors.UnsupportedError: reverse_counterpart: AutoFiniteDiff() has no reverse mode
    Use one that has, e.g. AutoJax(mode='reverse').
    """
    check_backend("reverse_counterpart", backend)
    return backend.counterpart("reverse")
