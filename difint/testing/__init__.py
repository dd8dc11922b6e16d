"""Scenarios, checks and benchmarks: for difint's backends, for yours, for your functions.

With it a user finds the backend that suits a function, and the author of a backend shows that it
is right.
"""

from difint.testing.benchmark import benchmark_differentiation
from difint.testing.check import CheckReport, check_differentiation
from difint.testing.exclusion import Exclusion, known_gaps
from difint.testing.failure import CheckError, Failure, RefusalError
from difint.testing.libraries import (
    MODIFIERS,
    complex_scenarios,
    default_scenarios,
    empty_scenarios,
    load_scenario,
    sparse_scenarios,
    tree_scenarios,
)
from difint.testing.modifiers import (
    batchify,
    cachify,
    closurify,
    constantify,
    constantorcachify,
    numpify,
)
from difint.testing.parametrizing import parameters, parametrize
from difint.testing.recommending import Candidate, Recommendation, recommend
from difint.testing.results import compute_results
from difint.testing.scenario import FEATURES, Place, Scenario
from difint.testing.table import BenchmarkRow, BenchmarkTable, LeftOut
from difint.testing.zero import AutoZero

__all__ = [
    "FEATURES",
    "LeftOut",
    "MODIFIERS",
    "AutoZero",
    "BenchmarkRow",
    "BenchmarkTable",
    "Candidate",
    "CheckError",
    "CheckReport",
    "Exclusion",
    "Failure",
    "Place",
    "Recommendation",
    "RefusalError",
    "Scenario",
    "batchify",
    "benchmark_differentiation",
    "cachify",
    "check_differentiation",
    "closurify",
    "complex_scenarios",
    "compute_results",
    "constantify",
    "constantorcachify",
    "default_scenarios",
    "empty_scenarios",
    "known_gaps",
    "load_scenario",
    "numpify",
    "parameters",
    "parametrize",
    "recommend",
    "sparse_scenarios",
    "tree_scenarios",
]
