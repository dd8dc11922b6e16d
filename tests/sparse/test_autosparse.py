"""``AutoSparse``: results, targets, refusals, choices, over every engine."""

import copy
import gc
import pickle
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import splu, spsolve

import difint as di
from difint.sparse import Pattern
from tests.sparse.problems import (
    arrow,
    arrow_jacobian,
    arrow_pattern,
    banded,
    bratu,
    bratu_in_place,
    bratu_jacobian,
    chained,
    chained_hessian,
    random_matrix,
)
from tests.test_plan import Kept

N = 12
X = np.sin(1.0 + np.arange(N))
TRIDIAGONAL = banded(N, -1, 0, 1)


class TorchLikeNumpy:
    """The two functions that the tests' functions need, with NumPy's names."""

    concatenate = staticmethod(torch.cat)
    exp = staticmethod(torch.exp)
    sum = staticmethod(torch.sum)


LIBRARIES = {
    di.AutoFiniteDiff(): np,
    di.AutoFiniteDiff("complex_step"): np,
    di.AutoNumba(): np,
    di.AutoJax(): jnp,
    di.AutoJax("reverse"): jnp,
    di.AutoTorch(): TorchLikeNumpy,
    di.AutoTorch(compile="eager"): TorchLikeNumpy,
    di.SecondOrder(di.AutoFiniteDiff(), di.AutoJax()): jnp,
}
ENGINES = pytest.mark.parametrize("dense", LIBRARIES, ids=repr)
FEW = [di.AutoFiniteDiff(), di.AutoNumba(), di.AutoJax(), di.AutoTorch()]
FEW_ENGINES = pytest.mark.parametrize("dense", FEW, ids=repr)


def known(dense, pattern, **options):
    return di.AutoSparse(dense, di.KnownSparsityDetector(pattern), **options)


def near(got, want):
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6)


@ENGINES
def test_jacobian(dense):
    plan = di.prepare_jacobian(bratu(LIBRARIES[dense]), known(dense, TRIDIAGONAL), X)
    made = plan.execute(X)
    assert made.format == ("csr" if plan.colors.columns is None else "csc")
    assert made.has_canonical_format
    near(made.toarray(), bratu_jacobian(X))
    y, made = plan.value_and_jacobian(2 * X)
    near(y, bratu(np)(2 * X))
    near(made.toarray(), bratu_jacobian(2 * X))
    assert plan.pattern == TRIDIAGONAL
    assert sum(len(one) for one in (plan.groups.columns or plan.groups.rows)) == N


@pytest.mark.parametrize(
    ("dense", "decompression"),
    [*((one, "direct") for one in LIBRARIES), *((one, "substitution") for one in FEW)],
    ids=repr,
)
def test_hessian(dense, decompression):
    coloring = di.GreedyColoring(decompression=decompression)
    backend = known(dense, TRIDIAGONAL, coloring_algorithm=coloring)
    plan = di.prepare_hessian(chained(LIBRARIES[dense]), backend, X)
    want = chained_hessian(X)
    loose = {"rtol": 1e-4, "atol": 1e-3 * np.abs(want).max()}
    np.testing.assert_allclose(plan.execute(X).toarray(), want, **loose)
    y, gradient, made = plan.value_gradient_and_hessian(X)
    near(y, chained(np)(X))
    near(gradient, np.asarray(jax.grad(chained(jnp))(X)))
    np.testing.assert_allclose(made.toarray(), want, **loose)


@pytest.mark.parametrize("dense", [di.AutoFiniteDiff(), di.AutoNumba()], ids=repr)
def test_in_place_functions_and_contexts(dense):
    def f(y, x, scale, buffer):
        for i in range(x.size):
            buffer[i] = scale[i] * x[i]
        for i in range(x.size):
            y[i] = buffer[i] * x[i - 1]

    backend = known(dense, banded(4, 0).joined(Pattern.of(np.roll(np.eye(4), -1, 1))))
    x, scale = np.arange(1.0, 5), np.array([1.0, 2.0, 3.0, 4.0])
    contexts = di.Constant(scale), di.Cache(np.empty(4))
    plan = di.prepare_jacobian(f, backend, x, di.Constant(0 * scale), contexts[1], y=np.empty(4))
    want = np.diag(scale * np.roll(x, 1))
    want[np.arange(4), np.arange(4) - 1] += scale * x
    made, y = plan.execute(x, *contexts), np.empty(4)
    near(made.toarray(), want)
    assert plan.execute(x, *contexts, out=made, y=y) is made
    near(y, scale * x * np.roll(x, 1))
    step = plan.bind(x, *contexts, out=made)
    x *= 2
    assert step() is made
    near(made.toarray(), 2 * want)


