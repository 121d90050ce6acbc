"""Tables on a terminal of any width: columns that do not fit stand in a second table below the first."""

import os
import sys
from collections.abc import Sequence
from textwrap import wrap
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lid_vae.report.numbers.analysis import Analysed
from lid_vae.report.numbers.collapse import State
from lid_vae.report.output.finding import finding
from lid_vae.report.output.table import Entry, grid
from lid_vae.report.output.wording import caption, legend

__all__ = ["Terminal", "discard_output", "pieces", "print_tables", "render"]

# Of a column beside its text: a space behind it.
GAP = 1
MOST = 40
TINTS: dict[State, str] = {"collapsed": "black on #f2b8a8", "partly": "black on #fbe6c2"}


class Terminal(Console):
    """Standard output; what is printed after its reader has gone (``| head``) is lost, and nothing else is."""

    def on_broken_pipe(self) -> None:
        """In place of ending the program, whose files are still to be written."""
        self.quiet = True
        discard_output()


def discard_output() -> None:
    """For when the reader of standard output has gone: Python would complain once more when it closes the stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_tables(items: Sequence[Analysed], console: Console, detail: bool = True) -> None:
    """Up to forty of the tables ``items``, with or without ``detail``, on ``console``; the files hold them all."""
    for item in items[:MOST]:
        console.print(render(item, console.width, detail))
    if len(items) > MOST:
        console.print(f"{len(items) - MOST} more tables are in the files.")


def render(item: Analysed, width: int, detail: bool = True) -> RenderableType:
    """The title of the table ``item``, the table in as many pieces as ``width`` asks for, and the caption.

    ``width`` is in characters; ``detail`` says whether all is shown or means and deviations alone.
    """
    headings, rows = grid(item, detail)
    said = finding(item)
    sentences = caption(item) if detail else legend(item)
    return Group(
        Text(f"\n{item.title}", style="bold"),
        *([Text(said)] if said else []),
        *pieces(headings, rows, width),
        *(Padding(Text(sentence), (0, 0, 0, 0)) for sentence in sentences),
    )


def pieces(headings: Sequence[str], rows: Sequence[list[Entry]], width: int) -> list[RenderableType]:
    """A table of ``headings`` and ``rows``, in as many pieces as ``width``, in characters, asks for, with empty lines.

    Its first two columns, of text, stand in every piece.
    """
    rows = [
        [Entry([line for part in row[0].parts for line in wrap(part, max(12, width // 5))] or [""]), *row[1:]]
        for row in rows
    ]
    marked = [any(row[k].state is not None for row in rows) for k in range(len(headings))]
    widths = [
        max(len(part) + marked[k] for cell in [[heading], *(row[k].parts for row in rows)] for part in cell)
        for k, heading in enumerate(headings)
    ]
    fixed = 2
    found: list[list[int]] = [[]]
    room = width - sum(widths[:fixed]) - GAP * fixed
    for column in range(fixed, len(headings)):
        if found[-1] and sum(widths[c] + GAP for c in (*found[-1], column)) > room:
            found.append([])
        found[-1].append(column)
    tables: list[RenderableType] = []
    for piece in found:
        table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for column in (*range(fixed), *piece):
            justify: Literal["left", "right"] = "left" if column < fixed else "right"
            # Rich would find the same width by measuring every cell.
            table.add_column(headings[column], justify=justify, no_wrap=column >= fixed, width=widths[column])
        for row in rows:
            table.add_row(*(_text(row[column], marked[column]) for column in (*range(fixed), *piece)))
        tables += [table, Text()]
    return tables


def _text(entry: Entry, marked: bool) -> Text:
    """That of ``entry``; ``marked``: one of its column is, so that a place behind every number is kept for a mark."""
    place = " " if marked else ""
    first, *rest = (part + place for part in entry.parts)
    first = first if entry.state is None else entry.marked[0]
    tint = "" if entry.state is None else TINTS[entry.state]
    style = " ".join(filter(None, ["bold" if entry.best else "", tint]))
    return Text.assemble((first, style), *(f"\n{part}" for part in rest))
