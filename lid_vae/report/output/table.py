"""Tables as Markdown, and as CSV for other programs."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from lid_vae.report.numbers.analysis import Analysed
from lid_vae.report.numbers.measures import seconds
from lid_vae.report.output.wording import caption, cell_parts, duration, line_parts

__all__ = ["grid", "markdown", "rows_csv", "runs_csv"]


def grid(item: Analysed) -> tuple[list[str], list[list[list[str]]]]:
    """The headings of the table ``item``, and for each row its cells, each short texts to be set below one another."""
    headings = ["model", "seeds", *(measure.title for measure in item.measures), "total"]
    rows = [
        [
            line_parts(item, line),
            [line.count],
            *(cell_parts(line.cells[measure.key], measure) for measure in item.measures),
            [duration(line.seconds)],
        ]
        for line in item.lines
    ]
    return headings, rows


def markdown(items: Sequence[Analysed]) -> str:
    """A section for each of the tables ``items``."""
    sections = []
    for item in items:
        headings, rows = grid(item)
        lines = [
            f"## {_escape(item.title)}",
            "",
            "| " + " | ".join(headings) + " |",
            "|---|---|" + "---:|" * (len(headings) - 2),
            *("| " + " | ".join("<br>".join(map(_escape, cell)) for cell in row) + " |" for row in rows),
            "",
            *(f"- {_escape(sentence)}" for sentence in caption(item)),
        ]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def rows_csv(items: Sequence[Analysed]) -> str:
    """A line for each row and measure of ``items``: statistics, the paper's value and the paired test.

    An empty field: there is none.
    """
    place = ["experiment", "data", "train_size", "split", "samples", "row", "model", "measure", "n", "expected"]
    rows: list[list[Any]] = [[*place, "mean", "sd", "low", "high", "paper_mean", "paper_sd", "difference", "p"]]
    for item in items:
        table = item.table
        for line in item.lines:
            for measure in item.measures:
                row, cell = line.row, line.cells[measure.key]
                rows.append(
                    [
                        *(table.experiment, table.data, table.train_size, table.split, table.samples),
                        *(row.label, row.model, measure.key, len(row.results), line.expected),
                        *([None] * 4 if cell.summary is None else cell.summary[1:]),
                        *(cell.paper or (None, None)),
                        *(cell.difference, cell.p),
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


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
