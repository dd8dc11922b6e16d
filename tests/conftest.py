import gc
import os
import tempfile

import pytest

# Before JAX is imported: the tables hold float64 cases; 32-bit mode has tests of its own.
os.environ["JAX_ENABLE_X64"] = "1"
# A process of the tests has one processor: threads of PyTorch's would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Compiled code is kept for this run alone, so that what is tested is compiled; the processes that
# tests run in share it, and later ones inherit the name.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _KEPT = tempfile.TemporaryDirectory(prefix="difint-tests-")
    os.environ["DIFINT_CACHE_DIR"] = _KEPT.name


@pytest.fixture
def few_objects():
    """Let the garbage collector look at what a test makes alone: all others take a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
