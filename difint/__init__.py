"""One interface to many automatic-differentiation backends: prepare once, execute many times.

>>> import numpy as np
>>> import difint as di
>>> plan = di.prepare_jacobian(np.square, di.AutoFiniteDiff(), np.ones(2))
>>> plan.execute(np.array([1.0, 3.0])).round(6)
array([[2., 0.],
       [0., 6.]])
"""

from difint.backends import (
    AutoEnzyme,
    AutoFiniteDiff,
    AutoJax,
    AutoNumba,
    AutoTorch,
    Backend,
    MixedMode,
    PrimitiveOnly,
    SecondOrder,
)
from difint.contexts import Cache, Constant, ConstantOrCache
from difint.errors import (
    ArgumentError,
    BackendUnavailableError,
    DifintError,
    PackageUnavailableError,
    PreparationMismatchError,
    SparsityError,
    UnsupportedError,
)
from difint.modules import ModuleLoss
from difint.operators.derivative import (
    DerivativePlan,
    derivative,
    prepare_derivative,
    value_and_derivative,
)
from difint.operators.gradient import (
    GradientPlan,
    gradient,
    prepare_gradient,
    value_and_gradient,
)
from difint.operators.hessian import (
    HessianPlan,
    hessian,
    prepare_hessian,
    value_gradient_and_hessian,
)
from difint.operators.hvp import (
    HvpPlan,
    gradient_and_hvp,
    hvp,
    prepare_hvp,
    prepare_hvp_same_point,
)
from difint.operators.jacobian import (
    JacobianPlan,
    jacobian,
    prepare_jacobian,
    value_and_jacobian,
)
from difint.operators.pullback import (
    PullbackPlan,
    prepare_pullback,
    prepare_pullback_same_point,
    pullback,
    value_and_pullback,
)
from difint.operators.pushforward import (
    PushforwardPlan,
    prepare_pushforward,
    prepare_pushforward_same_point,
    pushforward,
    value_and_pushforward,
)
from difint.operators.second_derivative import (
    SecondDerivativePlan,
    prepare_second_derivative,
    second_derivative,
    value_derivative_and_second_derivative,
)
from difint.plan import Plan, PlanInfo
from difint.queries import (
    check_available,
    check_inplace,
    forward_counterpart,
    reverse_counterpart,
)
from difint.sparse import (
    AutoSparse,
    ConstantColoring,
    DenseSparsityDetector,
    GreedyColoring,
    KnownSparsityDetector,
    OptimalColoring,
    TracerSparsityDetector,
    hessian_pattern,
    jacobian_pattern,
)

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "AutoEnzyme",
    "AutoFiniteDiff",
    "AutoJax",
    "AutoNumba",
    "AutoSparse",
    "AutoTorch",
    "Backend",
    "BackendUnavailableError",
    "Cache",
    "Constant",
    "ConstantColoring",
    "ConstantOrCache",
    "DenseSparsityDetector",
    "DerivativePlan",
    "DifintError",
    "GradientPlan",
    "GreedyColoring",
    "HessianPlan",
    "HvpPlan",
    "JacobianPlan",
    "KnownSparsityDetector",
    "MixedMode",
    "ModuleLoss",
    "OptimalColoring",
    "PackageUnavailableError",
    "Plan",
    "PlanInfo",
    "PreparationMismatchError",
    "PrimitiveOnly",
    "PullbackPlan",
    "PushforwardPlan",
    "SecondDerivativePlan",
    "SecondOrder",
    "SparsityError",
    "TracerSparsityDetector",
    "UnsupportedError",
    "check_available",
    "check_inplace",
    "derivative",
    "forward_counterpart",
    "gradient",
    "gradient_and_hvp",
    "hessian",
    "hessian_pattern",
    "hvp",
    "jacobian",
    "jacobian_pattern",
    "prepare_derivative",
    "prepare_gradient",
    "prepare_hessian",
    "prepare_hvp",
    "prepare_hvp_same_point",
    "prepare_jacobian",
    "prepare_pullback",
    "prepare_pullback_same_point",
    "prepare_pushforward",
    "prepare_pushforward_same_point",
    "prepare_second_derivative",
    "pullback",
    "pushforward",
    "reverse_counterpart",
    "second_derivative",
    "value_and_derivative",
    "value_and_gradient",
    "value_and_jacobian",
    "value_and_pullback",
    "value_and_pushforward",
    "value_derivative_and_second_derivative",
    "value_gradient_and_hessian",
]
