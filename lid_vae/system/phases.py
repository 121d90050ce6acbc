"""What a program is doing, said on one line of the terminal that goes away: which phase, its bar, how long still."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TextIO, TypeVar

__all__ = ["is_screen", "open_with", "opening", "phase", "spoken", "watched"]

T = TypeVar("T")
QUIET = 30.0
"""Seconds between two lines where standard error is no terminal."""
BETWEEN = 0.2
"""Seconds between two changes of the line on a terminal."""
TICK = 1.0
"""Seconds between two numbers of seconds."""
SURE = 3.0
"""Seconds from which what has been done says how long the rest will take."""
BAR = 10
"""Letters of a bar, as wide as leaves room for the words before it on 80 columns."""
BLOCK = 3
"""Letters of what wanders along the bar of a phase whose share nobody knows."""
CLEARED = "\r\x1b[2K"
lasting: list[threading.Event] = []
"""Those that last, the innermost last."""
opening = ExitStack()
"""The phase before a program has anything to tell: whoever prints first, or sends work elsewhere, closes it."""


@contextmanager
def phase(words: str) -> Iterator[None]:
    """Within it a terminal shows ``words``, such as "drawing", a bar, and the seconds that go by; elsewhere nothing.

    How far such a phase is cannot be told: a block wanders along its bar. Of phases within one another the innermost
    is shown.
    """
    begun = time.monotonic()
    with _ticking(lambda: _wandering(words, time.monotonic() - begun)):
        if is_screen(sys.stderr):
            print(f"{CLEARED}{_wandering(words, 0.0)}", end="", file=sys.stderr, flush=True)
        yield


def _wandering(words: str, seconds: float) -> str:
    """The line of a phase after so many ``seconds``: the block is one letter further each second, there and back."""
    way = BAR - BLOCK
    place = way - abs(int(seconds) % (2 * way) - way)
    bar = f"{'.' * place}{'#' * BLOCK}".ljust(BAR, ".")
    return f"{words}: [{bar}] {spoken(seconds)}" if seconds >= 1.0 else f"{words}: [{bar}]"


def open_with(words: str) -> None:
    """A terminal shows ``words`` until ``opening`` is closed."""
    opening.close()
    opening.enter_context(phase(words))


@contextmanager
def _ticking(line: Callable[[], str]) -> Iterator[None]:
    """Within it a terminal shows what ``line`` says after each ``TICK``; in the end it is cleared."""
    if not is_screen(sys.stderr):
        yield
        return
    stream, ended = sys.stderr, threading.Event()

    def tick() -> None:
        while not ended.wait(TICK):
            if lasting[-1] is ended:
                print(f"{CLEARED}{line()}", end="", file=stream, flush=True)

    ticking = threading.Thread(target=tick, daemon=True)
    lasting.append(ended)
    ticking.start()
    try:
        yield
    finally:
        ended.set()
        ticking.join()
        lasting.remove(ended)
        print(CLEARED, end="", file=stream, flush=True)


def watched(
    things: Iterable[T],
    words: str,
    count: int,
    sizes: Sequence[float] | None = None,
    notice: Callable[[float], str | None] | None = None,
) -> Iterator[T]:
    """``things``, while a terminal shows ``words``, a bar of those that are done, and how long the rest may take.

    Where standard error is no terminal a line says so every half minute. ``count`` is how many they are, ``sizes`` what
    each of them is to take, in any unit; None: all alike. ``notice``, of the seconds that all of them may take, is
    asked once, as soon as these can be told; what it answers stands above the line, on standard output.
    """
    shown = is_screen(sys.stderr)
    begun = told = time.monotonic()
    shares = list(sizes) if sizes is not None else [1.0] * count
    whole, past, done = sum(shares), 0.0, 0
    left: tuple[float, float] | None = None  # so many seconds, of that moment on

    def line() -> str:
        if left is None:
            return _wandering(words, time.monotonic() - begun)
        seconds, since = left
        return told_so_far(max(0.0, seconds + since - time.monotonic()))

    def told_so_far(seconds: float) -> str:
        share = past / whole
        bar = f"[{'#' * int(BAR * share):.<{BAR}}] " if shown else ""
        return f"{words}: {bar}{100 * share:.0f} %, about {spoken(seconds)} left"

    with _ticking(line):
        if shown:
            print(f"{CLEARED}{_wandering(words, 0.0)}", end="", file=sys.stderr, flush=True)
        for thing in things:
            yield thing
            past += shares[done] if done < len(shares) else 0.0
            done += 1
            now = time.monotonic()
            if done >= count or past <= 0:
                continue
            if notice is not None and now - begun > SURE:
                said, notice = notice((now - begun) * whole / past), None
                if said:
                    print(CLEARED if shown else "", end="", file=sys.stderr, flush=True)
                    print(said, flush=True)
            left = (now - begun) * (whole - past) / past, now
            if now - told > (BETWEEN if shown else QUIET):
                told = now
                text = told_so_far(left[0])
                print(f"{CLEARED}{text}" if shown else text, end="" if shown else "\n", file=sys.stderr, flush=True)


def is_screen(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal on which a line can be renewed and coloured.

    Several processes on one terminal say TERM=dumb.
    """
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def spoken(seconds: float) -> str:
    """``seconds`` as one says them: the whole seconds, minutes or hours.

    >>> spoken(40), spoken(700), spoken(9000)
    ('40 s', '12 min', '2.5 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
