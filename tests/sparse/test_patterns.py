"""Patterns from functions: the same by every backend, with and without a plan."""

import pickle
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import difint as di
from difint.cli import brusselator
from difint.sparse import Pattern
from tests.sparse.problems import banded, chained

N = 6
Y = np.random.default_rng(0).random(2 * N * N)
IN_PLACE = {"y": np.empty_like(Y)}
FUNCTIONS = {
    "AutoJax": (di.AutoJax(), brusselator.in_jax(N), {}),
    "AutoTorch": (di.AutoTorch(), brusselator.in_torch(N), {}),
    "AutoFiniteDiff": (di.AutoFiniteDiff(), brusselator.in_numpy(N), {}),
    "AutoFiniteDiff in place": (di.AutoFiniteDiff(), brusselator.in_place(N), IN_PLACE),
    "AutoNumba in place": (di.AutoNumba(), brusselator.in_place(N), IN_PLACE),
}


def like(name):
    return torch.from_numpy(Y) if "Torch" in name else Y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_backend_finds_the_same_pattern(name):
    backend, f, options = FUNCTIONS[name]
    assert di.jacobian_pattern(f, backend, like(name), **options) == brusselator.pattern(N)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_word_makes_a_jacobian_sparse(name):
    backend, f, options = FUNCTIONS[name]
    found = di.jacobian(f, di.AutoSparse(backend), like(name), **options)
    dense = di.jacobian(brusselator.in_jax(N), di.AutoJax(), Y)
    np.testing.assert_allclose(found.toarray(), dense, atol=1e-6)


SCALARS = {di.AutoJax(): jnp, di.AutoFiniteDiff(): np, di.AutoNumba(): np}


@pytest.mark.parametrize("backend", SCALARS, ids=repr)
def test_one_word_makes_a_hessian_sparse(backend):
    f, x = chained(SCALARS[backend]), np.sin(1.0 + np.arange(9))
    assert di.hessian_pattern(f, backend, x) == banded(9, -1, 0, 1)
    dense = di.hessian(chained(jnp), di.AutoJax(), x)
    found = di.hessian(f, di.AutoSparse(backend), x).toarray()
    np.testing.assert_allclose(found, dense, rtol=1e-4, atol=1e-4 * np.abs(dense).max())


def test_a_sparse_backend_says_how_patterns_are_found():
    known = Pattern.of(np.eye(3))
    backend = di.AutoSparse(di.AutoJax(), di.KnownSparsityDetector(known))
    assert di.jacobian_pattern(jnp.cumsum, backend, np.ones(3)) == known
    assert di.jacobian_pattern(jnp.cumsum, di.AutoSparse(di.AutoJax()), np.ones(3)).nnz == 6


def test_detectors_are_plain_data():
    local = di.TracerSparsityDetector(local=True)
    assert repr(local) == "TracerSparsityDetector(local=True)"
    assert pickle.loads(pickle.dumps(local)) == local != di.TracerSparsityDetector()
    assert di.AutoSparse(di.AutoJax()).sparsity_detector == di.TracerSparsityDetector()
    with pytest.raises(di.ArgumentError, match="local is not one of its choices"):
        di.TracerSparsityDetector(local="yes")


@dataclass(frozen=True)
class Untraceable(di.Backend):
    """Finite differences over an array library without index sets."""

    def engine(self):
        engine = di.AutoFiniteDiff().engine()
        return replace(engine, arrays=replace(engine.arrays, dependence=None))


def test_libraries_without_index_sets_are_refused():
    words = "index sets cannot be traced through functions of numpy arrays\nUse Known"
    with pytest.raises(di.UnsupportedError, match=words):
        di.jacobian_pattern(np.square, Untraceable(), np.ones(3))


def test_traced_values_have_no_pattern():
    with pytest.raises(di.UnsupportedError, match="traced|transformation"):
        jax.jit(lambda x: di.jacobian_pattern(jnp.sin, di.AutoJax(), x).nnz)(jnp.ones(3))


def test_arguments_are_checked():
    with pytest.raises(di.ArgumentError, match="backend"):
        di.jacobian_pattern(np.square, "jax", np.ones(3))
    with pytest.raises(di.ArgumentError):
        di.hessian_pattern(np.square, di.AutoFiniteDiff(), np.ones(3))
    with pytest.raises(di.ArgumentError, match="x"):
        di.jacobian_pattern(np.square, di.AutoFiniteDiff(), np.arange(3))