@FEW_ENGINES
def test_results_are_fresh_and_targets_are_filled(dense):
    plan = di.prepare_jacobian(bratu(LIBRARIES[dense]), known(dense, TRIDIAGONAL), X)
    first, second = plan.execute(X), plan.execute(X)
    assert first.data is not second.data
    assert not np.shares_memory(first.data, second.data)
    assert first.indices is second.indices
    assert first.indptr is second.indptr
    assert first.data.flags.writeable
    first.data[:] = np.nan
    near(second.toarray(), plan.execute(X).toarray())
    for target in (first, second.copy(), copy.deepcopy(second)):
        assert plan.execute(2 * X, out=target) is target
        near(target.toarray(), bratu_jacobian(2 * X))
    value, same = plan.value_and_jacobian(X, out=first)
    assert same is first
    near(value, bratu(np)(X))
    near(first.toarray(), bratu_jacobian(X))
    x = X.copy()
    step = plan.bind(x, out=first)
    x *= 3
    assert step() is first
    near(first.toarray(), bratu_jacobian(3 * X))
    near(plan.bind(x)().toarray(), bratu_jacobian(3 * X))


@pytest.mark.parametrize("dense", [di.AutoJax(), di.AutoNumba()], ids=repr)
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.empty((N, N)), "a csc_array\n  got       a ndarray"),
        (sparse.csr_array(TRIDIAGONAL.toarray() * 1.0), "a csc_array\n  got       a csr_array"),
        (sparse.csc_array((N, N + 1)), r"\(12, 12\)\n  got       \(12, 13\)"),
        (
            sparse.csc_array(banded(N, -1, 0, 1, 2).toarray() * 1.0),
            r"column 2: rows \[1, 2, 3\]\n  got       column 2: \[0, 1, 2, 3\]",
        ),
        (sparse.csc_array(TRIDIAGONAL.toarray().astype(np.float32)), r"float64\[34\]"),
    ],
)
def test_a_target_of_another_pattern_is_refused(dense, wrong, words):
    xp = LIBRARIES[dense]
    plan = di.prepare_jacobian(bratu(xp), known(dense, TRIDIAGONAL), X)
    for call in (plan.execute, plan.value_and_jacobian, plan.bind):
        with pytest.raises(di.ArgumentError, match=words):
            call(X, out=wrong)


@pytest.mark.parametrize("dense", [di.AutoJax(), di.AutoNumba(), di.AutoFiniteDiff()], ids=repr)
def test_a_target_in_memory_of_an_argument_is_refused(dense):
    plan = di.prepare_jacobian(lambda x: x**2, known(dense, np.eye(3)), np.ones(3))
    out, x = plan.execute(np.ones(3)), np.arange(1.0, 4)
    out.data = x
    with pytest.raises(di.ArgumentError, match="overlaps an argument"):
        plan.execute(x, out=out)
    out.data = np.zeros(6)[::2]
    near(plan.execute(x, out=out).toarray(), np.diag(2 * x))
    out.data = np.zeros(3)
    out.data.flags.writeable = False
    with pytest.raises(di.ArgumentError, match="read-only"):
        plan.execute(x, out=out)


def test_what_scipy_does_with_results():
    plan = di.prepare_jacobian(bratu(jnp), known(di.AutoJax(), TRIDIAGONAL), X)
    made, want = plan.execute(X), bratu_jacobian(X)
    near(made @ X, want @ X)
    near(spsolve(made, X), np.linalg.solve(want, X))
    near(splu(made).solve(X), np.linalg.solve(want, X))
    near((sparse.eye_array(N) - 0.1 * made).toarray(), np.eye(N) - 0.1 * want)
    near(made.T.tocsr()[3].toarray(), want[:, 3])
    near(made[2:5, 1:].toarray(), want[2:5, 1:])
    near(pickle.loads(pickle.dumps(made)).toarray(), want)
    made.sort_indices()
    made.sum_duplicates()
    near(made.sum(axis=0), want.sum(axis=0))


