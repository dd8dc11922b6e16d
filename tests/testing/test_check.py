"""check_differentiation itself: reports, exclusions, options; and the helper for pytest."""

import numpy as np
import pytest

import difint as di
from difint.testing import (
    CheckError,
    Exclusion,
    RefusalError,
    Scenario,
    check_differentiation,
    default_scenarios,
    known_gaps,
    load_scenario,
    parameters,
    parametrize,
)
from tests.testing.broken import AutoBroken

FD, JAX = di.AutoFiniteDiff(), di.AutoJax()
EXACT = di.AutoFiniteDiff("complex_step")
X = np.array([1.0, 2.0])
GOOD = Scenario("gradient", lambda x: (x**2).sum(), X, result=2 * X, lower=(5.0,), name="good")
BAD = GOOD.replace(result=3 * X, name="bad")
KINKED = load_scenario("default/numpy/float64/jacobian/kinked")


def test_report():
    report = check_differentiation([FD, EXACT], [GOOD, KINKED], excluded=known_gaps([FD, EXACT]))
    assert report.passed == ((FD, "good"), (EXACT, "good"), (FD, KINKED.name))
    ((backend, name, reason),) = report.excluded
    assert (backend, name) == (EXACT, KINKED.name) and "not its derivative" in reason
    first, second = str(report).splitlines()
    assert first == "3 passed, 1 excluded"
    assert second == f"  {KINKED.name}, {EXACT!r}: {reason}"


def test_exclusions():
    rules = [
        "gradient",
        Exclusion("odd", operator="gradient"),
        Exclusion("odd", backend=FD, name="bad"),
    ]
    for rule in rules:
        assert check_differentiation(FD, BAD, excluded=[rule]).excluded
        assert check_differentiation(FD, BAD, excluded=rule).excluded
    for rule in ["jacobian", Exclusion("", backend=JAX), Exclusion("", feature="complex x")]:
        with pytest.raises(CheckError):
            check_differentiation(FD, BAD, excluded=[rule])


def test_refusals_are_told_from_wrong_numbers():
    with pytest.raises(RefusalError) as caught:
        check_differentiation(EXACT, KINKED)
    assert caught.value.failures[0].refused
    assert isinstance(caught.value.__cause__, di.ArgumentError)
    assert "prepare raised ArgumentError: jacobian: f is not analytic" in str(caught.value)
    with pytest.raises(CheckError) as caught:
        check_differentiation([EXACT, FD], [KINKED, BAD])
    assert not isinstance(caught.value, RefusalError)
    assert isinstance(caught.value, AssertionError) and isinstance(caught.value, di.DifintError)


def test_tolerances():
    near = GOOD.replace(result=2 * X + [1e-6, 0.0])
    with pytest.raises(CheckError, match=r"within \de-1\d"):
        check_differentiation(EXACT, near)
    assert check_differentiation(EXACT, near, rtol=1e-6).passed
    assert check_differentiation(EXACT, near, atol=1e-5).passed
    assert check_differentiation(di.AutoFiniteDiff("forward"), near, rtol=1e-5).passed


def test_lower_orders_may_be_unknown():
    assert check_differentiation(EXACT, GOOD.replace(lower=None)).passed
    with pytest.raises(CheckError, match="lower order 0: it is 5, not 4"):
        check_differentiation(EXACT, GOOD.replace(lower=(4.0,)))


def test_results_must_be_known():
    unknown = Scenario("gradient", lambda x: (x**2).sum(), X)
    with pytest.raises(
        di.ArgumentError, match="has no result to compare with.*\n.*compute_results"
    ):
        check_differentiation(FD, unknown)
    assert check_differentiation(FD, unknown, correctness=False).passed
    with pytest.raises(CheckError, match="calls of a plan call f"):
        check_differentiation(
            AutoBroken("calls"),
            Scenario("jacobian", lambda x: 1.0 * x, X),
            correctness=False,
        )


