"""What a backend promises: the tolerance to which its results are held."""

from __future__ import annotations

from typing import Any

import numpy as np

from difint.engine import Engine
from difint.kinds import describe
from difint.primitives import inner_engine
from difint.testing.scenario import Scenario
from difint.testing.values import KINDS, dense, leaves_of

# Enough for the constants of truncation errors and for the rounding of a few hundred operations.
_MARGIN = 50.0
# No margin makes a check of more than this mean anything.
_COARSEST = 0.05


def power(engine: Engine, operator: str, order: int) -> float:
    """Get the relative error of a derivative of this order, as a power of the machine epsilon.

    The order may be below the operator's own: that of a lower order that it returns.
    """
    if order == 0:
        return 1.0
    if order == 1:
        return inner_engine(engine).accuracy
    if operator in engine.native and engine.second_accuracy is not None:
        return engine.second_accuracy
    return engine.accuracy * inner_engine(engine).accuracy


def tolerance(engine: Engine, scenario: Scenario, order: int) -> float:
    """Get the relative tolerance that the backend's accuracy and the precision of ``x`` allow."""
    promised = epsilon(scenario) ** power(engine, scenario.operator, order)
    return float(min(_MARGIN * promised, max(_COARSEST, promised)))


def epsilon(scenario: Scenario) -> float:
    """Get the coarsest machine epsilon of the floating leaves of ``x`` and of the results."""
    values = [scenario.x, scenario.y, *(scenario.parts or ())]
    known = [describe(leaf, KINDS) for value in values for leaf in leaves_of(dense(value))]
    dtypes = {leaf.numpy_dtype for leaf in known if leaf.kind}
    return max((_epsilon(dtype) for dtype in dtypes), default=_epsilon(np.dtype(float)))


def _epsilon(dtype: Any) -> float:
    if not isinstance(dtype, np.dtype):  # NumPy has none such: PyTorch's bfloat16
        import torch

        return float(torch.finfo(dtype).eps)
    if dtype.kind in "fc":
        return float(np.finfo(dtype).eps)
    if "float" not in dtype.name:  # integers among the leaves
        return 0.0
    import ml_dtypes  # only JAX makes arrays of such types, and it brings this package

    info: Any = ml_dtypes.finfo
    return float(info(dtype).eps)


def orders(scenario: Scenario) -> range:
    """Get the order of each part of the result; the lower orders come first, without a gap."""
    record = scenario.record
    return range(record.order - len(record.parts) + 1, record.order + 1)
