"""ModuleLoss: training of PyTorch's modules by plans."""

import pytest
import torch

import difint as di

cross_entropy = torch.nn.functional.cross_entropy


def model(*more):
    torch.manual_seed(1)
    layers = torch.nn.Linear(5, 8), *more, torch.nn.Tanh(), torch.nn.Linear(8, 3)
    return torch.nn.Sequential(*layers).double()


def batch(size=16, seed=0):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, 5, dtype=torch.float64, generator=draw)
    return inputs, torch.randint(3, (size,), generator=draw)


def constants(*values):
    return tuple(map(di.Constant, values))


@pytest.mark.parametrize("compile", ["graph", "eager"])
def test_gradients_are_those_of_backward(compile):
    net, backend = model(), di.AutoTorch(compile=compile)
    f = di.ModuleLoss(net, cross_entropy)
    x, values = f.parameters(), batch()
    assert list(x) == [name for name, _ in net.named_parameters()]
    plan = di.prepare_gradient(f, backend, x, *constants(*batch(seed=1)))
    loss, gradient = plan.value_and_gradient(x, *constants(*values))
    right = cross_entropy(net(values[0]), values[1])
    right.backward()
    torch.testing.assert_close(loss, right.detach())
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(gradient[name], parameter.grad)
        assert parameter.requires_grad


def test_an_optimizer_steps_on_what_out_was_filled_with():
    ours, theirs = model(), model()
    f = di.ModuleLoss(ours, cross_entropy)
    x, out = f.parameters(), f.gradients()
    assert all(out[name] is one.grad for name, one in ours.named_parameters())
    plan = di.prepare_gradient(f, di.AutoTorch(), x, *constants(*batch()))
    optimizers = [torch.optim.SGD(one.parameters(), lr=0.5, momentum=0.9) for one in (ours, theirs)]
    for seed in range(5):
        inputs, targets = batch(seed=seed)
        plan.execute(x, *constants(inputs, targets), out=out)
        optimizers[1].zero_grad()
        cross_entropy(theirs(inputs), targets).backward()
        for one in optimizers:
            one.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_hessian_vector_products():
    net = model()
    f = di.ModuleLoss(net, cross_entropy)
    x, values = f.parameters(), batch()
    t = {name: torch.ones_like(one) for name, one in x.items()}
    plan = di.prepare_hvp(f, di.AutoTorch(), x, t, *constants(*values))
    got = plan.execute(x, t, *constants(*values))
    loss = cross_entropy(net(values[0]), values[1])
    first = torch.autograd.grad(loss, list(net.parameters()), create_graph=True)
    right = torch.autograd.grad(sum(one.sum() for one in first), list(net.parameters()))
    for one, other in zip(got.values(), right, strict=True):
        torch.testing.assert_close(one, other)


def test_dropout_is_drawn_anew_at_every_call():
    f = di.ModuleLoss(model(torch.nn.Dropout(0.5)), cross_entropy)
    x, values = f.parameters(), constants(*batch())
    plan = di.prepare_gradient(f, di.AutoTorch(), x, *values)
    losses = {plan.value_and_gradient(x, *values)[0].item() for _ in range(5)}
    assert len(losses) == 5
    torch.manual_seed(7)
    first = plan.value_and_gradient(x, *values)[0]
    torch.manual_seed(7)
    torch.testing.assert_close(f(x, *(one.value for one in values)), first)


def test_batch_norm_in_training_is_refused_and_in_eval_frozen():
    net = model(torch.nn.BatchNorm1d(8))
    with pytest.raises(di.UnsupportedError) as caught:
        di.ModuleLoss(net, cross_entropy)
    text = str(caught.value)
    assert "the layer '1' updates its running statistics" in text
    assert "eval()" in text and "track_running_stats=False" in text
    net[1].eval()
    f = di.ModuleLoss(net, cross_entropy)
    x, values = f.parameters(), constants(*batch())
    plan = di.prepare_gradient(f, di.AutoTorch(), x, *values)
    names = "1.running_mean", "1.running_var", "1.num_batches_tracked", "train() or eval()"
    assert plan.info.frozen == names
    before = plan.execute(x, *values)
    net[1].running_mean.add_(1.0)
    for one, other in zip(plan.execute(x, *values).values(), before.values(), strict=True):
        torch.testing.assert_close(one, other)
    net[1].train()
    with pytest.raises(di.UnsupportedError, match="updates its running statistics"):
        di.gradient(f, di.AutoTorch(), x, *values)
    di.ModuleLoss(model(torch.nn.BatchNorm1d(8, track_running_stats=False)), cross_entropy)