def test_logging_and_progress(capsys):
    check_differentiation([FD, EXACT], [GOOD, KINKED], excluded=known_gaps(EXACT), logging=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "good, AutoFiniteDiff(): passed"
    assert lines[3].startswith(f"{KINKED.name}, {EXACT!r}: excluded: refused")
    check_differentiation([FD, EXACT], GOOD)
    assert capsys.readouterr().err == ""
    check_differentiation([FD, EXACT], GOOD, progress=True)
    assert "check: " in capsys.readouterr().err


def test_arguments_are_checked():
    with pytest.raises(di.ArgumentError, match="allocations is not one of its choices"):
        check_differentiation(FD, GOOD, allocations="some")
    for wrong in ("jax", di.AutoJax, [FD, "jax"], GOOD):
        with pytest.raises(di.ArgumentError, match="backend is not a backend"):
            check_differentiation(wrong, GOOD)
    for wrong in (FD, "gradient", [GOOD, FD], [FD]):
        with pytest.raises(di.ArgumentError, match="scenarios holds something else"):
            check_differentiation(FD, wrong)


def test_inputs_are_given_back_whatever_a_backend_does():
    x = X.copy()
    scenario = Scenario("jacobian", lambda x: 1.0 * x, x, result=np.eye(2))
    with pytest.raises(CheckError):
        check_differentiation(AutoBroken("mutates x"), scenario)
    np.testing.assert_array_equal(x, X)


def test_functions_that_are_undefined_in_places():
    x = np.array([4.0, 9.0])
    scenario = Scenario(
        "jacobian",
        lambda x: np.array([np.sqrt(x[0]), np.nan * x[1]]),
        x,
        result=np.array([[0.25, 0.0], [np.nan, np.nan]]),
    )
    assert check_differentiation(FD, scenario).passed


def test_strided_and_read_only_inputs():
    x = np.arange(6.0)[::2]
    x.flags.writeable = False
    scenario = Scenario("gradient", lambda x: (x**2).sum(), x, result=2 * x)
    assert check_differentiation([FD, EXACT], scenario, threads=True).passed


def test_parameters():
    listed = parameters([FD, EXACT], [GOOD, KINKED])
    assert [one.values for one in listed] == [
        (FD, GOOD), (FD, KINKED), (EXACT, GOOD), (EXACT, KINKED),
    ]  # fmt: skip
    assert [len(one.marks) for one in listed] == [0, 0, 0, 1]
    assert listed[0].id == "good-AutoFiniteDiff()"
    (mark,) = listed[3].marks
    assert mark.name == "xfail" and mark.kwargs["strict"]
    assert mark.kwargs["raises"] is RefusalError and "not its derivative" in mark.kwargs["reason"]
    assert not any(one.marks for one in parameters(EXACT, KINKED, excluded=()))
    assert parametrize(FD, GOOD).args[0] == ("backend", "scenario")


@parametrize([FD, EXACT], [GOOD, KINKED])
def test_one_test_for_each_pair(backend, scenario):
    check_differentiation(backend, scenario)


def test_the_full_check_passes_on_a_few():
    few = [one for one in default_scenarios(modifiers=()) if one.name.endswith("vector->vector")]
    report = check_differentiation(FD, few, allocations="full", threads=True)
    assert len(report.passed) == len(few) >= 3
    in_jax = [
        one
        for one in default_scenarios("jax", in_place=False)
        if one.name.endswith("vector->vector")
    ]
    assert check_differentiation(JAX, in_jax, allocations="prepared", threads=True).passed


def test_gaps_speak_of_known_features():
    from difint.backends import BACKENDS
    from difint.testing import FEATURES

    for cls in BACKENDS:
        for backend in cls.candidates():
            assert set(backend.gaps()) <= set(FEATURES)
            assert all(gap.reason for gap in known_gaps(backend))
    pair = di.SecondOrder(FD, JAX)
    assert set(pair.gaps()) == {*FD.gaps(), *JAX.gaps()}
    assert di.PrimitiveOnly(JAX, "forward").gaps() == JAX.gaps()


def test_a_function_that_is_not_steady_is_told_from_a_backend_that_is_not():
    rng = np.random.default_rng(0)
    random = Scenario("gradient", lambda x: x @ x + rng.random(), X, result=2 * X)
    with pytest.raises(CheckError) as caught:
        check_differentiation(FD, random)
    (found,) = caught.value.failures
    assert found.check == "function"
    assert found.problem.startswith("f gives other values for the same arguments")


def test_the_last_part_is_checked_where_lower_orders_are_unknown():
    right = np.array([[2.0, 1.0], [2.0, 1.0]])
    scenario = Scenario("jacobian", lambda x: x[::-1] * x, X, result=right)
    assert check_differentiation(FD, scenario).passed
    for fault in ("wrong value", "remembered"):
        broken = AutoBroken(fault)
        if fault == "wrong value":
            assert check_differentiation(broken, scenario).passed  # y is not known
        else:
            with pytest.raises(CheckError):
                check_differentiation(broken, scenario)


def test_a_wrong_form_is_reported_once():
    wrong = [3 * X[:1], np.array([2, 4]), (2 * X, 2 * X), 2 * X.astype("f4")]
    for result in wrong:
        with pytest.raises(CheckError) as caught:
            check_differentiation(FD, GOOD.replace(result=result))
        (found,) = caught.value.failures
        assert found.problem.startswith("execute is wrong: its ")


def test_numbers_may_stand_for_arrays_without_axes():
    scenario = GOOD.replace(f=lambda x: float((x**2).sum()))
    assert check_differentiation(FD, scenario).passed


def test_a_crash_at_prepare_is_no_refusal():
    class Broken(Exception):
        pass

    def fails(x):
        raise Broken("not my day")

    with pytest.raises(CheckError) as caught:
        check_differentiation(FD, GOOD.replace(f=fails))
    assert not isinstance(caught.value, RefusalError)


def test_looking_for_a_cause_may_fail_too():
    point = X.copy()

    def f(x):
        if np.array_equal(np.real(x), point):
            raise ZeroDivisionError
        return 1.0 * x

    scenario = Scenario("jacobian", f, 2 * X, result=3 * np.eye(2), prepare_args=(X / 2,))
    with pytest.raises(CheckError, match="off by the factor"):
        check_differentiation(FD, scenario)


def test_many_failures_are_summed_up_first():
    scenarios = [BAD, BAD, BAD.replace(operator="gradient"), BAD]
    with pytest.raises(CheckError) as caught:
        check_differentiation(FD, scenarios)
    lines = str(caught.value).splitlines()
    count = len(caught.value.failures)
    assert lines[:3] == [
        f"check_differentiation: {count} failures",
        "",
        f"  AutoFiniteDiff(), correctness: {count} of gradient",
    ]


def test_sparse_results(monkeypatch):
    """A backend of the future: its results are sparse, and share their indices alone."""
    from scipy.sparse import csc_array

    from difint.plan import Plan

    inner = Plan.execute
    share = []

    def execute(self, *args, out=None, y=None):
        result = csc_array(inner(self, *args, y=y))
        if share:
            result.data = share[0] if share[0] is not None else result.data
            share[0] = result.data
        return result

    monkeypatch.setattr(Plan, "execute", execute)
    scenario = next(s for s in default_sparse() if s.name.endswith("jacobian/arrow"))
    options = {"preparation": False, "retraces": False}
    call = {"correctness": False}
    found = check_differentiation(FD, scenario.replace(result=None, lower=None), **options, **call)
    assert found.passed
    share.append(None)
    with pytest.raises(CheckError, match="share memory|writing to a result"):
        check_differentiation(FD, scenario.replace(result=None, lower=None), **options, **call)


def default_sparse():
    from difint.testing import sparse_scenarios

    return sparse_scenarios(in_place=False, modifiers=())
