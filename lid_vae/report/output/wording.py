"""Numbers as a table shows them, and the sentences below it: what is measured, how, and what the paper has."""

from collections.abc import Sequence
from math import log

from lid_vae.appearance import appearance
from lid_vae.report.numbers import paper
from lid_vae.report.numbers.analysis import Analysed, Cell, Line
from lid_vae.report.numbers.collapse import RULE, State
from lid_vae.report.numbers.comparison import ALPHA, seeds_needed
from lid_vae.report.numbers.statistics import RESAMPLES
from lid_vae.shown import Number

__all__ = [
    "BRIEF",
    "FURTHER",
    "MARKS",
    "caption",
    "cell_parts",
    "duration",
    "legend",
    "line_parts",
    "mark_words",
    "mean_and_deviation",
    "single",
]

# What a table without detail shows, as far as it is there, by the measures' keys.
BRIEF = ("kl", "mi", "au", "ll", "perplexity", "accuracy", "bound")
MARKS: dict[State, str] = {"collapsed": "†", "partly": "‡"}
FURTHER = "detail=true adds intervals, tests, times and the paper's values; rows.csv and report.html have them anyway."


def mean_and_deviation(cell: Cell, measure: Number) -> tuple[str, str | None]:
    """Those of ``cell``, as ``measure`` says how many digits; None of a single seed."""
    if cell.summary is None:
        return "-", None
    mean, sd = cell.summary.mean, cell.summary.sd
    return single(mean, measure), None if sd is None else f"{sd:.{_digits(mean, measure)}f}"


def single(value: float | None, measure: Number) -> str:
    """One ``value`` of a ``measure``; None: there is none."""
    if value is None:
        return "-"
    shown = value if measure.least is None else max(value, measure.least)
    return f"{shown:.{_digits(value, measure)}f}"


def _digits(value: float, measure: Number) -> int:
    return min(measure.digits, 2) if abs(value) >= 10 else measure.digits


def cell_parts(cell: Cell, measure: Number) -> list[str]:
    """Of ``cell``: ``mean (sd)``, the interval, the paper's value, the difference from the reference with its interval,
    the standardised one, and p-values, as far as there are such. ``measure`` says how many digits.
    """
    shown, deviation = mean_and_deviation(cell, measure)
    parts = [shown if deviation is None else f"{shown} ({deviation})"]
    if cell.summary is not None:
        _, mean, _, low, high = cell.summary
        digits = _digits(mean, measure)
        if measure.least is not None and mean < measure.least:
            parts.append(f"consistent with {measure.least:g}")
        elif low is not None:
            parts.append(f"[{low:.{digits}f}, {high:.{digits}f}]")
    if cell.paper is not None:
        parts.append(f"paper {_plain(cell.paper[0])}" + ("" if cell.paper[1] is None else f" ({cell.paper[1]:g})"))
    found = cell.comparison
    if found is not None:
        parts.append(f"diff {found.difference:.{measure.digits}f}")
        if found.low is not None:
            parts.append(f"[{found.low:.{measure.digits}f}, {found.high:.{measure.digits}f}]")
        if found.effect is not None:
            parts.append(f"d {found.effect:.{1 if abs(found.effect) >= 10 else 2}f}")
    for name, p in (("p", cell.p), ("no worse p", cell.no_worse), ("equal p", cell.equivalence)):
        if p is not None:
            parts.append(f"{name} {p:.3f}" if p >= 0.001 else f"{name} {p:.0e}")
    return parts


def line_parts(item: Analysed, line: Line) -> list[str]:
    """What stands before the measures of ``line`` in the table ``item``.

    That is the row's name with the paper's, and how many seeds there are.
    """
    name = paper.name(item.table.data, line.row.model)
    if name is None or item.table.is_search or name == line.row.title:
        return [line.row.title]
    return [line.row.title, f"paper: {name}"]


