"""The peak of memory of a program, in a process of its own, as the peak of a process never falls."""

import subprocess
import sys

__all__ = ["MEBIBYTE", "said"]

MEBIBYTE = 1024  # in the unit of getrusage, on Linux


def said(program: str, *arguments: object) -> list[int]:
    """The whole numbers that a Python program prints."""
    words = [sys.executable, "-c", program, *map(str, arguments)]
    return [int(word) for word in subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()]
