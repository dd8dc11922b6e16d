"""The eight operators, one a file."""
