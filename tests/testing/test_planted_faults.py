"""Faults planted on purpose: each is caught, and the message says what is wrong."""

import functools

import numpy as np
import pytest

import difint as di
from difint.delivery import Delivery
from difint.plan import Plan
from difint.testing import (
    CheckError,
    Scenario,
    check_differentiation,
    default_scenarios,
    load_scenario,
)
from tests.testing.broken import FAULTS, JAX_FAULTS, AutoBroken

DEFAULT = "default/numpy/float64/"
JACOBIAN = DEFAULT + "jacobian/vector->vector"
MATRIX = DEFAULT + "jacobian/matrix->matrix"
EVERYTHING = {"allocations": "prepared", "threads": True}
FEW = {"allocations": "none", "threads": False}

# The fault, a scenario that shows it, the check that finds it, what its message says.
PLANTED = [
    ("wrong entry", JACOBIAN, "correctness", ["entry [1, 0] is 0.6411200081, not 0.1411200081", "1 of 6 entries differ"]),
    ("factor", JACOBIAN, "correctness", ["it is off by the factor 2"]),
    ("buffer", JACOBIAN, "aliasing", ["a later call changed the result of an earlier one"]),
    ("remembered", JACOBIAN, "aliasing", ["writing to a result changes what a later call returns"]),
    ("mutates x", JACOBIAN, "intact", ["execute", "changed x, s.args[0]"]),
    ("mutates constants", "constant array", "intact", ["changed context 0, s.args[1]"]),
    ("stale constants", JACOBIAN + "/constantify", "correctness", ["the constants of prepare are still in use"]),
    ("prepared point", JACOBIAN, "correctness", ["right at the prepared point, wrong at another"]),
    ("first result", JACOBIAN, "correctness", ["execute at the prepared point, after another, is wrong", "execute, value_and_jacobian, execute out=, value_and_jacobian out=: wrong at a second point: entry"]),
    ("threads", JACOBIAN, "threads", ["4 threads on one plan disagree with one thread"]),
    ("Fortran columns", MATRIX, "correctness", ["with x or y raveled in Fortran order it would be right"]),
    ("Fortran rows", MATRIX, "correctness", ["with x or y raveled in Fortran order it would be right"]),
    ("Fortran matrix", JACOBIAN, "correctness", ["in Fortran order it would be right: C and F order are mixed up"]),
    ("transposed", DEFAULT + "jacobian/vector->number/in place", "correctness", ["its shape is (4, 1), not (1, 4)"]),
    ("transposed", "square", "correctness", ["its transpose would be right"]),
    ("float32", JACOBIAN, "correctness", ["its dtype is float32, not float64"]),
    ("shape", JACOBIAN, "correctness", ["its shape is (3,), not (2, 3)"]),
    ("kind", JACOBIAN, "correctness", ["its kind is jax, not numpy as that of x"]),
    ("raises", JACOBIAN, "correctness", ["execute raised RuntimeError: the kernel is out of order"]),
    ("leak", JACOBIAN, "allocations", ["64 calls left", "bytes behind"]),
    ("calls", JACOBIAN, "retraces", ["equal calls of a plan call f 4 times, then"]),
    ("NaN", JACOBIAN, "correctness", ["entry [0, 0] is nan, not 2", "1 entries are NaN"]),
    ("wrong value", JACOBIAN, "correctness", ["value_and_jacobian", "are wrong: lower order 0: entry"]),
    ("value is x", "identity", "aliasing", ["a result and an argument share memory"]),
    ("wrong value", JACOBIAN + "/in place", "correctness", ["y= does not hold f(x): entry"]),
    ("raw memory", JACOBIAN, "correctness", ["execute with arrays in strided memory is wrong", "out= with arrays in"]),
    ("swapped contexts", JACOBIAN + "/constantify", "correctness", ["off by the factor 0.111111"]),
    ("frozen when bound", JACOBIAN, "correctness", ["bind, bind out= are wrong: what was written into bound arguments is not seen"]),
    ("remembers tangents", DEFAULT + "pullback/vector->vector", "correctness", ["same point execute out=", "wrong at a second point"]),
    ("remembers values", "default/jax/float64/jacobian/vector->vector", "correctness", ["value_and_jacobian at the prepared point, after another, is wrong"]),
    ("chunks", DEFAULT + "pullback/long vector->vector", "correctness", ["are wrong: entry [64]"]),
    ("writes prepare's y", JACOBIAN + "/in place", "intact", ["changed the y of prepare, s.y"]),
    ("value races", JACOBIAN, "threads", ["value_and_jacobian: 4 threads on one plan disagree"]),
    ("mutates constants", JACOBIAN + "/constantify", "intact", ["changed context 1, s.args[2]"]),
    ("batch factor", DEFAULT + "pushforward/vector->vector/batchify", "correctness", ["at [0]: ", "off by the factor 1.5"]),
    ("batch swapped", DEFAULT + "pushforward/vector->vector/batchify", "correctness", ["at [0]: ", "off by the factor -2"]),
    ("stale tangent", DEFAULT + "pullback/vector->vector", "correctness", ["same point execute", "off by the factor 0.875"]),
    ("tangent forgotten", DEFAULT + "hvp/vector->number", "correctness", ["gradient_and_hvp", "are wrong: entry"]),
    ("recompiles", "default/jax/float64/gradient/vector->number", "retraces", ["two calls of a plan traced", "all of that belongs into prepare"]),
]  # fmt: skip

