"""Closed-form divergences, against torch.distributions, Monte Carlo, and where there is none."""

import pytest
import torch
from builders import flow_gaussian, normal
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from lid_vae.distribution import (
    BernoulliApproximation,
    BernoulliComponents,
    FlowGaussian,
    GammaComponents,
    GaussianComponents,
    LogNormalComponents,
    Mixture,
    StandardNormal,
    closed_form_kl,
    grouped_kl,
)
from lid_vae.noise import generator

K, B, M, S = 3, 4, 2, 20000
NOISE = torch.randn(S, K, B, M, generator=generator("kl"), dtype=torch.float64)
LOG_MIXING = torch.log_softmax(normal(K, key="mixing"), 0)
GAUSSIAN = Mixture(LOG_MIXING, GaussianComponents(normal(K, M, key="location"), 0.5 + normal(M).abs()))
BERNOULLI = Mixture(LOG_MIXING, BernoulliComponents(normal(K, M, key="logits")))


def monte_carlo(q, p, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard error of log q - log p over draws of z and w."""
    sample = q.sample(noise)
    if q.log_category is None:
        value = (sample.log_prob - p.log_prob(sample.w)).squeeze(1)
    else:
        difference = sample.log_prob + q.log_category - p.aligned_joint_log_prob(sample.w)
        value = (q.log_category.exp() * difference).sum(1)
    return value.mean(0), value.std(0) / len(value) ** 0.5


def within(kl: torch.Tensor, estimate: tuple[torch.Tensor, torch.Tensor]) -> bool:
    """Within 4.5 standard errors for each of four examples: false alarms 3e-5."""
    mean, error = estimate
    return bool(((kl - mean).abs() < 4.5 * error).all())


def test_gaussian_from_standard_normal() -> None:
    q, _ = flow_gaussian(None, batch=B, dimension=M)
    p = StandardNormal(torch.zeros(M).double())
    kl = closed_form_kl(q, p)
    oracle = kl_divergence(Normal(q.mean, q.scale), Normal(torch.zeros(M).double(), torch.ones(M).double()))
    torch.testing.assert_close(kl, oracle.sum(-1)[0])
    assert within(kl, monte_carlo(q, p, NOISE[:, :1]))


def test_groups_add_up_and_each_is_a_divergence() -> None:
    standard = StandardNormal(torch.zeros(M).double())
    q, _ = flow_gaussian(None, batch=B, dimension=M)
    groups = grouped_kl(q, standard)
    oracle = kl_divergence(Normal(q.mean, q.scale), Normal(standard.mean, torch.ones(M).double()))[0]
    torch.testing.assert_close(groups, oracle)
    torch.testing.assert_close(groups.sum(-1), closed_form_kl(q, standard))
    q, _ = flow_gaussian(K, batch=B, dimension=M)
    groups = grouped_kl(q, GAUSSIAN)
    components = GAUSSIAN.components
    outer = kl_divergence(Categorical(logits=q.log_category.mT), Categorical(logits=LOG_MIXING))
    inner = kl_divergence(Normal(q.mean, q.scale), Normal(components.location[:, None], components.scale))
    torch.testing.assert_close(groups[:, 0], outer)
    torch.testing.assert_close(groups[:, 1:], (q.log_category.exp().unsqueeze(-1) * inner).sum(0))
    torch.testing.assert_close(groups.sum(-1), closed_form_kl(q, GAUSSIAN))


def test_no_groups_without_a_diagonal_gaussian_and_factors() -> None:
    standard, gaussian = StandardNormal(torch.zeros(M).double()), flow_gaussian(None, batch=B, dimension=M)[0]
    flow = flow_gaussian(None, "realnvp", batch=B, dimension=M)[0]
    enumerated = flow_gaussian(K, batch=B, dimension=M)[0]
    bernoulli = BernoulliApproximation(normal(K, B, M), enumerated.log_category)
    gamma = Mixture(LOG_MIXING, GammaComponents(normal(K, M), torch.ones(M).double()))
    cases = [
        (flow, standard),
        (gaussian, GAUSSIAN),
        (enumerated, standard),
        (enumerated, gamma),
        (bernoulli, BERNOULLI),
    ]
    for q, p in cases:
        assert grouped_kl(q, p) is None


def test_enumerated_gaussian_from_a_mixture() -> None:
    q, _ = flow_gaussian(K, batch=B, dimension=M)
    kl = closed_form_kl(q, GAUSSIAN)
    components = GAUSSIAN.components
    inner = kl_divergence(Normal(q.mean, q.scale), Normal(components.location[:, None], components.scale)).sum(-1)
    outer = kl_divergence(Categorical(logits=q.log_category.mT), Categorical(logits=LOG_MIXING))
    torch.testing.assert_close(kl, outer + (q.log_category.exp() * inner).sum(0))
    assert within(kl, monte_carlo(q, GAUSSIAN, NOISE))


def test_enumerated_bernoulli_from_a_mixture() -> None:
    q = BernoulliApproximation(normal(K, B, M), torch.log_softmax(normal(K, B), 0))
    kl = closed_form_kl(q, BERNOULLI)
    prior = Bernoulli(logits=BERNOULLI.components.logits[:, None].expand(K, B, M))
    inner = kl_divergence(Bernoulli(logits=q.logits), prior).sum(-1)
    outer = kl_divergence(Categorical(logits=q.log_category.mT), Categorical(logits=LOG_MIXING))
    torch.testing.assert_close(kl, outer + (q.log_category.exp() * inner).sum(0))
    assert within(kl, monte_carlo(q, BERNOULLI, torch.special.ndtr(NOISE)))


def test_no_divergence_of_a_law_from_itself() -> None:
    components = GAUSSIAN.components
    q = FlowGaussian(
        components.location[:, None].expand(K, B, M).clone(),
        components.scale.expand(K, B, M).clone(),
        LOG_MIXING[:, None].expand(K, B),
    )
    torch.testing.assert_close(closed_form_kl(q, GAUSSIAN), torch.zeros(B).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("categories", "flow", "prior"),
    [
        (None, "realnvp", StandardNormal(torch.zeros(M).double())),
        (None, "none", GAUSSIAN),
        (K, "realnvp", GAUSSIAN),
        (K, "exponential", Mixture(LOG_MIXING, GammaComponents(normal(K, M), normal(M).exp()))),
        (K, "exponential", Mixture(LOG_MIXING, LogNormalComponents(normal(K, M), normal(M).exp()))),
        (K, "none", StandardNormal(torch.zeros(M).double())),
    ],
)
def test_none_where_it_must_be_sampled(categories: int | None, flow: str, prior) -> None:
    q, _ = flow_gaussian(categories, flow, dimension=M)
    assert closed_form_kl(q, prior) is None