def test_layers_that_write_to_their_buffers_are_refused_and_left_as_they_are():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.utils.spectral_norm(torch.nn.Linear(5, 3))).double()
    f = di.ModuleLoss(net, cross_entropy)
    before = {name: one.clone() for name, one in net.named_buffers()}
    for compile in ("graph", "eager"):
        with pytest.raises(di.UnsupportedError, match="writes to its buffer"):
            di.prepare_gradient(
                f, di.AutoTorch(compile=compile), f.parameters(), *constants(*batch())
            )
    for name, one in net.named_buffers():
        assert type(one) is torch.Tensor and torch.equal(one, before[name])


def test_arguments_are_checked():
    for wrong, text in (
        (lambda: di.ModuleLoss(cross_entropy, model()), "Pass the module first"),
        (lambda: di.ModuleLoss(model(), torch.nn.MSELoss), r"Write MSELoss\(\)"),
        (lambda: di.ModuleLoss(model(), cross_entropy)(list(model().parameters()), 1), "f.parame"),
    ):
        with pytest.raises(di.ArgumentError, match=text):
            wrong()


def test_gradients_are_asked_for_at_every_step():
    net = model()
    f, optimizer = di.ModuleLoss(net, cross_entropy), torch.optim.SGD(net.parameters(), lr=0.1)
    plan = di.prepare_gradient(f, di.AutoTorch(), f.parameters(), *constants(*batch()))
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        values = f.parameters(), *constants(*batch())
        losses.append(plan.value_and_gradient(*values, out=f.gradients())[0].item())
        optimizer.step()
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == 4


def test_parameters_that_need_no_gradient_are_frozen():
    net = model()
    net[0].requires_grad_(False)
    f = di.ModuleLoss(net, cross_entropy)
    assert set(f.parameters()) == {"2.weight", "2.bias"}
    assert f.frozen == ("0.weight", "0.bias", "train() or eval()")
    net.requires_grad_(False)
    with pytest.raises(di.ArgumentError, match="no parameters to differentiate"):
        di.ModuleLoss(net, cross_entropy)


def test_a_batch_of_another_size_is_refused():
    f = di.ModuleLoss(model(), cross_entropy)
    x = f.parameters()
    plan = di.prepare_gradient(f, di.AutoTorch(), x, *constants(*batch()))
    with pytest.raises(di.PreparationMismatchError, match=r"float64\[9,5\]"):
        plan.execute(x, *constants(*batch(9)))


def test_convolutions_and_norms():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1),
        torch.nn.GELU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.LayerNorm(64),
        torch.nn.Linear(64, 3),
    )
    images, labels = torch.rand(6, 1, 8, 8), torch.randint(3, (6,))
    f = di.ModuleLoss(net, cross_entropy)
    x, values = f.parameters(), constants(images, labels)
    got = di.prepare_gradient(f, di.AutoTorch(), x, *values).execute(x, *values)
    cross_entropy(net(images), labels).backward()
    for name, one in net.named_parameters():
        torch.testing.assert_close(got[name], one.grad)
    t = {name: torch.ones_like(one) for name, one in x.items()}
    product = di.prepare_hvp(f, di.AutoTorch(), x, t, *values).execute(x, t, *values)
    eager = di.hvp(f, di.AutoTorch(compile="eager"), x, t, *values)
    for name in x:
        torch.testing.assert_close(product[name], eager[name], rtol=1e-4, atol=1e-5)
