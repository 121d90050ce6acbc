"""What a program is doing, said on one line of the terminal that goes away: which phase, how far, how long still."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["phase", "spoken", "watched"]

T = TypeVar("T")
QUIET = 30.0
"""Seconds between two lines where standard error is no terminal."""
BETWEEN = 0.2
"""Seconds between two changes of the line on a terminal."""
CLEARED = "\r\x1b[2K"


@contextmanager
def phase(words: str) -> Iterator[None]:
    """Within it a terminal shows ``words``, such as "drawing"; elsewhere nothing is said."""
    shown = _screen()
    if shown:
        print(f"{CLEARED}{words} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print(CLEARED, end="", file=sys.stderr, flush=True)


def watched(things: Iterable[T], words: str, count: int) -> Iterator[T]:
    """``things``, while a terminal shows ``words``, how many of the ``count`` are done, and how long the rest may take.

    Where standard error is no terminal a line says so every half minute.
    """
    shown = _screen()
    begun = told = time.monotonic()
    done = 0
    try:
        if shown:
            print(f"{CLEARED}{words} ...", end="", file=sys.stderr, flush=True)
        for thing in things:
            yield thing
            done += 1
            now = time.monotonic()
            if done < count and now - told > (BETWEEN if shown else QUIET):
                told = now
                left = spoken((now - begun) * (count - done) / done)
                line = f"{words}: {100 * done // count} %, about {left} left"
                print(f"{CLEARED}{line}" if shown else line, end="" if shown else "\n", file=sys.stderr, flush=True)
    finally:
        if shown:
            print(CLEARED, end="", file=sys.stderr, flush=True)


def _screen() -> bool:
    """Whether there is a line that can be renewed: several processes on one terminal say TERM=dumb."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def spoken(seconds: float) -> str:
    """``seconds`` as one says them: the whole seconds, minutes or hours.

    >>> spoken(40), spoken(700), spoken(9000)
    ('40 s', '12 min', '2.5 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
