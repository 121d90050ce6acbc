"""Models of other makes are recognised and measured as by hand."""

import importlib.util
import warnings

import pytest
import torch
from builders import normal
from foreign_models import Diffusers, Pythae, Tutorial
from torch import nn
from torch.distributions import Bernoulli, Laplace, Normal

from lid_vae.diagnosis import diagnose

PRIOR = Normal(0.0, 1.0)
X = (normal(120, 6) > 0).double()


def by_hand(model: Tutorial, scale: float = 1.0):
    """The tutorial's model, given as functions."""

    def encode(x: torch.Tensor) -> Normal:
        mean, log_variance = model.encode(x)
        return Normal(mean, (0.5 * log_variance).exp())

    def log_likelihood(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        out = model.decode(z)
        law = Bernoulli(out) if isinstance(model.decoder[1], nn.Sigmoid) else Normal(out, scale)
        return law.log_prob(x).sum(-1)

    return diagnose(encode=encode, log_likelihood=log_likelihood, prior=PRIOR, data=X, samples=8)


def same(first, second) -> None:
    for one, other in zip(first.rows(), second.rows(), strict=True):
        assert one["value"] == pytest.approx(other["value"], rel=1e-6), one["measure"]
        assert one["error"] == pytest.approx(other["error"], rel=1e-5), one["measure"]


def test_a_module_that_returns_three_tensors() -> None:
    model = Tutorial()
    report = diagnose(model, X, likelihood="bernoulli", samples=8)
    assert report.model == "Tutorial"
    same(report, by_hand(model))
    assert model.training  # as it was, and dropout was off
    assert model.encoder[0].training


def test_logits_and_functions_as_likelihoods() -> None:
    logits = Tutorial(end=nn.Identity())
    probabilities = Tutorial()
    same(
        diagnose(logits, X, likelihood="bernoulli_logits", samples=8),
        diagnose(probabilities, X, likelihood="bernoulli", samples=8),
    )
    same(diagnose(logits, X, likelihood="gaussian", scale=0.7, samples=8), by_hand(logits, 0.7))
    same(
        diagnose(logits, X, likelihood=lambda out: Normal(out, 0.7), samples=8),
        diagnose(logits, X, likelihood="gaussian", scale=0.7, samples=8),
    )
    assert diagnose(logits, X, likelihood=lambda out: Laplace(out, 1.0), samples=8).ll is not None


def test_pythaes_shape() -> None:
    model = Tutorial()
    same(diagnose(Pythae(model), X, likelihood="bernoulli", samples=8), by_hand(model))


def test_diffusers_shape() -> None:
    model, x = Diffusers(), normal(60, 1, 4, 4)
    report = diagnose(model, x, likelihood="gaussian", samples=8)

    def encode(x: torch.Tensor) -> Normal:
        mean, log_variance = model.down(x).chunk(2, 1)
        return Normal(mean.flatten(1), (0.5 * log_variance).exp().flatten(1))

    def log_likelihood(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        out = model.up(z.reshape(-1, 2, 2, 2)).reshape(len(z), *x.shape)
        return Normal(out, 1.0).log_prob(x).flatten(2).sum(-1)

    same(report, diagnose(encode=encode, log_likelihood=log_likelihood, prior=PRIOR, data=x, samples=8))
    assert len(report.first.dimensions) == 8


def test_another_name_for_the_decoder() -> None:
    model = Tutorial()

    class Renamed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return model(x)

    report = diagnose(Renamed(), X, likelihood="bernoulli", decode=model.decoder, samples=8)
    same(report, by_hand(model))


@pytest.mark.skipif(importlib.util.find_spec("pythae") is None, reason="pythae is not installed")
def test_pythaes_own_vae() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pythae.models import VAE, VAEConfig

        model = VAE(VAEConfig(input_dim=(1, 4, 4), latent_dim=3, reconstruction_loss="bce"))
    x = (normal(60, 1, 4, 4) > 0).float()
    report = diagnose(model, x, likelihood="bernoulli", samples=8)
    with torch.no_grad():
        out = model.eval().encoder(x)
    mean, log_variance = out.embedding, out.log_covariance
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1).mean()
    assert report.kl.value == pytest.approx(float(kl), rel=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("diffusers") is None, reason="diffusers is not installed")
def test_diffusers_own_autoencoder() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers import AutoencoderKL

        model = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2)
        x = normal(12, 3, 8, 8).float()
        report = diagnose(model, x, likelihood="gaussian", samples=4)
        with torch.no_grad():
            kl = model.encode(x).latent_dist.kl().mean()
    assert report.kl.value == pytest.approx(float(kl), rel=1e-4)
