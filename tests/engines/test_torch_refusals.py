"""AutoTorch: what is refused, or warned of, with the way out."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import difint as di

GRAPH, EAGER = di.AutoTorch(), di.AutoTorch(compile="eager")
BOTH = pytest.mark.parametrize("backend", [GRAPH, EAGER], ids=["graph", "eager"])
X = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


def f(x):
    return torch.stack([x[0] * x[1], torch.sin(x[2])])


def total(x):
    return (x**3).sum()


@pytest.mark.parametrize(
    "branching",
    [
        lambda x: x.sum() if x[0] > 0 else -x.sum(),
        lambda x: x.sum() * float(x[0]),
        lambda x: x.sum() * int(x[0]),
        lambda x: (x * torch.from_numpy(x.detach().numpy())).sum(),
        lambda x: x[: int(x.argmax())].sum(),
        lambda x: sum(x[i] for i in range(3) if x[i] > 1.5),
        lambda x: x.sum() if torch.equal(x, x * 1) else x.prod(),
    ],
    ids=["if", "float()", "int()", "numpy()", "slice", "loop", "equal"],
)
@pytest.mark.filterwarnings("ignore:gradient. f takes numbers out:UserWarning")
def test_what_a_graph_would_freeze_is_refused(branching):
    with pytest.raises(di.UnsupportedError) as caught:
        di.prepare_gradient(branching, GRAPH, X)
    text = str(caught.value)
    reasons = "depends on the numbers in a tensor", "makes a NumPy array of a tensor"
    reasons += ("makes an array, or a tensor, of a tensor's numbers",)
    assert any(reason in text for reason in reasons) and "AutoTorch(compile='eager')" in text
    assert 'in "test_torch_refusals.py", line ' in text
    other = torch.tensor([-1.0, 4.0, 2.0], dtype=torch.float64)
    plan = di.prepare_gradient(branching, EAGER, X)
    for x in (X, other):
        leaf = x.clone().requires_grad_()
        (right,) = torch.autograd.grad(branching(leaf), leaf)
        torch.testing.assert_close(plan.execute(x), right)


def test_a_branch_on_a_constant_is_refused_too():
    flag = di.Constant(torch.tensor(True))
    with pytest.raises(di.UnsupportedError, match="functools.partial"):
        di.prepare_gradient(lambda x, flag: x.sum() if flag else -x.sum(), GRAPH, X, flag)


@pytest.mark.parametrize(
    "masked",
    [
        lambda x: x[x > 1.5].sum(),
        lambda x: (x * x[0].item()).sum(),
        lambda x: (x * x.tolist()[1]).sum(),
        lambda x: x[torch.nonzero(x > 1.5)[:, 0]].exp().sum(),
        lambda x: torch.where(x > 1.5, x**2, -x).sum(),
        lambda x: x.sort().values[0] * x.max(),
    ],
    ids=["mask", "item", "tolist", "nonzero", "where", "sort"],
)
@pytest.mark.filterwarnings("ignore:gradient. f takes numbers out:UserWarning")
def test_what_depends_on_numbers_without_a_branch_is_computed_anew(masked):
    plan = di.prepare_gradient(masked, GRAPH, X)
    for x in (X, X.flip(0), -X, torch.full((3,), 1.75, dtype=torch.float64)):
        leaf = x.clone().requires_grad_()
        (right,) = torch.autograd.grad(masked(leaf), leaf)
        torch.testing.assert_close(plan.execute(x), right)


@BOTH
def test_derivatives_that_f_cuts_are_told_of(backend):
    for cut in (lambda x: x * x[0].item(), lambda x: x * x.tolist()[0]):
        with pytest.warns(UserWarning, match="jacobian: f takes numbers out of tensors") as seen:
            got = di.prepare_jacobian(cut, backend, X).execute(X)
        assert "write .detach() before it" in str(seen[0].message)
        assert seen[0].filename == __file__
        torch.testing.assert_close(got, torch.eye(3, dtype=torch.float64))
    meant = di.prepare_jacobian(lambda x: x * x[0].detach().item(), backend, X)
    torch.testing.assert_close(meant.execute(2 * X), 2 * torch.eye(3, dtype=torch.float64))
    with pytest.warns(UserWarning, match="does not depend on x") as seen:
        di.prepare_jacobian(lambda x: x.detach() ** 2, backend, X)
    assert "torch.stack" in str(seen[0].message)


def test_new_tensors_of_entries_are_no_functions_of_x():
    def anew(x):
        return torch.tensor([x[0], x[1] ** 2], dtype=x.dtype)

    with pytest.warns(UserWarning, match="does not depend on x"):
        with pytest.raises(di.UnsupportedError, match=r"torch\.stack") as caught:
            di.prepare_jacobian(anew, GRAPH, X)
    assert "return torch.tensor([x[0]" in str(caught.value)
    with pytest.warns(UserWarning, match="does not depend on x"):
        assert not di.prepare_jacobian(anew, EAGER, X).execute(X).any()


@BOTH
def test_less_precision_than_that_of_x_is_refused(backend):
    def forgetful(x):
        y = torch.zeros(2)
        y[0], y[1] = x[0] / 3, x[1]
        return y

    for x in (X, X.numpy()):
        with pytest.raises(di.ArgumentError) as caught:
            di.prepare_jacobian(forgetful, backend, x)
        assert "f(x) has less precision than x" in str(caught.value)
        assert "dtype=x.dtype" in str(caught.value) and ".to(torch.float64)" in str(caught.value)
    assert di.jacobian(forgetful, backend, X.float()).dtype == torch.float32


@BOTH
@pytest.mark.parametrize("inner", [GRAPH, EAGER], ids=["of a graph", "eager"])
def test_plans_within_functions_are_refused(backend, inner):
    plan = di.prepare_gradient(total, inner, X)
    with pytest.raises(di.UnsupportedError, match="within a function that is differentiated"):
        di.prepare_jacobian(plan.execute, backend, X)
    with pytest.raises(di.UnsupportedError, match="within a function that is differentiated"):
        di.jacobian(plan.execute, backend, X)
    apart = di.gradient(lambda x: (plan.execute(x.detach()) * x).sum(), EAGER, X)
    torch.testing.assert_close(apart, 3 * X**2)
    torch.testing.assert_close(plan.execute(X), 3 * X**2)


@BOTH
def test_writing_to_arguments_is_refused(backend):
    with pytest.raises(di.ArgumentError, match="f wrote to x"):
        di.prepare_gradient(lambda x: x.mul_(2.0).sum(), backend, X.clone())
    constant = di.Constant(X.clone())
    with pytest.raises(di.ArgumentError, match="f wrote to a Constant"):
        di.prepare_gradient(lambda x, a: (a.add_(1.0) * x).sum(), backend, X, constant)


@pytest.mark.parametrize("compile", ["graph", "eager", "inductor"])
def test_a_matrix_without_an_inverse_is_an_error_in_a_graph_too(compile):
    """PyTorch checks after it has computed: the check has no result, and is kept all the same."""

    def f(x):
        return torch.linalg.inv(torch.diag(x)).sum()

    plan = di.prepare_gradient(f, di.AutoTorch(compile=compile), X)
    torch.testing.assert_close(plan.execute(X), -1 / X**2)
    with pytest.raises(RuntimeError, match="could not be completed"):
        plan.execute(X * torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))


def test_writing_to_a_captured_tensor_is_refused_in_a_graph():
    seen = torch.zeros(3, dtype=torch.float64)

    def loss(x):
        seen.add_(x.detach())
        return (x * seen).sum()

    with pytest.raises(di.UnsupportedError, match="running statistics"):
        di.prepare_gradient(loss, GRAPH, X)


@BOTH
def test_results_that_are_no_tensors_are_refused(backend):
    with pytest.raises(di.ArgumentError, match="f returned a float, which carries no derivative"):
        di.prepare_gradient(lambda x: x.sum().item(), backend, X)
    with pytest.raises(di.ArgumentError, match="f returned a ndarray"):
        di.prepare_jacobian(lambda x: x.detach().numpy(), backend, X)
    with pytest.raises(di.ArgumentError, match="f returned None"):
        di.prepare_jacobian(lambda x: None, backend, X)


def test_a_result_that_changes_is_refused():
    plan = di.prepare_jacobian(lambda x: x[x > 0], EAGER, X)
    with pytest.raises(di.ArgumentError, match="f returned something else than at prepare"):
        plan.execute(-X)
    with pytest.raises(di.UnsupportedError, match="depends on the numbers"):
        di.prepare_jacobian(lambda x: x[x > 0], GRAPH, X)


@BOTH
def test_an_error_of_f_passes_through(backend):
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        di.prepare_gradient(broken, backend, X)


@BOTH
def test_plans_are_not_transformed(backend):
    plan = di.prepare_gradient(total, backend, X)
    for transformed in (
        lambda: torch.func.grad(lambda x: plan.execute(x).sum())(X),
        lambda: torch.func.vmap(plan.execute)(torch.stack([X, X])),
    ):
        with pytest.raises(di.UnsupportedError, match=r"inside a transformation of torch\.func"):
            transformed()


def test_targets_that_do_not_fit():
    plan = di.prepare_jacobian(f, GRAPH, X)
    wide = torch.empty(3, 2, 3, dtype=torch.float64)
    for out, text in (
        (np.empty((2, 3)), r"a torch\.Tensor float64\[2,3\]"),
        (torch.empty(2, 3), r"torch\.empty\(\(2, 3\), dtype=torch\.float64, device='cpu'\)"),
        (torch.empty(3, 2, dtype=torch.float64), r"expected  float64\[2,3\]"),
        (torch.zeros(1, 1, dtype=torch.float64).expand(2, 3), "in several places"),
        (torch.empty(2, 3, dtype=torch.float64, device="meta"), "another device"),
    ):
        with pytest.raises(di.ArgumentError, match=text):
            plan.execute(X, out=out)
    assert plan.execute(X, out=wide[1]) is not None
    torch.testing.assert_close(wide[1], plan.execute(X))
    memory = torch.zeros(9, dtype=torch.float64)
    with pytest.raises(di.ArgumentError, match="overlaps"):
        plan.execute(memory[:3], out=memory[2:8].view(2, 3))
    numpy_plan = di.prepare_jacobian(f, GRAPH, X.numpy())
    with pytest.raises(di.ArgumentError, match="a NumPy array"):
        numpy_plan.execute(X.numpy(), out=torch.empty(2, 3, dtype=torch.float64))


def test_columns_of_one_tensor_are_apart():
    x = torch.rand(3, dtype=torch.float64)
    plan = di.prepare_pushforward(lambda x: x**2, GRAPH, x, (x, x))
    columns = torch.empty(3, 2, dtype=torch.float64)
    plan.execute(x, (x, 2 * x), out=(columns[:, 0], columns[:, 1]))
    torch.testing.assert_close(columns, torch.stack([2 * x * x, 4 * x * x], 1))
    with pytest.raises(di.ArgumentError, match="overlaps"):
        plan.execute(x, (x, x), out=(columns[:, 0], columns[:, 0]))


def test_mismatches_are_explained():
    plan = di.prepare_jacobian(f, GRAPH, X)
    with pytest.raises(di.PreparationMismatchError) as caught:
        plan.execute(X.float())
    assert str(caught.value).splitlines() == [
        "jacobian: the arguments do not fit this plan",
        "  x  prepared float64[3] (torch, cpu)  got float32[3] (torch, cpu)   <- differs",
        "Prepare again with an x like this one, or convert it: x.to(torch.float64).",
    ]
    with pytest.raises(di.PreparationMismatchError, match=r"torch\.asarray\(x, dtype=torch\.float"):
        plan.execute(X.numpy())
    with pytest.raises(di.PreparationMismatchError, match="move it to float64"):
        plan.execute(X.to("meta"))
    with pytest.raises(di.ArgumentError, match=r"x\.to\(torch\.float64\)"):
        di.prepare_jacobian(f, GRAPH, torch.arange(3))


def test_a_tree_of_another_structure_is_refused_without_strictness_too():
    x = {"a": X, "b": 2 * X}
    plan = di.prepare_gradient(lambda x: (x["a"] * x["b"]).sum(), GRAPH, x, strict=False)
    torch.testing.assert_close(plan.execute(x)["a"], 2 * X)
    with pytest.raises(di.PreparationMismatchError, match="another structure than at prepare"):
        plan.execute({"a": X, "c": X, "b": X})


def test_settings_are_checked():
    for wrong, text in (
        (dict(mode="sideways"), "mode is not one of its choices"),
        (dict(compile="jit"), "compile is not one of its choices"),
        (dict(chunk_size=0), "chunk_size is not a size"),
        (dict(chunk_size=2.0), "chunk_size is not a size"),
    ):
        with pytest.raises(di.ArgumentError, match=text):
            di.AutoTorch(**wrong)
    assert repr(di.AutoTorch("reverse", compile="aot")) == (
        "AutoTorch(mode='reverse', compile='aot')"
    )


def test_without_pytorch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, difint as di\n"
        "print(di.check_available(di.AutoTorch()))\n"
        "try: di.gradient(lambda x: x, di.AutoTorch(), np.ones(2))\n"
        "except di.BackendUnavailableError as error: print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert out.stdout.splitlines() == [
        "False",
        "AutoTorch(): the package torch is not installed",
        "Install it with: pip install 'difint[torch]'",
    ]
