"""AutoNumba's patterns by index sets that run through compiled functions."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import difint as di
from difint.cli import brusselator
from difint.engines.numba import dependence
from difint.operators.gradient import GRADIENT
from difint.operators.jacobian import JACOBIAN
from difint.planner import lower
from tests.engines.sums import loop
from tests.sparse.problems import banded

DENSE = di.AutoNumba(chunk_size=1)
X = np.array([0.7, 1.9, 2.6, 0.4])
A = np.array([[1.0, 0.0, 2.0, 0.0], [0.0, 3.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0], [0.0] * 4])


def traced(f, x, *contexts, curved=False, local=False, y=None):
    # Lowered for gradients, f is compiled for first derivatives alone, which takes less time.
    operator = GRADIENT if curved else JACOBIAN
    stage = lower(operator, f, DENSE, (x, *contexts), y)
    detector = di.TracerSparsityDetector(local=local)
    return detector.hessian(*stage) if curved else detector.jacobian(*stage)


def drawn(pattern):
    return ["".join(".x"[int(one)] for one in row) for row in pattern.toarray()]


def of_scalars(y, x):
    a, b, c, d = x[0], x[1], x[2], x[3]
    y[0] = a + b
    y[1] = c - 1.0
    y[2] = -d / a
    y[3] = 2.0
    y[4] = 0.0 * a + b
    y[5] = a * np.sin(c)
    y[6] = np.floor(a) + np.sign(b)
    y[7] = np.floor(a) * c
    y[8] = np.copysign(a, b)
    y[9] = b**2 + a**c
    y[10] = math.atan2(b, d)
    y[11] = np.maximum(a, b)
    y[12] = min(c, 0.5)
    y[13] = abs(d)
    y[14] = a - math.floor(a)
    y[15] = np.where(a > 1.0, b, c)
    y[16] = np.where((a > 0.0) & ~(b > 5.0), c, 3.0)
    y[17] = (a > 0.0) * b
    y[18] = np.clip(c, a, 5.0)
    y[19] = b % 0.3
    y[20] = float(a)


EVERYWHERE = """
    xx.. ..x. x..x .... .x.. x.x. .... ..x. x... xxx. .x.x xx.. ..x. ...x x... .xx. ..x. .x..
    x.x. .x.. x...
"""
HERE = EVERYWHERE.split()
HERE[11], HERE[12], HERE[15] = ".x..", "....", "..x."
HERE[18] = "..x."


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("local", [False, True])
def test_scalar_functions(local, dtype):
    expected = HERE if local else EVERYWHERE.split()
    y = np.empty(len(expected), dtype)
    assert drawn(traced(of_scalars, X.astype(dtype), y=y, local=local)) == expected


def of_arrays(x):
    grid, own = x.reshape(2, 2), np.zeros((4, 4), x.dtype)
    own[0, 1], own[3, 3] = x[0], 1.0
    filled = np.empty_like(x)
    for i in range(x.size):
        filled[i] = x[i - 1]
    mask = (x > 1.0) & (x[::-1] > 0.0)
    return np.concatenate(
        (
            A @ x,
            own @ x,
            filled,
            np.cumsum(x),
            np.minimum(x[:2], np.max(x)),
            grid.T.ravel()[1:3],
            np.where(mask, x, x[::-1]),
            np.where(np.any(x > 3.0), x[:1], x[1:2]),
            np.array([x[0], 2.0, x[3] * x[2]]),
            (2.0 * x * x)[np.array([2, 0])],
        )
    )


OF_ARRAYS = """
    x.x. .x.. x..x ....  xx.. .... .... ...x  ...x x... .x.. ..x.  x... xx.. xxx. xxxx
    xxxx xxxx  ..x. .x..  x..x .xx. .xx. x..x  xx..  x... .... ..xx  ..x. x...
