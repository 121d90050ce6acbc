"""Tables with their statistics: summaries over seeds, the paper's values, paired tests against the reference."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lid_vae.appearance import appearance
from lid_vae.report.numbers import paper
from lid_vae.report.numbers.best import best
from lid_vae.report.numbers.collapse import State, states, worst
from lid_vae.report.numbers.comparison import ALPHA, Comparison, compare, holm, smallest_p_value
from lid_vae.report.numbers.measures import SEARCHED, columns, seconds
from lid_vae.report.numbers.search import choices
from lid_vae.report.numbers.statistics import Summary, summarise
from lid_vae.report.study.study import REFERENCES, Row, Study, Table, say_missing, say_seeds
from lid_vae.shown import Number

__all__ = ["Analysed", "Cell", "Line", "analyse"]


# Settings by which a row finds its reference, where there are several.
LEVELS = ("depth", "learning_rate", "family", "mixture", "width", "hidden_layers", "batch_size", "steps")


@dataclass
class Cell:
    """A measure of a row: its ``values``, those of the row's seeds in order; none, and no ``summary``, where a finished
    run lacks it. ``best``: no other row of the table is better, as far as its seeds can tell.

    ``paper`` is the paper's mean and deviation, where it has them. ``comparison`` is that with the reference on the
    same seeds, None where there is none. ``p`` is its p-value after Holm's correction, and with a margin ``no_worse``
    that of "the reference is worse by the margin or more" and ``equivalence`` that of "the two differ by the margin or
    more"; None where so few seeds cannot reach 0.05.
    """

    values: list[float]
    paper: tuple[float, float | None] | None = None
    summary: Summary | None = None
    comparison: Comparison | None = None
    p: float | None = None
    no_worse: float | None = None
    equivalence: float | None = None
    best: bool = False

    @property
    def difference(self) -> float | None:
        """The mean less the reference's on the same seeds."""
        return None if self.comparison is None else self.comparison.difference


@dataclass
class Line:
    """A ``row`` with its ``cells``, by the key of the measure.

    ``expected`` is how many seeds it should have, ``seconds`` the time of training those that are there (None: not
    known). ``least`` is the smallest p-value that the row's seeds can give after the correction, two-sided and
    one-sided; None where it is not compared.
    """

    row: Row
    cells: dict[str, Cell]
    expected: int
    seconds: float | None
    least: tuple[float, float] | None = None

    @cached_property
    def states(self) -> dict[str, State | None]:
        """The worst that each measure says of a run's collapse, by the measure's key."""
        found = [states(result) for result in self.row.results.values()]
        return {key: worst(one[key] for one in found) for key in (found[0] if found else ())}

    @property
    def count(self) -> str:
        """How many of the expected seeds are there."""
        n = len(self.row.results)
        return str(n) if n == self.expected else f"{n} of {self.expected}"


@dataclass
class Analysed:
    """A ``table`` ready to be written: the ``measures`` that are its columns, its ``lines``, and ``notes`` below it.

    ``comparisons`` is the number of rows compared with the reference. ``margin`` is that of equivalence in LL, nats;
    None: none is asked. ``choices`` are sentences on its learning rates, ``untested`` says why rows are not compared.
    """

    table: Table
    measures: list[Number]
    lines: list[Line]
    comparisons: int = 0
    margin: float | None = None
    choices: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    untested: list[str] = field(default_factory=list)

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


def analyse(study: Study, margin: float | None = None) -> list[Analysed]:
    """Statistics of every table; those of all cells together, which is what makes thousands of runs quick.

    Args:
        study: the tables.
        margin: within which two LL count as equivalent, nats; None: nothing is said of that.
    """
    analysed = [_begin(table, margin) for table in study.tables]
    for item in analysed:
        table, known = item.table, _in_the_paper(item.table)
        for line in item.lines:
            row, results = line.row, line.row.in_order
            for measure in item.measures:
                value = paper.value(table.data, row.model, measure.key, table.scale) if row.model in known else None
                line.cells[measure.key] = Cell(_complete([measure.read(result) for result in results]), value)
    cells = [cell for item in analysed for line in item.lines for cell in line.cells.values() if cell.values]
    for cell, summary in zip(cells, summarise([cell.values for cell in cells]), strict=True):
        cell.summary = summary
    _compare(analysed)
    for item in analysed:
        shown = {key for line in item.lines for key, cell in line.cells.items() if cell.summary is not None}
        item.measures = [measure for measure in item.measures if measure.key in shown]
        for measure in item.measures:
            if measure.best is not None:
                cells = [line.cells[measure.key] for line in item.lines]
                samples = [_by_seed(line.row, cell) for line, cell in zip(item.lines, cells, strict=True)]
                for place in best(samples, measure.best):
                    cells[place].best = True
    return analysed


