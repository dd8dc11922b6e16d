"""AutoTorch compiled: by TorchInductor in this process, by AOTInductor for the next ones."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import difint as di
from difint.testing import check_differentiation, default_scenarios

INDUCTOR, AOT = di.AutoTorch(compile="inductor"), di.AutoTorch(compile="aot")
COMPILED = pytest.mark.parametrize("backend", [INDUCTOR, AOT], ids=["inductor", "aot"])
X = torch.tensor([0.9, 0.2, 0.1], dtype=torch.float64)


def f(x, a):
    return torch.stack([x[0] * x[1], torch.sin(a * x[2])])


def test_scenarios_compiled_by_inductor():
    names = "jacobian/vector->matrix", "hvp/vector->number", "gradient/matrix->number"
    listed = default_scenarios("torch", modifiers=["numpify"], in_place=False)
    chosen = [one for one in listed if any(name in one.name for name in names)]
    assert len(chosen) == 6
    check_differentiation(INDUCTOR, chosen)


@COMPILED
def test_compiled_plans(backend):
    a = di.Constant(2.0)
    plan = di.prepare_jacobian(f, backend, X, a)
    word = "compiled by TorchInductor" if backend is INDUCTOR else ".pt2"
    assert word in repr(plan)
    for x, scale in ((X, 2.0), (3 * X, -1.0)):
        value, got = plan.value_and_jacobian(x, di.Constant(scale))
        torch.testing.assert_close(value, f(x, scale))
        torch.testing.assert_close(got, torch.func.jacrev(f)(x, scale))
        torch.testing.assert_close(plan.execute(x, di.Constant(scale)), got)
    with torch.inference_mode():
        torch.testing.assert_close(plan.execute(x, di.Constant(scale)), got)
    out = torch.empty(2, 3, dtype=torch.float64)
    spread = torch.stack([X, X], 1)[:, 0]
    assert plan.execute(spread, a, out=out) is out
    torch.testing.assert_close(out, plan.execute(X, a))
    negative = torch.complex(X, -X).conj().imag  # read as it is, its memory has the other sign
    assert negative.is_neg()
    torch.testing.assert_close(plan.execute(negative, a), plan.execute(X, a))


@COMPILED
def test_memory_that_does_not_fit_is_never_read(backend):
    """Without strictness too: compiled code would read what lies behind an array."""
    plan = di.prepare_jacobian(f, backend, X, di.Constant(2.0), strict=False)
    torch.testing.assert_close(plan.execute(X, di.Constant(2.0))[0, 0], X[1])
    for wrong in (X[:2], X.float(), X[None]):
        with pytest.raises(di.PreparationMismatchError, match="compiled code does not take"):
            plan.execute(wrong, di.Constant(2.0))


@COMPILED
def test_one_tensor_in_two_places_at_prepare(backend):
    """A compiler may make one input of both: the next call brings two tensors."""
    t = torch.tensor([10.0, -1.0, 2.0], dtype=torch.float64)
    plan = di.prepare_pushforward(lambda x: x**3, backend, X, X)
    torch.testing.assert_close(plan.execute(X, t), 3 * X**2 * t)


def test_random_numbers_in_compiled_code():
    x = torch.ones(64)
    plan = di.prepare_gradient(lambda x: torch.nn.functional.dropout(x, 0.5).sum(), INDUCTOR, x)
    draws = [plan.execute(x) for _ in range(2)]
    assert all(set(one.unique().tolist()) == {0.0, 2.0} for one in draws)
    assert not torch.equal(*draws)


PROGRAM = """
import json, time, torch, difint as di
def f(x, a):
    return torch.stack([x[0] * x[1], torch.cos(a * x[2])])
x = torch.tensor([0.9, 0.2, 0.1], dtype=torch.float64)
from difint.engines.torch.watching import SEEN
try:
    plan = di.prepare_jacobian(f, di.AutoTorch(compile={how!r}), x, di.Constant(2.0))
    got = plan.execute(x, di.Constant(2.0)).tolist()
    print(json.dumps([SEEN.compilations, plan.info.program.split()[0], got]))
except di.BackendUnavailableError as error:
    print(error)
"""


def ran(how, directory, **env):
    """Run the program in a process of its own."""
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM.format(how=how))],
        capture_output=True,
        text=True,
        env={**os.environ, "DIFINT_CACHE_DIR": str(directory), **env},
    )
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


# No compiler on the path, and none kept from an earlier run.
def without_compiler(tmp_path):
    return {"PATH": "", "CXX": "/nowhere/c++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "empty")}


def test_a_package_serves_a_process_without_a_compiler(tmp_path):
    compilations, how, first = json.loads(ran("aot", tmp_path))
    assert compilations == 1 and how == "compiled"
    assert len(list(tmp_path.glob("*.pt2"))) == 1
    compilations, how, again = json.loads(ran("aot", tmp_path, **without_compiler(tmp_path)))
    assert compilations == 0 and how == "loaded"
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("how", ["inductor", "aot"])
def test_without_a_compiler_the_modes_that_do_without_are_named(tmp_path, how):
    assert ran(how, tmp_path / "packages", **without_compiler(tmp_path)).splitlines() == [
        f"AutoTorch(compile={how!r}): no C++ compiler was found",
        "  expected  g++ or clang++ on the PATH, or the one that the environment variable CXX "
        "names",
        "Install one (Debian: apt install g++), or use compile='graph' or compile='eager', which "
        "need none.",
    ]


def test_a_package_cut_short_is_made_again():
    plan = di.prepare_gradient(lambda x: (x**5).sum(), AOT, X)
    path = Path(plan.info.program.rpartition(" ")[2])
    path.write_bytes(path.read_bytes()[:1000])
    again = di.prepare_gradient(lambda x: (x**5).sum(), AOT, X)
    assert again.info.program.startswith("compiled")
    torch.testing.assert_close(again.execute(X), 5 * X**4)


def test_captured_numbers_are_part_of_a_package():
    """Small constants are written out in compiled code: another number is another package."""

    def scaled(by):
        factor = torch.tensor(by, dtype=torch.float64)
        large = torch.full((3, 3), by, dtype=torch.float64)
        return lambda x: (factor * x**2).sum() + (large @ x).sum()

    plans = [di.prepare_gradient(scaled(by), AOT, X) for by in (2.0, 3.0, 2.0)]
    for plan, by in zip(plans, (2.0, 3.0, 2.0), strict=True):
        torch.testing.assert_close(plan.execute(X), 2 * by * X + 3 * by)
    paths = [plan.info.program.rpartition(" ")[2] for plan in plans]
    assert paths[0] == paths[2] != paths[1] and plans[2].info.program.startswith("loaded")
