"""Mean-field inference against plain coordinate ascent and the exact posterior."""

import pytest
import torch
from scipy.special import digamma

from lid_vae.classical.gmm import GaussianMixture
from lid_vae.classical.mean_field import mean_field
from lid_vae.noise import generator

SEPARATED = GaussianMixture((-10, 10), (1, 1))
OVERLAPPING = GaussianMixture((-0.5, 0.5), (1, 1))
SINGLE = GaussianMixture((-1, -1), (1, 1))


@pytest.mark.parametrize("mixture", [SEPARATED, OVERLAPPING, SINGLE], ids=["separated", "overlapping", "single"])
def test_coordinate_ascent_stops_there(mixture):
    x = mixture.sample(0.15, 60, generator("mean field"))
    log_p = mixture.component_log_prob(x)
    a, b = 9.0, 50.0
    for _ in range(3000):
        share = torch.sigmoid(log_p[0] - log_p[1] + float(digamma(a) - digamma(b))).sum()
        a, b = 5 + float(share), 5 + 60 - float(share)
    assert mean_field(mixture, x).concentration == pytest.approx((a, b), rel=1e-6)


@pytest.mark.parametrize("mixture", [SEPARATED, OVERLAPPING, SINGLE], ids=["separated", "overlapping", "single"])
def test_elbo_is_below_the_evidence_and_its_definition(mixture):
    x = mixture.sample(0.15, 200, generator("elbo"))
    q = mean_field(mixture, x)
    gap = mixture.posterior(x).log_evidence - q.elbo
    assert gap == pytest.approx(0, abs=1e-9) if mixture is SEPARATED else gap > 0.1
    a, b = q.concentration
    log_weight = torch.tensor([digamma(a), digamma(b)])[:, None] - digamma(a + b)
    joint = mixture.component_log_prob(x) + log_weight
    label = joint.softmax(0)
    assert q.elbo == pytest.approx(float((label * (joint - label.log().clamp_min(-1e3))).sum()) - q.kl)


def test_it_is_far_from_the_prior_where_the_posterior_is_the_prior():
    x = SINGLE.sample(0.15, 10_000, generator("contrast"))
    q = mean_field(SINGLE, x)
    assert q.concentration == pytest.approx((5005, 5005), rel=1e-6)
    assert q.kl > 2.5
    assert SINGLE.posterior(x).kl < 1e-12
