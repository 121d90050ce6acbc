"""Approximate posteriors: densities of their own draws, categories summed out, and the exponential-family form."""

import pytest
import torch
from builders import flow_gaussian, normal
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Bernoulli, LogNormal, Normal

from lid_vae.distribution import BernoulliApproximation, Exponential, FlowGaussian

FLOWS = ["none", "exponential", "realnvp", "both"]
flows = pytest.mark.parametrize("flow", FLOWS)


@given(flow=st.sampled_from(FLOWS), categories=st.sampled_from([None, 1, 3]), key=st.integers(0, 10**6))
def test_density_of_a_draw_is_the_draws_density(flow: str, categories: int | None, key: int) -> None:
    q, noise = flow_gaussian(categories, flow, key=key)
    sample = q.sample(noise)
    torch.testing.assert_close(q.log_prob(sample.w), sample.log_prob, rtol=1e-7, atol=1e-7)


def test_density_is_torchs() -> None:
    q, noise = flow_gaussian(3)
    sample = q.sample(noise)
    torch.testing.assert_close(sample.w, q.mean + q.scale * noise)
    torch.testing.assert_close(sample.log_prob, Normal(q.mean, q.scale).log_prob(sample.w).sum(-1))
    q, noise = flow_gaussian(3, "exponential")
    sample = q.sample(noise)
    torch.testing.assert_close(sample.log_prob, LogNormal(q.mean, q.scale).log_prob(sample.w).sum(-1))


@flows
def test_categories_summed_out_by_brute_force(flow: str) -> None:
    q, noise = flow_gaussian(3, flow)
    sample = q.sample(noise)
    terms = []
    for k in range(3):
        one = FlowGaussian(q.mean[k : k + 1], q.scale[k : k + 1], None, q.flow)
        each = torch.cat([one.log_prob(sample.w[:, j : j + 1]) for j in range(3)], 1)
        terms.append(q.log_category[k].exp() * each.exp())
    torch.testing.assert_close(q.marginal_log_prob(sample), sum(terms).log(), rtol=1e-7, atol=1e-7)


@flows
def test_without_categories_the_marginal_is_the_density(flow: str) -> None:
    q, noise = flow_gaussian(None, flow)
    sample = q.sample(noise)
    torch.testing.assert_close(q.marginal_log_prob(sample), sample.log_prob)


@pytest.mark.parametrize("categories", [None, 3])
def test_natural_form_of_a_gaussian_is_the_base_density(categories: int | None) -> None:
    q, noise = flow_gaussian(categories, "realnvp")
    base = q.sample(noise).base
    natural, normaliser = q.natural()
    density = (q.statistic(base) * natural).sum(-1) - normaliser
    torch.testing.assert_close(density, Normal(q.mean, q.scale).log_prob(base).sum(-1))


def test_natural_form_of_a_narrow_gaussian_keeps_its_digits() -> None:
    """In single precision, ten thousand standard deviations from zero: squared there, a draw is off by several nats."""
    q = FlowGaussian(10 + normal(1, 50, 3).float(), torch.full((1, 50, 3), 1e-3))
    base = q.sample(normal(1, 1, 50, 3, key="noise").float()).base
    natural, normaliser = q.natural()
    density = (q.statistic(base) * natural).sum(-1) - normaliser
    expected = Normal(q.mean.double(), q.scale.double()).log_prob(base.double()).sum(-1)
    torch.testing.assert_close(density, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("flow", ["none", "exponential", "bernoulli"])
@pytest.mark.parametrize("categories", [None, 3])
def test_expectation_is_that_of_torchs_distribution(flow: str, categories: int | None) -> None:
    q = bernoulli(categories)[0] if flow == "bernoulli" else flow_gaussian(categories, flow)[0]
    law = (
        Bernoulli(logits=q.logits)
        if isinstance(q, BernoulliApproximation)
        else {"none": Normal, "exponential": LogNormal}[flow](q.mean, q.scale)
    )
    torch.testing.assert_close(q.expectation(), law.mean)


@pytest.mark.parametrize("flow", ["realnvp", "both"])
def test_a_flows_expectation_is_left_to_draws(flow: str) -> None:
    assert flow_gaussian(3, flow)[0].expectation() is None


def test_draws_carry_gradients_to_every_parameter() -> None:
    mean, scale = normal(1, 4, 3).requires_grad_(), torch.ones(1, 4, 3, dtype=torch.float64, requires_grad=True)
    sample = FlowGaussian(mean, scale).sample(normal(2, 1, 4, 3, key="noise"))
    (sample.w.square().sum() + sample.log_prob.sum()).backward()
    torch.testing.assert_close(mean.grad, 2 * sample.w.detach().sum(0))
    assert bool((scale.grad != 0).all())


def test_exponential_is_a_bijection_with_its_determinant() -> None:
    u = normal(5, 3)
    w, log_determinant = Exponential()(u)
    torch.testing.assert_close(Exponential().inverse(w), u)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda v: v.exp()))(u)
    torch.testing.assert_close(log_determinant, torch.linalg.slogdet(jacobian).logabsdet)


def bernoulli(categories: int | None, samples: int = 5) -> tuple[BernoulliApproximation, torch.Tensor]:
    logits = 2 * normal(categories or 1, 4, 3)
    log_category = None if categories is None else torch.log_softmax(normal(categories, 4, key="category"), 0)
    return BernoulliApproximation(logits, log_category), torch.special.ndtr(normal(samples, *logits.shape, key="noise"))


@pytest.mark.parametrize("categories", [None, 3])
def test_bernoulli_density_and_natural_form_are_torchs(categories: int | None) -> None:
    q, noise = bernoulli(categories)
    sample = q.sample(noise)
    expected = Bernoulli(logits=q.logits).log_prob(sample.w).sum(-1)
    torch.testing.assert_close(sample.log_prob, expected)
    natural, normaliser = q.natural()
    torch.testing.assert_close((q.statistic(sample.base) * natural).sum(-1) - normaliser, expected)
    if categories is None:
        torch.testing.assert_close(q.marginal_log_prob(sample), expected)
    else:
        each = Bernoulli(logits=q.logits[:, None, None]).log_prob(sample.w).sum(-1)
        brute = (q.log_category[:, None, None] + each).exp().sum(0).log()
        torch.testing.assert_close(q.marginal_log_prob(sample), brute)


def test_bernoulli_draws_have_their_means_and_no_gradient() -> None:
    """20000 uniform numbers for each of 12 means: within 4.5 standard errors, false alarms 1e-4."""
    logits = (2 * normal(1, 4, 3)).requires_grad_()
    q = BernoulliApproximation(logits)
    noise = torch.rand(20000, 1, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sample = q.sample(noise)
    mean = torch.sigmoid(logits.detach())
    assert bool(((sample.w.mean(0) - mean).abs() < 4.5 * (mean * (1 - mean) / 20000).sqrt()).all())
    assert set(sample.w.unique().tolist()) == {0.0, 1.0}
    assert not sample.w.requires_grad
    assert sample.log_prob.requires_grad
    assert not q.reparametrised
