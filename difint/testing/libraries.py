"""Libraries of scenarios: the tables of functions, written out for every operator."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np

from difint.backends import check_choice
from difint.errors import ArgumentError, PackageUnavailableError, message
from difint.testing.complex_functions import HOLOMORPHIC, THROUGH_COMPLEX
from difint.testing.functions import EMPTY, FUNCTIONS, Function
from difint.testing.modifiers import (
    batchify,
    cachify,
    closurify,
    constantify,
    constantorcachify,
    numpify,
)
from difint.testing.scenario import Scenario
from difint.testing.sparse_functions import SPARSE_HESSIANS, SPARSE_JACOBIANS
from difint.testing.trees import tree_inputs, tree_outputs
from difint.testing.values import fillable_like, is_tree, leaves_of
from difint.testing.writing import LIBRARIES, Writer, scenarios_of

LibraryName = Literal["numpy", "jax", "torch"]
Dtype = Literal["float64", "float32"]


MODIFIERS = ("batchify", "constantify", "cachify", "constantorcachify", "closurify")
"""The modifiers that libraries of scenarios can apply, by name; ``"numpify"`` besides."""


Modifier = Callable[[Scenario], Scenario | None]


def _modifiers(library: str) -> dict[str, Modifier]:
    writes = LIBRARIES[library].writes
    return {
        "batchify": batchify,
        "constantify": constantify,
        "cachify": partial(cachify, writes=writes),
        "constantorcachify": partial(constantorcachify, writes=writes),
        "closurify": closurify,
        "numpify": numpify,
    }


def default_scenarios(
    library: LibraryName = "numpy",
    *,
    dtype: Dtype = "float64",
    in_place: bool = True,
    modifiers: str | Iterable[str] = MODIFIERS,
) -> list[Scenario]:
    """Make scenarios of all operators: numbers, vectors, matrices to the same.

    Args:
        library: the array library that functions are written for, and that ``x`` belongs to.
        dtype: the precision of all values.
        in_place: add the functions that fill ``y``.
        modifiers: names out of ``MODIFIERS``, by default all: each adds its variant of every
            scenario that it applies to.

    Returns:
        Scenarios with analytic results.

    Raises:
        ArgumentError: an unknown library, dtype or modifier.
        PackageUnavailableError: the library is not installed.

    >>> sorted({s.operator for s in default_scenarios()})[:3]
    ['derivative', 'gradient', 'hessian']
    """
    return _family("default", library, dtype, in_place, modifiers)


def empty_scenarios(
    library: LibraryName = "numpy",
    *,
    dtype: Dtype = "float64",
    in_place: bool = True,
    modifiers: str | Iterable[str] = MODIFIERS,
) -> list[Scenario]:
    """Make scenarios of sizes 0 and 1; arguments as for ``default_scenarios``."""
    return _family("empty", library, dtype, in_place, modifiers)


def sparse_scenarios(
    library: LibraryName = "numpy",
    *,
    dtype: Dtype = "float64",
    in_place: bool = True,
    modifiers: str | Iterable[str] = MODIFIERS,
) -> list[Scenario]:
    """Make scenarios with sparse Jacobians and Hessians, as ``scipy.sparse.csc_array``.

    Arguments as for ``default_scenarios``. Backends may return dense matrices for them.
    """
    return _family("sparse", library, dtype, in_place, modifiers)


def complex_scenarios(
    library: LibraryName = "numpy",
    *,
    dtype: Dtype = "float64",
    in_place: bool = True,
    modifiers: str | Iterable[str] = MODIFIERS,
) -> list[Scenario]:
    """Make scenarios with complex numbers: between real ``x`` and ``y``, and as ``x``.

    Arguments as for ``default_scenarios``; ``dtype`` is that of the real and imaginary parts.
    """
    return _family("complex", library, dtype, in_place, modifiers)


def tree_scenarios(
    library: LibraryName = "numpy",
    *,
    dtype: Dtype = "float64",
    in_place: bool = True,
    modifiers: str | Iterable[str] = MODIFIERS,
) -> list[Scenario]:
    """Make scenarios with trees of arrays as ``x`` and as ``f(x)``.

    Arguments as for ``default_scenarios``; a tree as ``f(x)`` is not filled in place.
    """
    return _family("tree", library, dtype, in_place, modifiers)


def load_scenario(name: str) -> Scenario:
    """Make one scenario of the libraries again, by its name.

    Raises:
        ArgumentError: there is none of this name.

    >>> load_scenario("default/numpy/float64/jacobian/vector->matrix").x.shape
    (3,)
    """
    family, library, dtype, *_ = [*name.split("/"), "", "", ""]
    known = family in _FAMILIES and library in LIBRARIES and dtype in _DTYPES
    if known:
        ending = name.rpartition("/")[2]
        modifiers = [ending] if ending in _modifiers(library) else []
        listed = _family(family, library, dtype, True, modifiers)
        for scenario in listed:
            if scenario.name == name:
                return scenario
    text = message(
        "load_scenario",
        "no library has a scenario of this name",
        expected="a name such as 'default/numpy/float64/jacobian/vector->matrix'",
        got=repr(name),
        remedy="Pass the name of a scenario from default_scenarios() and its like.",
    )
    raise ArgumentError(text)


_DTYPES = ("float64", "float32")


def _family(
    family: str, library: str, dtype: str, in_place: bool, modifiers: str | Iterable[str]
) -> list[Scenario]:
    """Make a family's scenarios, and their variants."""
    where = f"{family}_scenarios"
    check_choice(where, "library", library, tuple(LIBRARIES))
    check_choice(where, "dtype", dtype, _DTYPES)
    table = _modifiers(library)
    chosen = [modifiers] if isinstance(modifiers, str) else list(modifiers)
    for name in chosen:
        check_choice(where, "modifiers", name, tuple(table))
    _require(library)
    base = list(_FAMILIES[family](Writer(LIBRARIES[library], dtype)))
    if in_place:
        base += [made for one in base if (made := _in_place(one)) is not None]
    listed = [_named(one, f"{family}/{library}/{dtype}") for one in base]
    varied = [table[name](one) for name in chosen for one in listed]
    everything = [*listed, *(one for one in varied if one is not None)]
    return [one.replace(source=f"load_scenario({one.name!r})") for one in everything]


