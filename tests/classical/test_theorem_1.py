"""Theorem 1: the posterior is the prior exactly where the likelihood does not vary with the latent variable."""

import pytest
import torch

from lid_vae.classical.gmm import GaussianMixture
from lid_vae.classical.ppca import PPCA, fit, sample_covariance
from lid_vae.noise import generator

SEPARATIONS = [0.0, 1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 20.0]


def mixture_pair(separation: float, count: int) -> tuple[float, float]:
    mixture = GaussianMixture((-separation / 2, separation / 2), (1, 1))
    posterior = mixture.posterior(mixture.sample(0.15, count, generator("theorem", count)))
    return posterior.kl, posterior.likelihood_deviation


def ppca_pair(length: float, count: int = 200) -> tuple[float, float]:
    model = PPCA(torch.tensor([[length, 0.0, 0.0]]), 1.0, torch.zeros(3))
    x = model.sample(count, generator("theorem"))
    return float(model.kl(x).mean()), float(model.likelihood_variance(x).mean().sqrt())


@pytest.mark.parametrize("pair", [lambda s: mixture_pair(s, 10), lambda s: mixture_pair(s, 10_000), ppca_pair])
def test_zero_together_and_only_there(pair):
    kl, variation = zip(*(pair(s) for s in SEPARATIONS), strict=True)
    assert kl[0] < 1e-12
    assert variation[0] == 0.0
    assert min(kl[1:]) > 1e-9
    assert min(variation[1:]) > 1e-5
    assert kl[-1] > 0.5


@pytest.mark.parametrize(
    ("pair", "at"), [(lambda s: mixture_pair(s, 10), 0.01), (lambda s: mixture_pair(s, 1000), 1e-3), (ppca_pair, 0.01)]
)
def test_a_small_kl_is_half_the_variation_squared(pair, at):
    kl, variation = pair(at)
    assert kl == pytest.approx(0.5 * variation**2, rel=0.05)


def test_both_grow_with_the_separation():
    """Of the same noise, so that the data sets differ in the separation alone."""
    for pairs in ([mixture_pair(s, 10_000) for s in SEPARATIONS], [ppca_pair(s) for s in SEPARATIONS]):
        for values in zip(*pairs, strict=True):
            assert list(values) == sorted(values)


def test_likelihood_variance_is_that_of_draws_from_the_prior():
    """In both directions of a PPCA in principal axes; false alarm below 1e-4 (4 standard errors)."""
    rng = generator("variance")
    model = PPCA(torch.randn(2, 5, generator=rng), 0.7, torch.randn(5, generator=rng)).in_principal_axes()
    x = model.sample(3, rng)
    for d in range(2):
        z = torch.zeros(100_000, 1, 2, dtype=torch.float64)
        z[:, 0, d] = torch.randn(100_000, generator=rng, dtype=torch.float64)
        log_likelihood = -0.5 * (x - model.mean - z @ model.weight).square().sum(-1) / model.noise_variance
        square = (log_likelihood - log_likelihood.mean(0)).square()
        error = square.std(0) / len(square) ** 0.5
        assert bool(((square.mean(0) - model.likelihood_variance(x)[:, d]).abs() < 4 * error).all())


def test_a_fit_leaves_a_direction_idle_only_in_the_limit():
    """1-d truth, 2-d model: the second direction's KL falls as 1 / sqrt(N), and at 10^6 exactly one unit is active."""
    truth = PPCA(torch.tensor([[1.5, -1.0, 0.5, 1.0, -0.5]]), 0.5, torch.zeros(5))
    kl = []
    for count in (500, 1_000_000):
        x = truth.sample(count, generator("limit", count))
        model = fit(x, 2, center=False)
        eigenvalue = torch.linalg.eigvalsh(sample_covariance(x, center=False)).flip(0)[:2]
        mean_kl = model.kl_per_direction(x).mean(0)
        torch.testing.assert_close(mean_kl, 0.5 * (eigenvalue / model.noise_variance).log())
        kl.append(mean_kl.tolist())
        active = model.posterior_mean_variance(sample_covariance(x, center=False)) >= 0.01
    assert 0.02 < kl[0][1] < 0.15
    assert kl[1][1] < 0.01
    assert kl[0][0] > 0.5
    assert kl[1][0] > 0.5
    assert active.tolist() == [True, False]
