"""Optimisation problems of the CUTEst collection in JAX, from ``sif2jax``, and their true patterns.

``import sif2jax`` imports all of its problems, which takes more than a minute: one of them is
imported here alone, with bare packages above it.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

SCALES = (0.01, 0.1, 0.5, 1.0, 3.0)
MANY = 1000
"""Equations of a function that would be compiled for minutes."""


class Case(NamedTuple):
    """One function of a problem, with an example of its argument.

    Attributes:
        name: the problem's.
        what: ``"objective"``, ``"constraints"`` or ``"lagrangian"``.
        f: the function, of a vector.
        x: where the problem starts.
    """

    name: str
    what: str
    f: Callable[[Any], Any]
    x: Any

    @property
    def curved(self) -> bool:
        """Whether the pattern is that of a Hessian."""
        return self.what != "constraints"


def problems() -> dict[str, str]:
    """List the problems that the package offers, each with the module that it is in."""
    spec = find_spec("sif2jax")
    assert spec is not None and spec.submodule_search_locations, "pip install sif2jax"
    root = Path(spec.submodule_search_locations[0])
    listing = ast.parse((root / "cutest" / "__init__.py").read_text())
    offered = _classes(listing)
    modules = {}
    for family, names in _imports(listing).items():
        if names.isdisjoint(offered):
            continue
        package = root / "cutest" / family
        inner = ast.parse((package / "__init__.py").read_text())
        for module, inside in _imports(inner).items():
            for name in inside & names & offered:
                modules[name] = f"sif2jax.cutest.{family}.{module}"
    return dict(sorted(modules.items()))


def _classes(tree: ast.Module) -> set[str]:
    """Read the classes of the problems in the dictionary of all of them."""
    found = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "problems_dict"
    )
    assert isinstance(found, ast.Dict)
    return {ast.unparse(made.func) for made in found.values if isinstance(made, ast.Call)}


def _imports(tree: ast.Module) -> dict[str, set[str]]:
    """Read which names are imported from which module beside this one."""
    found: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            found.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return found


def _bare(module: str) -> None:
    """Put packages that import nothing above a module, but for the base classes of problems."""
    parts = module.split(".")[:-1]
    if parts[0] not in sys.modules:
        spec = find_spec(parts[0])
        assert spec is not None and spec.submodule_search_locations
        _package(parts[0], spec.submodule_search_locations[0])
        bases = vars(importlib.import_module(f"{parts[0]}._problem"))
        vars(sys.modules[parts[0]]).update(
            (name, one) for name, one in bases.items() if name.startswith("Abstract")
        )
    for count in range(2, len(parts) + 1):
        name, above = ".".join(parts[:count]), ".".join(parts[: count - 1])
        if name not in sys.modules:
            _package(name, str(Path(sys.modules[above].__path__[0]) / parts[count - 1]))


def _package(name: str, path: str) -> None:
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__path__ = [path]


def size_of(name: str, module: str) -> int:
    """Get the number of a problem's variables, without computing anything."""
    problem = _made(name, module)
    leaves = jax.tree.leaves(jax.eval_shape(lambda: problem.y0))
    return sum(int(np.prod(leaf.shape)) for leaf in leaves)


def _made(name: str, module: str) -> Any:
    _bare(module)
    return getattr(importlib.import_module(module), name)()


def case_of(name: str, module: str, *, curved: bool = False) -> Case | None:
    """Make a function of a problem: a free one's objective, or another's constraints.

    With ``curved`` only those with constraints have one: a Lagrangian.
    """
    problem = _made(name, module)
    start, unravel = ravel_pytree(problem.y0)
    x = np.asarray(start, float)

    def objective(y: Any) -> Any:
        return jnp.reshape(problem.objective(unravel(y), problem.args), ())

    def constraints(y: Any) -> Any:
        return ravel_pytree(problem.constraint(unravel(y)))[0]

    def lagrangian(y: Any) -> Any:
        held = constraints(y)
        return objective(y) + jnp.dot(jnp.cos(0.3 + jnp.arange(held.size)), held)

    bases = {base.__name__ for base in type(problem).__mro__}
    if bases.isdisjoint({"AbstractConstrainedMinimisation", "AbstractNonlinearEquations"}):
        return None if curved else Case(name, "objective", objective, x)
    what, f = ("lagrangian", lagrangian) if curved else ("constraints", constraints)
    return Case(name, what, f, x)


def points(x: Any, count: int) -> list[Any]:
    """Choose points: the start, and others near and far, of which some are positive."""
    rng = np.random.default_rng(0)
    chosen = [x]
    for k in range(count - 1):
        scale = SCALES[k % len(SCALES)]
        moved = x + scale * (1.0 + np.abs(x)) * rng.normal(size=x.shape)
        chosen.append(np.abs(moved) if k // len(SCALES) % 2 else moved)
    return chosen


def truth(case: Case, count: int = 16) -> tuple[Any, Any]:
    """See where the derivative is not zero at any of some points, and where it is a number."""
    traced, y = jax.make_jaxpr(case.f, return_shape=True)(case.x)
    if case.curved:
        derivative = jax.hessian(case.f)
    else:
        derivative = jax.jacfwd(case.f) if y.size >= case.x.size else jax.jacrev(case.f)
    if len(traced.eqns) < MANY:
        derivative = jax.jit(derivative)
    else:
        count = max(1, count // 4)
    nonzero = number = False
    for point in points(case.x, count):
        value = np.asarray(derivative(point))
        number = number | np.isfinite(value)
        nonzero = nonzero | (np.isfinite(value) & (value != 0))
    return nonzero, number