@pytest.mark.parametrize("format", ["csc", "csr", "dense"])
@pytest.mark.parametrize("dense", [di.AutoJax("forward"), di.AutoJax("reverse"), di.AutoNumba()])
def test_formats(format, dense):
    pattern = Pattern.of(random_matrix(0, 9, 7).toarray())
    matrix = random_matrix(0, 9, 7).toarray()
    xp = LIBRARIES.get(dense, jnp)

    def f(x):
        return xp.sum(xp.asarray(matrix) * x**2, axis=1)

    x = np.arange(1.0, 8)
    plan = di.prepare_jacobian(f, known(dense, pattern, format=format), x)
    made = plan.execute(x)
    assert getattr(made, "format", "dense") == format
    target = plan.execute(0 * x)
    if format == "dense":
        target = np.full(target.shape, np.nan)
    assert plan.execute(x, out=target) is target
    for one in (made, target, plan.value_and_jacobian(x)[1]):
        near(one if format == "dense" else one.toarray(), 2 * matrix * x)


@pytest.mark.parametrize("triangle", ["lower", "upper"])
@pytest.mark.parametrize("decompression", ["direct", "substitution"])
@pytest.mark.parametrize("format", ["csc", "csr", "dense"])
def test_one_triangle_of_a_hessian(triangle, decompression, format):
    coloring = di.GreedyColoring(decompression=decompression)
    how = {"coloring_algorithm": coloring, "triangle": triangle, "format": format}
    plan = di.prepare_hessian(chained(jnp), known(di.AutoJax(), TRIDIAGONAL, **how), X)
    made = plan.execute(X)
    cut = {"lower": np.tril, "upper": np.triu}[triangle]
    near(made if format == "dense" else made.toarray(), cut(chained_hessian(X)))
    assert plan.pattern == Pattern.of(cut(np.ones((N, N))) * TRIDIAGONAL.toarray())
    plan.verify(X, samples=2)


@pytest.mark.parametrize("limits", [{"chunk_size": 2}, {"memory": 1}], ids=str)
@FEW_ENGINES
def test_chunks(dense, limits):
    backend = known(dense, TRIDIAGONAL, **limits)
    plan = di.prepare_jacobian(bratu(LIBRARIES[dense]), backend, X)
    near(plan.execute(X).toarray(), bratu_jacobian(X))
    y, made = plan.value_and_jacobian(2 * X)
    near(made.toarray(), bratu_jacobian(2 * X))
    near(y, bratu(np)(2 * X))


def test_rows_and_columns_together_where_that_costs_less():
    pattern, x = arrow_pattern(30), np.arange(1.0, 31)
    plan = di.prepare_jacobian(arrow(jnp), known(di.AutoJax(), pattern), x)
    assert plan.route == "pushforward × 2 + pullback × 1"
    assert "2 pushforwards + 1 pullback instead of 30; cost 4, not 30" in plan.info.sparsity
    near(plan.execute(x).toarray(), arrow_jacobian(x))
    assert sorted(len(one) for one in plan.groups.columns) == [1, 29]
    assert [len(one) for one in plan.groups.rows] == [1]
    forward = di.prepare_jacobian(arrow(jnp), known(di.AutoJax("forward"), pattern), x)
    assert forward.route == "pushforward × 30"


@pytest.mark.parametrize("limits", [{"chunk_size": 1}, {"chunk_size": 2}, {"memory": 1}])
def test_chunks_of_both_directions(limits):
    dense = np.eye(9) + np.eye(9, k=1)
    dense[0] = dense[:, 0] = 1

    def f(x):
        return jnp.concatenate([jnp.sum(x**2)[None], x[0] * x[1:] + jnp.append(x[2:], 0.0)])

    x = np.arange(1.0, 10)
    plan = di.prepare_jacobian(f, known(di.AutoJax(), dense, **limits), x)
    assert plan.route == "pushforward × 3 + pullback × 1"
    near(plan.execute(x).toarray(), np.asarray(jax.jacobian(f)(x)))
    y, made = plan.value_and_jacobian(2 * x)
    near(y, f(2 * x))
    near(made.toarray(), np.asarray(jax.jacobian(f)(2 * x)))