def duration(seconds: float | None) -> str:
    """``seconds`` as ``1 h 02 min``, ``3 min`` or ``12 s``."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def legend(item: Analysed) -> list[str]:
    """Sentences for below the table ``item`` without detail."""
    if item.table.is_search:
        return [*item.choices, *item.notes]
    return [f"Mean (sd) over seeds {_where(item)}.", *_on_marks(item, BRIEF), *item.choices, *item.notes, FURTHER]


def mark_words() -> str:
    """The rules of collapse, each behind its mark."""
    return RULE.format(*MARKS.values()) + "."


def _on_marks(item: Analysed, shown: Sequence[str]) -> list[str]:
    """What bold and the marks of collapse mean in the table ``item``, of whose measures those keys are ``shown``."""
    bold: dict[str, list[str]] = {"highest": [], "lowest": []}
    for measure in item.measures:
        if measure.best is not None and measure.key in shown:
            bold[measure.best].append(measure.title)
    said = " and ".join(f"the {which} {', '.join(titles)}" for which, titles in bold.items() if titles)
    return [
        f"Bold: {said}, with those whose difference from it is within its error, the 95 % t interval (of pairs on "
        "equal seeds, else Welch's; not corrected); nothing where that leaves no row out.",
        f"In some seed {mark_words()}",
    ]


def caption(item: Analysed) -> list[str]:
    """Sentences for below the table ``item`` with all its detail."""
    if item.table.is_search:
        return [*item.choices, *item.notes]
    sentences = []
    shown = [measure.key for measure in item.measures]
    sentences.append(
        f"Mean (standard deviation) over seeds, {_where(item)}. In brackets the 95 % percentile bootstrap interval of "
        f"the mean ({RESAMPLES:,} resamples), which is short for few seeds: it covers the mean of ten normal values in "
        "about 90 % of cases, of five in 84 %."
    )
    sentences += _on_marks(item, shown)
    if item.comparisons:
        sentences += _on_comparisons(item)
    if "ms" in shown:
        old = any(result.get("seconds_per_step") is None for result in item.results)
        mixed = " (of some runs with their validations, which they do not tell apart)" if old else ""
        together = max(int(result.get("seeds_together") or 1) for result in item.results)
        shared = f", of up to {together} seeds trained together each its share" if together > 1 else ""
        sentences.append(
            f"ms/step: wall-clock time of a training step{mixed}{shared}; total: training of all the row's runs, on "
            "the hardware that each result names."
        )
    if any(cell.paper is not None for line in item.lines for cell in line.cells.values()):
        sentences += _on_the_paper(item)
    return [*sentences, *item.choices, *item.notes, *item.untested]


def _where(item: Analysed) -> str:
    examples = item.table.first.get("examples")
    whole = "" if examples is None else f" of {examples:,} examples"
    return f"on the {item.table.split} split{whole}, nats; LL with S = {item.table.samples} importance samples"


def _on_comparisons(item: Analysed) -> list[str]:
    """What stands beside the means of compared rows, and what is left out and why."""
    reference, m = appearance(item.table.references[0].model).name, item.comparisons
    sentences = [
        f"diff: mean difference from {reference} on equal seeds, with its 95 % bootstrap interval, short for few seeds "
        "as the other. d: Cohen's d_z, that difference over the standard deviation of the differences; its 95 % "
        "interval is in rows.csv."
    ]
    rows = "the one row compared" if m == 1 else f"the {m} rows compared"
    sentences += _on_tests(
        item,
        0,
        f"p: two-sided paired permutation test of the mean difference, corrected for {rows} by Holm's method, which "
        "never gives more than Bonferroni's and holds as widely",
        "No p-values",
    )
    if item.margin is not None and any(measure.key == "ll" for measure in item.measures):
        sentences += _on_tests(
            item,
            1,
            f"Within a margin of {item.margin:g} nats of LL: no worse p is that of {reference} being worse by the "
            "margin or more, equal p that of the two differing by the margin or more (two one-sided permutation tests, "
            f"for differences symmetric about their mean; Holm's correction for {rows}). Below {ALPHA:g} the claim "
            "stands",
            f"Nothing is said of a margin of {item.margin:g} nats",
        )
    return sentences


def _on_tests(item: Analysed, side: int, shown: str, left_out: str) -> list[str]:
    """``shown`` where a row has enough seeds, and for rows that have not, how many would be enough."""
    sentences = []
    compared = [(len(line.row.seeds), line.least[side]) for line in item.lines if line.least is not None]
    tested = sorted({(n, least) for n, least in compared if least <= ALPHA})
    if tested:
        limits = "; ".join(f"{n} seeds cannot give less than {least:.2g}" for n, least in tested)
        sentences.append(f"{shown}; {limits}.")
    short = sorted({(n, least) for n, least in compared if least > ALPHA})
    for n, least in short:
        needed = seeds_needed(item.comparisons, 2 - side)
        enough = (
            f"{needed} seeds would be enough" if needed is not None else "no number of seeds is enough for so many rows"
        )
        rows = f"{item.comparisons} rows" if item.comparisons > 1 else "one row"
        sentences.append(
            f"{left_out} of rows with {n} seeds: after Holm's correction for {rows} they cannot give less than "
            f"{least:.2g}, above {ALPHA:g}; {enough}."
        )
    return sentences


def _on_the_paper(item: Analysed) -> list[str]:
    scale = item.table.scale
    sentences = [f"paper: {paper.source()}."]
    categories = len(item.table.first["latent"]["z"].get("usage", ())) or None
    limit = "" if categories is None else f", nor can it exceed log {categories} = {log(categories):.2f} nats"
    sentences.append(
        "The paper's MI exceeds its KL, which cannot be under the definitions used here: with q(z) the average of "
        "q(z|x) over the whole set, MI = KL - KL(q(z) || p(z)) <= KL" + limit + ". So its two "
        "columns cannot both be these quantities, and are not to be compared with ours number by number."
    )
    if item.table.data == "pinwheel":
        sentences.append(
            f"The paper's LL on the pinwheel is that of coordinates {scale:g} times ours: 2 log {scale:g} = "
            f"{2 * log(scale):.2f} nats are added to it here."
        )
    return sentences


def _plain(value: float) -> str:
    """Two decimals, or powers of ten for what those would hide."""
    return f"{value:.1e}" if 0 < abs(value) < 0.01 else f"{value:.2f}".rstrip("0").rstrip(".")
