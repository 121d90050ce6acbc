"""What a table says of posterior collapse, in a sentence or two."""

from collections.abc import Mapping, Sequence
from math import nan
from statistics import fmean
from typing import Any

from lid_vae.report.numbers.analysis import Analysed, Line
from lid_vae.report.numbers.collapse import SLIGHT, WITHOUT_LATENT, State, state

__all__ = ["finding"]

# Rows that are told of one by one.
MOST = 6


def finding(item: Analysed) -> str:
    """Which models of the table ``item`` collapse, in how many of their seeds; empty for a search.

    By the rule of ``lid_vae.report.numbers.collapse`` for each run, whatever its row.
    """
    lines = [line for line in item.lines if line.row.results and line.row.model not in WITHOUT_LATENT]
    if item.table.is_search or not lines:
        return ""
    said = [(line, _sentence(line)) for line in lines]
    told = [sentence for _, sentence in said if sentence]
    free = [line for line, sentence in said if not sentence]
    if not told:
        return f"No collapse: {_numbers(_all(free))} over all seeds."
    if len(told) > MOST:
        told = [*told[:MOST], f"So do seeds of {len(told) - MOST} more rows."]
    if len(free) == 1:
        told.append(f"{free[0].row.title} does not: {_numbers(_all(free))}.")
    elif free:
        names = [line.row.title for line in free]
        listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) <= MOST else f"The other {len(names)} rows"
        told.append(f"{listed} do not: {_numbers(_all(free))}.")
    return " ".join(told)


def _sentence(line: Line) -> str:
    """Of a row with a collapsed run; empty where none is."""
    by_state: dict[State | None, list[Mapping[str, Any]]] = {}
    for result in line.row.results.values():
        by_state.setdefault(state(result), []).append(result)
    n, name = len(line.row.results), line.row.title
    seeds = f"of {n} seed{'s' if n > 1 else ''}"
    off, part = by_state.get("collapsed", []), by_state.get("partly", [])
    if off:
        also = f", and nearly or in part in {len(part)}" if part else ""
        return f"{name} collapses in {len(off)} {seeds}{also}: {_numbers(off)}."
    if not part:
        return ""
    how = "nearly collapses" if all(result["latent"]["z"].get("au") == 1 for result in part) else "collapses in part"
    return f"{name} {how} in {len(part)} {seeds}: {_numbers(part)}."


def _all(lines: Sequence[Line]) -> list[Mapping[str, Any]]:
    return [result for line in lines for result in line.row.results.values()]


def _numbers(results: Sequence[Mapping[str, Any]]) -> str:
    """Means over ``results``: KL alone where it says enough, else AU first."""
    z = [result["latent"]["z"] for result in results]
    au, kl = (fmean([one[key] for one in z if one.get(key) is not None] or [nan]) for key in ("au", "kl"))
    said = f"KL {max(kl, 0.0):.3f}"
    return said if kl < SLIGHT else f"AU {au:.2f}, {said}"
