"""Keeping: compiled code in files, for the next process that prepares the same.

A file is named after all that the code depends on (``Digest``), so that it never grows stale: what
differs has another name. Numba's own cache asks where a function stands, and not what it reads.
"""

from __future__ import annotations

import hashlib
import itertools
import pickle
import secrets
from pathlib import Path
from typing import Any, final

from numba.core.bytecode import FunctionIdentity
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from difint import keeping
from difint.engines.numba.linking import is_recursive

_MOST = 1000
"""Files that are kept: those that were not used for longest go first."""

# Numba tells symbols of one name apart by a number that counts from 1 in every process: code from
# another process would bring symbols that mean something else here.
FunctionIdentity._unique_ids = itertools.count(secrets.randbits(60))


@final
class Shelf(NullCache):
    """What a dispatcher asks before it compiles, and tells after it: one file.

    Args:
        key: what the code depends on, besides the signature.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load the code for a signature, or say that there is none with ``None``."""
        place = self._place(sig)
        if place is None:
            return None
        try:
            data = pickle.loads(place.read_bytes())
            keeping.touch(place)
            target_context.refresh()
            return CompileResult._rebuild(target_context, *data)
        except FileNotFoundError:
            return None
        except Exception:  # cut short, or of another build under the same versions: compile anew
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store compiled code, unless it contains addresses of this process."""
        place, fields = self._place(sig), data._asdict()
        code = fields["library"]
        if place is None or code.has_dynamic_globals or is_recursive(code):
            return
        try:
            keeping.store(place, dumps(data._reduce()), _MOST)
        except Exception:  # a full disk, a constant that cannot be pickled: nothing is kept
            return

    def _place(self, sig: Any) -> Path | None:
        within = keeping.directory()
        name = hashlib.sha256(f"{self._key} {sig}".encode()).hexdigest()
        return None if within is None else within / f"{name}.numba"


def compiled_as(dispatcher: Any, signature: Any, key: str | None) -> Any:
    """Compile a dispatcher for one signature, or load it under a key; let it refuse others."""
    if key is not None:
        dispatcher._cache = Shelf(key)
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher
