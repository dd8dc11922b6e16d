"""A user's own function on the command line: where it is, and what it is called with."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
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

    Raises:
        DifintError: something cannot be found or evaluated; the message names the option.
    """
    f = _function(options.function)
    backends = _backends(options.backends)
    contexts = [_context(kind, text) for kind, text in options.contexts or ()]
    x = evaluate("--x", options.x)
    t = None if options.t is None else evaluate("--t", options.t)
    y = None if options.y is None else evaluate("--y", options.y)
    scenario = scenario_for(options.operator, f, x, contexts, t, y, backends)
    return scenario.replace(name=f"{options.operator} of {options.function}"), backends


def _function(text: str) -> Callable[..., Any]:
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        _refuse("MODULE:FUNCTION", text, "a module or a file, a colon, and a function's name")
    module = _module(place)
    f = module
    for part in name.split("."):
        if part not in vars(f):
            _refuse("MODULE:FUNCTION", text, f"a function that {place} has; {name} is not there")
        f = vars(f)[part]
    if not callable(f):
        _refuse("MODULE:FUNCTION", text, f"a function; {name} is a {type(f).__name__}")
    return f  # type: ignore[no-any-return]  # anything callable


def _module(place: str) -> Any:
    """Import a module, or a file by its path; what it raises passes through."""
    path = Path(place)
    if path.suffix == ".py":
        if not path.is_file():
            _refuse("MODULE:FUNCTION", place, "a file that exists")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None, "a file with this suffix has a loader"
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return module
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise
        _refuse("MODULE:FUNCTION", place, "a module that can be imported from here")


class _Names(Mapping[str, Any]):
    """Modules by name, imported when an expression asks for them."""

    def __getitem__(self, name: str) -> Any:
        try:
            return importlib.import_module(_ALIASES.get(name, name))
        except ImportError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Any:
        return iter(_ALIASES)

    def __len__(self) -> int:
        return len(_ALIASES)


def evaluate(option: str, text: str) -> Any:
    """Evaluate an expression of the command line, in which any module can be named.

    >>> evaluate("--x", "numpy.ones(2)")
    array([1., 1.])
    """
    try:
        return eval(text, {}, _Names())
    except DifintError:
        raise
    except Exception as error:
        problem = f"{option} {text!r} cannot be evaluated: {type(error).__name__}: {error}"
        remedy = f"Write a Python expression, e.g. {option} 'numpy.ones(3)'."
        raise ArgumentError(message("difint", problem, remedy=remedy)) from error


def _context(option: str, text: str) -> Context:
    value = evaluate(option, text)
    return Cache(value) if option == "--cache" else Constant(value)


def _backends(texts: Sequence[str] | None) -> list[Backend]:
    if texts is None:
        return list(all_candidates())
    return [_backend(text) for text in texts]


def _backend(text: str) -> Backend:
    names = {name: getattr(difint, name) for name in difint.__all__}
    try:
        backend = eval(text, names)
    except DifintError:
        raise
    except Exception as error:
        text = message(
            "difint",
            f"--backends {text!r} cannot be evaluated: {type(error).__name__}: {error}",
            remedy='Write a backend as in Python, e.g. "AutoJax(x64=True)"; python -m difint '
            "backends lists them.",
        )
        raise ArgumentError(text) from error
    if isinstance(backend, type) and issubclass(backend, Backend):
        backend = backend()
    if not isinstance(backend, Backend):
        _refuse("--backends", text, "a backend such as AutoFiniteDiff()")
    return backend  # type: ignore[no-any-return]  # checked above


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
