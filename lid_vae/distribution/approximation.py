"""What every approximate posterior q offers: samples from given noise, densities, and its exponential-family form."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from lid_vae.shapes import Float, Tensor

__all__ = ["Approximation", "LatentSample", "Parameters"]

Parameters = dict[str, Tensor]


class LatentSample(NamedTuple):
    """Draws of w with a category axis (of size 1 where q does not enumerate categories)."""

    w: Float[Tensor, "S K B M"]
    log_prob: Float[Tensor, "S K B"]
    """log q(w | x, z = k), or log q(w | x)."""
    base: Float[Tensor, "S K B M"]
    """The draw before the flow; mutual information is invariant under a flow that is the same for every x."""


class Approximation(ABC):
    """q(w | x) for a batch of x, or q(z | x) q(w | x, z) with z enumerated.

    ``log_category`` is log q(z = k | x), shape [K, B], or None where q leaves z to p(z | w).
    ``reparametrised`` says whether gradients flow through the draws.
    """

    reparametrised: bool
    log_category: Tensor | None

    @abstractmethod
    def sample(self, noise: Float[Tensor, "S K B M"]) -> LatentSample:
        """Draws as a function of the noise that the posterior's ``draw_noise`` made."""

    @abstractmethod
    def marginal_log_prob(self, sample: LatentSample) -> Float[Tensor, "S K B"]:
        """log q(w | x) of the draws in ``sample``, the categories summed out, nats."""

    def expectation(self) -> Float[Tensor, "K B M"] | None:
        """E[w | x, z = k], or E[w | x], where it has a closed form; None: to be estimated from draws."""
        return None

    @abstractmethod
    def statistic(self, base: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch P"]:
        """The sufficient statistic T of the base family, so that log q(base | x, k) = T . natural - log_normaliser."""

    @abstractmethod
    def natural(self) -> tuple[Float[Tensor, "K B P"], Float[Tensor, "K B"]]:
        """Natural parameters and log normalisers for every x and category."""
