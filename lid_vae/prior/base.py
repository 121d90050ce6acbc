"""What a prior is."""

from abc import ABC, abstractmethod

from torch import nn

from lid_vae.distribution.components import Support
from lid_vae.distribution.latent import LatentDistribution

__all__ = ["Prior"]


class Prior(nn.Module, ABC):
    """A learned or fixed p(w). ``categories`` is K where z is categorical, else None (then w = z)."""

    latent_dimension: int
    categories: int | None
    support: Support

    @abstractmethod
    def forward(self) -> LatentDistribution:
        """p(w) at the present parameters."""

    @abstractmethod
    def separation(self) -> float | None:
        """Smallest distance between the parameters of two categories; None without categories.

        Above 0, z -> p(w | z) is injective.
        """
