"""Means, bootstrap intervals and paired tests over seeds, by SciPy, for many samples at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = ["LEVEL", "RESAMPLES", "Summary", "bonferroni", "paired_p_values", "smallest_p_value", "summarise"]

LEVEL = 0.95
RESAMPLES = 1999
# Up to this many pairs all 2^n sign changes are gone through; beyond, RESAMPLES of them at random.
EXACT_PAIRS = 12
# Numbers of one intermediate array, so that memory is bounded.
NUMBERS = 5_000_000


class Summary(NamedTuple):
    """``sd`` divides by n - 1; ``low`` and ``high`` are the bootstrap interval of the mean. None for a single value."""

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


def summarise(samples: Sequence[Sequence[float]]) -> list[Summary]:
    """Mean, standard deviation and percentile bootstrap interval (Efron 1979) of each sample, none of them empty.

    Its resamples are keyed, so that the same results give the same report.
    """
    found: list[Summary | None] = [None] * len(samples)
    for n, places in _by_length(samples).items():
        values = np.array([samples[place] for place in places], dtype=float)
        means = values.mean(1)
        if n == 1:
            for place, mean in zip(places, means, strict=True):
                found[place] = Summary(1, float(mean), None, None, None)
            continue
        spread = values.std(1, ddof=1)
        interval = stats.bootstrap(
            (values,),
            np.mean,
            axis=-1,
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=max(1, NUMBERS // values.size),
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        for place, *numbers in zip(places, means, spread, interval.low, interval.high, strict=True):
            found[place] = Summary(n, *(float(number) for number in numbers))
    return [summary for summary in found if summary is not None]


def paired_p_values(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[float]:
    """Two-sided p-value of each pair of samples on equal seeds: the paired permutation (sign-flip) test of the mean.

    Under the null hypothesis the two values of a seed may change places (Fisher 1935, section 21). Exact up to
    ``EXACT_PAIRS`` seeds.
    """
    found = [1.0] * len(pairs)
    for n, places in _by_length([first for first, _ in pairs]).items():
        first = np.array([pairs[place][0] for place in places], dtype=float)
        second = np.array([pairs[place][1] for place in places], dtype=float)
        result = stats.permutation_test(
            (first, second),
            _mean_difference,
            permutation_type="samples",
            vectorized=True,
            n_resamples=np.inf if n <= EXACT_PAIRS else RESAMPLES,
            batch=max(1, NUMBERS // (2 * first.size)),
            alternative="two-sided",
            axis=-1,
            rng=np.random.default_rng(0),
        )
        for place, p in zip(places, result.pvalue, strict=True):
            found[place] = float(p)
    return found


def smallest_p_value(n: int) -> float:
    """What ``paired_p_values`` can give at the least with n seeds."""
    return 2 / 2**n if n <= EXACT_PAIRS else 2 / (RESAMPLES + 1)


def bonferroni(p: float, comparisons: int) -> float:
    """The p-value that holds for all ``comparisons`` together (Dunn 1961)."""
    return min(1.0, p * comparisons)


def _mean_difference(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
    return np.mean(first - second, axis=axis)


def _by_length(samples: Sequence[Sequence[float]]) -> dict[int, list[int]]:
    places: dict[int, list[int]] = {}
    for place, sample in enumerate(samples):
        places.setdefault(len(sample), []).append(place)
    return places
