"""Tools for testing backends, public: for users' own backends too."""

from difint.testing.zero import AutoZero

__all__ = ["AutoZero"]
