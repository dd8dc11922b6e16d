"""Scenarios as data: what they refuse, what follows from them, the libraries' own answers."""

import dataclasses

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import torch

import difint as di
from difint import testing
from difint.testing import (
    FEATURES,
    MODIFIERS,
    Place,
    Scenario,
    complex_scenarios,
    compute_results,
    default_scenarios,
    empty_scenarios,
    load_scenario,
    sparse_scenarios,
    tree_scenarios,
)

X = np.array([1.0, 2.0])
FAMILIES = {
    "default": default_scenarios,
    "empty": empty_scenarios,
    "sparse": sparse_scenarios,
    "complex": complex_scenarios,
    "tree": tree_scenarios,
}


def total(x):
    return (x**2).sum()


REFUSED = [
    (lambda: Scenario("grad", total, X), ["operator is not one of the eight", "'grad'"]),
    (lambda: Scenario("hvp", total, X), ["hvp takes a tangent", "Pass t=, a tangent like x"]),
    (lambda: Scenario("pullback", total, X), ["a tangent like y"]),
    (lambda: Scenario("gradient", total, X, t=X), ["gradient takes no tangent", "Leave t= out"]),
    (
        lambda: Scenario("gradient", total, X, 2.0),
        ["context 0 is bare", "float", "Wrap it"],
    ),
    (lambda: Scenario("gradient", total, X, prepare_args=()), ["prepare_args", "1 of them"]),
    (lambda: Scenario("gradient", total, X, features=["odd"]), ["a feature is unknown", "'odd'"]),
    (lambda: Scenario("gradient", total, X, lower=5.0), ["lower does not hold", "a float", "(y,)"]),
    (lambda: Scenario("hessian", total, X, lower=(5.0,)), ["a tuple of 2", "a tuple of 1"]),
    (lambda: Scenario(X, total, X), ["operator is not one of the eight", "a ndarray"]),
    (lambda: default_scenarios("tensorflow"), ["library", "'numpy' or 'jax' or 'torch'"]),
    (lambda: default_scenarios(dtype="float16"), ["dtype", "'float64' or 'float32'"]),
    (lambda: default_scenarios(modifiers=["twice"]), ["modifiers", "'batchify'", "'twice'"]),
    (lambda: load_scenario("default/numpy/x"), ["no library has a scenario of this name"]),
    (lambda: testing.Exclusion("why", operator="grad"), ["operator is not one of the eight"]),
    (lambda: testing.Exclusion("why", feature="odd"), ["feature is unknown", "complex x"]),
]


@pytest.mark.parametrize("make, words", REFUSED)
def test_refusals(make, words):
    with pytest.raises(di.ArgumentError) as caught:
        make()
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_scenarios_are_read_only():
    scenario = Scenario("gradient", total, X)
    with pytest.raises(dataclasses.FrozenInstanceError):
        scenario.x = X
    with pytest.raises((AttributeError, TypeError)):
        scenario.other = 1


def test_places_follow_from_the_data():
    def fill(y, x):
        y[...] = x

    assert Scenario("gradient", total, X).place == Place("in", "out")
    assert Scenario("jacobian", fill, X, y=X).place == Place("in", "in")
    assert Scenario("derivative", total, 1.0).place == Place("out", "out")
    assert Scenario("derivative", total, 1.0, result=X).place.operator == "in"
    assert Scenario("pushforward", total, X, t=X, result=1.0).place.operator == "out"


def test_features_follow_from_the_data():
    assert Scenario("jacobian", total, X, y=X).features == {"in-place function"}
    assert Scenario("jacobian", total, X + 0j).features == {"complex x"}
    assert Scenario("jacobian", total, X, features=["not analytic"]).features == {"not analytic"}
    assert Scenario("gradient", total, {"a": X, "b": 1j}).features == {"complex x"}


