"""Memory that is freed stays with the process, so that the next step does not ask the system for it again."""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

# Of <malloc.h>: above the one, blocks are mapped anew each time; beyond the other, freed memory is given back.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**30


def keep_freed_memory() -> bool:
    """Whether the C library has been told; only glibc can be.

    The activations of a stack are megabytes each. Mapped anew at every operation, they cost a page fault for every
    4 kB, which is more than the arithmetic.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library (musl)
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST))
