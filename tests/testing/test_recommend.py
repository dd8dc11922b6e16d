"""recommend: the ranking, what it says, and what it leaves out. Times are made up here."""

import jax.numpy as jnp
import numpy as np
import pytest

import difint as di
from difint.testing import recommend, recommending
from difint.testing.timing import Timing
from tests.testing.broken import AutoBroken

FD, FORWARD = di.AutoFiniteDiff(), di.AutoFiniteDiff("forward")
EXACT = di.AutoFiniteDiff("complex_step")
X = np.array([1.0, 2.0, 3.0])


def cube(x):
    return x**3


@pytest.fixture
def times(monkeypatch):
    """Let the candidates take made-up times, in their order, with a little noise."""
    noise = 1 + 0.01 * np.sin(np.arange(50.0))

    def pretend(*seconds):
        made = [Timing(tuple(s * np.roll(noise, i)), 1) for i, s in enumerate(seconds)]
        monkeypatch.setattr(recommending, "time_together", lambda calls, seconds, fewest: made)

    return pretend


def test_ranked_by_time(times):
    times(3e-6, 1e-6, 2e-6)
    found = recommend(cube, X, "jacobian", [FD, FORWARD, EXACT])
    assert [one.backend for one in found.ranked] == [FORWARD, EXACT, FD]
    assert found.best == FORWARD and not found.rejected
    assert [one.tied for one in found.ranked] == [True, False, False]
    first, second, third = found.ranked
    assert first.reasons[0] == "the fastest prepared call"
    assert (
        second.reasons[0].startswith("1.9") and "times slower than the first" in second.reasons[0]
    )
    assert "a method that is accurate to about 1e-8 at best" in first.reasons
    assert "a method that is accurate to about 1e-10 at best" in third.reasons
    assert len(second.reasons) in (1, 2) and second.deviation < 1e-15 < third.deviation < 1e-9
    assert second.route == "native" and second.prepare_seconds > 0


def test_says_when_differences_are_noise(times):
    times(1.000e-6, 1.001e-6)
    found = recommend(cube, X, "jacobian", [FD, EXACT])
    assert found.ranked[1].tied
    assert "no slower than the first within noise (1.00 to 1.00" in found.ranked[1].reasons[0]
    assert str(found).splitlines()[3].startswith("2=  ")


def test_preparation_is_weighed(times):
    times(1e-6, 5e-6)
    found = recommend(lambda x: x.__array_namespace__().sin(x), X, "jacobian", [di.AutoJax(), FD])
    slow = found.ranked[1]
    assert slow.backend == FD
    (reason,) = [one for one in slow.reasons if "cheaper in all" in one]
    calls = float(reason.split()[6].replace(",", ""))
    saved = found.ranked[0].prepare_seconds - slow.prepare_seconds
    assert calls == pytest.approx(saved / 4e-6, rel=0.35)  # rounded to a digit


def test_what_cannot_is_left_out_with_its_reason():
    backends = [FD, di.AutoJax(), di.PrimitiveOnly(FD, "reverse")]
    found = recommend(lambda x: np.square(x), X, "jacobian", backends, seconds=1e-3)
    assert [one.backend for one in found.ranked] == [FD]
    reasons = dict(found.rejected)
    assert reasons[di.AutoJax()].startswith("TracerArrayConversionError: AutoJax traces f.")
    assert "has no pullback" in reasons[di.PrimitiveOnly(FD, "reverse")]
    assert "AutoJax() left out: TracerArray" in str(found)


def test_what_disagrees_is_left_out_whatever_its_speed():
    found = recommend(cube, X, "jacobian", [AutoBroken("factor"), FD, EXACT], seconds=1e-3)
    assert {one.backend for one in found.ranked} == {FD, EXACT}
    ((backend, reason),) = found.rejected
    assert backend == AutoBroken("factor")
    assert reason.startswith("disagrees with AutoFiniteDiff(scheme='complex_step'): entry [2, 2]")


def test_all_installed_backends_by_default():
    found = recommend(lambda x: x.__array_namespace__().sin(x).sum(), X, "gradient", seconds=1e-3)
    names = {type(one.backend).__name__ for one in found.ranked}
    assert names == {"AutoFiniteDiff", "AutoJax"}
    assert len(found.ranked) == 6


def test_contexts_tangents_and_in_place():
    def fill(y, x, a):
        y[...] = a * x**2

    options = {"contexts": [di.Constant(2.0)], "y": np.empty(3), "seconds": 1e-3}
    for operator in ("pushforward", "pullback", "jacobian"):
        assert len(recommend(fill, X, operator, [FD, EXACT], **options).ranked) == 2
    given = recommend(lambda x: x @ x, X, "hvp", [FD, EXACT], t=np.ones(3), seconds=1e-3)
    assert len(given.ranked) == 2
    assert recommend(lambda x: x[:2], jnp.asarray(X), "pullback", di.AutoJax(), seconds=1e-3).ranked


def test_in_32_bit_mode():
    import jax

    with jax.enable_x64(False):
        found = recommend(jnp.sin, X, "pullback", seconds=1e-3)
    assert {repr(one.backend) for one in found.ranked} == {
        "AutoJax(x64=True)",
        "AutoJax(mode='forward', x64=True)",
        "AutoJax(mode='reverse', x64=True)",
    }
    tried = di.AutoNumba, di.AutoEnzyme, di.AutoTorch
    others = [reason for one, reason in found.rejected if not isinstance(one, tried)]
    assert others and all("32-bit mode" in reason for reason in others)


def test_nobody_can():
    def fails(x):
        raise KeyError("nothing here")

    with pytest.raises(di.ArgumentError) as caught:
        recommend(fails, X, "jacobian", [FD, EXACT])
    text = str(caught.value)
    assert text.startswith("recommend: no backend can do the jacobian of f\n")
    assert text.count("KeyError: 'nothing here'") == 2


def test_arguments_are_checked():
    with pytest.raises(di.ArgumentError, match="operator is not one of the eight"):
        recommend(cube, X, "jacobi")
    with pytest.raises(di.ArgumentError, match="backend is not a backend"):
        recommend(cube, X, "jacobian", "jax")