"""


def test_arrays():
    assert drawn(traced(of_arrays, X)) == OF_ARRAYS.split()


def test_linear_systems():
    def f(x):
        return np.linalg.solve(np.array([[2.0, 1.0], [x[0], 3.0]]), x[:2])[0] * x[2]

    assert drawn(traced(f, X, curved=True)) == ["xxx.", "xxx.", "xx..", "...."]


def of_pairs(x):
    a, b = x[::2], x[1::2]
    s = a[0] + b[0] + 3.0 * a[0] - max(a[0], abs(b[0]))
    s += a[1] * b[1]
    s += a[2] / b[2]
    s += np.hypot(a[3], b[3])
    s += a[4] ** 2 - b[4] * 2
    s += np.floor(a[5]) * b[5]
    s -= a[6] * (a[6] - b[6])
    s += np.where(a[7] > 0.5, a[7] * a[7], b[7])
    s += np.sum(x[16:18] ** 3) / 2.0
    s += x[18:20] @ x[18:20]
    s += a[10] ** 2 % b[10]
    s += 0.0 * a[11] * b[11] + 2.0 / b[11]
    s += np.dot(np.array([[0.0, 1.0], [0.0, 2.0]]), x[24:26] ** 2)[0]
    return s


OF_PAIRS = ".. .. .x x. .x xx xx xx x. .. .. .. xx x. x. .. x. .x x. .x x. .. .. .x .. .x"


def test_pairs():
    x = np.linspace(0.3, 2.2, 26)
    got = traced(of_pairs, x, curved=True).toarray()
    blocks = np.kron(np.eye(13), np.ones((2, 2))) > 0
    assert not got[~blocks].any()
    assert [one for row in range(26) for one in drawn_block(got, row)] == OF_PAIRS.split()


def drawn_block(matrix, row):
    start = row - row % 2
    return ["".join(".x"[int(one)] for one in matrix[row, start : start + 2])]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_brusselator(n):
    y0 = brusselator.initial(n) + 1.0
    got = traced(brusselator.in_place(n), y0, y=np.empty_like(y0))
    assert got == brusselator.pattern(n)


@pytest.mark.parametrize("n", [1, 2, 40])
def test_chained_rosenbrock(n):
    expected = banded(n, -1, 0, 1).toarray() * (n > 1)
    np.testing.assert_array_equal(traced(loop, np.ones(n), curved=True).toarray(), expected)


def test_sums_of_many_terms_take_linear_time():
    def f(x):
        s, t = 0.0, 1.0
        for i in range(200_000):
            s += x[i % x.size] ** 2
            t += s
        return t

    got = traced(f, np.ones(300), curved=True)
    np.testing.assert_array_equal(got.toarray(), np.eye(300))


def branching(x):
    y = np.empty_like(x)
    for i in range(x.size):
        if x[i] > 1.0:
            y[i] = x[i]
        else:
            y[i] = x[i - 1]
    return y


def indexing(x):
    return x[int(x[0])] * x


def rounding(x):
    return A[0][math.floor(x[0])] * x


def masking(x):
    y = x.copy()
    y[y > 1.0] = 0.0
    return y


def stopping(x):
    s = x[0]
    while s < 10.0:
        s = 2 * s
    return s * x


BRANCHES = {
    branching: "...x .x.. ..x. ..x.",
    indexing: "x... xx.. x.x. x..x",
    rounding: "x... .x.. ..x. ...x",
    masking: "x... .... .... ...x",
    stopping: "x... xx.. x.x. x..x",
}

REFUSAL = """jacobian: f branches on values of x or of a context, or makes integers of them
  expected  the same operations for every x: compiled code runs one branch alone
  got       a comparison, or a conversion, that decides how f goes on
Write numpy.where or numpy.maximum, which have both sides; or pass \
TracerSparsityDetector(local=True), whose pattern holds near x, or \
KnownSparsityDetector(pattern)."""


@pytest.mark.parametrize("f", BRANCHES, ids=lambda f: f.__name__)
def test_branches(f):
    assert drawn(traced(f, X, local=True)) == BRANCHES[f].split()
    with pytest.raises(di.SparsityError) as caught:
        traced(f, X)
    assert str(caught.value) == REFUSAL


def test_contexts():
    def f(x, m, p, k, scratch):
        for i in range(x.size):
            scratch[i] = p * x[i]
        y = m @ x
        y[0] = scratch[k]
        return y

    contexts = di.Constant(np.zeros((4, 4))), di.Constant(0.0), di.Constant(2)
    got = traced(f, X, *contexts, di.Cache(np.zeros(4)))
    assert drawn(got) == ["..x.", "xxxx", "xxxx", "xxxx"]


def test_a_branch_on_a_context_is_refused():
    def f(x, p):
        return x[:2] if p > 1.0 else x[2:]

    assert drawn(traced(f, X, di.Constant(2.0), local=True)) == ["x...", ".x.."]
    with pytest.raises(di.SparsityError, match="values of x or of a context"):
        traced(f, X, di.Constant(2.0))


def test_contexts_that_have_to_be_floats():
    def f(x, factors, m):
        return m @ x * factors.astype(np.int64)[0]

    factors, m = di.Constant(np.ones(1)), di.Constant(np.eye(4))
    assert traced(f, X, factors, m).toarray().all()


WARNING = """\
jacobian: index sets cannot be followed through {}: {}
  got       a pattern without zeros