OWN = {
    "square": Scenario(
        "jacobian",
        lambda x: np.stack([x[0] * x[1], x[1] ** 3]),
        np.array([2.0, 3.0]),
        result=np.array([[3.0, 2.0], [0.0, 27.0]]),
    ),
    "identity": Scenario(
        "jacobian",
        lambda x: 1.0 * x,
        np.array([2.0, 3.0]),
        result=np.eye(2),
        lower=(np.array([2.0, 3.0]),),
    ),
    "constant array": Scenario(
        "jacobian",
        lambda x, a: a * x,
        np.array([2.0, 3.0]),
        di.Constant(np.array([0.5, 4.0])),
        result=np.diag([0.5, 4.0]),
    ),
}


def scenario_of(name):
    return OWN[name] if name in OWN else load_scenario(name)


def failures_of(backend, scenario, **options):
    usual = FEW if backend.engine().arrays.traceable else EVERYTHING
    with pytest.raises(CheckError) as caught:
        check_differentiation(backend, scenario, **{**usual, **options})
    return caught.value.failures


@functools.cache
def planted(fault, name):
    return failures_of(AutoBroken(fault), scenario_of(name))


@pytest.mark.parametrize("fault, name, check, words", PLANTED, ids=[row[0] for row in PLANTED])
def test_planted(fault, name, check, words):
    found = [one for one in planted(fault, name) if one.check == check]
    problems = "\n".join(one.problem for one in found)
    for word in words:
        assert word in problems, problems
    assert all(one.scenario == scenario_of(name).name for one in found)


def test_every_fault_is_planted():
    assert {row[0] for row in PLANTED} == {*FAULTS, *JAX_FAULTS}


def test_without_a_fault_nothing_is_found():
    names = {name for _, name, _, _ in PLANTED if "/jax/" not in name}
    listed = [scenario_of(name) for name in names]
    assert len(check_differentiation(AutoBroken(), listed, **EVERYTHING).passed) == len(names)


@pytest.mark.parametrize("fault", ["batch factor", "batch swapped", "stale tangent"])
def test_faults_of_one_way_to_call_show_in_that_way_alone(fault):
    scenario = load_scenario(DEFAULT + "pullback/vector->vector/batchify")
    single = load_scenario(DEFAULT + "pullback/vector->vector")
    assert failures_of(AutoBroken(fault), scenario)
    if fault != "stale tangent":
        assert check_differentiation(AutoBroken(fault), single).passed
    else:
        labels = {
            one.problem.partition(" are wrong")[0] for one in failures_of(AutoBroken(fault), single)
        }
        assert all("same point" in label for label in labels)


