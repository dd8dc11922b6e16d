"""The engines, one a file; none imports another."""