def test_bicoloring_by_substitution():
    pattern, x = arrow_pattern(30), np.arange(1.0, 31)
    coloring = di.GreedyColoring(decompression="substitution")
    backend = known(di.AutoJax(), pattern, coloring_algorithm=coloring)
    plan = di.prepare_jacobian(arrow(jnp), backend, x)
    near(plan.execute(x).toarray(), arrow_jacobian(x))
    y, made = plan.value_and_jacobian(x)
    near(y, arrow(np)(x))
    near(made.toarray(), arrow_jacobian(x))


@pytest.mark.parametrize(
    ("forward", "reverse"),
    [(di.AutoJax("forward"), di.AutoJax("reverse")), (di.AutoFiniteDiff(), di.AutoJax())],
    ids=repr,
)
def test_mixed_mode(forward, reverse):
    pattern, x = arrow_pattern(30), np.arange(1.0, 31)
    mixed = di.MixedMode(forward, reverse)
    plan = di.prepare_jacobian(arrow(jnp), known(mixed, pattern), x)
    assert plan.route == "pushforward × 2 + pullback × 1"
    near(plan.execute(x).toarray(), arrow_jacobian(x))
    near(di.jacobian(arrow(jnp), mixed, x), arrow_jacobian(x))
    near(di.gradient(lambda x: jnp.sum(x**3), mixed, x), 3 * x**2)
    assert di.forward_counterpart(mixed) == di.forward_counterpart(forward)


def test_mixed_mode_needs_one_library_and_both_modes():
    backend = di.MixedMode(di.AutoNumba(), di.AutoJax())
    with pytest.raises(di.UnsupportedError, match="do not work in one array library"):
        di.jacobian(np.sin, backend, X)
    with pytest.raises(di.UnsupportedError, match="AutoFiniteDiff.* has no reverse mode"):
        di.jacobian(np.sin, di.MixedMode(di.AutoFiniteDiff(), di.AutoFiniteDiff()), X)


@pytest.mark.parametrize(
    "x",
    [
        jnp.asarray(X),
        jnp.asarray(X, jnp.float32),
        jnp.asarray(X, jnp.bfloat16),
        X.astype(np.float32),
    ],
    ids=["jax float64", "jax float32", "jax bfloat16", "numpy float32"],
)
def test_kinds_and_precisions_of_x(x):
    plan = di.prepare_jacobian(bratu(jnp), known(di.AutoJax(), TRIDIAGONAL), x)
    made = plan.execute(x)
    wide = x.dtype == np.float64
    assert made.dtype == (np.float64 if wide else np.float32)
    rough = 1e-12 if wide else 1e-6 if x.dtype == np.float32 else 0.03
    np.testing.assert_allclose(made.toarray(), bratu_jacobian(np.float64(x)), atol=rough)


def test_tensors():
    x = torch.asarray(X)
    plan = di.prepare_jacobian(bratu(TorchLikeNumpy), known(di.AutoTorch(), TRIDIAGONAL), x)
    y, made = plan.value_and_jacobian(x)
    assert isinstance(y, torch.Tensor)
    near(made.toarray(), bratu_jacobian(X))


SMALL = {(0, 0): lambda x: 2.0 * x, (0, 3): lambda x: x[:0], (1, 1): lambda x: 3.0 * x}


@pytest.mark.parametrize("shape", SMALL, ids=str)
@pytest.mark.parametrize("dense", [di.AutoFiniteDiff(), di.AutoJax(), di.AutoNumba()], ids=repr)
def test_small_sizes(dense, shape):
    f, x = SMALL[shape], np.ones(shape[1])
    plan = di.prepare_jacobian(f, known(dense, np.ones(shape)), x)
    y, made = plan.value_and_jacobian(x)
    assert made.shape == shape
    near(y, f(x))
    assert plan.execute(x, out=made) is made
    near(made.toarray(), 3.0 * np.eye(*shape))


@pytest.mark.parametrize("dense", [di.AutoFiniteDiff(), di.AutoJax(), di.AutoNumba()], ids=repr)
def test_no_entries_at_all(dense):
    plan = di.prepare_jacobian(lambda x: 0 * x + 1, known(dense, np.zeros((3, 3))), np.ones(3))
    y, made = plan.value_and_jacobian(np.ones(3))
    assert made.nnz == 0
    near(y, np.ones(3))


