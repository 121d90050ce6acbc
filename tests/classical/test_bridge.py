"""VAEs of this library on PPCA's data: the linear one is PPCA, by the library's own ruler; the Brenier one is not."""

import pytest
import torch

from lid_vae.classical.ppca import fit, sample_covariance
from lid_vae.noise import generator
from lid_vae.report.classical_bridge import (
    brenier_vae,
    fit_brenier,
    fit_linear,
    limit_sample,
    linear_vae,
    measure,
    numbers_beside_ppca,
)
from lid_vae.report.classical_ppca import Truth

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
    """The maximum, and KL, AU and LL there, to four digits; I(x; z) is estimated, and within 4.5 standard errors."""
    x = make(generator("bridge"))
    vae = fit_linear(linear_vae(5, 2, seed=0), x)
    model = fit(x, 2)
    covariance = vae.likelihood.map.layer.weight @ vae.likelihood.map.layer.weight.T
    covariance = covariance + vae.likelihood.noise_scale().square() * torch.eye(5)
    torch.testing.assert_close(covariance.detach(), model.marginal_covariance, rtol=1e-3, atol=1e-4)
    numbers = {n.quantity: n for n in numbers_beside_ppca("case", "linear", measure(vae, x, 16), x, 2)}
    information = numbers.pop("I(x; z)")
    assert abs(information.difference) < 4.5 * information.standard_error
    assert max(abs(n.difference) for n in numbers.values()) < 1e-4
    assert numbers["active share"].value == active


def test_a_brenier_decoder_does_not_collapse_where_the_linear_one_does():
    x = limit_sample(ONE, 200, generator("bridge"))
    linear = measure(fit_linear(linear_vae(5, 2, seed=0), x), x, 64)
    vae = fit_brenier(brenier_vae(x, 2, 8, strong_convexity_floor=0.5, seed=0), x, seed=0, steps=300)
    brenier = measure(vae, x, 64)
    assert linear["kl_per_direction"][1] < 1e-3
    assert brenier["kl_per_direction"][1] > 0.05
    assert linear["latent"]["z"]["au"] == 0.5
    assert brenier["latent"]["z"]["au"] == 1.0


def test_the_weights_are_a_function_of_the_seed_alone():
    state = torch.get_rng_state()
    first, again, other = (linear_vae(5, 2, seed).state_dict() for seed in (0, 0, 1))
    torch.testing.assert_close(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["likelihood.map.layer.weight"], other["likelihood.map.layer.weight"])
