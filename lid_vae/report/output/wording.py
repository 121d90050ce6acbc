"""Numbers as a table shows them, and the sentences below it: what is measured, how, and what the paper has."""

from math import log

from lid_vae.report.numbers import paper
from lid_vae.report.numbers.analysis import Analysed, Cell, Line
from lid_vae.report.numbers.comparison import ALPHA, seeds_needed
from lid_vae.report.numbers.search import choices
from lid_vae.report.numbers.statistics import RESAMPLES
from lid_vae.shown import Number

__all__ = ["caption", "cell_parts", "duration", "line_parts"]


def cell_parts(cell: Cell, measure: Number) -> list[str]:
    """Of ``cell``: ``mean (sd)``, the interval, the paper's value, the difference from the reference with its interval,
    the standardised one, and p-values, as far as there are such. ``measure`` says how many digits.
    """
    parts = ["-"]
    if cell.summary is not None:
        _, mean, sd, low, high = cell.summary
        digits = min(measure.digits, 2) if abs(mean) >= 10 else measure.digits
        below = measure.least is not None and mean < measure.least
        shown = measure.least if below else mean
        parts = [f"{shown:.{digits}f}" + ("" if sd is None else f" ({sd:.{digits}f})")]
        if below:
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
    if name is None or item.table.is_search or name.lower() == line.row.label:
        return [line.row.label]
    return [line.row.label, f"({name})"]


def duration(seconds: float | None) -> str:
    """``seconds`` as ``1 h 02 min``, ``3 min`` or ``12 s``."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def caption(item: Analysed) -> list[str]:
    """Sentences for below the table ``item``."""
    if item.table.is_search:
        return [*choices(item), *item.notes]
    table, sentences = item.table, []
    shown = [measure.key for measure in item.measures]
    examples = table.first.get("examples")
    whole = "" if examples is None else f" of {examples:,} examples"
    sentences.append(
        f"Mean (standard deviation) over seeds, on the {table.split} split{whole}, nats; LL with S = {table.samples} "
        f"importance samples. In brackets the 95 % percentile bootstrap interval of the mean ({RESAMPLES:,} "
        "resamples), which is short for few seeds: it covers the mean of ten normal values in about 90 % of cases, of "
        "five in 84 %."
    )
    if item.comparisons:
        sentences += _on_comparisons(item)
    if "ms" in shown:
        old = any(result.get("seconds_per_step") is None for result in item.results)
        mixed = " (of some runs with their validations, which they do not tell apart)" if old else ""
        together = max(int(result.get("seeds_together", 1)) for result in item.results)
        shared = f", of up to {together} seeds trained together each its share" if together > 1 else ""
        sentences.append(
            f"ms/step: wall-clock time of a training step{mixed}{shared}; total: training of all the row's runs, on "
            "the hardware that each result names."
        )
    if any(cell.paper is not None for line in item.lines for cell in line.cells.values()):
        sentences += _on_the_paper(item)
    return [*sentences, *choices(item), *item.notes]


def _on_comparisons(item: Analysed) -> list[str]:
    """What stands beside the means of compared rows, and what is left out and why."""
    reference, m = item.table.references[0].model, item.comparisons
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
