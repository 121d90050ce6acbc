"""Means, bootstrap intervals and paired tests over seeds, by SciPy, for many samples at once."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy import stats

__all__ = ["LEVEL", "RESAMPLES", "Summary", "bonferroni", "paired_p_values", "smallest_p_value", "summarise"]

T = TypeVar("T")
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
    """Mean, standard deviation and percentile bootstrap interval (Efron 1979) of each of ``samples``, none empty.

    Its resamples are keyed, so that the same results give the same report.
    """
    return _by_length(samples, _summaries)


def paired_p_values(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[float]:
    """Two-sided p-value of each of ``pairs`` of samples on equal seeds: the paired permutation (sign-flip) test.

    Under the null hypothesis the two values of a seed may change places (Fisher 1935, section 21). Exact up to
    ``EXACT_PAIRS`` seeds.
    """
    return _by_length(pairs, _sign_flips)


def smallest_p_value(n: int) -> float:
    """What ``paired_p_values`` can give at the least with n seeds."""
    return 2 / 2**n if n <= EXACT_PAIRS else 2 / (RESAMPLES + 1)


def bonferroni(p: float, comparisons: int) -> float:
    """The p-value that holds for all ``comparisons`` together (Dunn 1961)."""
    return min(1.0, p * comparisons)


def _summaries(values: np.ndarray) -> list[Summary]:
    """Of samples [N, n] of one length."""
    n, means = values.shape[1], values.mean(1).tolist()
    if n == 1:
        return [Summary(1, mean, None, None, None) for mean in means]
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
    spreads = values.std(1, ddof=1).tolist()
    ends = interval.low.tolist(), interval.high.tolist()
    return [Summary(n, *numbers) for numbers in zip(means, spreads, *ends, strict=True)]


def _sign_flips(pairs: np.ndarray) -> list[float]:
    """Of pairs of samples [N, 2, n] of one length."""
    result = stats.permutation_test(
        (pairs[:, 0], pairs[:, 1]),
        lambda first, second, axis: np.mean(first - second, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf if pairs.shape[2] <= EXACT_PAIRS else RESAMPLES,
        batch=max(1, NUMBERS // pairs.size),
        alternative="two-sided",
        axis=-1,
        rng=np.random.default_rng(0),
    )
    return result.pvalue.tolist()


def _by_length(samples: Sequence[Any], compute: Callable[[np.ndarray], list[T]]) -> list[T]:
    """What ``compute`` makes of all samples of one length at once, in the order of ``samples``."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, sample in enumerate(samples):
        places.setdefault(np.shape(sample), []).append(place)
    found: dict[int, T] = {}
    for alike in places.values():
        found |= zip(alike, compute(np.array([samples[place] for place in alike], dtype=float)), strict=True)
    return [found[place] for place in range(len(samples))]