# Faults that one call does not show, or no assertion on numbers.
UNSHOWN = ("raises", "first result", "kind", "remembers tangents", "remembers values")

ASSERTIONS = [
    row for row in PLANTED
    if row[2] == "correctness" and row[1] not in OWN and row[0] not in UNSHOWN
]  # fmt: skip


@pytest.mark.parametrize("fault, name, check, words", ASSERTIONS, ids=[r[0] for r in ASSERTIONS])
def test_the_code_in_a_message_shows_the_failure_again(fault, name, check, words):
    failures = planted(fault, name)
    first = next(one for one in failures if one.check == check and one.error is None)
    with pytest.raises(AssertionError):
        exec(first.code, {})
    exec(first.code.replace(repr(AutoBroken(fault)), "AutoBroken()"), {})


@pytest.mark.parametrize("fault, name, check, words", PLANTED, ids=[row[0] for row in PLANTED])
def test_all_code_in_messages_shows_something(fault, name, check, words, capsys):
    for one in planted(fault, name):
        names = {"f": scenario_of(name).f, "wrong": np.zeros(7)}
        try:
            exec(one.code, names)
        except (AssertionError, RuntimeError, RuntimeWarning, di.DifintError):
            continue  # it fails as the message says
        shown = capsys.readouterr().out
        assert shown or one.check in ("preparation", "retraces", "allocations"), one


def test_out_partly_filled(monkeypatch):
    inner = Delivery.deliver

    def deliver(self, args, out, y, *, full):
        result = inner(self, args, None, y, full=full)
        if out is None:
            return result
        out[:1] = (result[-1] if full else result)[:1]
        return (*result[:-1], out) if full else out

    monkeypatch.setattr(Delivery, "deliver", deliver)
    (found,) = failures_of(di.AutoFiniteDiff(), load_scenario(JACOBIAN), preparation=False)
    assert "execute out=, value_and_jacobian out=" in found.problem
    assert "out is not filled: " in found.problem and "3 entries are NaN" in found.problem
    assert found.check == "correctness"


def test_out_not_returned(monkeypatch):
    inner = Plan.execute

    def execute(self, *args, out=None, y=None):
        result = inner(self, *args, out=out, y=y)
        return result if out is None else result.copy()

    monkeypatch.setattr(Plan, "execute", execute)
    problems = [one.problem for one in failures_of(di.AutoFiniteDiff(), load_scenario(JACOBIAN))]
    assert (
        "execute out=, one shot jacobian out= are wrong: it did not return the out= that"
        in problems[0]
    )


def test_misfits_not_refused(monkeypatch):
    monkeypatch.setattr("difint.plan.Plan._unusual", lambda self, args, out, y, full: None)
    scenario = load_scenario(JACOBIAN)
    problems = [one.problem for one in failures_of(di.AutoFiniteDiff(), scenario)]
    for what in ("x of another size", "x of another dtype", "x of another structure"):
        assert f"execute with {what} was not refused with PreparationMismatchError" in problems


@pytest.mark.parametrize(
    "name, start",
    [
        (JACOBIAN, "bind with x of another size"),
        (JACOBIAN + "/constantify", "value_and_jacobian with context 0 of another type"),
        (DEFAULT + "pullback/vector->vector", "execute with t of another size at one point"),
    ],
)
def test_misfits_in_every_way_to_call(monkeypatch, name, start):
    monkeypatch.setattr("difint.signature.Signature.check", lambda self, args: False)
    options = {"correctness": False, "retraces": False, "intact": False, **FEW}
    found = failures_of(di.AutoFiniteDiff(), load_scenario(name), **options)
    assert any(one.problem.startswith(start) for one in found), [one.problem for one in found]


