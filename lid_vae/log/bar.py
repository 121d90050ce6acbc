"""A bar on one line of a terminal, which gives way before the numbers beside it."""

from collections.abc import Sequence

from tqdm import tqdm
from tqdm.std import Bar

__all__ = ["NumbersBar", "fit"]

ROOM = 3
"""Columns left free at the end, where a terminal echoes ^C; in the last one the line would break."""
LEAST = 4
MOST = 60
CLEAR_REST = "\x1b[K"


def fit(place: str, steps: str, times: str, numbers: Sequence[str], done: float | None, width: int, utf: bool) -> str:
    """One line of ``width`` columns at most.

    Whole where there is room; else, in this order, the bar shrinks, and ``steps``, the long words of the ``numbers``,
    ``times`` and ``place`` are left out.

    Args:
        place: which run, and where it is.
        steps: how many steps it has taken.
        times: how long it has taken, and may take still.
        numbers: what it measures, in words from long to short.
        done: the share that is done, which the bar shows; None: unknown, no bar.
        width: columns.
        utf: whether the bar is of blocks or of digits.
    """
    long, short = numbers[0], numbers[-1]
    before = [[place, steps, times], [place, times], [place], []]
    layouts = [(before[0], long), (before[1], long), (before[1], short), (before[2], short), (before[3], short)]
    for parts, words in layouts:
        line = _joined(parts, words)
        room = width - len(line) - 1
        if room < -1:
            continue
        if done is None or room < LEAST or not parts:
            return line
        bar = format(Bar(min(max(done, 0.0), 1.0), charset=Bar.UTF if utf else Bar.ASCII), str(min(room, MOST)))
        return _joined([parts[0], bar, *parts[1:]], words)
    return short[:width]


def _joined(parts: Sequence[str], numbers: str) -> str:
    before = " ".join(filter(None, parts))
    return f"{before}, {numbers}" if before and numbers else before or numbers


class NumbersBar(tqdm):
    """tqdm's bar with ``numbers``, as ``fit`` lays them out."""

    numbers: Sequence[str] = ("",)

    def __str__(self) -> str:
        now = self.format_dict
        width = max((now["ncols"] or 80) - ROOM, 1)
        total = now["total"]
        taken, since = now["n"] - now["initial"], now["elapsed"]
        rate = now["rate"] or (taken / since if since > 0 else 0.0)  # tqdm forgets its own when it closes
        left = self.format_interval((total - now["n"]) / rate) if total and rate else "?"
        line = fit(
            str(now["prefix"] or "").removesuffix(": "),
            f"step {now['n']}/{total:.0f}" if total else f"step {now['n']}",
            f"[{self.format_interval(now['elapsed'])}<{left}]",
            self.numbers,
            now["n"] / total if total else None,
            width,
            not now["ascii"],
        )
        return line + CLEAR_REST
