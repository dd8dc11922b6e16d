"""Code that shows a failure again: as short as it can be, and complete."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from difint.backends import Backend
from difint.kinds import TORCH
from difint.testing.calls import Call, Subject
from difint.testing.scenario import Scenario
from difint.testing.values import dense, is_sparse, leaves_of
from difint.trees import PYTHON_TREES

if TYPE_CHECKING:
    from difint.testing.checks.case import Case

# The largest array that code spells out.
_SPELLED = 16


def reproduce(subject: Subject, *lines: str, plan: str = "") -> str:
    """Write a program around lines that speak of the scenario ``s`` and of ``plan``.

    Args:
        subject: the scenario and the backend.
        lines: what shows the failure.
        plan: the arguments to prepare with, e.g. ``"*s.args"``; ``""`` if no plan is needed.
    """
    scenario = subject.scenario
    setup = [f"plan = {prepare_code(subject, plan)}"] if plan else []
    body = [*setup, *lines]
    lines_of_s = scenario_code(scenario)
    imports = [
        *(["import numpy as np"] if any("np." in line for line in lines_of_s + body) else []),
        *(["import torch"] if any("torch." in line for line in lines_of_s + body) else []),
        "import difint as di",
        *_imports(subject.backend),
    ]
    return "\n".join([*imports, *lines_of_s, *body])


def prepare_code(subject: Subject, args: str) -> str:
    """Write the preparation; same-point plans ask for ``args`` of ``"same point"``."""
    suffix = "_same_point" if args == "same point" else ""
    contexts = ", *s.contexts" if subject.scenario.contexts else ""
    args = f"s.x, s.prepare_args[1]{contexts}" if suffix else args
    y = ", y=s.y" if subject.scenario.y is not None else ""
    name = f"prepare_{subject.scenario.operator}{suffix}"
    return f"di.{name}(s.f, {subject.backend!r}, {args}{y})"


def targets_code(call: Call, case: Case) -> list[str]:
    """Write the poisoned memory for ``out=`` and ``y=``; of a sparse result, one of its pattern."""
    scenario, subject = case.scenario, case.subject
    fresh = empty_code(scenario.result, scenario.x)
    if call.out and is_sparse(case.memory_for_result()):
        y = "" if scenario.y is None else ", y=s.y"
        fresh = f"di.{scenario.operator}(s.f, {subject.backend!r}, *s.args{y})"
    lines = [f"out = {fresh}"] if call.out else []
    return lines + ([f"y = {empty_code(scenario.y)}"] if call.y else [])


def assertion(got: str, want: str, allowed: float, value: Any) -> str:
    """Write an assertion that two values, both like ``value``, agree."""
    near = f"rtol=0, atol={allowed:.2g}, strict=True"
    if PYTHON_TREES.is_leaf(value):
        want = f"{want}.toarray()" if dense(value) is not value else want
        return f"np.testing.assert_allclose({got}, {want}, {near})"
    loop = f"for got, want in zip(*map(optree.tree_leaves, ({got}, {want}))):"
    return f"import optree\n{loop}\n    np.testing.assert_allclose(got, want, {near})"


def empty_code(value: Any, x: Any = None) -> str:
    """Write memory like a value, filled with NaN: a tensor where ``x`` holds some."""
    torch = any(map(TORCH.owns, leaves_of((value, x))))

    def leaf(one: Any) -> str:
        array = np.asarray(one)
        if torch:
            return f"torch.full({array.shape}, torch.nan, dtype=torch.{array.dtype})"
        dtype = "" if array.dtype == float else f", '{array.dtype}'"
        return f"np.full({array.shape}, np.nan{dtype})"

    return _outlined(dense(value), leaf)


def _outlined(value: Any, leaf: Any) -> str:
    """Write a tree of dicts, lists and tuples, with some code for each leaf."""
    if type(value) is dict:
        inner = ", ".join(f"{key!r}: {_outlined(one, leaf)}" for key, one in value.items())
        return "{" + inner + "}"
    if type(value) in (list, tuple):
        inner = ", ".join(_outlined(one, leaf) for one in value)
        single = "," if type(value) is tuple and len(value) == 1 else ""
        return f"[{inner}]" if type(value) is list else f"({inner}{single})"
    if isinstance(value, tuple):
        return f"{type(value).__name__}({', '.join(_outlined(one, leaf) for one in value)})"
    return str(leaf(value))


def _imports(backend: Backend) -> list[str]:
    by_module: dict[str, set[str]] = {}
    for cls in _classes(backend):
        if cls.__module__ in ("__main__", "builtins"):
            continue  # the reader's own, where this is pasted
        module = "difint" if cls.__module__ == "difint.backends" else cls.__module__
        module = "difint.sparse" if module.startswith("difint.sparse.") else module
        by_module.setdefault(module, set()).add(cls.__name__)
    return [f"from {module} import {', '.join(sorted(by_module[module]))}" for module in by_module]


def _classes(backend: Any) -> Iterator[type]:
    """List the classes in a backend's constructor call."""
    yield type(backend)
    for field in fields(backend):
        value = getattr(backend, field.name)
        if is_dataclass(value) and value != field.default:
            yield from _classes(value)


