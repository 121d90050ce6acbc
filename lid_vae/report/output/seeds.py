"""The runs of a sweep on a terminal: one row a seed, and below them their mean and deviation."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from lid_vae.report.numbers.analysis import Analysed, Line
from lid_vae.report.numbers.collapse import states
from lid_vae.report.output.table import Entry, shown
from lid_vae.report.output.terminal import pieces
from lid_vae.report.output.wording import cell_parts, mark_words, single

__all__ = ["render_seeds"]

# Rows beyond which only the means are shown: more of them scroll away.
MOST = 60


def render_seeds(items: Sequence[Analysed], width: int) -> RenderableType:
    """The tables ``items``, a row for each seed as far as they are few enough to be seen at once.

    ``width`` is in characters.
    """
    few = sum(len(line.row.results) for item in items for line in item.lines) <= MOST
    return Group(*(_render(item, few, width) for item in items))


def _render(item: Analysed, few: bool, width: int) -> RenderableType:
    measures = shown(item, detail=False)
    rows: list[list[Entry]] = []
    for line in item.lines:
        one = len(line.row.results) == 1
        rows += [[Entry([""]), *row] for row in (_seeds(item, line) if few or one else [])]
        if not one:
            rows.append(
                [Entry([""]), Entry([_mean(line)]), *(Entry([cell_parts(line.cells[m.key], m)[0]]) for m in measures)]
            )
        rows[-_height(line, few)][0] = Entry([line.row.title])
    headings = ["model", "seed", *(measure.title for measure in measures)]
    marked = any(entry.state is not None for row in rows for entry in row)
    title = Text(f"\n{item.title}", style="bold")
    return Group(title, *pieces(headings, rows, width), *([Text(mark_words())] if marked else []))


def _height(line: Line, few: bool) -> int:
    """How many rows a line has."""
    n = len(line.row.results)
    return n + (n > 1) if few else 1


def _seeds(item: Analysed, line: Line) -> list[list[Entry]]:
    found = []
    for seed in line.row.seeds:
        result = line.row.results[seed]
        said = {} if item.table.is_search else states(result)
        entries = [Entry([single(m.read(result), m)], state=said.get(m.key)) for m in shown(item, detail=False)]
        found.append([Entry([str(seed)]), *entries])
    return found


def _mean(line: Line) -> str:
    n, expected = len(line.row.results), line.expected
    return "mean (sd)" if n == expected else f"mean (sd), {n} of {expected}"