def test_prepare_args_are_of_the_same_form_with_other_values():
    context = di.ConstantOrCache({"a": 3.0, "n": 2, "z": np.zeros(2)})
    scenario = Scenario("hvp", total, {"x": X, "s": 2.0}, context, t={"x": -X, "s": 0.0})
    x, t, other = scenario.prepare_args
    np.testing.assert_array_equal(x["x"], 0.875 * X)
    assert (x["s"], t["s"]) == (1.75, 1 / 64)
    np.testing.assert_array_equal(t["x"], -0.875 * X)
    assert type(other) is di.ConstantOrCache
    assert (other.value["a"], other.value["n"]) == (2.625, 2)
    np.testing.assert_array_equal(other.value["z"], 1 / 64)
    single = Scenario("gradient", total, X.astype("f4"))
    assert single.prepare_args[0].dtype == np.float32
    in_jax = Scenario("gradient", total, jnp.asarray(X, "f4"))
    assert in_jax.prepare_args[0].dtype == np.float32
    given = Scenario("gradient", total, X, prepare_args=(3 * X,))
    np.testing.assert_array_equal(given.prepare_args[0], 3 * X)


def test_replace_makes_what_follows_anew():
    scenario = load_scenario("default/numpy/float64/hvp/vector->number")
    moved = scenario.replace(x=np.ones(2), t=np.ones(2))
    np.testing.assert_array_equal(moved.prepare_args[0], np.full(2, 0.875))
    assert moved.source is None and scenario.replace(name="mine").source is None
    assert scenario.replace(name="mine", source=scenario.source).source == scenario.source
    assert scenario.replace(result=3.0).prepare_args is scenario.prepare_args


def test_torch_scenarios_are_prepared_elsewhere():
    for one in default_scenarios("torch", modifiers=MODIFIERS):
        x, other = one.x, one.prepare_args[0]
        assert x.shape == other.shape and x.dtype == other.dtype and not torch.equal(x, other)
        assert one.place.operator == "in"


def test_replace_keeps_the_rest():
    scenario = Scenario("hvp", total, X, di.Constant(1.0), t=X, result=2 * X, name="mine")
    other = scenario.replace(result=X)
    assert other.name == "mine" and other.contexts == scenario.contexts and other.t is X
    bare = scenario.replace(contexts=(), prepare_args=None)
    assert bare.contexts == () and len(bare.prepare_args) == 2


def test_compute_results():
    scenarios = [Scenario("hessian", total, X), Scenario("jacobian", np.square, X)]
    hessian, jacobian = compute_results(scenarios, di.AutoFiniteDiff("complex_step"))
    np.testing.assert_allclose(hessian.result, 2 * np.eye(2), atol=1e-9)
    value, gradient = hessian.lower
    assert value == 5.0 and np.array_equal(gradient, 2 * X)
    np.testing.assert_allclose(jacobian.parts[1], np.diag(2 * X), rtol=1e-15)
    (in_jax,) = compute_results(Scenario("gradient", total, jnp.asarray(X)), di.AutoJax())
    assert type(in_jax.result) is np.ndarray
    with pytest.raises(di.DifintError):
        compute_results(Scenario("gradient", np.square, X), di.AutoFiniteDiff())


