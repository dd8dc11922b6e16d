"""A user's own function on the command line: where it is, and what it is called with."""

from __future__ import annotations

import argparse
import ast
import builtins
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import difint
from difint.backends import Backend
from difint.contexts import Cache, Constant, Context
from difint.errors import ArgumentError, DifintError, message
from difint.testing.comparing import all_candidates, scenario_for
from difint.testing.scenario import Scenario

# Names that expressions may use without an import.
_ALIASES = {"np": "numpy", "jnp": "jax.numpy", "di": "difint"}


def load(options: argparse.Namespace) -> tuple[Scenario, list[Backend]]:
    """Find the function, evaluate the expressions, and choose the backends.

    JAX computes in 64 bits here unless the environment says otherwise: in 32 bits it would not
    compare with anything else.

    Raises:
        DifintError: something cannot be found or evaluated; the message names the option.
    """
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    f = _function(options.function)
    backends = _backends(options.backends)
    contexts = [_context(kind, text) for kind, text in options.contexts or ()]
    x = evaluate("--x", options.x)
    t = None if options.t is None else evaluate("--t", options.t)
    y = None if options.y is None else evaluate("--y", options.y)
    scenario = scenario_for(options.operator, f, x, contexts, t, y, backends)
    return scenario.replace(name=f"{options.operator} of {options.function}"), backends


def could_not(refusals: Sequence[tuple[str, str]]) -> list[str]:
    """Write who could not, and why: a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in refusals:
        by_reason.setdefault(reason, []).append(name)
    return [f"{', '.join(names)} could not: {reason}" for reason, names in by_reason.items()]


def _function(text: str) -> Callable[..., Any]:
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        _refuse("MODULE:FUNCTION", text, "a module or a file, a colon, and a function's name")
    module = _module(place)
    f: Any = module
    for part in name.split("."):
        if part not in vars(f):
            _refuse("MODULE:FUNCTION", text, f"a function in {place}, which has no {name}")
        f = vars(f)[part]
    f = f.__func__ if isinstance(f, staticmethod) else f
    if not callable(f):
        _refuse("MODULE:FUNCTION", text, f"a function; {name} is of the type {type(f).__name__}")
    found: Callable[..., Any] = f
    return found


def _module(place: str) -> Any:
    """Import a module, or a file by its path, from the folder where it lies."""
    path, folder, name = Path(place), Path.cwd(), place
    if path.suffix == ".py":
        if not path.is_file():
            _refuse("MODULE:FUNCTION", place, "a file that exists")
        folder = path.absolute().parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if path.suffix != ".py" and _unknown(name):
        _refuse("MODULE:FUNCTION", place, "a module that can be imported from here")
    try:
        return _from_file(path) if path.suffix == ".py" else importlib.import_module(name)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{frames[-1].filename}, line {frames[-1].lineno}"
        text = message(
            "difint",
            f"{place} cannot be imported: {type(error).__name__}: {error}",
            got=f"the error in {where}",
            remedy="Mend it, or install what it needs.",
        )
        raise ArgumentError(text) from error


def _from_file(path: Path) -> Any:
    """Import a file under its own name, unless that of another module."""
    known = sys.modules.get(path.stem)
    other = known is not None and getattr(known, "__file__", None) != str(path.absolute())
    name = f"{path.stem}_at_{abs(hash(path.absolute()))}" if other else path.stem
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    assert spec is not None and spec.loader is not None, "a file with this suffix has a loader"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _unknown(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is None
    except ModuleNotFoundError:  # a package above it
        return True


def evaluate(option: str, text: str, names: Mapping[str, Any] | None = None) -> Any:
    """Evaluate an expression of the command line, in which any module can be named.

    >>> evaluate("--x", "numpy.array([numpy.sqrt(i) for i in range(2)])")
    array([0., 1.])
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        own = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
        own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        unknown = {node.id for node in nodes} - own - set(names or ()) - set(vars(builtins))
        known = {name: module for name in unknown if (module := _named(name)) is not None}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                _import_below(node)
        return eval(compile(tree, option, "eval"), {**known, **(names or {})})
    except DifintError:
        raise
    except Exception as error:
        problem = f"{option} {text!r} cannot be evaluated: {type(error).__name__}: {error}"
        example = "AutoJax(x64=True)" if names else "numpy.ones(3)"
        remedy = f"Write a Python expression, e.g. {option} {example!r}."
        raise ArgumentError(message("difint", problem, remedy=remedy)) from error


def _named(name: str) -> Any:
    """Import the module of a name, if there is one; a variable of the expression has none."""
    if name in _ALIASES:
        return importlib.import_module(_ALIASES[name])
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _import_below(node: ast.Attribute) -> None:
    """Import the modules that a dotted name goes through, as ``a`` and ``a.b`` of ``a.b.c``."""
    parts: list[str] = []
    place: ast.expr = node
    while isinstance(place, ast.Attribute):
        parts.insert(0, place.attr)
        place = place.value
    found = (
        sys.modules.get(_ALIASES.get(place.id, place.id)) if isinstance(place, ast.Name) else None
    )
    for part in parts:
        if not isinstance(found, ModuleType):
            return
        if part not in vars(found) and not _unknown(f"{found.__name__}.{part}"):
            importlib.import_module(f"{found.__name__}.{part}")
        found = vars(found).get(part)


def _context(option: str, text: str) -> Context:
    value = evaluate(option, text)
    return Cache(value) if option == "--cache" else Constant(value)


def _backends(texts: Sequence[str] | None) -> list[Backend]:
    if texts is None:
        return list(all_candidates())
    return [_backend(text) for text in texts]


def _backend(text: str) -> Backend:
    names = {name: getattr(difint, name) for name in difint.__all__}
    backend = evaluate("--backends", text, names)
    if isinstance(backend, type) and issubclass(backend, Backend):
        backend = backend()
    if not isinstance(backend, Backend):
        _refuse("--backends", text, "a backend such as AutoFiniteDiff()")
    found: Backend = backend
    return found


def _refuse(option: str, got: str, expected: str) -> Any:
    text = message(
        "difint",
        f"{option} is not what it should be",
        expected=expected,
        got=got,
        remedy="E.g.: python -m difint bench model.py:residual --x 'numpy.ones(3)' "
        "--operator jacobian",
    )
    raise ArgumentError(text)
