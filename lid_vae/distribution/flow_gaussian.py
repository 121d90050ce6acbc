"""A diagonal Gaussian pushed through bijections: the law of a (possibly enumerated) amortised posterior."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from lid_vae.distribution.approximation import Approximation, LatentSample
from lid_vae.distribution.gaussian import HALF_LOG_TWO_PI, normal_log_prob
from lid_vae.shapes import Float, Tensor

__all__ = ["Bijection", "Exponential", "FlowGaussian"]


class Bijection(nn.Module, ABC):
    """An invertible map of R^M onto the latent's support, with its log-determinant."""

    @abstractmethod
    def forward(self, u: Float[Tensor, "*batch M"]) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch"]]:
        """The image of u and log |det dw/du|."""

    @abstractmethod
    def inverse(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        """The u that forward takes to w."""


class Exponential(Bijection):
    """w = exp(u), for positive latents."""

    def forward(self, u: Float[Tensor, "*batch M"]) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch"]]:
        return u.exp(), u.sum(-1)

    def inverse(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        return w.log()


class FlowGaussian(Approximation):
    """w = T(u), u ~ N(mean, diag(scale^2)) for every x and category, T one bijection for all x.

    ``log_category`` is log q(z | x) where categories are enumerated, else None. ``flow`` is T, bijections in the order
    in which they are applied; none leaves the Gaussian.
    """

    reparametrised = True

    def __init__(
        self,
        mean: Float[Tensor, "K B M"],
        scale: Float[Tensor, "K B M"],
        log_category: Float[Tensor, "K B"] | None = None,
        flow: Sequence[Bijection] = (),
    ) -> None:
        self.mean, self.scale, self.log_category, self.flow = mean, scale, log_category, tuple(flow)

    def sample(self, noise: Float[Tensor, "S K B M"]) -> LatentSample:
        base = self.mean + self.scale * noise
        log_prob = (-0.5 * noise.square() - self.scale.log() - HALF_LOG_TWO_PI).sum(-1)
        w = base
        for bijection in self.flow:
            w, log_determinant = bijection(w)
            log_prob = log_prob - log_determinant
        return LatentSample(w, log_prob, base)

    def log_prob(self, w: Float[Tensor, "S K B M"]) -> Float[Tensor, "S K B"]:
        """log q(w | x, z = k) of any w in the support; row k with category k."""
        for bijection in reversed(self.flow):
            w = bijection.inverse(w)
        return self.sample((w - self.mean) / self.scale).log_prob

    def marginal_log_prob(self, sample: LatentSample) -> Float[Tensor, "S K B"]:
        if self.log_category is None:
            return sample.log_prob
        log_determinant = self._base_log_prob(sample.base) - sample.log_prob
        terms = [
            self.log_category[k] + normal_log_prob(sample.base, self.mean[k], self.scale[k]).sum(-1)
            for k in range(len(self.mean))
        ]
        return torch.logsumexp(torch.stack(terms), 0) - log_determinant

    def expectation(self) -> Float[Tensor, "K B M"] | None:
        if not self.flow:
            return self.mean
        if len(self.flow) == 1 and isinstance(self.flow[0], Exponential):
            return (self.mean + self.scale.square() / 2).exp()
        return None

    def statistic(self, base: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch P"]:
        return torch.cat([base, base.square()], -1)

    def natural(self) -> tuple[Float[Tensor, "K B P"], Float[Tensor, "K B"]]:
        mean, precision = self.mean.double(), self.scale.double().square().reciprocal()
        normaliser = (0.5 * mean.square() * precision - 0.5 * precision.log() + HALF_LOG_TWO_PI).sum(-1)
        return torch.cat([mean * precision, -0.5 * precision], -1), normaliser

    def _base_log_prob(self, base: Tensor) -> Tensor:
        return normal_log_prob(base, self.mean, self.scale).sum(-1)
