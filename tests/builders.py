"""Small models for the tests, with parameters far from where training starts them."""

import torch
from torch import nn

from lid_vae.distribution import Exponential, FlowGaussian
from lid_vae.map import BrenierMap, GradientNetwork
from lid_vae.map.monotone import MonotoneMap
from lid_vae.noise import generator
from lid_vae.posterior import RealNVP

__all__ = ["MONOTONE", "flow_gaussian", "make_monotone", "normal", "randomise"]

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