def _require(library: str) -> None:
    package = LIBRARIES[library].package
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        text = message(
            "difint.testing",
            f"the package {package} is not installed",
            remedy=f"Install it with: pip install 'difint[{library}]'",
        )
        raise PackageUnavailableError(text, name=package) from error


def _named(scenario: Scenario, prefix: str) -> Scenario:
    return scenario.replace(name=f"{prefix}/{scenario.operator}/{scenario.name}")


def _in_place(scenario: Scenario) -> Scenario | None:
    """Let ``f`` fill ``y``, a NumPy array; ``None`` where ``f(x)`` is a tree, or complex."""
    value = scenario.lower[0] if scenario.lower and scenario.record.parts[0] == "y" else None
    if scenario.operator == "hvp":
        value = np.zeros((), np.asarray(leaves_of(scenario.result)[0]).dtype)
    if value is None or is_tree(value) or np.iscomplexobj(value):
        return None
    inner = scenario.f

    def fill(y: Any, x: Any) -> None:
        y[...] = inner(x)

    y = fillable_like(np.zeros(np.shape(value), np.asarray(value).dtype), scenario.x)
    return scenario.replace(f=fill, y=y, features=(), name=f"{scenario.name}/in place").replace(
        features=scenario.features | {"in-place function"}
    )


def _all(functions: Iterable[Function], writer: Writer) -> Iterator[Scenario]:
    for function in functions:
        yield from scenarios_of(writer, function)


def _sparse(writer: Writer) -> Iterator[Scenario]:
    from scipy.sparse import csc_array

    for functions, operator in ((SPARSE_JACOBIANS, "jacobian"), (SPARSE_HESSIANS, "hessian")):
        for function in functions:
            for scenario in scenarios_of(writer, function, [operator]):
                yield scenario.replace(result=csc_array(scenario.result))


def _complex(writer: Writer) -> Iterator[Scenario]:
    yield from _all((*THROUGH_COMPLEX, *HOLOMORPHIC), writer)


def _trees(writer: Writer) -> Iterator[Scenario]:
    yield from tree_inputs(writer.xp, writer.make, writer.settle)
    yield from tree_outputs(writer.make, writer.settle)


_FAMILIES: dict[str, Callable[[Writer], Iterator[Scenario]]] = {
    "default": partial(_all, FUNCTIONS),
    "empty": partial(_all, EMPTY),
    "sparse": _sparse,
    "complex": _complex,
    "tree": _trees,
}
