"""Patterns of functions, without a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from difint.backends import Backend
from difint.operator import Operator
from difint.operators.hessian import HESSIAN
from difint.operators.jacobian import JACOBIAN
from difint.planner import lower
from difint.sparse.backend import AutoSparse
from difint.sparse.detection import TracerSparsityDetector, check_concrete
from difint.sparse.pattern import Pattern


def jacobian_pattern(
    f: Callable[..., Any], backend: Backend, x: Any, *contexts: Any, y: Any = None
) -> Pattern:
    """Find where the Jacobian of ``f`` may have entries, by tracing index sets through ``f``.

    Nothing is kept. A pattern can be saved, joined with others, and passed on as
    ``AutoSparse(backend, KnownSparsityDetector(pattern))``.

    Args:
        f: ``f(x, *contexts) -> y``, or ``f(y, x, *contexts) -> None`` with ``y=`` given.
        backend: says what ``f`` is made of, e.g. ``AutoJax()``; an ``AutoSparse`` also says by its
            detector how the pattern is found.
        x: an example input: an array of any shape.
        contexts: example contexts, wrapped: ``Constant(a)``, ``Cache(buffer)``.
        y: for an in-place ``f``, an array of the output's shape and dtype.

    Returns:
        The pattern of shape ``(y.size, x.size)``, both raveled in C order.

    Raises:
        ArgumentError: an argument is not what the operator takes.
        SparsityError: ``f`` branches on values where index sets can follow one way alone.
        UnsupportedError: the backend cannot take such a function.

    >>> import numpy as np, difint as di
    >>> jacobian_pattern(np.cumsum, di.AutoFiniteDiff(), np.ones(3)).toarray().astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """
    return _pattern(JACOBIAN, f, backend, (x, *contexts), y)


def hessian_pattern(
    f: Callable[..., Any], backend: Backend, x: Any, *contexts: Any, y: Any = None
) -> Pattern:
    """Find where the Hessian of ``f`` may have entries, by tracing index sets through ``f``.

    Arguments and exceptions as for ``jacobian_pattern``; ``f`` returns a number. Parts of ``f``
    that are linear make no entries.

    Returns:
        The symmetric pattern of shape ``(x.size, x.size)``.

    >>> import numpy as np, difint as di
    >>> f = lambda x: np.sum(x) + np.sum(x[1:] * x[:-1])
    >>> hessian_pattern(f, di.AutoFiniteDiff(), np.ones(3)).toarray().astype(int)
    array([[0, 1, 0],
           [1, 0, 1],
           [0, 1, 0]])
    """
    return _pattern(HESSIAN, f, backend, (x, *contexts), y)


def _pattern(
    operator: Operator, f: Callable[..., Any], backend: Backend, args: tuple[Any, ...], y: Any
) -> Pattern:
    sparse = backend if isinstance(backend, AutoSparse) else None
    dense = backend if sparse is None else sparse.dense
    detector = TracerSparsityDetector() if sparse is None else sparse.sparsity_detector
    engine, problem, occasion = lower(operator, f, dense, args, y)
    check_concrete(problem, engine.arrays, occasion)
    find = detector.jacobian if operator is JACOBIAN else detector.hessian
    return find(engine, problem, occasion)
