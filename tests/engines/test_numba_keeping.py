"""Compiled code that is kept between processes: reused where it is the same, and only there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import difint as di

SCRIPT = """
import json, sys
import numpy as np
import difint as di

{definitions}

def counted(f, backend=di.AutoNumba(), x=np.array([0.5, 2.0, 3.0])):
    with backend.engine().arrays.watch() as traces:
        plan = di.prepare_jacobian(f, backend, x)
    out = np.empty((len(x), len(x)))
    results = [plan.execute(x), plan.execute(x, out=out), plan.bind(x, out=out)()]
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])
    return traces.compilations, results[0].tolist()

print(json.dumps({expression}))
"""
FACTOR = """
def inner(v):
    total = v * {factor}
    for i in range(20):
        total = total + np.sin(v) * {factor} if total < 1e9 else total
    return total

def f(x):
    return inner(x[0]) * inner(x[1]) * np.ones(3) * x
"""


def ran(directory: Path | str, definitions: str, expression: str = "counted(f)") -> Any:
    """Run a script in a new process, and get what it prints."""
    code = SCRIPT.format(definitions=definitions, expression=expression)
    env = {**os.environ, "DIFINT_CACHE_DIR": str(directory)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def exact(factor: float) -> Any:
    space: dict[str, Any] = {"np": np}
    exec(FACTOR.format(factor=factor), space)
    return di.jacobian(space["f"], di.AutoFiniteDiff(), np.array([0.5, 2.0, 3.0]))


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    source = FACTOR.format(factor=3.0)
    first, second = ran(tmp_path, source), ran(tmp_path, source)
    assert first[0] > 0 and second[0] == 0
    assert first[1] == second[1]
    np.testing.assert_allclose(first[1], exact(3.0), rtol=1e-6)


def test_kept_code_beside_other_code_of_the_same_names(tmp_path: Path) -> None:
    """Symbols of two processes must not be mistaken for each other."""
    made = f"SOURCE = {FACTOR!r}\ndef made(k):\n    space = {{'np': np}}\n"
    made += "    exec(SOURCE.format(factor=k), space)\n    return space['f']\n"
    ran(tmp_path, made, "counted(made(3.0))")
    compiled, kept = ran(tmp_path, made, "[counted(made(7.0)), counted(made(3.0))]")
    assert compiled[0] > 0 and kept[0] == 0
    np.testing.assert_allclose(compiled[1], exact(7.0), rtol=1e-6)
    np.testing.assert_allclose(kept[1], exact(3.0), rtol=1e-6)


CHANGES = {
    "global": ("scale = 2.0\ndef f(x):\n    return scale * x", "2.0", "5.0"),
    "array": ("table = np.array([2.0, 1.0, 1.0])\ndef f(x):\n    return table * x", "2.0", "5.0"),
    "code": ("def f(x):\n    return 2.0 * x", "2.0", "5.0"),
    "helper": ("def g(x):\n    return 2.0 * x\ndef f(x):\n    return g(x)", "2.0", "5.0"),
    "enum": (
        "import enum\nclass K(enum.IntEnum):\n    P = 2\ndef f(x):\n    return x * K.P.value",
        "P = 2",
        "P = 5",
    ),
    "order of names": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b')(2.0, 5.0)\n"
        "def f(x):\n    return x * P.a",
        "'a b'",
        "'b a'",
    ),
    "overload of a library's function": (
        "import scipy.special\nfrom numba.extending import overload\n"
        "@overload(scipy.special.expit)\ndef _expit(x):\n    return lambda x: 2.0 * x\n"
        "expit = scipy.special.expit\n"
        "def f(x):\n    return np.array([expit(x[0]), x[1], x[2]])",
        "2.0",
        "5.0",
    ),
    "overload of a function of a module": (
        "import types\nfrom numba.extending import overload\nlib = types.ModuleType('lib')\n"
        "def act(x):\n    return x\nlib.act = act\n"
        "@overload(act)\ndef _act(x):\n    return lambda x: 2.0 * x\n"
        "def f(x):\n    return np.array([lib.act(x[0]), x[1], x[2]])",
        "2.0",
        "5.0",
    ),
    "default": ("def f(x, k=2.0):\n    return k * x", "2.0", "5.0"),
    "module": (
        "import types\ncfg = types.ModuleType('cfg')\ncfg.k = 2.0\ndef f(x):\n    return cfg.k * x",
        "2.0",
        "5.0",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_compiled_anew(name: str, tmp_path: Path) -> None:
    source, old, new = CHANGES[name]
    before, after = ran(tmp_path, source), ran(tmp_path, source.replace(old, new))
    assert before[1][0][0] == 2.0 and after[1][0][0] == 5.0
    assert after[0] > 0


def square(v: Any) -> Any:
    return v * v


def cube(v: Any) -> Any:
    return v * v * v


def summed(a: Any, b: Any, c: Any) -> Any:
    return lambda x: a(x) + 10 * b(x) + 100 * c(x)


def reading(value: Any) -> Any:
    return lambda x: x * value["k"][1]


def indexing(value: Any) -> Any:
    return lambda x: x * value[1]


def structured(k: float) -> Any:
    return np.array((np.array([1.0, k]),), np.dtype([("k", float, 2)]))[()]


PAIRS = {
    "which function is which": (summed(square, cube, square), summed(square, cube, cube)),
    "records": (reading(structured(2.0)), reading(structured(5.0))),
    "strided arrays": (
        indexing(np.array([1.0, 0.0, 2.0])[::2]),
        indexing(np.array([1.0, 0.0, 5.0])[::2]),
    ),
    "kinds of numbers": (lambda x: x * 1 / 2, lambda x: x * 1.5 / 2),
}


@pytest.mark.parametrize("name", PAIRS)
def test_functions_that_differ_in_what_they_read(name: str) -> None:
    """One after the other in one process: the second must not get the code of the first."""
    x = np.array([3.0])
    for f in PAIRS[name]:
        got = di.jacobian(f, di.AutoNumba(), x)
        np.testing.assert_allclose(got, di.jacobian(f, di.AutoFiniteDiff(), x), rtol=1e-6)


@pytest.mark.parametrize("made", [lambda: np.arange(1.0, 11.0)[::2], lambda: np.ones(200_000)])
def test_arrays_that_numba_would_not_copy_are_frozen_too(made: Any) -> None:
    table = made()
    f, expected = indexing(table), table[1]
    plan = di.prepare_jacobian(f, di.AutoNumba(), np.ones(2))
    table[:] = 0.0
    assert plan.execute(np.ones(2))[0, 0] == expected
    assert di.jacobian(indexing(made()), di.AutoNumba(), np.ones(2))[0, 0] == expected
    assert di.jacobian(f, di.AutoNumba(), np.ones(2))[0, 0] == 0.0


def test_errors_and_threads_are_kept_too(tmp_path: Path) -> None:
    source = (
        "def f(x):\n    if x[0] < 0.0:\n        raise ValueError('below zero')\n    return x * x\n"
        "def refused():\n    plan = di.prepare_jacobian(f, di.AutoNumba(), np.ones(3))\n"
        "    try:\n        plan.execute(-np.ones(3))\n"
        "    except ValueError as error:\n        return str(error)\n"
    )
    parallel = "counted(f, di.AutoNumba(parallel=True, chunk_size=1))"
    first, second = (ran(tmp_path, source, f"[{parallel}, refused()]") for _ in range(2))
    assert first[0][0] > 0 and second[0] == [0, first[0][1]]
    assert first[1] == second[1] == "below zero"


def test_recursion_is_not_kept(tmp_path: Path) -> None:
    """It is called by an address of the process that compiled it."""
    source = "def g(x, n):\n    return x if n == 0 else x * g(x, n - 1)\n"
    source += "def f(x):\n    return g(x[0], 3) * x"
    first, second = ran(tmp_path, source), ran(tmp_path, source)
    assert second == first and first[0] > 0


def test_damaged_files_are_compiled_anew(tmp_path: Path) -> None:
    source = "def f(x):\n    return 2.0 * x"
    first = ran(tmp_path, source)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    again, kept = ran(tmp_path, source), ran(tmp_path, source)
    assert again == first and kept == [0, first[1]]


@pytest.mark.parametrize("directory", ["", "/dev/null/nowhere"], ids=["none", "not writable"])
def test_without_a_directory_it_works(directory: str) -> None:
    compilations, result = ran(directory, "def f(x):\n    return 2.0 * x")
    assert compilations > 0 and result[0][0] == 2.0
