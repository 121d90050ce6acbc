"""How far each configuration of a sweep is, as a bar of letters that reads without colour."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lid_vae.launch.status import RunState, State

__all__ = ["COLUMNS", "bars"]

# What a bar tells apart, in its order: the letter, its colour on a terminal (of the sixteen that every one has).
PARTS = {"finished": ("#", 32), "running": (">", 36), "failed": ("x", 31), "waiting": (".", 2)}
PART_OF: Mapping[State, str] = {
    "finished": "finished",
    "running": "running",
    "failed": "failed",
    "interrupted": "waiting",
    "missing": "waiting",
}
CELLS = 20
COLUMNS = 80
LEGEND = "(" + "  ".join(f"{letter} {part}" for part, (letter, _) in PARTS.items()) + ")"
SHOWN = 20
"""As many configurations have a bar each; of more, those that are all finished share a line."""


def bars(folder: Path, states: Sequence[RunState], width: int = COLUMNS, colour: bool = False) -> list[str]:
    """A bar for each configuration of the runs ``states`` below ``folder``, with the counts in words, and a legend.

    Lines keep within ``width`` columns, but for a name that is wider; with ``colour`` for a terminal.
    """
    groups: dict[Path, Counter[str]] = {}
    for state in states:
        groups.setdefault(state.configuration, Counter())[PART_OF[state.state]] += 1
    shown = {place: counts for place, counts in groups.items() if len(groups) <= SHOWN or set(counts) != {"finished"}}
    names = {place: os.path.relpath(place, folder) for place in shown}
    said = {place: _said(counts) for place, counts in shown.items()}
    longest = max((len(name) for name in names.values()), default=0)
    words = max((len(text) for text in said.values()), default=0)
    one_line = longest + CELLS + words + 6 <= width
    cells = CELLS if one_line else min(CELLS, max(len(PARTS), width - words - 6))
    lines = []
    for place, counts in shown.items():
        bar = f"[{_bar(counts, cells, colour)}]  {said[place]}"
        lines += [f"{names[place]:<{longest}}  {bar}"] if one_line else [names[place], f"  {bar}"]
    folded = len(groups) - len(shown)
    if folded:
        lines.append(f"{folded} {'further ' if shown else ''}configurations: all finished")
    return [*lines, LEGEND] if shown else lines


def _said(counts: Mapping[str, int]) -> str:
    """``2 of 10 finished, 1 running, 3 failed, 4 waiting``; of parts without a run nothing."""
    total = sum(counts.values())
    rest = [f"{counts[part]} {part}" for part in PARTS if part != "finished" and counts.get(part)]
    return ", ".join([f"{counts.get('finished', 0)} of {total} finished", *rest])


def _bar(counts: Mapping[str, int], cells: int, colour: bool) -> str:
    """So many letters, ``cells``, in the shares of ``counts``; the least of them shows by one."""
    total = sum(counts.values())
    exact = {part: cells * counts[part] / total for part in PARTS if counts.get(part)}
    given = {part: max(1, int(share)) for part, share in exact.items()}
    while sum(given.values()) != cells:
        step = 1 if sum(given.values()) < cells else -1
        open_to = [part for part in given if step > 0 or given[part] > 1]
        most = max(open_to, key=lambda part: step * (exact[part] - given[part]))
        given[most] += step
    return "".join(
        f"\x1b[{PARTS[part][1]}m{PARTS[part][0] * count}\x1b[0m" if colour else PARTS[part][0] * count
        for part, count in given.items()
    )
