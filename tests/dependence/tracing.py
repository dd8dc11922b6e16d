"""Patterns of NumPy functions: what the tracer finds, and what differences see."""

import numpy as np

from difint.dependence.host import dependence
from difint.engine import Occasion
from difint.host import NUMPY_ARRAYS
from difint.host_lowering import KINDS
from difint.problem import Lowering
from difint.signature import argument
from difint.trees import PYTHON_TREES


def lowered(f, x, contexts=(), y=None, operator="jacobian"):
    described = argument("x", x, PYTHON_TREES, KINDS)
    problem = NUMPY_ARRAYS.lower(Lowering(operator, f, described, x, contexts, y, True))
    point = np.array(x if problem.x_form.enter is None else problem.x_form.enter(x))
    values = tuple(context.value for context in contexts)
    return problem, Occasion((point, *values), None, once=False, strict=True)


def found(f, x, *contexts, y=None, curved=False, local=False):
    """Get the pattern that tracing finds, as a matrix of zeros and ones."""
    problem, occasion = lowered(f, x, contexts, y, "hessian" if curved else "jacobian")
    rows = dependence(problem, occasion, curved=curved, local=local)
    size = problem.x_form.size
    pattern = np.zeros((size if curved else problem.y_form.size, size), int)
    for i, row in enumerate(pattern):
        row[rows.columns[rows.indptr[i] : rows.indptr[i + 1]]] = 1
    return pattern


def seen(f, x, samples=3):
    """Get where differences of ``f`` at points like ``x`` are not zero."""
    rng = np.random.default_rng(0)
    pattern = None
    for k in range(samples):
        point = x * rng.uniform(0.7, 1.3, x.shape) if k else x
        here = np.abs(differences(f, point)) > 1e-6
        pattern = here if pattern is None else pattern | here
    return pattern.astype(int)


def differences(f, x, step=1e-6):
    columns = []
    for j in range(x.size):
        t = np.zeros(x.size)
        t[j] = step
        up, down = (np.ravel(f(x + sign * t.reshape(x.shape))) for sign in (1, -1))
        columns.append((up - down) / (2 * step))
    return np.stack(columns, 1) if columns else np.zeros((np.size(f(x)), 0))


def seen_twice(f, x, samples=3, step=1e-3, smooth=False):
    """Get where second differences of a scalar function are not zero.

    With ``smooth`` those alone that do not grow with the step's inverse, as they do at kinks.
    """

    def second(point, step):
        return differences(lambda x: differences(f, x, step)[0], point, step)

    rng = np.random.default_rng(0)
    hits = []
    for k in range(samples):
        point = x * rng.uniform(0.7, 1.3, x.shape) if k else x
        here = np.abs(second(point, step))
        kinks = np.abs(here - np.abs(second(point, step / 2))) > 0.1 * here if smooth else False
        hits.append((here > 1e-3) & ~np.asarray(kinks))
    return np.any(hits, 0).astype(int)
