"""Code that Enzyme or LLVM gets wrong, or cannot do: right numbers, or a clear refusal."""

from __future__ import annotations

import builtins
import ctypes
import importlib.util
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numba import njit

import difint as di
from difint.engines.numba.enzyme import derivatives, process
from difint.engines.numba.enzyme.process import differentiate

MODES = ["forward", "reverse"]
X = np.array([0.5, 2.0, 3.0])
A = np.array([[4.0, 1.0, -1.0], [0.5, 3.0, 0.25], [-1.0, 0.0, 5.0]])


def rebound(x: Any) -> Any:
    y = x * 1.0
    for _ in range(4):
        y = y + 0.1 * np.sin(y)
    return y.sum()


def made_under_branches(x: Any) -> Any:
    total = 0.0
    for i in range(x.size):
        if x[i] > 1.0:
            part = x * x[i]
        else:
            part = np.zeros(i + 2)
            part[i] = x[i]
        total += np.sum(part**2)
    return total


def with_zeros(x: Any) -> Any:
    """LLVM makes one call of memory and its zeros."""
    y = np.zeros(x.size)
    for i in range(x.size):
        y[i] += x[i] * x[i - 1]
    return y @ x


def constant_out_of_a_loop(x: Any) -> Any:
    best = x[0]
    for k in range(1, x.size):
        if x[k] < -100.0:
            return 3.0
        if x[k] > best:
            best = x[k]
    return best * x[0]


def entry_out_of_a_loop(x: Any) -> Any:
    best = x[0]
    for v in x:
        if math.isnan(v):
            return v
        if v > best:
            best = v
    return best * x[0]


def from_infinity(x: Any) -> Any:
    least = np.inf
    for v in x:
        if v < least:
            least = v
    return least**2


def until_small(x: Any) -> Any:
    rest, count = x[1] * x[2], 0
    while rest > 0.25:
        rest, count = rest * x[0] / (1.0 + x[0]), count + 1
    return rest + count


def views(x: Any) -> Any:
    y = np.outer(x, x)
    y[1, ::-1] *= x
    y.T[0] += y[2]
    return np.sum(y[::-1, 1] * x) + y.reshape(-1)[3]


def chosen(x: Any) -> Any:
    return np.sum(np.where(np.isinf(x), 0.0, np.sort(x) * x)) + np.max(x) * np.min(x)