@pytest.mark.parametrize("library", ["numpy", "jax", "torch"])
@pytest.mark.parametrize("family", FAMILIES)
def test_names_are_unique_and_load_their_scenario(family, library):
    listed = FAMILIES[family](
        library, modifiers=[*MODIFIERS, *(["numpify"] if library != "torch" else [])]
    )
    names = [one.name for one in listed]
    assert len(set(names)) == len(names)
    for one in listed[:: max(1, len(listed) // 5)]:
        again = load_scenario(one.name)
        assert again.operator == one.operator and again.features == one.features
        assert eval(f"testing.{one.source}", {"testing": testing}).name == one.name


def test_every_feature_and_operator_has_a_scenario():
    listed = [one for make in FAMILIES.values() for one in make()]
    assert {feature for one in listed for feature in one.features} == set(FEATURES)
    for family in ("default", "empty"):
        assert {one.operator for one in FAMILIES[family]()} == {
            "pushforward", "pullback", "derivative", "gradient", "jacobian",
            "second_derivative", "hvp", "hessian",
        }  # fmt: skip
    assert {one.place for one in default_scenarios()} == {
        Place(a, b) for a in ("in", "out") for b in ("in", "out")
    }


def test_values_are_of_the_library_and_in_its_precision():
    kinds = {"numpy": np.ndarray, "jax": jax.Array, "torch": torch.Tensor}
    for library, kind in kinds.items():
        for dtype in ("float64", "float32"):
            for one in default_scenarios(library, dtype=dtype, in_place=False, modifiers=()):
                if isinstance(one.x, float):
                    assert dtype == "float64" and library != "torch"
                else:
                    assert isinstance(one.x, kind) and dtype in str(one.x.dtype)
                assert isinstance(one.result, float) or one.result.dtype == dtype
    with jax.enable_x64(False):
        assert default_scenarios("jax")[-1].x.dtype == np.float64


def test_a_missing_library_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(di.PackageUnavailableError, match=r"pip install 'difint\[torch\]'"):
        default_scenarios("torch")


def test_sparse_results_hold_only_what_is_there():
    for one in sparse_scenarios():
        full = one.result.toarray()
        assert one.result.nnz == np.count_nonzero(full) < full.size
        assert one.result.format == "csc"


def torch_answer(scenario):
    """Compute a scenario with PyTorch's own differentiation: independent of difint."""
    f, x, t = scenario.f, scenario.x, scenario.t
    func = torch.func
    if "complex x" in scenario.features and t is None:  # jacfwd and jacrev take real inputs
        basis = torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape)
        return torch.stack([func.jvp(f, (x,), (one,))[1] for one in basis], dim=-1)
    flat = {
        "pushforward": lambda: func.jvp(f, (x,), (t,))[1],
        "pullback": lambda: func.vjp(f, x)[1](t)[0],
        "derivative": lambda: func.jacfwd(f)(x),
        "gradient": lambda: func.grad(f)(x),
        "jacobian": lambda: func.jacrev(f)(x),
        "second_derivative": lambda: func.jacfwd(func.jacfwd(f))(x),
        "hvp": lambda: func.jvp(func.grad(f), (x,), (t,))[1],
        "hessian": lambda: func.hessian(f)(x),
    }
    return flat[scenario.operator]()


def torch_cases():
    for make in (default_scenarios, empty_scenarios, sparse_scenarios, complex_scenarios):
        for one in make("torch", in_place=False, modifiers=()):
            if "branch on values" in one.features:
                continue  # torch.func traces, and has no truth of a traced value
            if one.name.endswith("hessian/size 0->number"):
                continue  # torch.func.hessian reads entry 0; the answer is an empty matrix
            yield pytest.param(one, id=one.name)


# PyTorch warns of a part of itself that torch.func imports.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("scenario", list(torch_cases()))
def test_analytic_results_are_those_of_pytorch(scenario):
    result = scenario.result
    expected = result.toarray() if hasattr(result, "toarray") else np.asarray(result)
    got = torch_answer(scenario).detach().resolve_conj().numpy()
    np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-12, atol=1e-12)


def test_analytic_results_are_those_of_mpmath():
    exact = {
        "number->number": [lambda x: x * mpmath.sin(x)],
        "number->vector": [lambda x: x**2, mpmath.exp, mpmath.log],
        "number->matrix": [
            lambda x: x, lambda x: x**2, lambda x: x**3, mpmath.sin, mpmath.exp, lambda x: 1 / x,
        ],
    }  # fmt: skip
    seen = 0
    with mpmath.workdps(40):
        for one in default_scenarios(in_place=False, modifiers=()):
            kind = one.name.rpartition("/")[2]
            order = {"derivative": 1, "second_derivative": 2}.get(one.operator)
            if kind not in exact or order is None:
                continue
            right = [float(mpmath.diff(f, one.x, order)) for f in exact[kind]]
            np.testing.assert_allclose(np.ravel(one.result), right, rtol=1e-14, atol=1e-15)
            seen += 1
    assert seen == 6


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_tree_results_are_those_of_pytorch():
    import optree

    for one in tree_scenarios("torch", in_place=False, modifiers=()):
        if one.operator not in ("gradient", "hvp"):
            continue
        leaves, structure = optree.tree_flatten(one.x)

        def flat(*leaves, f=one.f, structure=structure):
            return f(optree.tree_unflatten(structure, leaves))

        everything = tuple(range(len(leaves)))
        gradient = torch.func.grad(flat, argnums=everything)
        got = gradient(*leaves)
        if one.operator == "hvp":
            got = torch.func.jvp(gradient, tuple(leaves), tuple(optree.tree_leaves(one.t)))[1]
        for a, b in zip(got, optree.tree_leaves(one.result), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
