"""The checks of one backend on one scenario, one a file."""