def test_compilation_in_bind(monkeypatch):
    import jax

    inner = Plan.bind

    def bind(self, *args, out=None, y=None):
        step = inner(self, *args, out=out, y=y)
        return lambda: (jax.jit(lambda x: x + 1)(1.0), step())[1]

    monkeypatch.setattr(Plan, "bind", bind)
    scenario = load_scenario("default/jax/float64/gradient/vector->number/numpify")
    found = [one for one in failures_of(di.AutoJax(), scenario, **FEW) if one.check == "retraces"]
    assert found and all(one.problem.startswith("bind") for one in found)


def test_misfits_refused_with_another_error(monkeypatch):
    def unusual(self, args, out, y, full):
        raise KeyError("what?")

    monkeypatch.setattr("difint.plan.Plan._unusual", unusual)
    problems = [one.problem for one in failures_of(di.AutoFiniteDiff(), load_scenario(JACOBIAN))]
    wanted = "execute with x of another size raised KeyError, not PreparationMismatchError"
    assert wanted in problems


def test_out_that_does_not_fit(monkeypatch):
    monkeypatch.setattr(Delivery, "check", lambda self, args, out, y: None)
    problems = [one.problem for one in failures_of(di.AutoFiniteDiff(), load_scenario(JACOBIAN))]
    assert "execute with out= of another dtype was not refused with ArgumentError" in problems


def test_checks_can_be_left_out():
    scenario = load_scenario(JACOBIAN)
    for fault, option in (
        ("wrong entry", "correctness"),
        ("calls", "retraces"),
        ("buffer", "intact"),
        ("threads", "threads"),
    ):
        failures_of(AutoBroken(fault), scenario)
        on = {"correctness": True, "threads": False, option: False}
        assert check_differentiation(AutoBroken(fault), scenario, **on).passed
    assert check_differentiation(AutoBroken("leak"), scenario).passed


def test_leaks_of_one_shot_functions():
    kept = []

    def f(x):
        kept.append(np.array(x))
        return 1.0 * x

    scenario = OWN["identity"].replace(f=f)
    found = failures_of(di.AutoFiniteDiff(), scenario, allocations="full")
    assert any(one.problem.startswith("one shot jacobian: 64 calls left") for one in found)


def test_one_error_lists_every_failure():
    scenarios = [s for s in default_scenarios(modifiers=()) if s.operator == "jacobian"]
    with pytest.raises(CheckError) as caught:
        check_differentiation(AutoBroken("factor"), scenarios, excluded=["hessian"])
    text = str(caught.value)
    names = {one.scenario for one in caught.value.failures}
    assert names == {s.name for s in scenarios if np.any(s.result)}  # twice zero is zero
    for name in names:
        assert text.count(f"load_scenario({name!r})") >= 1
    assert text.startswith(f"check_differentiation: {len(caught.value.failures)} failures\n")


def own_function(x):
    return x[0] * x[1]


def test_code_for_a_user_s_own_function():
    scenario = Scenario(
        "gradient", own_function, np.array([2.0, 3.0]), result=np.array([3.0, 2.5]), lower=(6.0,)
    )
    found = failures_of(di.AutoFiniteDiff(), scenario)[0]
    lines = found.code.splitlines()
    assert f"from {__name__} import own_function" in lines
    assert "s = testing.Scenario('gradient', own_function, np.array([2.0, 3.0]), result=np.array([3.0, 2.5]), lower=(6.0,))" in lines  # fmt: skip
    with pytest.raises(AssertionError):
        exec(found.code, {})


def test_code_for_what_cannot_be_written_out():
    big = Scenario("gradient", lambda x: x @ x, np.ones(100), result=np.ones(100))
    found = failures_of(di.AutoFiniteDiff(), big)[0]
    assert "# s is your scenario 'gradient of <lambda>': its arrays are too large" in found.code
    bound = Scenario("gradient", functools.partial(own_function), np.ones(2), result=np.zeros(2))
    found = failures_of(di.AutoFiniteDiff(), bound)[0]
    assert "# f is functools.partial(" in found.code
