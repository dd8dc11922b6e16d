"""Refusals: what Numba says of a function that it cannot compile, in a line or two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.errors import NumbaError

from difint.errors import UnsupportedError, message
from difint.problem import Lowering


@contextmanager
def explained(lowering: Lowering) -> Iterator[None]:
    """Turn an error of Numba's compiler into one that names what cannot be compiled."""
    try:
        yield
    except NumbaError as error:
        raise UnsupportedError(str(error)) from error
