"""Exponential-family components and mixtures of them, against SciPy, brute force and their own samples."""

import numpy as np
import pytest
import scipy.stats
import torch
from builders import normal
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.distribution import (
    BernoulliComponents,
    Components,
    GammaComponents,
    GaussianComponents,
    LogNormalComponents,
    Mixture,
    StandardNormal,
)
from lid_vae.noise import generator

K, M = 4, 3
FAMILIES = ["gaussian", "log_normal", "gamma", "bernoulli"]
families = pytest.mark.parametrize("family", FAMILIES)


def make(family: str, key: object = 0) -> tuple[Components, object, torch.Tensor]:
    """Components, SciPy's law of each number (frozen, of shape [K, M]), and points of the support."""
    parameter, spread = normal(K, M, key=f"{key} parameter"), 0.3 + 0.2 * normal(M, key=f"{key} spread").abs()
    w, scale = normal(7, M, key=f"{key} w"), spread.numpy()
    match family:
        case "gaussian":
            return GaussianComponents(parameter, spread), scipy.stats.norm(parameter.numpy(), scale), w
        case "log_normal":
            law = scipy.stats.lognorm(scale, scale=parameter.exp().numpy())
            return LogNormalComponents(parameter, spread), law, w.exp()
        case "gamma":
            law = scipy.stats.gamma(parameter.exp().numpy(), scale=1 / scale)
            return GammaComponents(parameter, spread), law, w.exp()
        case _:
            law = scipy.stats.bernoulli(torch.sigmoid(parameter).numpy())
            return BernoulliComponents(parameter), law, (w > 0).double()


def oracle(law, w: torch.Tensor) -> torch.Tensor:
    """SciPy's log density of every row under every component."""
    log_density = law.logpmf if hasattr(law.dist, "pmf") else law.logpdf
    return torch.as_tensor(np.stack([log_density(row).sum(-1) for row in w.numpy()]))


@given(family=st.sampled_from(FAMILIES), key=st.integers(0, 10**6))
def test_log_density_is_scipys(family: str, key: int) -> None:
    components, law, w = make(family, key)
    torch.testing.assert_close(components.log_prob(w), oracle(law, w), rtol=1e-9, atol=1e-9)


@families
def test_moments_are_scipys(family: str) -> None:
    components, law, _ = make(family)
    torch.testing.assert_close(components.mean, torch.as_tensor(law.mean()))
    torch.testing.assert_close(components.variance, torch.as_tensor(law.var()))


@families
def test_samples_follow_the_density(family: str) -> None:
    """Kolmogorov-Smirnov, or a z-test for binary numbers; K M tests, each with a false-alarm rate of 1e-4."""
    components, law, _ = make(family)
    count = 2000
    for k in range(K):
        draws = components.sample(torch.full((count,), k), generator("components", family, k)).numpy()
        for m in range(M):
            if family == "bernoulli":
                mean = law.mean()[k, m]
                assert abs(draws[:, m].mean() - mean) < 3.9 * (mean * (1 - mean) / count) ** 0.5
            else:
                cdf = type(law)(
                    law.dist,
                    *[np.broadcast_to(a, (K, M))[k, m] for a in law.args],
                    **{name: np.broadcast_to(a, (K, M))[k, m] for name, a in law.kwds.items()},
                ).cdf
                assert scipy.stats.kstest(draws[:, m], cdf).pvalue > 1e-4


@families
def test_row_k_of_aligned_is_component_k(family: str) -> None:
    components, _, _ = make(family)
    w = components.sample(torch.zeros(2 * K * 5, dtype=torch.int64), generator("aligned")).view(2, K, 5, M)
    aligned = components.aligned_log_prob(w)
    for k in range(K):
        torch.testing.assert_close(aligned[:, k], components.log_prob(w)[:, k, :, k])


@families
def test_mixture_against_brute_force(family: str) -> None:
    components, law, w = make(family)
    log_mixing = torch.log_softmax(normal(K, key="mixing"), 0)
    mixture = Mixture(log_mixing, components)
    joint = oracle(law, w) + log_mixing
    torch.testing.assert_close(mixture.joint_log_prob(w), joint)
    torch.testing.assert_close(mixture.log_prob(w), joint.exp().sum(1).log())
    torch.testing.assert_close(mixture.category_log_prob(w), joint - joint.exp().sum(1, keepdim=True).log())
    torch.testing.assert_close(mixture.aligned_joint_log_prob(w[:4].expand(1, K, 4, M)), joint[:4].mT[None])


@families
def test_mixture_moments_and_samples(family: str) -> None:
    """The law of total variance; 20000 draws have the moments within 4.5 standard errors (false alarms 1e-4)."""
    components, law, _ = make(family)
    weight = torch.softmax(normal(K, key="mixing"), 0)
    mixture = Mixture(weight.log(), components)
    mean, second = (weight @ torch.as_tensor(part) for part in (law.mean(), law.var() + law.mean() ** 2))
    torch.testing.assert_close(mixture.mean, mean)
    torch.testing.assert_close(mixture.variance, second - mean.square())
    w, category = mixture.sample_with_category(20000, generator("mixture", family))
    error = w.std(0) / 20000**0.5
    assert bool(((w.mean(0) - mixture.mean).abs() < 4.5 * error).all())
    squared = (w - mixture.mean).square()
    assert bool(((squared.mean(0) - mixture.variance).abs() < 4.5 * squared.std(0) / 20000**0.5).all())
    share = torch.bincount(category, minlength=K) / 20000
    assert bool(((share - weight).abs() < 4.5 * (weight * (1 - weight) / 20000).sqrt()).all())
    for k in range(K):
        of_k = w[category == k]
        assert bool(((of_k.mean(0) - components.mean[k]).abs() < 4.5 * of_k.std(0) / len(of_k) ** 0.5).all())


def test_samples_are_a_function_of_the_generator() -> None:
    for family in FAMILIES:
        mixture = Mixture(torch.zeros(K).double() - np.log(K), make(family)[0])
        first, second, other = (mixture.sample(5, generator("repeat", key)) for key in (0, 0, 1))
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        assert not torch.equal(first, other)


def test_gamma_draws_carry_no_zero() -> None:
    components = GammaComponents(torch.full((1, 1), -6.0), torch.ones(1))  # most draws underflow float32
    draws = components.sample(torch.zeros(2000, dtype=torch.int64), generator("tiny"))
    assert bool((draws > 0).all())
    assert bool(torch.isfinite(components.log_prob(draws)).all())


def test_standard_normal() -> None:
    prior, w = StandardNormal(torch.zeros(M).double()), normal(2, 7, M)
    torch.testing.assert_close(prior.log_prob(w), torch.as_tensor(scipy.stats.norm.logpdf(w.numpy()).sum(-1)))
    torch.testing.assert_close(prior.variance, torch.ones(M).double())
    draws = prior.sample(3000, generator("standard normal"))
    assert min(scipy.stats.kstest(draws[:, m], "norm").pvalue for m in range(M)) > 1e-4