def scenario_code(scenario: Scenario) -> list[str]:
    """Write the lines that make the scenario again, as far as they can be written."""
    if scenario.source is not None:
        return ["from difint import testing", f"s = testing.{scenario.source}"]
    sizes = [np.prod(np.shape(leaf)) for one in _values(scenario) for leaf in leaves_of(one)]
    if max(sizes) > _SPELLED:
        note = "its arrays are too large to be printed here"
        return ["from difint import testing", f"# s is your scenario {scenario.name!r}: {note}"]
    f, note_of_f = _function(scenario.f)
    args = [repr(scenario.operator), f, _spelled(scenario.x)]
    args += [f"di.{type(one).__name__}({_spelled(one.value)})" for one in scenario.contexts]
    named = {"t": scenario.t, "y": scenario.y, "result": scenario.result}
    args += [f"{name}={_spelled(value)}" for name, value in named.items() if value is not None]
    if scenario.lower is not None:
        args.append(f"lower={_spelled(scenario.lower)}")
    return [*note_of_f, f"s = testing.Scenario({', '.join(args)})"]


def _function(f: Any) -> tuple[str, list[str]]:
    """Name a function, and say where it comes from."""
    name = getattr(f, "__qualname__", "")
    module = getattr(f, "__module__", "")
    lines = ["from difint import testing"]
    if name.isidentifier() and module == "__main__":
        return name, [*lines, f"# {name} is your own, where this is pasted"]
    if name.isidentifier() and getattr(sys.modules.get(module), name, None) is f:
        return name, [*lines, f"from {module} import {name}"]
    code = getattr(f, "__code__", None)
    where = f", {code.co_filename}:{code.co_firstlineno}" if code else ""
    return "f", [*lines, f"# f is {name or repr(f)}{where}"]


def _values(scenario: Scenario) -> Iterator[Any]:
    """List what has to be spelled out; a sparse result counts by its full size."""
    yield from (scenario.x, scenario.t, scenario.y, dense(scenario.result))
    yield from scenario.contexts
    yield from scenario.lower or ()


def _spelled(value: Any) -> str:
    return _outlined(dense(value), _leaf)


def _leaf(leaf: Any) -> str:
    if isinstance(leaf, float | int | bool | complex | str):
        return repr(leaf)
    array = np.asarray(leaf)
    dtype = "" if array.dtype == float and array.size else f", dtype='{array.dtype}'"
    text = f"np.array({array.tolist()!r}{dtype})"
    module = type(leaf).__module__.partition(".")[0]
    if TORCH.owns(leaf):
        return f"torch.tensor({array.tolist()!r}, dtype=torch.{array.dtype})"
    return f"jax.numpy.asarray({text})" if module.startswith("jax") else text
