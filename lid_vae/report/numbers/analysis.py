"""Tables with their statistics: summaries over seeds, the paper's values, paired tests against the reference."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lid_vae.report.numbers import paper
from lid_vae.report.numbers.measures import SEARCHED, columns, seconds
from lid_vae.report.numbers.statistics import Summary, bonferroni, paired_p_values, summarise
from lid_vae.report.study.study import REFERENCES, Row, Study, Table, say_missing, say_seeds
from lid_vae.shown import Number

__all__ = ["Analysed", "Cell", "Line", "analyse"]


# Settings by which a row finds its reference, where there are several.
LEVELS = ("depth", "learning_rate", "family", "mixture", "width", "hidden_layers", "batch_size", "steps")


@dataclass
class Cell:
    """A measure of a row. ``summary`` is None where a finished run lacks the measure; ``p`` where it is not tested.

    ``paper`` is the paper's mean and deviation, where it has them. ``difference`` is the mean less the reference's on
    the same seeds, ``p`` its p-value after Bonferroni's correction.
    """

    summary: Summary | None
    paper: tuple[float, float | None] | None = None
    difference: float | None = None
    p: float | None = None


@dataclass
class Line:
    """A ``row`` with its ``cells``, by the key of the measure.

    ``expected`` is how many seeds it should have, ``seconds`` the time of training those that are there (None: not
    known).
    """

    row: Row
    cells: dict[str, Cell]
    expected: int
    seconds: float | None

    @property
    def count(self) -> str:
        """How many of the expected seeds are there."""
        n = len(self.row.results)
        return str(n) if n == self.expected else f"{n} of {self.expected}"


@dataclass
class Analysed:
    """A ``table`` ready to be written: the ``measures`` that are its columns, its ``lines``, and ``notes`` below it.

    ``comparisons`` is the number of rows tested against the reference.
    """

    table: Table
    measures: list[Number]
    lines: list[Line]
    comparisons: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def results(self) -> list[dict[str, Any]]:
        """Of all runs of all rows."""
        return [result for line in self.lines for result in line.row.results.values()]

    @property
    def title(self) -> str:
        table = self.table
        size = "" if table.train_size is None else f", {table.train_size:,} training examples"
        last = "" if table.checkpoint == "best.ckpt" else f", {table.checkpoint}"
        split = "validation" if table.is_search else table.split
        return f"{table.experiment}: {table.data}{size}, {split} split, S = {table.samples}{last}"


def analyse(study: Study) -> list[Analysed]:
    """Statistics of every table of ``study``, those of all cells together: that makes thousands of runs quick."""
    analysed = [_begin(table) for table in study.tables]
    cells: list[tuple[Cell, list[float]]] = []
    for item in analysed:
        table, known = item.table, _in_the_paper(item.table)
        for line in item.lines:
            row = line.row
            for measure in item.measures:
                value = paper.value(table.data, row.model, measure.key, table.scale) if row.model in known else None
                cell = line.cells[measure.key] = Cell(None, value)
                if values := _values(row, measure, row.seeds):
                    cells.append((cell, values))
    for (cell, _), summary in zip(cells, summarise([values for _, values in cells]), strict=True):
        cell.summary = summary
    _compare(analysed)
    for item in analysed:
        shown = {key for line in item.lines for key, cell in line.cells.items() if cell.summary is not None}
        item.measures = [measure for measure in item.measures if measure.key in shown]
    return analysed


def _begin(table: Table) -> Analysed:
    item = Analysed(table, list(SEARCHED if table.is_search else columns()), [])
    for row in table.rows:
        times = _complete([seconds(result) for result in row.results.values()])
        item.lines.append(Line(row, {}, len(row.expected), sum(times) if times else None))
        item.notes += [f"{row.label}: {told}." for told in say_missing(row.missing)]
    return item


def _values(row: Row, measure: Number, seeds: Sequence[int]) -> list[float]:
    """One number for each seed; none at all where one of them lacks it."""
    return _complete([measure.read(row.results[seed]) for seed in seeds])


def _complete(found: Sequence[float | None]) -> list[float]:
    """The numbers, or none of them where one is not there: nothing missing is averaged away."""
    values = [float(value) for value in found if value is not None]
    return values if len(values) == len(found) else []


def _in_the_paper(table: Table) -> set[str]:
    """The models to stand beside the paper's: those of one depth, as the paper's decoder has one, on test data."""
    if table.is_search or table.split != "test":
        return set()
    sizes = {(row.model, row.setting("depth"), row.setting("hidden_layers")) for row in table.rows if row.results}
    count = Counter(model for model, *_ in sizes)
    return {row.model for row in table.rows if count[row.model] <= 1}


def _compare(analysed: Sequence[Analysed]) -> None:
    tests: list[tuple[Cell, Analysed, list[float], list[float]]] = []
    for item in analysed:
        pairs = [] if item.table.is_search else _pairs(item)
        item.comparisons = len(pairs)
        for line, reference in pairs:
            for measure in item.measures:
                if not measure.tested:
                    continue
                own, other = (_values(row, measure, line.row.seeds) for row in (line.row, reference))
                if own and other:
                    tests.append((line.cells[measure.key], item, own, other))
    p_values = paired_p_values([(own, other) for _, _, own, other in tests])
    for (cell, item, own, other), p in zip(tests, p_values, strict=True):
        cell.difference = (sum(own) - sum(other)) / len(own)
        cell.p = bonferroni(p, item.comparisons)


def _pairs(item: Analysed) -> list[tuple[Line, Row]]:
    """Rows to be tested, each with its reference: that of equal settings, and finished on the same seeds."""
    references = item.table.references
    varied = [name for name in LEVELS if len({str(row.setting(name)) for row in references}) > 1]
    pairs = []
    for line in item.lines:
        row = line.row
        if row.model in REFERENCES or not row.results or not references:
            continue
        fit = [one for one in references if all(one.setting(name) == row.setting(name) for name in varied)]
        if len(fit) != 1:
            item.notes.append(
                f"{row.label}: no paired test, as {len(fit)} rows of {references[0].model} fit its settings."
            )
        elif fit[0].seeds != row.seeds:
            apart = sorted(set(fit[0].seeds) ^ set(row.seeds))
            item.notes.append(
                f"{row.label}: no paired test, as only one of it and {fit[0].label} has {say_seeds(apart)}."
            )
        elif len(row.seeds) > 1:
            pairs.append((line, fit[0]))
    return pairs
