"""What this process asks of C, OpenMP and Python: to keep freed memory, spin briefly, and look for cycles later."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["SPINS", "keep_freed_memory", "spin_briefly", "unswept"]

# Of <malloc.h>: above the one, blocks are mapped anew each time; beyond the other, freed memory is given back.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**30

SPINS = 5_000
"""Turns of a thread that waits, dozens of microseconds, before it sleeps: a sixtieth of GNU OpenMP's own default."""


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


def spin_briefly() -> None:
    """Tells OpenMP, before PyTorch is imported, unless the user has told it how threads wait.

    On a quiet machine another thread's part of a product soon ends, and spinning is what costs least. Beside other work
    it is the part of a thread that does not run, for want of the core that the spinning one holds: a step then took up
    to a hundred times as long (``benchmarks/busy.py``).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


@contextmanager
def unswept() -> Iterator[None]:
    """Within it Python does not look for cycles, as it does again and again while objects come that stay.

    Modules take a sixth of their time to import for that, and a report of thousands of results more. What is left can
    wait.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
