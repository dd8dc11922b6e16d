"""The backends under test, each with the scenarios that it is checked on: a row a backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

import difint as di
from difint.testing import (
    MODIFIERS,
    complex_scenarios,
    default_scenarios,
    empty_scenarios,
    parameters,
    sparse_scenarios,
    tree_scenarios,
)

Listing = Callable[[], list[Any]]


@dataclass(frozen=True)
class Row:
    """A backend, and the names of the lists below that hold its scenarios."""

    backend: di.Backend
    lists: tuple[str, ...]


@cache
def scenarios(name: str) -> list[Any]:
    return LISTS[name]()


def families(library: str, **options: Any) -> list[Any]:
    make = empty_scenarios, sparse_scenarios, complex_scenarios, tree_scenarios
    return [scenario for family in make for scenario in family(library, **options)]


# What is the same for JAX as another one is left out: it writes no cache, and traces closures.
JAX_MODIFIERS = ("constantify", "constantorcachify", "numpify")
# A dict in a tuple of contexts is more than Numba can type.
NUMBA_MODIFIERS = ("constantify", "cachify")
FEW = ("number->number", "vector->number", "vector->vector", "matrix->matrix")


def named(listed: list[Any]) -> list[Any]:
    """Keep the scenarios of some functions."""
    return [one for one in listed if one.name.split("/")[4] in FEW]


def fewest(listed: list[Any]) -> list[Any]:
    """Keep the modified scenarios of three functions, which Numba compiles six times each."""
    kept = ("vector->number", "vector->vector", "number->number")
    return [one for one in few(listed) if one.name.split("/")[4] in kept]


def few(listed: list[Any]) -> list[Any]:
    """Keep the modified scenarios of some functions: each is compiled six times."""
    return [one for one in named(listed) if one.name.count("/") > 4]


LISTS: dict[str, Listing] = {
    "numpy": lambda: default_scenarios(modifiers=MODIFIERS),
    "numpy, plain": lambda: default_scenarios(modifiers=["batchify"]),
    "numpy, bare": lambda: default_scenarios(modifiers=()),
    "numpy, varied": lambda: fewest(default_scenarios(modifiers=NUMBA_MODIFIERS, in_place=False)),
    "numpy, few": lambda: named(default_scenarios(dtype="float32", modifiers=(), in_place=False)),
    "numpy, more": lambda: families("numpy", modifiers=()),
    "numpy, float32": lambda: default_scenarios(dtype="float32", modifiers=()),
    "jax": lambda: default_scenarios("jax", modifiers=["batchify"]),
    "jax, varied": lambda: few(default_scenarios("jax", in_place=False, modifiers=JAX_MODIFIERS)),
    "jax, bare": lambda: default_scenarios("jax", in_place=False, modifiers=()),
    "jax, more": lambda: families("jax", modifiers=()),
    "numpy, sparse": lambda: sparse_scenarios(modifiers=["constantify"]),
    "numpy, sparse bare": lambda: sparse_scenarios(modifiers=()),
    "jax, sparse": lambda: sparse_scenarios("jax", in_place=False, modifiers=["constantify"]),
    "jax, sparse bare": lambda: sparse_scenarios("jax", in_place=False, modifiers=()),
    "torch, sparse": lambda: sparse_scenarios("torch", modifiers=["constantify"]),
    "torch, sparse bare": lambda: sparse_scenarios("torch", in_place=False, modifiers=()),
    "numpy, empty": lambda: empty_scenarios(modifiers=()),
    "torch": lambda: default_scenarios("torch", modifiers=["batchify"]),
    "torch, varied": lambda: few(
        default_scenarios("torch", in_place=False, modifiers=(*MODIFIERS, "numpify"))
    ),
    "torch, bare": lambda: default_scenarios("torch", in_place=False, modifiers=()),
    "torch, more": lambda: families("torch", in_place=False, modifiers=()),
    "torch, float32": lambda: default_scenarios(
        "torch", dtype="float32", in_place=False, modifiers=()
    ),
    "torch, few": lambda: named(default_scenarios("torch", modifiers=())),
    "jax, float32": lambda: default_scenarios("jax", dtype="float32", in_place=False, modifiers=()),
}

FD = di.AutoFiniteDiff
JAX = di.AutoJax
NUMBA = di.AutoNumba
ENZYME = di.AutoEnzyme
TORCH = di.AutoTorch
MIXED = di.MixedMode(JAX("forward"), JAX("reverse"))
SUBSTITUTION = di.GreedyColoring(decompression="substitution")


sparse = di.AutoSparse
LOCAL = {"sparsity_detector": di.TracerSparsityDetector(local=True)}  # takes branches on values
BY_NAN = {"sparsity_detector": di.DenseSparsityDetector("nan")}


ROWS = (
    Row(FD(), ("numpy", "numpy, more", "numpy, float32", "jax, bare", "torch, few")),
    Row(FD("forward"), ("numpy, plain", "numpy, more", "numpy, float32")),
    Row(FD("complex_step"), ("numpy", "numpy, more", "numpy, float32")),
    Row(di.PrimitiveOnly(FD(), "forward"), ("numpy, plain", "numpy, more")),
    Row(di.SecondOrder(FD(), FD("complex_step")), ("numpy, plain", "numpy, more")),
    # Compiling costs a second, so not all lists. The functions of trees and of Fourier transforms
    # are not such as Numba takes; trees are tested with the engine.
    Row(NUMBA(), ("numpy, bare", "numpy, varied", "numpy, few")),
    Row(ENZYME(), ("numpy, bare", "numpy, varied", "numpy, few")),
    Row(JAX(), ("jax", "jax, varied", "jax, more", "jax, float32")),
    Row(JAX(x64=True), ("jax, varied",)),
    Row(di.PrimitiveOnly(JAX(), "forward"), ("jax, bare",)),
    Row(di.PrimitiveOnly(JAX(), "reverse"), ("jax, bare",)),
    Row(di.SecondOrder(JAX("reverse"), JAX("forward")), ("jax, bare",)),
    Row(di.SecondOrder(FD(), JAX()), ("jax, bare",)),
    Row(di.SecondOrder(JAX(), FD()), ("jax, bare",)),
    Row(TORCH(), ("torch", "torch, varied", "torch, more", "torch, float32")),
    Row(TORCH(compile="eager"), ("torch, bare", "torch, varied", "torch, more")),
    Row(di.SecondOrder(FD(), TORCH()), ("torch, few",)),
    Row(TORCH(chunk_size=3), ("torch, few",)),
    Row(di.PrimitiveOnly(TORCH(), "forward"), ("torch, few",)),
    Row(di.PrimitiveOnly(TORCH(compile="eager"), "reverse"), ("torch, bare",)),
    Row(di.SecondOrder(TORCH("reverse"), TORCH("forward")), ("torch, bare",)),
    Row(sparse(FD(), **LOCAL), ("numpy, sparse", "numpy, bare", "numpy, empty")),
    Row(sparse(FD("complex_step"), **BY_NAN), ("numpy, sparse",)),
    Row(sparse(NUMBA()), ("numpy, sparse bare",)),
    Row(sparse(ENZYME()), ("numpy, sparse bare",)),
    Row(sparse(JAX()), ("jax, sparse",)),
    Row(sparse(JAX(), chunk_size=2), ("jax, sparse bare",)),
    Row(sparse(JAX("reverse"), format="csc", **BY_NAN), ("jax, sparse bare",)),
    Row(sparse(MIXED, coloring_algorithm=SUBSTITUTION), ("jax, sparse bare",)),
    Row(sparse(TORCH()), ("torch, sparse",)),
    Row(sparse(TORCH(compile="eager"), memory=200), ("torch, sparse bare",)),
    Row(MIXED, ("jax, bare",)),
)


def pairs(operator: str) -> Any:
    """Run a test for every row and all its scenarios of one operator."""
    listed = [
        one
        for row in ROWS
        for name in row.lists
        for one in parameters(row.backend, _of(operator, row.backend, name))
    ]
    return pytest.mark.parametrize(("backend", "scenario"), listed)


def _of(operator: str, backend: di.Backend, name: str) -> list[Any]:
    """List the scenarios; of first order, a second-order pair is its inner backend over again."""
    chosen = [one for one in scenarios(name) if one.operator == operator]
    twice = isinstance(backend, di.SecondOrder)
    return [one for one in chosen if one.record.order == 2 or not twice]
