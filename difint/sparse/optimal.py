"""Column colorings with provably the fewest colors, by integer programming."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from difint.sparse.greedy import count


def fewest(indptr: Any, indices: Any, rows: int, greedy: Any, time_limit: float) -> Any:
    """Look for a column coloring with fewer colors than a greedy one.

    Variable ``x[j, c]`` says that column ``j`` has color ``c``, and ``y[c]`` that the color is
    in use. The columns of the largest row are different; their colors are fixed, which leaves
    far fewer colorings that only differ in the names of the colors.

    Args:
        indptr: where the rows of each column start in ``indices``.
        indices: the rows of each column.
        rows: the number of rows.
        greedy: colors to improve on.
        time_limit: seconds, after which ``greedy`` or the best found is returned.
    """
    n, most = indptr.size - 1, count(greedy)
    entries = sparse.csc_array((np.ones(indices.size), indices, indptr), (rows, n)).tocsr()
    sizes = np.diff(entries.indptr)
    clique = entries.indices[entries.indptr[sizes.argmax()] :][: sizes.max()] if rows else []
    if most <= max(len(clique), 1):
        return greedy
    lower = np.zeros(n * most + most)
    lower[n * most :][: len(clique)] = 1
    lower[clique * most + np.arange(len(clique))] = 1
    found = milp(
        np.r_[np.zeros(n * most), np.ones(most)],
        integrality=np.ones(lower.size),
        bounds=Bounds(lower, 1),
        constraints=_constraints(entries[sizes > 1], n, most),
        options={"time_limit": time_limit},
    )
    if found.x is None:
        return greedy
    colors = found.x[: n * most].reshape(n, most).argmax(axis=1)
    return np.unique(colors, return_inverse=True)[1].astype(np.int32)


def _constraints(entries: Any, n: int, most: int) -> list[LinearConstraint]:
    """Give each column one color, each row a color at most once, and use low colors first."""
    names, each = sparse.eye_array(most), np.ones((1, most))
    one = sparse.hstack([sparse.kron(sparse.eye_array(n), each), sparse.csr_array((n, most))])
    used = sparse.kron(np.ones((entries.shape[0], 1)), names)
    apart = sparse.hstack([sparse.kron(entries, names), -used])
    falling = sparse.hstack(
        [
            sparse.csr_array((most - 1, n * most)),
            sparse.diags_array([1.0, -1.0], offsets=[0, 1], shape=(most - 1, most)),
        ]
    )
    return [
        LinearConstraint(one.tocsr(), 1, 1),
        LinearConstraint(apart.tocsr(), -np.inf, 0),
        LinearConstraint(falling.tocsr(), 0, np.inf),
    ]