If you know the pattern, pass KnownSparsityDetector(pattern)."""


def warned(f, curved=False):
    with pytest.warns(UserWarning) as caught:
        got = traced(f, X, curved=curved)
    assert got.toarray().all()
    assert len(caught) == 1
    return str(caught[0].message)


def test_what_cannot_be_compiled_is_dense(monkeypatch):
    def twice(x):
        return 2.0 * x

    def fail(*args):
        raise TypeError(">>> twice(array(Indexed(float64, x, y), 1d, C))")

    monkeypatch.setattr(dependence, "_compiled", fail)
    reason = "twice(array(number, 1d, C)) has no index sets here"
    assert warned(twice) == WARNING.format("twice", reason)


def test_more_unions_than_there_is_room_for(monkeypatch):
    def sums(x):
        return np.cumsum(x) * x[0] + np.cumsum(x**2)[::-1]

    monkeypatch.setattr(dependence, "_ROOM", 8)
    expected = ["xxxx", "xxx.", "xxx.", "xxxx"]
    assert drawn(traced(sums, X)) == expected
    monkeypatch.setattr(dependence, "_MOST", 18)
    assert warned(sums) == WARNING.format("sums", "it unites index sets more than 18 times")


def test_empty_arrays():
    assert traced(lambda x: x * 2.0, np.empty(0)).shape == (0, 0)
    assert traced(lambda x: x[:0], X).shape == (0, 4)


def test_layouts():
    x = np.arange(12.0).reshape(3, 4)[:, ::2]
    assert drawn(traced(lambda x: x[:, 0] * x[:, 1], x)) == ["xx....", "..xx..", "....xx"]


def test_recursion():
    def power(x, k):
        if k == 0:
            return 0.0 * x + 1.0
        return x * power(x, k - 1)

    def f(x):
        return power(x[0], 3) + power(x[1] * x[2], 1)

    assert drawn(traced(f, X, curved=True)) == ["x...", "..x.", ".x..", "...."]


def test_errors_of_f_pass_through():
    def f(x):
        for one in x:
            if one > 100.0:
                raise ValueError("too large")
        return x

    engine, problem, occasion = lower(JACOBIAN, f, DENSE, (X,), None)
    far = type(occasion)((X + 1e3,), None, once=True, strict=True)
    with pytest.raises(ValueError, match="too large"):
        di.TracerSparsityDetector().jacobian(engine, problem, far)


OPERATIONS = ["s += {t}", "s -= {t}", "y[{i}] = {t}", "y[{i}] += s", "s = y[{i}]", "s *= {v}"]
OPERATIONS += ["s = max(s, {t})", "y[{i}] = np.where({v} > 0.5, {t}, s)", "y[{i}] /= 2.0 + s * s"]
FACTORS = ["x[{i}]", "x[{i}] ** 2", "np.sin(x[{i}])", "(x[{i}] - x[{j}])", "1.5", "y[{j}]", "s"]
FACTORS += ["np.floor(x[{j}])", "np.hypot(x[{i}], 1.0)", "abs(x[{i}])"]


@st.composite
def programs(draw):
    places = st.integers(0, 3)

    def factor():
        return draw(st.sampled_from(FACTORS)).format(i=draw(places), j=draw(places))

    lines = ["def f(x):", "    s, y = 0.0, np.zeros_like(x)"]
    for _ in range(draw(st.integers(3, 8))):
        term = f"{factor()} * {factor()}"
        line = draw(st.sampled_from(OPERATIONS)).format(t=term, v=factor(), i=draw(places))
        repeated = draw(st.booleans())
        lines += ["    for _ in range(3):"] * repeated
        lines.append("    " * (1 + repeated) + line)
    return "\n".join([*lines, "    return y + s * x", ""])


def moved(x, *places):
    """Take a step of each of these entries."""
    near = x.copy()
    for i in places:
        near[i] += 1e-3
    return near


@settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(programs())
def test_random_programs(program):
    space = {"np": np}
    exec(program, space)
    f, rng = space["f"], np.random.default_rng(0)
    first = traced(f, X).toarray() > 0
    second = traced(lambda x: np.sum(f(x)), X, curved=True).toarray() > 0
    for x in rng.uniform(-1.5, 1.5, (5, 4)):
        size = 1 + np.abs(f(x)).max()
        for j in range(4):
            step = f(moved(x, j)) - f(x)
            assert (np.abs(step[~first[:, j]]) == 0).all()
            for i in range(j):
                mixed = f(moved(x, i, j)) - f(moved(x, i)) - step
                assert second[i, j] or abs(mixed.sum()) < 1e-13 * size
