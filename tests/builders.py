"""Small models for the tests, with parameters far from where training starts them."""

from collections.abc import Sequence

import torch
from torch import nn

from lid_vae.classical.ppca import PPCA
from lid_vae.distribution import Approximation, Exponential, FlowGaussian
from lid_vae.inference import Inference
from lid_vae.likelihood import BernoulliLikelihood, GaussianLikelihood
from lid_vae.map import MLP, BrenierMap, GradientNetwork, LinearMap, Map
from lid_vae.map.convex.monotone import MonotoneMap
from lid_vae.map.convex.positive import inverse_softplus
from lid_vae.noise import generator
from lid_vae.objective import Objective
from lid_vae.posterior import AmortizedPosterior, Encoder, MLPEncoder, RealNVP, gaussian_family, realnvp_family
from lid_vae.posterior.amortized import SCALE_FLOOR, UNIT
from lid_vae.prior import ExponentialFamilyMixture, StandardNormalPrior
from lid_vae.train.step.take_step import Bound
from lid_vae.vae import Autoencoder

__all__ = [
    "COMBINATIONS",
    "MONOTONE",
    "REPARAMETRISED",
    "Identity",
    "bound_of",
    "data",
    "flow_gaussian",
    "infer",
    "make_monotone",
    "make_vae",
    "normal",
    "ppca_vae",
    "randomise",
]

MONOTONE = [f"{activation} {skips}" for activation in ("softplus", "paper") for skips in ("none", "last", "all")] + [
    "gradient network"
]


def normal(*shape: int, key: object = 0) -> torch.Tensor:
    """Standard normal numbers in float64, a function of the shape and the key."""
    return torch.randn(shape, generator=generator("test", str(key), *shape), dtype=torch.float64)


def randomise(module: nn.Module, key: object, spread: float = 1.0) -> nn.Module:
    """In float64, every parameter drawn from N(0, spread^2): the laws hold for all of them."""
    rng = generator("randomise", str(key))
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(spread * torch.randn(parameter.shape, generator=rng, dtype=torch.float64))
    return module


