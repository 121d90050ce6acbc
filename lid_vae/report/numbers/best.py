"""Which rows of a table are the best by a measure, as far as the seeds can tell."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import sqrt
from statistics import fmean
from typing import Literal

import numpy as np
from scipy import stats

from lid_vae.report.numbers.statistics import LEVEL

__all__ = ["best", "differ"]


def best(samples: Sequence[Mapping[int, float]], which: Literal["highest", "lowest"]) -> set[int]:
    """Places of the best of ``samples``, each a value by seed, empty ones apart; none where it tells none from another.

    The one with the best mean, and those whose difference from it is within its error (``differ``).
    """
    means = {place: fmean(sample.values()) for place, sample in enumerate(samples) if sample}
    if not means:
        return set()
    choose = max if which == "highest" else min
    first = samples[choose(means, key=means.__getitem__)]
    found = {place for place in means if samples[place] is first or not _differ(first, samples[place])}
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
    return abs(difference) > _quantile(freedom) * error


@lru_cache(maxsize=4096)
def _quantile(freedom: float) -> float:
    """Student's, of the half of an interval; the rows of a table that have equal seeds ask for the same."""
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))


def _differ(first: Mapping[int, float], second: Mapping[int, float]) -> bool:
    return differ(list(first.values()), list(second.values()), paired=first.keys() == second.keys())
