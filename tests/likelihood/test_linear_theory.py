"""The noise at which a linear VAE collapses: counted, seen in training, and said before a run."""

import pytest
import torch
from builders import Identity, normal
from hypothesis import given
from hypothesis import strategies as st
from runs import Programs

from lid_vae.likelihood import (
    BernoulliLikelihood,
    GaussianLikelihood,
    OptimalGaussianLikelihood,
    collapse_expected,
)
from lid_vae.likelihood.linear_theory import covariance_eigenvalues
from lid_vae.map import MLP, LinearMap
from lid_vae.noise import generator
from lid_vae.objective import ELBO
from lid_vae.posterior import AmortizedPosterior
from lid_vae.prior import StandardNormalPrior
from lid_vae.vae import Autoencoder


def likelihood(scale: float, learn_scale: bool = False, latents: int = 2) -> GaussianLikelihood:
    return GaussianLikelihood(MLP(latents, 3, 4, 1), scale, scale / 100, learn_scale)


def table(*deviations: float) -> torch.Tensor:
    """Data whose covariance is exactly diagonal, with these standard deviations."""
    x = normal(200, len(deviations))
    orthonormal, _ = torch.linalg.qr(x - x.mean(0))
    return orthonormal * len(x) ** 0.5 * torch.tensor(deviations, dtype=torch.float64)


@given(key=st.integers(0, 10**6), scale=st.floats(0.01, 5.0), latents=st.integers(1, 3))
def test_it_counts_the_eigenvalues_above_the_variance(key: int, scale: float, latents: int) -> None:
    x = normal(20, 3, key=key) @ normal(3, 3, key=f"mix {key}")
    eigenvalues = covariance_eigenvalues(x)
    expected = torch.linalg.eigvalsh(torch.cov(x.mT, correction=0)).flip(0)
    torch.testing.assert_close(eigenvalues, expected)
    active = min(int((expected > scale**2).sum()), latents)
    said = collapse_expected(likelihood(scale, latents=latents), x)
    assert (said is None) is (active == latents)
    if said is not None:
        assert f"keeps {active} of {latents} latents" in said
        assert "\n" not in said


@pytest.mark.parametrize(("deviations", "active"), [((2.0, 1.5, 0.5), 2), ((2.0, 0.7, 0.5), 1), ((0.8, 0.7, 0.5), 0)])
def test_a_trained_linear_vae_keeps_as_many(deviations: tuple[float, ...], active: int) -> None:
    """By 600 steps on the exact bound: a quadratic's expectation is that over antithetic pairs."""
    x = table(*deviations)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GaussianLikelihood(LinearMap(2, 3), 1.0, 0.5, learn_scale=False)
        vae = Autoencoder(StandardNormalPrior(2), model, AmortizedPosterior(Identity(3), 2)).double()
    said = collapse_expected(model, x)
    assert (said is None) if active == 2 else f"keeps {active} of 2 latents" in said
    pairs = 2**0.5 * torch.eye(2).double()
    noise = torch.cat([pairs, -pairs])[:, None, None].expand(4, 1, len(x), 2)
    optimizer = torch.optim.Adam([p for p in vae.parameters() if p.requires_grad], 0.02)
    for _ in range(600):
        optimizer.zero_grad()
        q = vae.posterior.distribution(vae.posterior.encode(x))
        (-ELBO(samples=4)(vae, x, q, noise).mean()).backward()
        optimizer.step()
    with torch.no_grad():
        mean = vae.posterior.distribution(vae.posterior.encode(x)).mean[0]
    spread = torch.linalg.eigvalsh(torch.cov(mean.mT))
    assert int((spread > 0.01).sum()) == active


def test_what_it_advises() -> None:
    x = table(2.0, 0.5, 0.1)
    said = collapse_expected(likelihood(1.0), x)
    assert "at the fixed noise of variance 1" in said
    assert "the largest 4 " in said
    assert "Use likelihood.scale below 0.5 or likelihood.learn_scale=true." in said
    assert collapse_expected(likelihood(0.4), x) is None
    assert "below 2 or" in collapse_expected(likelihood(3.0, latents=3), table(2.0, 1e-4, 1e-4))
    assert "data scaled" in collapse_expected(likelihood(3.0, True), table(1e-4, 1e-4, 1e-4))


def test_a_learned_noise_is_only_warned_of_where_nothing_begins_active() -> None:
    x = table(2.0, 0.5, 0.1)
    assert collapse_expected(likelihood(1.0, True), x) is None
    said = collapse_expected(likelihood(3.0, True), x)
    assert "the noise starts at variance 9" in said
    assert "learn_scale" not in said


def test_of_other_likelihoods_nothing_is_said() -> None:
    x = table(0.1, 0.1, 0.1)
    for other in (BernoulliLikelihood(MLP(2, 3, 4, 1)), OptimalGaussianLikelihood(MLP(2, 3, 4, 1), 5.0)):
        assert collapse_expected(other, x) is None
    wide = torch.randn(3, 1_001, generator=generator("wide"))
    assert collapse_expected(GaussianLikelihood(MLP(2, 1_001, 4, 1), 50.0, 1.0, False), wide) is None


def test_a_run_says_so_before_it_trains(tmp_path) -> None:
    programs = Programs(tmp_path)
    fixed = ["likelihood.scale=9", "likelihood.learn_scale=false", "trainer.max_epochs=1"]
    out = programs.train("model=vae", *fixed).out
    assert out.count("Collapse is to be expected") == 1
    assert "keeps 0 of 2 latents at the fixed noise of variance 81" in out
    assert "Collapse" not in programs.train("model=vae", "trainer.max_epochs=1").out