def _by_seed(row: Row, cell: Cell) -> dict[int, float]:
    return dict(zip(row.seeds, cell.values, strict=True)) if cell.values else {}


def _begin(table: Table, margin: float | None) -> Analysed:
    item = Analysed(
        table, list(SEARCHED if table.is_search else columns()), [], margin=margin, choices=choices(table.rows)
    )
    for row in table.rows:
        times = _complete([seconds(result) for result in row.results.values()])
        item.lines.append(Line(row, {}, len(row.expected), sum(times) if times else None))
        item.notes += [f"{row.title}: {told}." for told in say_missing(row.missing)]
    return item


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
    pairs: list[tuple[list[float], list[float]]] = []
    margins: list[float | None] = []
    families: list[tuple[Analysed, list[tuple[Line, Cell]]]] = []
    for item in analysed:
        rows = [] if item.table.is_search else _pairs(item)
        item.comparisons = len(rows)
        least = [holm([smallest_p_value(len(line.row.seeds), sides) for line, _ in rows]) for sides in (2, 1)]
        for (line, _), two_sided, one_sided in zip(rows, *least, strict=True):
            line.least = two_sided, one_sided
        for measure in item.measures:
            if not measure.tested:
                continue
            family = []
            for line, reference in rows:
                own, other = (one.cells[measure.key] for one in (line, reference))
                if own.values and other.values:
                    family.append((line, own))
                    pairs.append((own.values, other.values))
                    margins.append(item.margin if measure.key == "ll" else None)
            families.append((item, family))
    found = iter(compare(pairs, margins))
    for item, family in families:
        for _, cell in family:
            cell.comparison = next(found)
        _correct(family, item.comparisons)


def _correct(family: Sequence[tuple[Line, Cell]], comparisons: int) -> None:
    """The p-values of one measure of a table, as far as the seeds of a row can reach the level."""
    made = [cell.comparison for _, cell in family if cell.comparison is not None]
    for name, values, sides in (
        ("p", [one.p for one in made], 2),
        ("no_worse", [one.below for one in made], 1),
        ("equivalence", [one.equivalence for one in made], 1),
    ):
        known = [value for value in values if value is not None]
        if len(known) < len(family):
            continue  # no margin
        for (line, cell), p in zip(family, holm(known, comparisons), strict=True):
            if line.least is not None and line.least[2 - sides] <= ALPHA:
                setattr(cell, name, p)


def _pairs(item: Analysed) -> list[tuple[Line, Line]]:
    """Rows to be tested, each with its reference: that of equal settings, and finished on the same seeds."""
    references = [line for line in item.lines if line.row.model in REFERENCES and line.row.results]
    varied = [name for name in LEVELS if len({str(line.row.setting(name)) for line in references}) > 1]

    def level(row: Row) -> tuple[Any, ...]:
        found = (row.setting(name) for name in varied)
        return tuple(one if isinstance(one, (float, int, str)) else repr(one) for one in found)

    fitting: dict[tuple[Any, ...], list[Line]] = {}
    for line in references:
        fitting.setdefault(level(line.row), []).append(line)
    pairs = []
    for line in item.lines:
        row = line.row
        if row.model in REFERENCES or not row.results or not references:
            continue
        fit = fitting.get(level(row), [])
        if len(fit) != 1:
            name = appearance(references[0].row.model).name
            item.untested.append(f"{row.title}: no paired test, as {len(fit)} rows of {name} fit its settings.")
        elif fit[0].row.seeds != row.seeds:
            apart = sorted(set(fit[0].row.seeds) ^ set(row.seeds))
            item.untested.append(
                f"{row.title}: no paired test, as only one of it and {fit[0].row.title} has {say_seeds(apart)}."
            )
        elif len(row.seeds) > 1:
            pairs.append((line, fit[0]))
    return pairs
