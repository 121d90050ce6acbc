"""How the symbols of a sequence are numbered: 1 to V, V the end of every sequence; 0 is none of them."""

__all__ = ["PADDING", "UNKNOWN"]

PADDING = 0
"""After the end of a sequence; as the symbol before the first, its start."""
UNKNOWN = 1
"""Stands for whatever the vocabulary lacks."""
