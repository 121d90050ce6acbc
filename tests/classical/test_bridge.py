"""VAEs of this library on PPCA's data: the linear one is PPCA, by the library's own ruler; the Brenier one is not."""

import pytest
import torch

from lid_vae.classical.ppca import PPCA, fit, sample_covariance
from lid_vae.figure.bridge import (
    brenier_vae,
    fit_brenier,
    fit_linear,
    fit_with_gains,
    limit_sample,
    linear_vae,
    measure,
    numbers_beside_ppca,
)
from lid_vae.figure.ppca import Truth
from lid_vae.noise import generator

ONE = Truth([[1.5, -1.0, 0.5, 1.0, -0.5]], 0.5).model
TWO = Truth([[1.5, -1.0, 0.5, 1.0, -0.5], [0.0, 1.0, 1.0, -0.5, 1.5]], 0.5).model


def test_a_limit_sample_has_the_models_moments():
    x = limit_sample(TWO, 50, generator("moments"))
    torch.testing.assert_close(x.mean(0), TWO.mean)
    torch.testing.assert_close(sample_covariance(x), TWO.marginal_covariance)


@pytest.mark.parametrize(
    ("make", "active"),
    [
        (lambda rng: ONE.sample(500, rng), 1.0),
        (lambda rng: limit_sample(ONE, 500, rng), 0.5),
        (lambda rng: TWO.sample(500, rng), 1.0),
    ],
    ids=["1-d truth, 500", "1-d truth, limit", "2-d truth, 500"],
)
def test_a_linear_vae_is_ppca(make, active):
    """The maximum, and KL, AU and LL there, to four digits; I(x; z), an estimate, within 4.5 standard errors of 3%."""
    x = make(generator("bridge"))
    vae = fit_linear(linear_vae(5, 2, seed=0), x)
    model = fit(x, 2)
    covariance = vae.likelihood.map.layer.weight @ vae.likelihood.map.layer.weight.T
    covariance = covariance + vae.likelihood.noise_scale().square() * torch.eye(5)
    torch.testing.assert_close(covariance.detach(), model.marginal_covariance, rtol=1e-3, atol=1e-4)
    numbers = {n.quantity: n for n in numbers_beside_ppca("case", "linear", measure(vae, x, 16), x, 2)}
    information = numbers.pop("I(x; z)")
    assert abs(information.difference) < 4.5 * information.standard_error < 0.14 * information.exact
    assert max(abs(n.difference) for n in numbers.values()) < 1e-4
    assert numbers["active share"].value == active


def test_a_brenier_decoder_does_not_collapse_where_the_linear_one_does():
    """Its idle direction keeps what the certificate gives a linear decoder, within the bend that it can add."""
    x = limit_sample(ONE, 200, generator("bridge"))
    linear = measure(fit_linear(linear_vae(5, 2, seed=0), x), x, 64)
    vae = fit_brenier(brenier_vae(x, 2, 8, strong_convexity_floor=0.9, seed=0), x, seed=0, steps=300)
    brenier = measure(vae, x, 64)
    least = float(fit_with_gains(x, 2, 0.9**2).kl_per_direction(x).mean(0)[1])
    assert least > 0.25
    assert linear["kl_per_direction"][1] < 1e-3
    assert brenier["kl_per_direction"][1] > 0.9 * least
    assert brenier["mu"] >= 0.9**2
    assert linear["latent"]["z"]["au"] == 0.5
    assert brenier["latent"]["z"]["au"] == 1.0


def test_gains_that_do_not_bind_leave_the_fit_as_it_is():
    x = TWO.sample(300, generator("gains"))
    for least in (0.0, 0.5):
        free, held = fit(x, 2), fit_with_gains(x, 2, least)
        torch.testing.assert_close(held.marginal_covariance, free.marginal_covariance, rtol=1e-6, atol=1e-6)


def test_gains_are_held_up_and_nothing_nearby_is_better():
    x, least, rng = ONE.sample(300, generator("gains")), 0.8, generator("nearby")
    model = fit_with_gains(x, 2, least)
    gains = torch.linalg.svdvals(model.weight)
    assert gains.tolist() == pytest.approx([gains[0].item(), least])
    assert model.noise_variance < fit(x, 2).noise_variance
    best, tried = float(model.log_likelihood(x).mean()), 0
    for noise in (0.999, 1.001):
        assert float(PPCA(model.weight, noise * model.noise_variance, model.mean).log_likelihood(x).mean()) < best
    for _ in range(60):
        weight = model.weight + 1e-3 * torch.randn(2, 5, generator=rng, dtype=torch.float64)
        for noise in (0.999, 1.001):
            other = PPCA(weight, noise * model.noise_variance, model.mean)
            if torch.linalg.svdvals(weight)[1] >= least:
                tried += 1
                assert float(other.log_likelihood(x).mean()) < best
    assert tried > 20


def test_the_weights_are_a_function_of_the_seed_alone():
    state = torch.get_rng_state()
    first, again, other = (linear_vae(5, 2, seed).state_dict() for seed in (0, 0, 1))
    torch.testing.assert_close(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["likelihood.map.layer.weight"], other["likelihood.map.layer.weight"])
