from difint.engines.numba import functions, elementwise, reductions, linear, creation, methods
