"""Tests, effect sizes, equivalence and Holm's correction against SciPy, tables by hand and simulated coverage."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lid_vae.report.numbers.comparison import (
    ALPHA,
    EXACT_PAIRS,
    compare,
    holm,
    paired_p_values,
    seeds_needed,
    smallest_p_value,
)
from lid_vae.report.numbers.statistics import RESAMPLES


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


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_of_ranks_the_test_is_wilcoxons(alternative):
    """Signed ranks in place of differences: SciPy's exact Wilcoxon test."""
    rng = np.random.default_rng(4)
    signs = rng.choice([-1.0, 1.0], (20, 8), p=[0.3, 0.7])
    ranks = [rng.permutation(np.arange(1.0, 9.0)) * sign for sign in signs]
    exact = [stats.wilcoxon(values, alternative=alternative, method="exact").pvalue for values in ranks]
    assert paired_p_values([(values, np.zeros(8)) for values in ranks], alternative) == pytest.approx(exact)


def test_the_paired_test_keeps_its_level_and_sees_pairs():
    """Without a difference 5 % of p-values lie below 0.05, 2,000 tests, 4 standard errors; a common part cancels."""
    rng = np.random.default_rng(3)
    pairs = [(rng.normal(size=8), rng.normal(size=8)) for _ in range(2000)]
    assert np.mean(np.array(paired_p_values(pairs)) <= 0.05) == pytest.approx(0.05, abs=0.02)
    common = rng.normal(0, 100, 10)
    (p,) = paired_p_values([(common + 1 + rng.normal(0, 0.1, 10), common)])
    assert p < 0.01


@pytest.mark.parametrize(("sides", "alternative"), [(2, "two-sided"), (1, "greater")])
def test_the_smallest_p_value_is_reached_and_no_smaller_one(sides, alternative):
    for n in (2, 5, EXACT_PAIRS, EXACT_PAIRS + 3):
        (p,) = paired_p_values([(list(range(1, n + 1)), [0.0] * n)], alternative)
        assert p == pytest.approx(smallest_p_value(n, sides))
    assert smallest_p_value(EXACT_PAIRS + 3) == 2 / (RESAMPLES + 1)


@pytest.mark.parametrize("sides", [1, 2])
def test_so_many_seeds_are_enough_and_one_fewer_is_not(sides):
    for comparisons in (1, 2, 4, 50):
        needed = seeds_needed(comparisons, sides)
        assert holm([smallest_p_value(needed, sides)], comparisons)[0] <= ALPHA
        assert holm([smallest_p_value(needed - 1, sides)], comparisons)[0] > ALPHA
    assert seeds_needed(1000) is None


