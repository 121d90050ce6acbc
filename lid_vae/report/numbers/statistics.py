"""Means and bootstrap intervals over seeds, by SciPy, for many samples at once."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy import stats

__all__ = ["LEVEL", "NUMBERS", "RESAMPLES", "Summary", "by_length", "summarise"]

T = TypeVar("T")
LEVEL = 0.95
RESAMPLES = 1999
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

    Args:
        samples: of one number or more each, of any lengths.

    >>> summarise([[1.0, 2.0, 6.0]])[0].mean
    3.0
    """
    return by_length(samples, _summaries)


def by_length(samples: Sequence[Any], compute: Callable[[np.ndarray], list[T]]) -> list[T]:
    """What ``compute`` makes of all samples of one length at once, in the order of ``samples``.

    Args:
        samples: numbers, or pairs of samples; those of one shape are stacked.
        compute: from a stack to one value for each sample of it.

    >>> by_length([[1], [2, 3], [4]], lambda stack: stack.sum(1).tolist())
    [1.0, 5.0, 4.0]
    """
    places: dict[tuple[int, ...], list[int]] = {}
    for place, sample in enumerate(samples):
        places.setdefault(np.shape(sample), []).append(place)
    found: dict[int, T] = {}
    for alike in places.values():
        found |= zip(alike, compute(np.array([samples[place] for place in alike], dtype=float)), strict=True)
    return [found[place] for place in range(len(samples))]


def _summaries(values: np.ndarray) -> list[Summary]:
    """Of samples [N, n] of one length."""
    count, n = values.shape
    means = values.mean(1).tolist()
    if n == 1:
        return [Summary(1, mean, None, None, None) for mean in means]

    def means_of(places: np.ndarray, axis: int) -> np.ndarray:
        """Of resamples [R, n], given by the places of the seeds that each holds: the mean of every sample [N, R]."""
        start = n * np.arange(len(places))[:, None]
        times = np.bincount((start + places).astype(int).ravel(), minlength=n * len(places)).reshape(-1, n)
        return np.asarray(values @ times.T / n)

    # All samples have the same resamples; their places are drawn once, and a product of matrices makes all means.
    interval = stats.bootstrap(
        (np.arange(n),),
        means_of,
        axis=-1,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, NUMBERS // max(count, n)),
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    spreads = values.std(1, ddof=1).tolist()
    ends = interval.low.tolist(), interval.high.tolist()
    return [Summary(n, *numbers) for numbers in zip(means, spreads, *ends, strict=True)]
