import os

# Before JAX is imported: the tables hold float64 cases; 32-bit mode has tests of its own.
os.environ["JAX_ENABLE_X64"] = "1"