def test_a_matrix_as_x_is_raveled_in_c_order():
    x = np.arange(1.0, 7).reshape(2, 3)

    def f(x):
        return jnp.stack([x[0] * x[1], x[1] ** 2])

    want = np.asarray(jax.jacobian(f)(x)).reshape(6, 6)
    made = di.jacobian(f, known(di.AutoJax(), want), x)
    near(made.toarray(), want)


def test_nan_stays_in_its_row():
    """As in a dense Jacobian: a row of a function of NaN is NaN, in the places that it has."""
    plan = di.prepare_jacobian(bratu(jnp), known(di.AutoJax(), TRIDIAGONAL), X)
    x = X.copy()
    x[4] = np.nan
    made = plan.execute(x).toarray()
    assert np.isnan(made[4, 4])
    assert not np.isnan(np.delete(made, 4, 0)).any()


def test_one_shots_and_other_operators():
    backend = known(di.AutoJax(), TRIDIAGONAL)
    near(di.jacobian(bratu(jnp), backend, X).toarray(), bratu_jacobian(X))
    target = di.jacobian(bratu(jnp), backend, X)
    assert di.jacobian(bratu(jnp), backend, 2 * X, out=target) is target
    near(di.value_and_jacobian(bratu(jnp), backend, X)[0], bratu(np)(X))
    near(di.hessian(chained(jnp), backend, X).toarray(), chained_hessian(X))
    near(di.gradient(chained(jnp), backend, X), np.asarray(jax.grad(chained(jnp))(X)))
    near(di.pushforward(bratu(jnp), backend, X, X), bratu_jacobian(X) @ X)
    assert di.forward_counterpart(backend) == known(di.AutoJax("forward"), TRIDIAGONAL)


def test_differences_step_by_the_scale_of_each_entry():
    scales = 10.0 ** np.arange(N)

    def f(x):
        return np.exp(x / scales) * np.roll(x, 1)

    pattern = np.eye(N) + np.roll(np.eye(N), -1, 1)
    want = di.jacobian(f, di.AutoFiniteDiff("complex_step"), scales)
    for scheme, accuracy in (("central", 1e-9), ("forward", 1e-6)):
        made = di.jacobian(f, known(di.AutoFiniteDiff(scheme), pattern), scales).toarray()
        np.testing.assert_allclose(made, want, rtol=accuracy)


@pytest.mark.parametrize("dense", [di.AutoJax(), di.AutoNumba(), di.AutoFiniteDiff()], ids=repr)
def test_a_pattern_that_lacks_an_entry_is_found(dense):
    pattern = TRIDIAGONAL.toarray()
    pattern[5, 6] = False
    f, backend = bratu(LIBRARIES[dense]), known(dense, pattern)
    with pytest.raises(di.SparsityError, match="the pattern lacks entries in row 5\n  expected"):
        di.prepare_jacobian(f, backend, X)
    plan = di.prepare_jacobian(f, known(dense, pattern, verify=False), X)
    with pytest.raises(di.SparsityError, match="in row 5"):
        plan.verify(X, samples=3, seed=7)
    di.prepare_jacobian(f, known(dense, TRIDIAGONAL), X).verify(2 * X, samples=3)


def test_a_pattern_that_lacks_an_entry_is_found_by_rows_too():
    pattern = TRIDIAGONAL.toarray()
    pattern[5, 6] = False
    with pytest.raises(di.SparsityError, match="the pattern lacks entries in column 6"):
        di.prepare_jacobian(bratu(jnp), known(di.AutoJax("reverse"), pattern), X)
    dense = TRIDIAGONAL.toarray()
    dense[5, 6] = dense[6, 5] = False
    with pytest.raises(di.SparsityError, match="the pattern lacks entries in rows 5, 6"):
        di.prepare_hessian(chained(jnp), known(di.AutoJax(), dense), X)


def test_verification_checks_its_arguments():
    plan = di.prepare_jacobian(bratu(jnp), known(di.AutoJax(), TRIDIAGONAL), X)
    with pytest.raises(di.PreparationMismatchError, match="x  prepared"):
        plan.verify(X[:3])


