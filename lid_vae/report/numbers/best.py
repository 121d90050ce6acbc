"""Which rows of a table are the best by a measure, as far as the seeds can tell."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from scipy import stats

from lid_vae.report.numbers.analysis import Analysed, Line
from lid_vae.report.numbers.statistics import LEVEL
from lid_vae.report.study.study import Row
from lid_vae.shown import Number

__all__ = ["best", "differ"]


def best(item: Analysed, measure: Number) -> set[int]:
    """Places of the lines of the table ``item`` that are best by ``measure``; none where it tells no line from another.

    The one with the best mean, and those whose difference from it is within its error (``differ``).
    """
    if measure.best is None:
        return set()
    means = {
        place: cell.summary.mean
        for place, line in enumerate(item.lines)
        if (cell := line.cells[measure.key]).summary is not None
    }
    if not means:
        return set()
    choose = max if measure.best == "highest" else min
    first = choose(means, key=means.__getitem__)
    found = {place for place in means if place == first or not _differ(item.lines[first], item.lines[place], measure)}
    return found if len(found) < len(means) else set()


def differ(first: Sequence[float], second: Sequence[float], paired: bool) -> bool:
    """Whether the 95 % interval of the mean difference leaves 0 out: Student's of pairs, else Welch's (1947).

    Args:
        first, second: samples. Of single values nothing can be told.
        paired: whether they are on the same seeds, in the same order.

    >>> differ([1.0, 1.1, 1.2], [2.0, 2.1, 2.3], paired=True)
    True
    """
    n, m = len(first), len(second)
    if min(n, m) < 2:
        return False
    difference = float(np.mean(first) - np.mean(second))
    if paired:
        error, freedom = float(np.std(np.subtract(first, second), ddof=1)) / sqrt(n), float(n - 1)
    else:
        a, b = float(np.var(first, ddof=1)) / n, float(np.var(second, ddof=1)) / m
        error = sqrt(a + b)
        freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1)) if error else 1.0
    return abs(difference) > float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error


def _differ(first: Line, second: Line, measure: Number) -> bool:
    return differ(_values(first.row, measure), _values(second.row, measure), first.row.seeds == second.row.seeds)


def _values(row: Row, measure: Number) -> list[float]:
    return [float(value) for seed in row.seeds if (value := measure.read(row.results[seed])) is not None]
