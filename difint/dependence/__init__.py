"""Which entries of a result depend on which entries of ``x``: index sets and their rules."""