def test_differences_are_not_taken_for_missing_entries():
    for seed in range(10):
        matrix, rng = random_matrix(seed, 40, 40, 0.08), np.random.default_rng(seed)
        x = rng.normal(size=40) * 10.0 ** rng.integers(-3, 4, 40)

        def f(x, matrix=matrix):
            return 1e5 * np.arange(40) + np.sin(matrix @ x)

        for scheme in ("central", "forward"):
            di.prepare_jacobian(f, known(di.AutoFiniteDiff(scheme), matrix), x)


REFUSED = [
    ({"sparsity_detector": None}, "sparsity_detector does not fit.*\n.*\n  got       nothing"),
    (
        {"sparsity_detector": np.eye(2)},
        "got       a ndarray\nLeave it out, or pass KnownSparsityDetector",
    ),
    ({"dense": di.AutoJax}, "the class AutoJax"),
    ({"dense": known(di.AutoJax(), np.eye(2))}, "a backend that is not sparse itself"),
    ({"coloring_algorithm": di.GreedyColoring}, "got       the class GreedyColoring"),
    ({"format": "coo"}, "None or 'csc' or 'csr' or 'dense'"),
    ({"triangle": "both"}, "None or 'lower' or 'upper'"),
    ({"chunk_size": 0}, "chunk_size is not a size"),
    ({"memory": -1}, "memory is not a size"),
    ({"verify": "yes"}, "verify is not one of its choices"),
]


