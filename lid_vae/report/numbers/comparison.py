"""Two samples on equal seeds: sign-flip tests, effect sizes, equivalence within a margin, Holm's correction."""

from collections.abc import Sequence
from math import inf
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import special, stats

from lid_vae.report.numbers.statistics import LEVEL, NUMBERS, RESAMPLES, by_length, summarise

__all__ = [
    "ALPHA",
    "EXACT_PAIRS",
    "Comparison",
    "compare",
    "holm",
    "paired_p_values",
    "seeds_needed",
    "smallest_p_value",
]

ALPHA = 0.05
# Up to this many pairs all 2^n sign changes are gone through; beyond, RESAMPLES of them at random.
EXACT_PAIRS = 12
# Of a t statistic: the time of inverting the non-central t grows with it, until it does not come back.
HUGE = 1e4
Alternative = Literal["two-sided", "greater", "less"]
Pairs = Sequence[tuple[Sequence[float], Sequence[float]]]


class Comparison(NamedTuple):
    """Of one sample less another on the same seeds; no p-value is corrected.

    Attributes:
        difference, low, high: the mean difference with its 95 % percentile bootstrap interval, in the measure's unit.
        effect, effect_low, effect_high: Cohen's d_z, the mean difference over the differences' standard deviation, with
            the 95 % interval that is exact where they are normal; None where they do not vary.
        p: two-sided.
        above, below: one-sided, that the mean difference is not above -margin, and not below margin; None without one.
    """

    difference: float
    low: float | None
    high: float | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    p: float
    above: float | None = None
    below: float | None = None

    @property
    def equivalence(self) -> float | None:
        """p of "the mean difference lies outside the margin": the greater of two one-sided ones (Schuirmann 1987)."""
        return None if self.above is None or self.below is None else max(self.above, self.below)


def compare(pairs: Pairs, margins: Sequence[float | None]) -> list[Comparison]:
    """Compares the samples of each pair, all of two values or more.

    Args:
        pairs: two samples each, on the same seeds in the same order.
        margins: for each pair, above 0, in the unit of its values; None: no equivalence is asked.

    >>> found = compare([([2.0, 3.0, 5.0], [1.0, 1.0, 1.0])], [None])[0]
    >>> round(found.difference, 3), round(found.effect, 3), found.p
    (2.333, 1.528, 0.25)
    """
    if not pairs:
        return []
    differences: list[list[float]] = [np.subtract(*pair).tolist() for pair in pairs]
    summaries = summarise(differences)
    effects = [_effect(len(values), one.mean, one.sd) for values, one in zip(differences, summaries, strict=True)]
    p_values = paired_p_values(pairs)
    above, below = _beyond(pairs, margins, -1, "greater"), _beyond(pairs, margins, 1, "less")
    return [
        Comparison(one.mean, one.low, one.high, *effect, p, above.get(k), below.get(k))
        for k, (one, effect, p) in enumerate(zip(summaries, effects, p_values, strict=True))
    ]


def paired_p_values(pairs: Any, alternative: Alternative = "two-sided") -> list[float]:
    """p-value of each pair of samples on equal seeds: the paired permutation (sign-flip) test of the mean difference.

    Under the null hypothesis the two values of a seed may change places (Fisher 1935, section 21). Exact up to
    ``EXACT_PAIRS`` seeds. With a margin added to one sample it is a test of that margin, for differences that are
    symmetric about their mean.

    Args:
        pairs: two samples each, on the same seeds in the same order.
        alternative: "two-sided"; "greater" or "less": that the mean of the first is so.

    >>> paired_p_values([([2.0, 3.0, 4.0], [1.0, 1.0, 1.0])])
    [0.25]
    """
    return by_length(pairs, lambda stack: _sign_flips(stack, alternative))


def smallest_p_value(n: int, sides: int = 2) -> float:
    """What ``paired_p_values`` can give at the least with n seeds, two-sided or (``sides=1``) one-sided.

    >>> smallest_p_value(5), smallest_p_value(5, sides=1)
    (0.0625, 0.03125)
    """
    return sides / 2**n if n <= EXACT_PAIRS else sides / (RESAMPLES + 1)


def seeds_needed(comparisons: int, sides: int = 2) -> int | None:
    """The fewest seeds with which so many ``comparisons`` can reach 0.05 after the correction; None: no number can.

    ``sides`` is 2 for two-sided tests and 1 for one-sided ones.

    >>> seeds_needed(1), seeds_needed(4)
    (6, 8)
    """
    return next((n for n in range(2, EXACT_PAIRS + 1) if smallest_p_value(n, sides) * comparisons <= ALPHA), None)


def holm(p_values: Sequence[float], comparisons: int | None = None) -> list[float]:
    """P-values that hold for all ``comparisons`` together, in the order given (Holm 1979).

    The smallest is multiplied by m, the next by m - 1 and so on, and none is less than the one before it. Valid under
    any dependence, as Bonferroni's correction, and never greater.

    Args:
        p_values: uncorrected.
        comparisons: m; None for as many as there are. Those beyond the p-values given count as if they showed nothing.

    >>> holm([0.01, 0.04, 0.03, 0.005])
    [0.03, 0.06, 0.06, 0.02]
    """
    m = len(p_values) if comparisons is None else comparisons
    found, so_far = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        so_far = max(so_far, min(1.0, (m - rank) * p_values[place]))
        found[place] = so_far
    return found


def _beyond(pairs: Pairs, margins: Sequence[float | None], sign: int, alternative: Alternative) -> dict[int, float]:
    """By place, the one-sided p-value against the second sample moved by ``sign`` times the margin, if there is one."""
    moved = {
        place: (first, [value + sign * margin for value in second])
        for place, ((first, second), margin) in enumerate(zip(pairs, margins, strict=True))
        if margin is not None
    }
    return dict(zip(moved, paired_p_values([*moved.values()], alternative), strict=True))


def _effect(n: int, mean: float, sd: float | None) -> tuple[float | None, float | None, float | None]:
    """d_z with its interval, by inversion of the non-central t distribution (Steiger and Fouladi 1997)."""
    if not sd or sd <= 1e-12 * abs(mean):
        return None, None, None
    effect, root = mean / sd, n**0.5
    if abs(effect) * root > HUGE:
        # There the noise of the mean is nothing beside that of the deviation, which is a chi.
        ends = (float(np.sqrt(special.chdtri(n - 1, p) / (n - 1))) for p in ((1 + LEVEL) / 2, (1 - LEVEL) / 2))
        low, high = sorted(effect * end for end in ends)
        return effect, low, high
    low, high = (float(special.nctdtrinc(n - 1, p, effect * root)) for p in ((1 + LEVEL) / 2, (1 - LEVEL) / 2))
    return effect, low / root, high / root


def _sign_flips(pairs: np.ndarray, alternative: Alternative) -> list[float]:
    """Of pairs of samples [N, 2, n] of one length."""
    n, differences = pairs.shape[2], pairs[:, 0] - pairs[:, 1]
    # All pairs have the same changes of sign; they are made once, and a product of matrices makes all means.
    result = stats.permutation_test(
        (np.full(n, 1.0), np.full(n, -1.0)),
        lambda signs, _, axis: signs @ differences.T / n,
        permutation_type="samples",
        vectorized=True,
        n_resamples=inf if n <= EXACT_PAIRS else RESAMPLES,
        batch=max(1, NUMBERS // max(len(pairs), 2 * n)),
        alternative=alternative,
        axis=-1,
        rng=np.random.default_rng(0),
    )
    return result.pvalue.tolist()
