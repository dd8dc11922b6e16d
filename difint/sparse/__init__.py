"""Sparse Jacobians and Hessians: patterns, colorings, and the engine over an engine.

>>> import numpy as np, difint as di
>>> di.sparse.color_columns(np.eye(3) + np.eye(3, k=1))
array([0, 1, 0], dtype=int32)
"""

from difint.sparse.algorithms import (
    ColoringAlgorithm,
    ConstantColoring,
    GreedyColoring,
    OptimalColoring,
)
from difint.sparse.backend import AutoSparse
from difint.sparse.coloring import (
    color_acyclic,
    color_bidirectional,
    color_columns,
    color_rows,
    color_star,
)
from difint.sparse.detection import (
    DenseSparsityDetector,
    KnownSparsityDetector,
    SparsityDetector,
    TracerSparsityDetector,
)
from difint.sparse.pattern import Pattern
from difint.sparse.patterns import hessian_pattern, jacobian_pattern

__all__ = [
    "AutoSparse",
    "ColoringAlgorithm",
    "ConstantColoring",
    "DenseSparsityDetector",
    "GreedyColoring",
    "KnownSparsityDetector",
    "OptimalColoring",
    "Pattern",
    "SparsityDetector",
    "TracerSparsityDetector",
    "color_acyclic",
    "color_bidirectional",
    "color_columns",
    "color_rows",
    "color_star",
    "hessian_pattern",
    "jacobian_pattern",
]
