"""Distributions of the latent w that the decoder reads: a standard normal, or a mixture over the categorical z."""

from abc import ABC, abstractmethod

import torch

from lid_vae.distribution.components import Components, Support
from lid_vae.distribution.gaussian import HALF_LOG_TWO_PI
from lid_vae.shapes import Float, Int, Tensor

__all__ = ["LatentDistribution", "Mixture", "StandardNormal"]


class LatentDistribution(ABC):
    """p(w), with its marginal moments ``mean`` and ``variance`` of shape [M].

    ``marginals``: whether the density of each dimension alone has a closed form.
    """

    support: Support
    marginals: bool = True
    mean: Tensor
    variance: Tensor

    @abstractmethod
    def log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch"]:
        """log p(w), nats; a mixture is summed over its categories."""

    @abstractmethod
    def elementwise_log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        """log p(w_d), the marginal density of each dimension of ``w``, nats."""

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "N M"]:
        """``count`` independent draws, by ``generator``, which lives on the device of the parameters."""


class StandardNormal(LatentDistribution):
    """N(0, I) on R^M."""

    support: Support = "real"

    def __init__(self, mean: Float[Tensor, " M"]) -> None:
        """``mean`` is a vector of zeros, which fixes the dimension, device and type."""
        self.mean, self.variance = mean, torch.ones_like(mean)

    def log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch"]:
        return -0.5 * w.square().sum(-1) - HALF_LOG_TWO_PI * w.shape[-1]

    def elementwise_log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        return -0.5 * w.square() - HALF_LOG_TWO_PI

    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "N M"]:
        return torch.randn(count, len(self.mean), generator=generator, device=self.mean.device, dtype=self.mean.dtype)


class Mixture(LatentDistribution):
    """p(w) = sum_k p(z = k) p(w | z = k), both factors reachable.

    ``log_mixing`` is log p(z = k), normalised; ``components`` are the p(w | z = k).
    """

    def __init__(self, log_mixing: Float[Tensor, " K"], components: Components) -> None:
        self.log_mixing, self.components = log_mixing, components
        self.support = components.support
        weight = log_mixing.exp().unsqueeze(-1)
        self.mean = (weight * components.mean).sum(0)
        within = (weight * components.variance).sum(0)
        self.variance = within + (weight * (components.mean - self.mean).square()).sum(0)

    def log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch"]:
        return torch.logsumexp(self.joint_log_prob(w), -1)

    def elementwise_log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        density = self.components.elementwise_log_prob(w.unsqueeze(-2), self.components.parameters)
        return torch.logsumexp(self.log_mixing.unsqueeze(-1) + density, -2)

    def joint_log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch K"]:
        """log p(z = k) + log p(w | z = k) for every k."""
        return self.log_mixing + self.components.log_prob(w)

    def aligned_joint_log_prob(self, w: Float[Tensor, "S K B M"]) -> Float[Tensor, "S K B"]:
        """log p(z = k) + log p(w_k | z = k), row k of ``w`` with category k."""
        return self.log_mixing.unsqueeze(-1) + self.components.aligned_log_prob(w)

    def category_log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch K"]:
        """log p(z = k | w), exact."""
        return torch.log_softmax(self.joint_log_prob(w), -1)

    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "N M"]:
        return self.sample_with_category(count, generator)[0]

    def sample_with_category(
        self, count: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "N M"], Int[Tensor, " N"]]:
        """``count`` draws of w by ``generator``, with the z that each came from."""
        category = torch.multinomial(self.log_mixing.exp(), count, replacement=True, generator=generator)
        return self.components.sample(category, generator), category