def make_monotone(
    kind: str, features: int = 3, hidden_layers: int = 3, active: int | None = None, width: int = 6
) -> MonotoneMap:
    """A monotone map of a kind in ``MONOTONE``, as training starts it, from seed 0, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "gradient network":
            return GradientNetwork(features, width, hidden_layers, active_features=active).double()
        activation, skips = kind.split()
        return BrenierMap(
            features, width, hidden_layers, active_features=active, skips=skips, activation=activation
        ).double()


def flow_gaussian(
    categories: int | None, flow: str = "none", samples: int = 2, batch: int = 4, dimension: int = 3, key: object = 0
) -> tuple[FlowGaussian, torch.Tensor]:
    """A random q of a kind (``none``, ``exponential``, ``realnvp`` or ``both``), with noise for it."""
    shape = (categories or 1, batch, dimension)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        real_nvp = randomise(RealNVP(dimension, 5), f"{key} flow", 0.5)
    bijections = {
        "none": [],
        "exponential": [Exponential()],
        "realnvp": [real_nvp],
        "both": [real_nvp, Exponential()],
    }[flow]
    log_category = None
    if categories is not None:
        log_category = torch.log_softmax(normal(categories, batch, key=f"{key} category"), 0)
    mean, scale = normal(*shape, key=f"{key} mean"), (0.5 * normal(*shape, key=f"{key} scale")).exp()
    return FlowGaussian(mean, scale, log_category, bijections), normal(samples, *shape, key=f"{key} noise")


COMBINATIONS = [
    (prior, mixture, family)
    for prior in ("standard_normal", "gaussian", "log_normal", "gamma", "bernoulli")
    for mixture in ("conditional", "enumerate")
    for family in ("gaussian", "realnvp")
    if (prior, mixture) != ("standard_normal", "enumerate") and (prior, family) != ("bernoulli", "realnvp")
]
# RealNVP whose couplings see the features of x.
COMBINATIONS += [
    ("standard_normal", "conditional", "context"),
    ("gaussian", "enumerate", "context"),
    ("gamma", "conditional", "context"),
]
REPARAMETRISED = [combination for combination in COMBINATIONS if combination[0] != "bernoulli"]


def make_vae(
    prior: str = "gaussian",
    mixture: str = "conditional",
    family: str = "gaussian",
    likelihood: str = "gaussian",
    key: object = 0,
    spread: float = 0.5,
    map_: Map | None = None,
) -> Autoencoder:
    """A VAE of 3 categories, 2 latent and 4 observed dimensions, in float64 with random parameters."""

    def encoder(shape: Sequence[int]) -> MLPEncoder:
        return MLPEncoder(shape, 6)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        law = StandardNormalPrior(2) if prior == "standard_normal" else ExponentialFamilyMixture(3, 2, prior, size=0.8)
        if family == "gaussian":
            build = gaussian_family(encoder, mixture)
        else:
            build = realnvp_family(encoder, 5, mixture=mixture, context=family == "context")
        decoder = MLP(2, 4, 6, 1) if map_ is None else map_
        vae = Autoencoder(
            law,
            GaussianLikelihood(decoder, 0.5) if likelihood == "gaussian" else BernoulliLikelihood(decoder),
            build((4,), 2, law.categories, law.support),
        )
    return randomise(vae, key, spread)


def data(vae: Autoencoder, count: int = 5, key: object = 0) -> torch.Tensor:
    """Real numbers, or binary ones where the likelihood is Bernoulli."""
    x = normal(count, 4, key=f"data {key}")
    return (x > 0).double() if vae.likelihood.binary else x


def bound_of(inference: Inference, objective: Objective, vae: Autoencoder) -> Bound:
    """What a step maximises: the objective of each example under the strategy's q."""

    def bound(x: torch.Tensor, noise: torch.Tensor, chosen: torch.Tensor | None = None) -> torch.Tensor:
        return objective(vae, x, inference.posterior(vae, objective, x, noise), noise)

    return bound


def infer(vae: Autoencoder, x: torch.Tensor, samples: int, key: object = 0) -> tuple[Approximation, torch.Tensor]:
    """q of a batch, and noise for so many samples."""
    return vae.posterior.distribution(vae.posterior.encode(x)), vae.posterior.draw_noise(
        samples, len(x), generator("infer", str(key))
    )


class Identity(Encoder):
    """x itself, so that a posterior's parameters are affine in x."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out_features = features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def ppca_vae(model: PPCA) -> Autoencoder:
    """The linear VAE that is this PPCA, with its exact posterior. In principal axes, where that is diagonal."""
    latent, features = model.weight.shape
    scale = model.noise_variance**0.5
    decoder = LinearMap(latent, features)
    posterior = AmortizedPosterior(Identity(features), latent)
    vae = Autoencoder(
        StandardNormalPrior(latent), GaussianLikelihood(decoder, scale, scale_floor=scale / 2), posterior
    ).double()
    covariance = model.posterior_covariance
    gain = covariance @ model.weight / model.noise_variance
    assert torch.allclose(covariance, covariance.diagonal().diag()), "not in principal axes"
    with torch.no_grad():
        vae.likelihood.raw_scale.copy_(inverse_softplus(torch.tensor(scale / 2, dtype=torch.float64)))
        decoder.layer.weight.copy_(model.weight.mT)
        decoder.layer.bias.copy_(model.mean)
        posterior.head.weight.zero_()
        posterior.head.weight[:latent] = gain
        posterior.head.bias[:latent] = -gain @ model.mean
        raw = inverse_softplus(covariance.diagonal().sqrt() - SCALE_FLOOR) - UNIT
        posterior.head.bias[latent:] = raw
    return vae
