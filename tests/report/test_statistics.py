"""Summaries and tests against hand-computed numbers, and the interval's coverage against what the captions say."""

from itertools import product

import numpy as np
import pytest

from lid_vae.report.numbers.statistics import (
    EXACT_PAIRS,
    RESAMPLES,
    bonferroni,
    paired_p_values,
    smallest_p_value,
    summarise,
)


def test_mean_and_standard_deviation_by_hand():
    """1, 2, 6: mean 3, squares 4 + 1 + 9 = 14 over 2. Samples of other lengths keep their places."""
    three, one, two = summarise([[1.0, 2.0, 6.0], [5.0], [4.0, 4.0]])
    assert (three.n, three.mean) == (3, 3.0)
    assert three.sd == pytest.approx(7**0.5)
    assert one == (1, 5.0, None, None, None)
    assert two == (2, 4.0, 0.0, 4.0, 4.0)


def test_the_interval_of_two_values_by_hand():
    """Resamples of (0, 1) have means 0, 1/2, 1, one in four at either end: the 2.5 % and 97.5 % points are 0 and 1."""
    (summary,) = summarise([[0.0, 1.0]])
    assert (summary.low, summary.high) == (0.0, 1.0)


@pytest.mark.parametrize(("n", "stated"), [(10, 0.90), (5, 0.84)])
def test_the_interval_covers_as_often_as_captions_say(n, stated):
    """3,000 normal samples: a standard error of 0.006, allowed three times and a little for the common resamples."""
    samples = np.random.default_rng(1).normal(size=(3000, n))
    inside = [summary.low <= 0 <= summary.high for summary in summarise(list(samples))]
    assert np.mean(inside) == pytest.approx(stated, abs=0.02)


def by_enumeration(first, second):
    """Twice the smaller share of sign changes with a mean difference as far out, at most 1."""
    difference = np.array(first) - np.array(second)
    means = np.array([np.mean(np.array(signs) * difference) for signs in product([1, -1], repeat=len(difference))])
    observed = difference.mean()
    above, below = np.mean(means >= observed - 1e-12), np.mean(means <= observed + 1e-12)
    return min(1.0, 2 * min(above, below))


def test_the_paired_test_by_hand():
    """Three differences of one sign: two of the eight sign changes are as far out, one on either side."""
    assert paired_p_values([([2.0, 3.0, 4.0], [1.0, 1.0, 1.0])]) == [pytest.approx(2 / 8)]
    assert paired_p_values([([1.0, 1.0], [1.0, 1.0])]) == [1.0]
    ten = list(range(1, 11))
    assert paired_p_values([(ten, [0.0] * 10)]) == [pytest.approx(smallest_p_value(10))]
    assert smallest_p_value(10) == 2 / 1024


def test_the_paired_test_against_going_through_all_sign_changes():
    rng = np.random.default_rng(2)
    pairs = [(rng.normal(0.5, 1, n), rng.normal(0, 1, n)) for n in (4, 9, 9, 6)]
    assert paired_p_values(pairs) == pytest.approx([by_enumeration(*pair) for pair in pairs])


def test_the_paired_test_keeps_its_level_and_sees_pairs():
    """Without a difference 5 % of p-values lie below 0.05, 2,000 tests, 4 standard errors; a common part cancels."""
    rng = np.random.default_rng(3)
    pairs = [(rng.normal(size=8), rng.normal(size=8)) for _ in range(2000)]
    assert np.mean(np.array(paired_p_values(pairs)) <= 0.05) == pytest.approx(0.05, abs=0.02)
    common = rng.normal(0, 100, 10)
    (p,) = paired_p_values([(common + 1 + rng.normal(0, 0.1, 10), common)])
    assert p < 0.01


def test_many_seeds_take_random_sign_changes():
    n = EXACT_PAIRS + 3
    (p,) = paired_p_values([(list(range(1, n + 1)), [0.0] * n)])
    assert p == pytest.approx(smallest_p_value(n)) == 2 / (RESAMPLES + 1)


def test_bonferroni():
    assert bonferroni(0.01, 4) == 0.04
    assert bonferroni(0.5, 4) == 1.0
