"""A diagonal Gaussian pushed through bijections: the law of a (possibly enumerated) amortised posterior."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from lid_vae.distribution.approximation import Approximation, LatentSample, Parameters
from lid_vae.distribution.gaussian import HALF_LOG_TWO_PI, normal_log_prob
from lid_vae.shapes import Float, Tensor

__all__ = ["Bijection", "Exponential", "FlowGaussian"]


class Bijection(nn.Module, ABC):
    """An invertible map of R^M onto the latent's support, with its log-determinant.

    ``context`` is what the map may know of x beside, or None: for every context it is a bijection of its own.
    """

    @abstractmethod
    def forward(
        self, u: Float[Tensor, "*batch M"], context: Float[Tensor, "*examples F"] | None = None
    ) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch"]]:
        """The image of u and log |det dw/du|."""

    @abstractmethod
    def inverse(
        self, w: Float[Tensor, "*batch M"], context: Float[Tensor, "*examples F"] | None = None
    ) -> Float[Tensor, "*batch M"]:
        """The u that forward takes to w."""


class Exponential(Bijection):
    """w = exp(u), for positive latents."""

    def forward(
        self, u: Float[Tensor, "*batch M"], context: Float[Tensor, "*examples F"] | None = None
    ) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch"]]:
        return u.exp(), u.sum(-1)

    def inverse(
        self, w: Float[Tensor, "*batch M"], context: Float[Tensor, "*examples F"] | None = None
    ) -> Float[Tensor, "*batch M"]:
        return w.log()


class FlowGaussian(Approximation):
    """w = T(u), u ~ N(mean, diag(scale^2)) for every x and category, T a bijection.

    ``log_category`` is log q(z | x) where categories are enumerated, else None. ``flow`` is T, bijections in the order
    in which they are applied; none leaves the Gaussian. T is one for all x, unless they are given a ``context`` of
    each.
    """

    reparametrised = True

    def __init__(
        self,
        mean: Float[Tensor, "K B M"],
        scale: Float[Tensor, "K B M"],
        log_category: Float[Tensor, "K B"] | None = None,
        flow: Sequence[Bijection] = (),
        context: Float[Tensor, "1 B F"] | None = None,
    ) -> None:
        self.mean, self.scale, self.log_category, self.flow = mean, scale, log_category, tuple(flow)
        self.context = context

    @property
    def shared(self) -> bool:
        """Whether T is the same for every x, so that ``statistic`` and ``natural`` have all of q that depends on x."""
        return self.context is None

    def tensors(self) -> Parameters:
        """All of q that depends on x: ``mean`` and ``scale``, and ``log_category`` and ``context`` if it has them."""
        optional = {"log_category": self.log_category, "context": self.context}
        found = {name: value for name, value in optional.items() if value is not None}
        return {"mean": self.mean, "scale": self.scale, **found}

    def mixture_log_prob(self, w: Float[Tensor, "S B M"]) -> Float[Tensor, "S B"]:
        """log q(w | x) of any w in the support, the categories summed out; row b of ``w`` under example b, nats."""
        density = self.log_prob(w.unsqueeze(1).expand(-1, len(self.mean), *self.mean.shape[1:]))
        return density.squeeze(1) if self.log_category is None else torch.logsumexp(density + self.log_category, 1)

    def push(self, base: Float[Tensor, "*batch M"]) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch"]]:
        """T(u) of u = ``base``, and log |det dw/du|."""
        w, total = base, torch.zeros_like(base[..., 0])
        for bijection in self.flow:
            w, log_determinant = bijection(w, self.context)
            total = total + log_determinant
        return w, total

    def pull(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        """The u that T takes to ``w``."""
        for bijection in reversed(self.flow):
            w = bijection.inverse(w, self.context)
        return w

    def sample(self, noise: Float[Tensor, "S K B M"]) -> LatentSample:
        base = self.mean + self.scale * noise
        log_prob = (-0.5 * noise.square() - self.scale.log() - HALF_LOG_TWO_PI).sum(-1)
        w = base
        for bijection in self.flow:
            w, log_determinant = bijection(w, self.context)
            log_prob = log_prob - log_determinant
        return LatentSample(w, log_prob, base)

    def log_prob(self, w: Float[Tensor, "S K B M"]) -> Float[Tensor, "S K B"]:
        """log q(w | x, z = k) of any w in the support; row k with category k."""
        return self.sample((self.pull(w) - self.mean) / self.scale).log_prob

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
        base = base.double()  # a square that is rounded is off by many nats where q is narrow and far from zero
        return torch.cat([base, base.square()], -1)

    def natural(self) -> tuple[Float[Tensor, "K B P"], Float[Tensor, "K B"]]:
        mean, precision = self.mean.double(), self.scale.double().square().reciprocal()
        normaliser = (0.5 * mean.square() * precision - 0.5 * precision.log() + HALF_LOG_TWO_PI).sum(-1)
        return torch.cat([mean * precision, -0.5 * precision], -1), normaliser

    def _base_log_prob(self, base: Tensor) -> Tensor:
        return normal_log_prob(base, self.mean, self.scale).sum(-1)
