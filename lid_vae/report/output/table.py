"""Tables as Markdown, and as CSV for other programs."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from lid_vae.report.numbers.analysis import Analysed
from lid_vae.report.numbers.collapse import State
from lid_vae.report.numbers.measures import seconds
from lid_vae.report.output.finding import finding
from lid_vae.report.output.wording import BRIEF, MARKS, caption, cell_parts, duration, legend, line_parts
from lid_vae.shown import Number

__all__ = ["Entry", "grid", "markdown", "rows_csv", "runs_csv", "shown"]


class Entry(NamedTuple):
    """A cell of a table: its ``parts``, short texts to be set below one another, of which the first is its number.

    ``best``: it is set in bold. ``state``: it is tinted, as of a run that has collapsed.
    """

    parts: list[str]
    best: bool = False
    state: State | None = None

    @property
    def marked(self) -> list[str]:
        """Its parts, with a mark in place of the tint, for whoever sees none."""
        return self.parts if self.state is None else [self.parts[0] + MARKS[self.state], *self.parts[1:]]


def shown(item: Analysed, detail: bool) -> list[Number]:
    """The measures that are columns of the table ``item``, with or without ``detail``."""
    if detail:
        return item.measures
    return sorted((m for m in item.measures if m.key in BRIEF), key=lambda measure: BRIEF.index(measure.key))


def grid(item: Analysed, detail: bool = True) -> tuple[list[str], list[list[Entry]]]:
    """The headings of the table ``item``, and its rows; without ``detail`` of means and deviations alone."""
    measures = shown(item, detail)
    headings = ["model", "seeds", *(measure.title for measure in measures), *(["total"] if detail else [])]
    rows = []
    for line in item.lines:
        found = {} if item.table.is_search else line.states
        name = line_parts(item, line)
        row = [Entry(name if detail else name[:1]), Entry([line.count])]
        for measure in measures:
            cell = line.cells[measure.key]
            parts = cell_parts(cell, measure)
            row.append(Entry(parts if detail else parts[:1], cell.best, found.get(measure.key)))
        rows.append([*row, Entry([duration(line.seconds)])] if detail else row)
    return headings, rows


def markdown(items: Sequence[Analysed], detail: bool = True) -> str:
    """A section for each of the tables ``items``, with or without ``detail``."""
    sections = []
    for item in items:
        headings, rows = grid(item, detail)
        said = finding(item)
        lines = [
            f"## {_escape(item.title)}",
            "",
            *([_escape(said), ""] if said else []),
            "| " + " | ".join(headings) + " |",
            "|---|---|" + "---:|" * (len(headings) - 2),
            *("| " + " | ".join(map(_cell, row)) + " |" for row in rows),
            "",
            *(f"- {_escape(sentence)}" for sentence in (caption if detail else legend)(item)),
        ]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def rows_csv(items: Sequence[Analysed]) -> str:
    """A line for each row and measure of ``items``: statistics, the paper's value, the comparison; empty: none.

    ``difference`` is the mean less the reference's on equal seeds, ``effect`` Cohen's d_z, each with the ends of its
    95 % interval; ``p``, ``no_worse_p`` and ``equivalence_p`` are after Holm's correction.
    """
    place = ["experiment", "data", "train_size", "split", "samples", "row", "model", "measure", "n", "expected"]
    given = ["mean", "sd", "low", "high", "paper_mean", "paper_sd", "difference", "p"]
    beside = ["difference_low", "difference_high", "effect", "effect_low", "effect_high"]
    rows: list[list[Any]] = [[*place, *given, *beside, "margin", "no_worse_p", "equivalence_p"]]
    for item in items:
        table = item.table
        for line in item.lines:
            for measure in item.measures:
                row, cell = line.row, line.cells[measure.key]
                difference, *rest = [None] * 6 if cell.comparison is None else cell.comparison[:6]
                margin = None if cell.comparison is None or cell.comparison.above is None else item.margin
                rows.append(
                    [
                        *(table.experiment, table.data, table.train_size, table.split, table.samples),
                        *(row.label, row.model, measure.key, len(row.results), line.expected),
                        *([None] * 4 if cell.summary is None else cell.summary[1:]),
                        *(cell.paper or (None, None)),
                        *(difference, cell.p, *rest, margin, cell.no_worse, cell.equivalence),
                    ]
                )
    return _csv(rows)


def runs_csv(items: Sequence[Analysed]) -> str:
    """A line for each run of ``items``: the numbers that the statistics are made of, and what is missing."""
    keys = list(dict.fromkeys(measure.key for item in items for measure in item.measures))
    rows: list[list[Any]] = [["experiment", "data", "split", "samples", "row", "seed", "state", *keys, "seconds"]]
    for item in items:
        table = item.table
        for row in (line.row for line in item.lines):
            for seed in row.expected:
                place = [table.experiment, table.data, table.split, table.samples, row.label, seed]
                result = row.results.get(seed)
                if result is None:
                    rows.append([*place, row.missing[seed], *([None] * (len(keys) + 1))])
                    continue
                found = {measure.key: measure.read(result) for measure in item.measures}
                rows.append([*place, "finished", *map(found.get, keys), seconds(result)])
    return _csv(rows)


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cell(entry: Entry) -> str:
    first, *rest = map(_escape, entry.marked)
    return "<br>".join([f"**{first}**" if entry.best else first, *rest])


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
