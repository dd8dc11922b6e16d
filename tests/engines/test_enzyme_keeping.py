"""Derivatives that are kept between processes: reused where code is the same, and only there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

SCRIPT = """
import json
import numpy as np
import difint as di
from difint.engines.numba.enzyme import process

def f(x):
    total = 0.0
    for i in range(len(x)):
        total += {factor} * x[i] ** 3
    return total

x, backend = np.array([1.0, -2.0, 0.5]), di.AutoEnzyme()
with backend.engine().arrays.watch() as traces:
    plan = di.prepare_gradient(f, backend, x)
asked = any(one._process is not None for one in process._workers.values())
print(json.dumps([traces.compilations, asked, plan.execute(x).tolist()]))
"""
POINT = np.array([1.0, -2.0, 0.5])


def ran(directory: Path | str, factor: float) -> Any:
    """Run the script in a new process, and get what it prints."""
    env = {**os.environ, "DIFINT_CACHE_DIR": str(directory)}
    code = SCRIPT.format(factor=factor)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_next_process_compiles_nothing_and_asks_enzyme_nothing(tmp_path: Path) -> None:
    compilations, asked, first = ran(tmp_path, 2.0)
    assert compilations > 0 and asked
    assert ran(tmp_path, 2.0) == [0, False, first]
    np.testing.assert_allclose(first, 6.0 * POINT**2, rtol=1e-14)
    compilations, asked, other = ran(tmp_path, 3.0)
    assert compilations > 0 and asked
    np.testing.assert_allclose(other, 9.0 * POINT**2, rtol=1e-14)


def test_derivatives_outlive_machine_code(tmp_path: Path) -> None:
    """They are named after the IR: Numba compiles again, and Enzyme need not run."""
    _, _, first = ran(tmp_path, 2.0)
    for file in tmp_path.glob("*.numba"):
        file.unlink()
    compilations, asked, again = ran(tmp_path, 2.0)
    assert compilations > 0 and not asked and again == first


def test_damaged_derivatives_are_made_again(tmp_path: Path) -> None:
    _, _, first = ran(tmp_path, 2.0)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:200])
    _, asked, again = ran(tmp_path, 2.0)
    assert asked and again == first
