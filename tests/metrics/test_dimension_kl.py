"""KL by dimension: closed forms for Gaussians, a bound by quadrature for others, zero where nothing is said."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from lid_vae.distribution.components import GaussianComponents
from lid_vae.distribution.latent import Mixture, StandardNormal
from lid_vae.errors import UserError
from lid_vae.metrics import DimensionKL
from lid_vae.noise import generator


def measure(draws_SBM, log_prior):
    metric = DimensionKL(draws_SBM.shape[-1])
    value = log_prior(draws_SBM).double()
    draws_SBM = draws_SBM.double()
    metric.update(draws_SBM.mean(0), draws_SBM.square().mean(0), value.mean(0), len(draws_SBM))
    return metric.compute()


@pytest.mark.parametrize("draws", [5, 20])
def test_gaussians_have_their_closed_form_without_bias(draws):
    """20,000 examples: an average within 4 standard errors, also of few draws."""
    mean, scale = torch.tensor([0.0, 1.5, -0.3]), torch.tensor([1.0, 0.2, 0.9])
    w = mean + scale * torch.randn(draws, 20_000, 3, generator=generator("dimension", draws))
    found = measure(w, StandardNormal(torch.zeros(3)).elementwise_log_prob)
    exact = 0.5 * (scale.square() + mean.square() - 1 - 2 * scale.log()).double()
    # of one example: the cross-entropy's and half the log-variance's standard deviations, at the most added
    spread = ((2 * mean.square() * scale.square() + scale**4) / draws).sqrt() + (0.5 / (draws - 1)) ** 0.5 * 1.5
    assert ((found - exact).abs() < 4 * spread / 20_000**0.5).all()


def test_batches_are_averaged_by_their_size():
    metric, zero = DimensionKL(1), torch.zeros(1, 1, dtype=torch.float64)
    metric.update(zero, zero + 1, zero, 4)
    alone = float(metric.compute())
    metric.update(zero.expand(3, 1), zero.expand(3, 1) + 1, zero.expand(3, 1) - 4, 4)
    assert float(metric.compute()) == pytest.approx(alone + 3)


def test_a_bound_from_below_for_another_shape():
    """q uniform on [-1, 1] has KL E[-log p] - log 2 from N(0, 1); the value is less by the entropy gap."""
    w = 2 * torch.rand(200, 400, 1, generator=generator("uniform")) - 1
    found = float(measure(w, StandardNormal(torch.zeros(1)).elementwise_log_prob))
    exact = 0.5 * np.log(2 * np.pi) + 1 / 6 - np.log(2)
    gap = 0.5 * np.log(2 * np.pi * np.e / 3) - np.log(2)
    assert found == pytest.approx(exact - gap, abs=0.005)
    assert found < exact


def test_the_marginal_densities_of_a_mixture_are_the_integrals_of_the_joint():
    location = torch.tensor([[0.0, 2.0], [-1.5, 0.5], [1.0, -1.0]])
    mixture = Mixture(torch.tensor([0.5, 0.3, 0.2]).log(), GaussianComponents(location, torch.tensor([0.4, 0.9])))
    point = torch.tensor([0.3, -0.7])
    found = mixture.elementwise_log_prob(point)
    for kept in (0, 1):

        def density(other, kept=kept):
            w = torch.tensor([point[0], other]) if kept == 0 else torch.tensor([other, point[1]])
            return float(mixture.log_prob(w).exp())

        assert float(found[kept].exp()) == pytest.approx(integrate.quad(density, -12, 12)[0], rel=1e-4)
    standard = StandardNormal(torch.zeros(2)).elementwise_log_prob(point)
    assert standard.numpy() == pytest.approx(stats.norm.logpdf(point.numpy()), rel=1e-6)


def test_refused_one_draw():
    with pytest.raises(UserError, match="two draws"):
        DimensionKL(1).update(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1), 1)
