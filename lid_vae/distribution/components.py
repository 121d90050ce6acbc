"""Exponential-family components of a mixture: K distributions on R^M, positive or binary vectors."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F

from lid_vae.distribution.gaussian import normal_log_prob
from lid_vae.shapes import Float, Int, Tensor

__all__ = [
    "BernoulliComponents",
    "Components",
    "GammaComponents",
    "GaussianComponents",
    "LogNormalComponents",
    "Support",
]

Support = Literal["real", "positive", "binary"]


class Components(ABC):
    """K factorised distributions over vectors of M numbers.

    ``mean`` and ``variance`` have shape [K, M].
    """

    support: Support
    mean: Tensor
    variance: Tensor

    @abstractmethod
    def elementwise_log_prob(self, w: Tensor, parameters: Tensor) -> Tensor:
        """log p of each number of ``w``, with component parameters that broadcast against it."""

    @property
    @abstractmethod
    def parameters(self) -> Float[Tensor, "K M"]:
        """The component-dependent (natural) parameter beta_1' z, a row for each category."""

    @abstractmethod
    def sample(self, category: Int[Tensor, " N"], generator: torch.Generator) -> Float[Tensor, "N M"]:
        """One draw from the component of each entry of ``category``, by ``generator``, which lives on its device."""

    def log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch K"]:
        """log p(w | z = k) for every k."""
        return self.elementwise_log_prob(w.unsqueeze(-2), self.parameters).sum(-1)

    def aligned_log_prob(self, w: Float[Tensor, "S K B M"]) -> Float[Tensor, "S K B"]:
        """log p(w_k | z = k): row k of ``w`` under component k."""
        return self.elementwise_log_prob(w, self.parameters.unsqueeze(-2)).sum(-1)


class GaussianComponents(Components):
    """N(``location``[k], diag(``scale``^2)), with one scale of shape [M] for all components."""

    support: Support = "real"

    def __init__(self, location: Float[Tensor, "K M"], scale: Float[Tensor, " M"]) -> None:
        self.location, self.scale = location, scale
        self.mean, self.variance = location, scale.square().expand_as(location)

    @property
    def parameters(self) -> Float[Tensor, "K M"]:
        return self.location

    def elementwise_log_prob(self, w: Tensor, parameters: Tensor) -> Tensor:
        return normal_log_prob(w, parameters, self.scale)

    def sample(self, category: Int[Tensor, " N"], generator: torch.Generator) -> Float[Tensor, "N M"]:
        mean = self.location[category]
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + self.scale * noise


class LogNormalComponents(Components):
    """exp of N(``location``[k], diag(``scale``^2)), with one scale of shape [M] for all components; w > 0."""

    support: Support = "positive"

    def __init__(self, location: Float[Tensor, "K M"], scale: Float[Tensor, " M"]) -> None:
        self.normal = GaussianComponents(location, scale)
        self.mean = torch.exp(location + scale.square() / 2)
        self.variance = torch.expm1(scale.square()) * self.mean.square()

    @property
    def parameters(self) -> Float[Tensor, "K M"]:
        return self.normal.location

    def elementwise_log_prob(self, w: Tensor, parameters: Tensor) -> Tensor:
        log_w = w.log()
        return self.normal.elementwise_log_prob(log_w, parameters) - log_w

    def sample(self, category: Int[Tensor, " N"], generator: torch.Generator) -> Float[Tensor, "N M"]:
        return self.normal.sample(category, generator).exp()


class GammaComponents(Components):
    """Gamma with concentration exp(``log_concentration``[k]) and a ``rate`` [M] for all components; w > 0."""

    support: Support = "positive"

    def __init__(self, log_concentration: Float[Tensor, "K M"], rate: Float[Tensor, " M"]) -> None:
        self.log_concentration, self.rate = log_concentration, rate
        concentration = log_concentration.exp()
        self.mean, self.variance = concentration / rate, concentration / rate.square()

    @property
    def parameters(self) -> Float[Tensor, "K M"]:
        return self.log_concentration

    def elementwise_log_prob(self, w: Tensor, parameters: Tensor) -> Tensor:
        concentration = parameters.exp()
        normaliser = concentration * self.rate.log() - torch.lgamma(concentration)
        return normaliser + (concentration - 1) * w.log() - self.rate * w

    def sample(self, category: Int[Tensor, " N"], generator: torch.Generator) -> Float[Tensor, "N M"]:
        concentration = self.log_concentration.exp()[category].contiguous()
        return torch._standard_gamma(concentration, generator=generator).clamp_min(1e-30) / self.rate


class BernoulliComponents(Components):
    """M independent Bernoulli numbers with ``logits``[k]; w in {0, 1}^M."""

    support: Support = "binary"

    def __init__(self, logits: Float[Tensor, "K M"]) -> None:
        self.logits = logits
        self.mean = torch.sigmoid(logits)
        self.variance = self.mean * (1 - self.mean)

    @property
    def parameters(self) -> Float[Tensor, "K M"]:
        return self.logits

    def elementwise_log_prob(self, w: Tensor, parameters: Tensor) -> Tensor:
        return w * parameters - F.softplus(parameters)

    def sample(self, category: Int[Tensor, " N"], generator: torch.Generator) -> Float[Tensor, "N M"]:
        return torch.bernoulli(self.mean[category], generator=generator)
