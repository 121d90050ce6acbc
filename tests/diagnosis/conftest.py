"""Small models and short runs of them, as fixtures."""

from making import make, run

__all__ = ["make", "run"]