@pytest.mark.parametrize(("wrong", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_descriptors_are_checked(wrong, words):
    good = {"dense": di.AutoJax(), "sparsity_detector": di.KnownSparsityDetector(np.eye(2))}
    with pytest.raises(di.ArgumentError, match=words):
        di.AutoSparse(**{**good, **wrong})


def test_descriptors_are_plain_data():
    backend = known(di.AutoJax(), TRIDIAGONAL, chunk_size=3)
    again = pickle.loads(pickle.dumps(backend))
    assert again == backend
    assert hash(again) == hash(backend)
    assert again != known(di.AutoJax(), banded(N, 0), chunk_size=3)
    assert repr(backend) == (
        "AutoSparse(dense=AutoJax(), sparsity_detector=KnownSparsityDetector("
        "Pattern(12 x 12, 34 entries)), chunk_size=3)"
    )
    assert di.check_available(backend)
    assert di.check_inplace(known(di.AutoNumba(), np.eye(2)))
    assert not di.check_inplace(backend)


MISFITS = [
    ("jacobian", np.sin, np.eye(3), "the pattern does not fit f\n  expected  shape \\(12, 12\\)"),
    ("hessian", np.sum, np.eye(N, k=1), "the pattern of a Hessian is symmetric"),
    ("hessian", np.sum, np.eye(3), "shape \\(12, 12\\)"),
]


@pytest.mark.parametrize(("operator", "f", "pattern", "words"), MISFITS)
def test_patterns_that_do_not_fit(operator, f, pattern, words):
    prepare = getattr(di, f"prepare_{operator}")
    with pytest.raises(di.SparsityError, match=words):
        prepare(f, known(di.AutoFiniteDiff(), pattern), X)


def test_indices_are_a_pattern_too():
    indices = ([0, 1, 2, 1], [0, 1, 2, 0])
    plan = di.prepare_jacobian(np.cumsum, known(di.AutoFiniteDiff(), indices, verify=False), X[:4])
    assert plan.pattern.shape == (4, 4)
    assert plan.pattern.nnz == 4
    with pytest.raises(di.ArgumentError, match="outside the matrix"):
        di.prepare_jacobian(np.cumsum, known(di.AutoFiniteDiff(), indices), X[:2])


def test_constant_and_optimal_colorings():
    colors = np.arange(N) % 3

    def route(coloring, mode=None):
        backend = known(di.AutoJax(mode), TRIDIAGONAL, coloring_algorithm=coloring)
        return di.prepare_jacobian(bratu(jnp), backend, X).route

    assert route(di.ConstantColoring(colors)) == "pushforward × 3"
    assert route(di.ConstantColoring(colors), "reverse") == "pullback × 3"
    assert route(di.OptimalColoring()) == "pushforward × 3"
    both = di.ConstantColoring(([0] + [-1] * (N - 1), [0] + [1] * (N - 1)))
    backend = known(di.AutoJax(), arrow_pattern(N), coloring_algorithm=both)
    plan = di.prepare_jacobian(arrow(jnp), backend, X)
    assert plan.route == "pushforward × 2 + pullback × 1"
    for wrong in (di.ConstantColoring(colors // 2), di.ConstantColoring(colors[:5]), both):
        with pytest.raises(di.ArgumentError, match="do not tell entry|do not fit the matrix"):
            route(wrong)
    with pytest.raises(di.UnsupportedError, match=r"Use GreedyColoring\(\)"):
        backend = known(di.AutoJax(), TRIDIAGONAL, coloring_algorithm=di.OptimalColoring())
        di.prepare_hessian(chained(jnp), backend, X)


def test_what_a_plan_tells():
    plan = di.prepare_jacobian(bratu(jnp), known(di.AutoJax("forward"), TRIDIAGONAL), X)
    text = repr(plan)
    assert "float64[12,12] (csc_array), 34 entries" in text
    assert "3 pushforwards instead of 12" in text
    assert text.split("\n")[1:] == ["⠻⣦⡀⠀⠀⠀", "⠀⠈⠻⣦⡀⠀", "⠀⠀⠀⠈⠻⣦"]
    assert plan.info.result == "float64[12,12] (csc_array), 34 entries"
    assert plan.colors.rows is None
    assert plan.colors.columns.tolist() == [0, 1, 2] * 4
    figure = plan.spy()
    assert [axes.get_title() for axes in figure.axes] == [
        "12 x 12, 34 entries",
        "compressed: 3 passes",
    ]
    dense = di.prepare_jacobian(bratu(jnp), di.AutoJax(), X)
    for name in ("pattern", "colors", "groups"):
        with pytest.raises(di.UnsupportedError, match=f"a dense plan has no {name}\n"):
            getattr(dense, name)


def test_both_directions_are_drawn():
    plan = di.prepare_jacobian(arrow(jnp), known(di.AutoJax(), arrow_pattern(N)), X)
    figure = plan.spy()
    assert figure.axes[1].get_title() == "compressed: 3 passes"
    colors = {one.get_array().size for one in figure.axes[0].collections}
    assert colors == {plan.pattern.nnz}


def test_transformations_of_jax_are_refused():
    plan = di.prepare_jacobian(bratu(jnp), known(di.AutoJax(), TRIDIAGONAL), X)
    with pytest.raises(di.UnsupportedError, match="cannot be traced"):
        jax.jit(plan.execute)(X)
    with pytest.raises(di.UnsupportedError, match="cannot be traced"):
        jax.jit(lambda x: di.jacobian(bratu(jnp), known(di.AutoJax(), TRIDIAGONAL), x))(X)


@pytest.mark.parametrize("limits", [{}, {"memory": 1}], ids=str)
@pytest.mark.parametrize("dense", [di.AutoJax(), di.AutoFiniteDiff()], ids=repr)
def test_plans_keep_no_example(dense, limits, few_objects):
    for operator, f in (("jacobian", bratu(jnp)), ("hessian", chained(jnp))):
        x = X.view(Kept)
        kept = weakref.ref(x)
        backend = known(dense, TRIDIAGONAL, **limits)
        plan = getattr(di, f"prepare_{operator}")(f, backend, x)
        del x
        gc.collect()
        assert kept() is None, plan


def test_plans_never_trace_again():
    plan = di.prepare_jacobian(bratu(jnp), known(di.AutoJax(), TRIDIAGONAL), X)
    with plan._arrays.watch() as seen:
        made = plan.execute(X)
        plan.value_and_jacobian(X)
        plan.execute(X, out=made)
    assert seen.traces == 0
    with pytest.raises(di.PreparationMismatchError, match=r"got float64\[3\]"):
        plan.execute(X[:3])


@pytest.mark.parametrize("strict", [True, False])
def test_in_place_bratu_compiled(strict):
    backend = known(di.AutoNumba(), TRIDIAGONAL)
    plan = di.prepare_jacobian(bratu_in_place, backend, X, y=np.empty(N), strict=strict)
    made = plan.execute(X)
    near(made.toarray(), bratu_jacobian(X))
    assert plan.execute(2 * X, out=made) is made
    near(made.toarray(), bratu_jacobian(2 * X))