def dense(x: Any) -> Any:
    """A loop that LLVM would vectorize, as would be a product's sum."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i] * 0.5
    return total + np.sum(x * x) + np.sum(np.exp(-x) * x)


def swapped(x: Any) -> Any:
    a, b = x[0], x[1]
    for _ in range(3):
        a, b = b * x[2], a + 0.5
    return a * b


TRAPS: list[Any] = [
    rebound,
    made_under_branches,
    with_zeros,
    constant_out_of_a_loop,
    entry_out_of_a_loop,
    from_infinity,
    until_small,
    views,
    chosen,
    dense,
    swapped,
    lambda x: np.max(x),
    lambda x: np.ptp(x) * np.median(x),
]
LINEAR: list[Any] = [
    lambda x: np.dot(A @ x, x) + np.sum(A @ (A * x)),
    lambda x: np.sum(np.linalg.solve(A + np.outer(x, x), x)),
    lambda x: np.linalg.norm(x) + np.linalg.det(A * x),
]


def gradient_by_differences(f: Any, x: Any) -> Any:
    """Compute in four terms; ``f`` runs in Python."""
    h = 1e-3
    columns = []
    for unit in h * np.eye(x.size):
        near, far = f(x + unit) - f(x - unit), f(x + 2 * unit) - f(x - 2 * unit)
        columns.append((8.0 * near - far) / (12.0 * h))
    return np.array(columns)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("at", range(len(TRAPS) + len(LINEAR)))
def test_right_numbers(at: int, mode: str) -> None:
    """Verification is off: what it would refuse here is wrong."""
    f = [*TRAPS, *LINEAR][at]
    plan = di.prepare_gradient(f, di.AutoEnzyme(mode, verify=False), X)
    for x in (X, X[::-1] * 1.25):
        got = plan.execute(x)
        np.testing.assert_allclose(got, gradient_by_differences(f, x), rtol=1e-8, atol=1e-8)


def by_slopes(f: Any) -> Any:
    """Differentiate the forward gradient, which the test above compares, by differences."""
    plan = di.prepare_gradient(f, di.AutoEnzyme("forward", verify=False), X)
    return gradient_by_differences(plan.execute, X)


@pytest.mark.parametrize("f", [rebound, views, dense], ids=lambda f: f.__name__)
def test_right_second_derivatives(f: Any) -> None:
    for mode in MODES:
        got = di.hessian(f, di.AutoEnzyme(mode, verify=False), X)
        np.testing.assert_allclose(got, by_slopes(f), rtol=1e-8, atol=1e-8)


def recursive(x: Any, n: Any) -> Any:
    return x[0] if n == 0 else x[0] * recursive(x, n - 1)


@pytest.mark.parametrize("mode", MODES)
def test_recursion(mode: str) -> None:
    got = di.gradient(recursive, di.AutoEnzyme(mode), X, di.Constant(3))
    np.testing.assert_allclose(got, [4.0 * X[0] ** 3, 0.0, 0.0])


def printing(x: Any) -> Any:
    print("here")
    return x.sum()


def in_a_dict(x: Any) -> Any:
    table = {1: x[0]}
    table[2] = x[1]
    return table[1] * table[2]


@njit("float64(float64)")
def squared(v: Any) -> Any:
    return v * v


@njit("float64(float64)")
def cubed(v: Any) -> Any:
    return v * v * v


def by_address(x: Any, k: Any) -> Any:
    f = squared if k == 0 else cubed
    return f(x[0])


def catching(x: Any) -> Any:
    try:
        if x[0] > 100.0:
            raise ValueError
        return x[0] * 2.0
    except ValueError:
        return x[1]


REMEDY = "Write it with arithmetic and loops, or use"
REFUSED: dict[str, tuple[Any, Any, str]] = {
    "random numbers": (lambda x: x.sum() * np.random.rand(), (), "random numbers"),
    "printing": (printing, (), "it needs .*(printing|Python's lock)"),
    "a dict": (in_a_dict, (), "a dict"),
    "an address": (by_address, (di.Constant(1),), "a function by its address"),
    "an exception caught": (catching, (), "exception"),
    "gamma": (lambda x: math.gamma(x[0]), (), "does not know .*gamma"),
    "svd": (lambda x: np.linalg.svd(A * x)[1].sum(), (), "decomposition of LAPACK"),
    "eigh": (lambda x: np.linalg.eigh(A * x[0])[0].sum(), (), "decomposition of LAPACK"),
    "qr": (lambda x: np.linalg.qr(A * x)[1].sum(), (), "decomposition of LAPACK"),
}


@pytest.mark.filterwarnings("ignore:First-class function type feature is experimental")
@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_what_and_what_instead(name: str) -> None:
    f, contexts, problem = REFUSED[name]
    with pytest.raises(di.UnsupportedError, match=problem) as caught:
        di.prepare_gradient(f, di.AutoEnzyme(), X, *contexts)
    text = str(caught.value)
    assert text.startswith("gradient: AutoEnzyme cannot") and REMEDY in text
    assert len(text.splitlines()) <= 4


ASKING = """
declare double @NAME(double)
declare double @__enzyme_autodiff(...)
@difint_keep = external global ptr
define double @known(double %x) {
  %y = call double @NAME(double %x)
  ret double %y
}
define double @slope(double %x) {
  %d = call double (...) @__enzyme_autodiff(ptr @known, double %x)
  ret double %d
}
define void @f(ptr %a, ptr %b, ptr %c, ptr %d, ptr %e, ptr %g) {
  store ptr @slope, ptr @difint_keep
  ret void
}
"""


def test_what_aborts_the_compiler_ends_another_process() -> None:
    """And the next question is answered by a new one."""
    for _ in range(2):
        code, complaint = differentiate(ASKING.replace("NAME", "lgamma"))
        assert code == "" and complaint.startswith("Enzyme's compiler aborted (SIG")
        code, complaint = differentiate(ASKING.replace("NAME", "sin"))
        assert "@slope" in code and "aborted" not in complaint


def test_code_that_llvm_cannot_read() -> None:
    code, complaint = differentiate("no code")
    assert code == "" and "expected top-level entity" in complaint
    code, _ = differentiate(ASKING.replace("NAME", "cos"))
    assert "@slope" in code


def linear(x: Any) -> Any:
    return 3.0 * x[0] - x[1] * x[2]


def test_a_complaint_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is code beside it, which may be wrong."""

    def complaining(source: str, **options: Any) -> tuple[str, str]:
        code, complaint = differentiate(source, **options)
        return code, complaint + "warning: Enzyme: the planted complaint\n"

    monkeypatch.setattr(derivatives, "differentiate", complaining)
    with pytest.raises(di.UnsupportedError, match="the planted complaint"):
        di.prepare_gradient(lambda x: linear(x) * 1.5, di.AutoEnzyme(), X)