def test_holm_by_hand():
    """Sorted .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, and the last is raised to .06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.01], comparisons=4) == [0.04]
    assert holm([]) == []


@settings(derandomize=True)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(0, 3))
def test_holm_lies_between_the_p_values_and_bonferronis(p_values, more):
    """Keeps their order, and rejects as the method does that goes down from the smallest (Holm 1979)."""
    m = len(p_values) + more
    corrected = holm(p_values, m)
    assert all(p <= q <= min(1.0, m * p) + 1e-12 for p, q in zip(p_values, corrected, strict=True))
    by_size = sorted(zip(p_values, corrected, strict=True))
    assert [q for _, q in by_size] == sorted(corrected)
    step_down = 0
    while step_down < len(by_size) and (m - step_down) * by_size[step_down][0] <= ALPHA:
        step_down += 1
    assert sum(q <= ALPHA for q in corrected) == step_down


def test_holm_keeps_the_level_of_a_whole_table():
    """Four true null hypotheses, correlated by a reference that they share: a false one in at most 5 % of tables."""
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(500, 10))
    p_values = paired_p_values([(rng.normal(size=10), own) for own in reference for _ in range(4)])
    wrong = [min(holm(p_values[k : k + 4])) <= ALPHA for k in range(0, 2000, 4)]
    assert np.mean(wrong) <= 0.05 + 4 * (0.05 * 0.95 / 500) ** 0.5


def test_effect_sizes_by_hand():
    """Differences 1, 2, 4: mean 7 / 3, variance 7 / 3. Without variation, or of two equal ones, there is no d_z."""
    found, same, constant = compare(
        [([2.0, 3.0, 5.0], [1.0] * 3), ([1.0, 2.0], [1.0, 2.0]), ([1.3, 2.3], [1.0, 2.0])], [None] * 3
    )
    assert found.difference == pytest.approx(7 / 3)
    assert found.effect == pytest.approx((7 / 3) ** 0.5)
    assert found.low <= found.difference <= found.high
    assert (found.above, found.below, found.equivalence) == (None, None, None)
    assert (same.difference, same.effect, same.p) == (0.0, None, 1.0)
    assert (constant.effect, constant.effect_low) == (None, None)


@pytest.mark.parametrize("n", [3, 10])
def test_the_interval_of_the_effect_inverts_the_noncentral_t(n):
    first = np.random.default_rng(n).normal(1, 1, n)
    (found,) = compare([(first, np.zeros(n))], [None])
    t = found.effect * n**0.5
    assert stats.nct.cdf(t, n - 1, found.effect_low * n**0.5) == pytest.approx(0.975, abs=1e-5)
    assert stats.nct.cdf(t, n - 1, found.effect_high * n**0.5) == pytest.approx(0.025, abs=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n", [3, 10])
def test_the_interval_of_a_huge_effect_comes_at_once(n, sign):
    """Seeds that agree to seven digits: there the inversion never ended. Either side of the limit gives the same."""
    noise = np.random.default_rng(n).normal(0, 1, n)
    ratios = []
    for size in (8e3, 3e4, 1e9):
        (found,) = compare([(sign * (size + noise), np.zeros(n))], [None])
        assert found.effect_low < found.effect < found.effect_high
        ratios.append((found.effect_low / found.effect, found.effect_high / found.effect))
    assert ratios[0] == pytest.approx(ratios[1], rel=3e-3), "of two degrees of freedom SciPy is that much off"
    assert ratios[1] == pytest.approx(ratios[2], rel=1e-6)


@pytest.mark.parametrize("n", [5, 10])
def test_the_interval_of_the_effect_covers(n):
    """3,000 samples of d = 0.8: 95 %, three standard errors of 0.4 %. The bootstrap interval covers less."""
    rng = np.random.default_rng(6)
    pairs = [(rng.normal(0.8, 1, n), np.zeros(n)) for _ in range(3000)]
    found = compare(pairs, [None] * len(pairs))
    assert np.mean([one.effect_low <= 0.8 <= one.effect_high for one in found]) == pytest.approx(0.95, abs=0.012)
    assert np.mean([one.low <= 0.8 <= one.high for one in found]) == pytest.approx({5: 0.84, 10: 0.90}[n], abs=0.02)


def test_equivalence_by_hand():
    """Differences .01 to .05: all six moved by .1 have one sign, so that both one-sided p-values are 1 / 32."""
    first = [0.01, 0.02, 0.03, 0.04, 0.05]
    within, outside, one_sided = compare(
        [(first, [0.0] * 5)] * 2 + [(np.subtract(first, 1), [0.0] * 5)], [0.1, 0.02, 0.1]
    )
    assert (within.above, within.below, within.equivalence) == (1 / 32, 1 / 32, 1 / 32)
    assert outside.equivalence > 0.5, "the mean lies beyond the margin"
    assert (one_sided.below, one_sided.above) == (1 / 32, 1.0), "below the margin, and far from equal"


def test_equivalence_at_the_margin_is_claimed_as_often_as_the_level_says():
    """A true difference of just the margin, 2,000 samples, 4 standard errors; inside it is claimed nearly always."""
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 1, (2000, 8))
    zero = np.zeros(8)
    edge = compare([(values + 2, zero) for values in noise], [2.0] * 2000)
    assert np.mean([one.equivalence <= ALPHA for one in edge]) <= 0.05 + 0.02
    inside = compare([(values, zero) for values in noise[:200]], [2.0] * 200)
    assert np.mean([one.equivalence <= ALPHA for one in inside]) > 0.9
