"""AutoTorch on a GPU: these run where one is at hand."""

import pytest
import torch

import difint as di

EAGER = di.AutoTorch(compile="eager")
X = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


def f(x):
    return torch.stack([x[0] * x[1], torch.sin(x[2])])


def total(x):
    return (x**3).sum()


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is at hand")


@cuda
@pytest.mark.parametrize("compile", ["graph", "eager", "inductor"])
def test_on_a_gpu(compile):
    x = X.to("cuda")
    backend = di.AutoTorch(compile=compile)
    plan = di.prepare_jacobian(f, backend, x)
    value, got = plan.value_and_jacobian(x)
    assert value.device == got.device == x.device
    torch.testing.assert_close(got.cpu(), di.jacobian(f, EAGER, X))
    out = torch.empty(2, 3, dtype=torch.float64, device="cuda")
    assert plan.execute(x, out=out) is out
    torch.testing.assert_close(out, got)
    with pytest.raises(di.PreparationMismatchError, match="move it to"):
        plan.execute(X)
    h = di.prepare_hessian(total, backend, x).execute(x)
    torch.testing.assert_close(h.cpu(), torch.diag(6 * X))