PLANTED = [("gradient", ()), ("hvp", (X,)), ("jacobian", ())]


@pytest.mark.parametrize(("operator", "tangent"), PLANTED)
def test_wrong_derivatives_are_refused(
    operator: str, tangent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A derivative of another function: Enzyme is given its code with a factor changed."""
    marker = 0.8371

    def f(x: Any) -> Any:
        total = marker * x[0] ** 2 * x[1] + x[2] ** 3
        return total if operator != "jacobian" else np.array([total, total * x[2]])

    digits = np.float64(marker).view(np.uint64)
    other = np.float64(0.75).view(np.uint64)
    changed = []

    def lying(source: str, **options: Any) -> tuple[str, str]:
        text = source.replace(f"0x{digits:X}", f"0x{other:X}").replace("8.371000e-01", "7.5e-01")
        changed.append(text != source)
        return differentiate(text, **options)

    monkeypatch.setattr(derivatives, "differentiate", lying)
    prepare = getattr(di, f"prepare_{operator}")
    with pytest.raises(di.UnsupportedError, match="disagrees with differences") as caught:
        prepare(f, di.AutoEnzyme(), X, *tangent)
    assert "AutoEnzyme(verify=False)" in str(caught.value) and changed[0]
    prepare(f, di.AutoEnzyme(verify=False), X, *tangent)


KINKS: dict[str, tuple[Any, Any, Any]] = {
    "abs at 0": (lambda x: np.sum(np.abs(x) * 2.0), np.zeros(2), 2.0),
    "max of equals": (lambda x: np.max(x), np.ones(3), 1.0),
    "relu at 0": (lambda x: np.sum(np.maximum(x, 0.0)), np.zeros(2), 1.0),
    "clip at its bounds": (lambda x: np.sum(np.clip(x, 0.0, 1.0)), np.array([0.0, 1.0]), 1.0),
    "a jump": (lambda x: x[0] if x[0] >= 0.0 else x[0] + 1.0, np.zeros(1), 1.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_at_the_example_are_not_refused(name: str) -> None:
    """What comes out lies between the slopes on both sides."""
    f, x, bound = KINKS[name]
    got = di.gradient(f, di.AutoEnzyme(), x)
    assert np.all(np.abs(got) <= bound)


@pytest.mark.parametrize("f", [np.sqrt, np.log], ids=["root", "logarithm"])
def test_steep_at_zero(f: Any) -> None:
    """Forward, all other entries are undefined there: zero times infinity."""
    got = di.gradient(lambda x: np.sum(f(x)), di.AutoEnzyme("reverse"), np.array([0.0, 4.0]))
    np.testing.assert_array_equal(got, [np.inf, 0.25])


SPECIAL: dict[str, tuple[Any, Any, Any]] = {
    "a pole": (lambda x: 1.0 / x[0] + x[1], [0.0, 1.0], [-np.inf, 1.0]),
    "nan in x": (lambda x: np.sum(x * x), [np.nan, 1.0], [np.nan, 2.0]),
    "inf in x": (lambda x: np.sum(x * x), [np.inf, 1.0], [np.inf, 2.0]),
    "0 times inf": (lambda x: (x[0] - x[0]) * np.exp(x[1]), [1.0, 1e4], [np.nan, np.nan]),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_infinite_and_undefined_derivatives(name: str) -> None:
    """Prepared where all is finite; the code is not compiled for finite numbers alone."""
    f, x, expected = SPECIAL[name]
    for mode in MODES:
        plan = di.prepare_gradient(f, di.AutoEnzyme(mode), np.array([1.5, 2.5]))
        np.testing.assert_array_equal(plan.execute(np.array(x)), expected)


def allocating(x: Any, limit: Any) -> Any:
    total = 0.0
    for i in range(4):
        made = np.outer(x, x) * float(i)
        if x[0] > limit:
            raise ValueError("beyond the limit")
        y = np.zeros(x.size)
        for k in range(i):
            y = y + made[k] * x
        total += y.sum()
    return total


class Use(ctypes.Structure):
    """``struct mallinfo2`` of the GNU C library."""

    _fields_ = [(f"field{i}", ctypes.c_size_t) for i in range(10)]


def in_use() -> int:
    """Count the bytes that the C library has given out, in blocks of both kinds."""
    call = ctypes.CDLL(None).mallinfo2
    call.restype = Use
    use = call()
    return int(use.field4 + use.field7)  # hblkhd and uordblks


@pytest.mark.xfail(
    not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="only the GNU C library tells how much memory it has given out",
    run=False,
)
@pytest.mark.parametrize(("operator", "tangent"), [("gradient", ()), ("hvp", (np.ones(40),))])
def test_nothing_is_kept_after_a_call(operator: str, tangent: Any) -> None:
    """Also of calls that an exception ends. One call allocates over 100 kB."""
    x, limit, none = np.linspace(0.5, 1.0, 40), di.Constant(10.0), di.Constant(0.0)
    for mode in MODES:
        backend = di.AutoEnzyme(mode, verify=False)
        plan = getattr(di, f"prepare_{operator}")(allocating, backend, x, *tangent, limit)
        out = np.empty(40)

        def call(plan: Any = plan, out: Any = out) -> None:
            plan.execute(x, *tangent, limit, out=out)
            with pytest.raises(ValueError, match="beyond the limit"):
                plan.execute(x, *tangent, none, out=out)

        for _ in range(20):
            call()
        before = in_use()
        for _ in range(200):
            call()
        assert in_use() - before < 100_000, mode


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of the engine is cached as if it were there."""
    found, imported = importlib.util.find_spec, builtins.__import__

    def find(name: str, *args: Any) -> Any:
        return None if name.split(".")[0] == "enzyme_ad" else found(name, *args)

    def load(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "enzyme_ad":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return imported(name, *args, **kwargs)

    process.extension.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr(process, "find_spec", find)
    monkeypatch.setattr(builtins, "__import__", load)
    monkeypatch.setitem(sys.modules, "enzyme_ad", None)
    try:
        with pytest.raises(
            di.BackendUnavailableError, match="enzyme.ad is not installed"
        ) as caught:
            di.AutoEnzyme(width=7).engine()
        assert "pip install 'difint[enzyme]'" in str(caught.value)
    finally:
        process.extension.cache_clear()


def test_the_process_ends_with_this_one() -> None:
    program = """
import difint as di
from difint.engines.numba.enzyme import process
di.gradient(lambda x: x[0] ** 2, di.AutoEnzyme(), __import__("numpy").ones(1))
print(*(one._process.pid for one in process._workers.values() if one._process))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [subprocess.run(["ps", "-p", pid], capture_output=True) for pid in done.stdout.split()]
    assert all(one.returncode != 0 for one in found)


MEETING_PATHS = """
import math
import numpy as np
import difint as di

def first(x):
    total, v = 0.1 * x[1], x * 0.7
    for i in range(2):
        total = total * 0.9 + v[i] * np.tanh(x[0])
        if total > 2.74:
            continue
        v, k = v * 0.9, 0
        while k < 6 and total < 8.0:
            k += 1
            total = total * 1.01 + 0.2 + 0.05 * np.maximum(x[0], -0.344)
            total = total + 0.1 * np.sum(np.tanh(x))
    return total + 0.2 * np.sum(v)

def second(x):
    total, v, k = 0.1 * x[1], x * 0.7, 0
    while k < 6 and total < 8.0:
        k += 1
        total = total * 1.01 + 0.2 + 0.05 * np.cos(x[0])
        if x[3] / (1.3 + 0.966**2) > -0.377:
            v = np.concatenate((x[2:], x[:2]))
            v[4] = np.sum(x * x)
        else:
            total = total + 0.3 * np.prod(1.0 + 0.1 * x)
        total = total + 0.3 * max(-0.247, x[3])
    k = 0
    while k < 6 and total < 8.0:
        k += 1
        total = total * 1.01 + 0.2 + 0.05 * np.arcsin(0.9 * np.sin(x[2]))
        for i in range(5):
            total = total * 0.9 + v[i] * np.mean(x)
            total = total + 0.1 * np.sum(x * 0.9)
    return total + 0.2 * np.sum(v)

def third(x):
    total = 0.1 * x[1]
    if x[-1] > 0.713:
        if math.sin(x[0]) > 2.01:
            return total + np.arctan(x[1])
        if np.sqrt(np.sum(x * x) + 0.1) > 0.687:
            total = total + 0.3 * (0.722 - x[0]) + 0.3 * np.sum(x * x)
        else:
            total = np.sin(total) - x[0] + 0.3 * min(x[0], x[3])
    total = total + (0.3 * np.mean(x) if np.max(x) > -0.108 else -x[1])
    return total + 0.2 * np.sum(np.clip(np.maximum(x, 0.1), -0.8, 0.9))

def f(x):
    y = np.empty(3, x.dtype)
    y[0], y[1], y[2] = first(x), second(x), third(x)
    return y

for x in np.random.default_rng(310000).uniform(-1.2, 1.3, (4, 5)):
    got = di.jacobian(f, di.AutoEnzyme("reverse", width=1, verify=False), x)
    np.testing.assert_allclose(got, di.jacobian(f, di.AutoFiniteDiff(), x), rtol=1e-6, atol=1e-8)
"""


def test_arrays_of_paths_that_meet() -> None:
    """In a process of its own: where Enzyme takes a wrong path back, it reads any memory."""
    done = subprocess.run([sys.executable, "-c", MEETING_PATHS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def leaves_early(x: Any) -> Any:
    total = x[0] * x[0]
    if x[1] > 100.0:
        return total
    total += x[1] ** 2
    if x[2] > 100.0:
        return total * total
    total += x[2] ** 2
    if x[3] > 100.0:
        return total * total * total
    return total * x[3]


def breaks_off(x: Any) -> Any:
    total = 0.1 * x[1] + np.cbrt(2.0 + np.cos(x[0]))
    v = x * 0.7
    if np.maximum(x[0], x[0]) > 0.054:
        for i in range(x.size):
            total = total * 0.9 + v[i] * np.sum(x * x)
            if total > 4.14:
                break
            total = np.sin(total) + np.arctan2(x[3], 1.5 + x[3] ** 2)
            total = np.sin(total) + x[0] ** 2
        total = total + np.sqrt(1.5 + x[3] ** 2)
    else:
        v = np.cos(v) * v
        total = total + 0.3 * np.cbrt(2.0 + np.cos(x[0]))
    v[1] = min(0.873, x[1])
    return total + 0.2 * np.sum(v)


@pytest.mark.parametrize("f", [leaves_early, breaks_off])
def test_ways_back_from_several_exits(f: Any) -> None:
    """What Enzyme records of the way that was taken must survive LLVM's simplifications."""
    points = np.random.default_rng(7).uniform(-1.2, 1.3, (8, 5))
    points[0] = 0.14449673824, 1.2099141388, -0.13525245513, -0.42531013515, -1.0317967862
    points[1, 1] = points[2, 2] = points[3, 3] = 200.0
    plan = di.prepare_gradient(f, di.AutoEnzyme("reverse", verify=False), points[0])
    for x in points:
        expected = di.gradient(f, di.AutoNumba(), x)
        np.testing.assert_allclose(plan.execute(x), expected, rtol=1e-11, atol=1e-11)


def guarded(x: Any) -> Any:
    total = 0.0
    for i in range(x.size):
        size = abs(x[i])
        total += x[i] / size / size if size > 0.0 else 0.0
        if x[i] > 0.0:
            total += math.log(x[i])
    return total


@pytest.mark.parametrize("mode", MODES)
def test_branches_that_are_not_taken_add_nothing(mode: str) -> None:
    """Not zero times infinity, which LLVM's selects would bring to the way back."""
    got = di.gradient(guarded, di.AutoEnzyme(mode), np.array([1.0, -2.0, 0.5, 0.0]))
    np.testing.assert_allclose(got, [0.0, -0.25, -2.0, 0.0], rtol=1e-14, atol=1e-14)


def test_what_ends_the_compiler_is_refused_by_name() -> None:
    with pytest.raises(di.UnsupportedError, match=r"does not know \(lgamma\)"):
        di.prepare_gradient(lambda x: math.lgamma(x[0]), di.AutoEnzyme(), X)
