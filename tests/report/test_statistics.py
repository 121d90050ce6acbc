"""Summaries against hand-computed numbers, and the interval's coverage against what the captions say."""

import numpy as np
import pytest

from lid_vae.report.numbers.statistics import summarise


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
