"""What a decoder map is, and what an injective one promises besides."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from lid_vae.shapes import Float, Tensor

__all__ = ["InjectiveMap", "Map"]


class Map(nn.Module, ABC):
    """A function from R^M to R^D, applied to the last dimension.

    Attributes: ``in_features`` M, ``out_features`` D, ``hidden_layers`` (how many hidden layers it has in all).
    """

    in_features: int
    out_features: int
    hidden_layers: int

    @abstractmethod
    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        """The image of every row of ``u``."""

    @abstractmethod
    def initialise_bias(self, bias: Float[Tensor, " D"]) -> None:
        """Set the constant that is added to the output, for instance to the mean of the data."""

    @abstractmethod
    def align(self, data: Float[Tensor, "N D"]) -> None:
        """Take from the training data what the map fixes before training: the directions of ``lift=pca``."""


class InjectiveMap(Map, ABC):
    """A map with |g(a) - g(b)| >= m |a - b| for a certified m > 0, and hence injective."""

    @abstractmethod
    def inverse_lipschitz(self) -> Float[Tensor, ""]:
        """The certified constant m > 0."""

    @abstractmethod
    def inverse(self, x: Float[Tensor, "*batch D"], tolerance: float = 1e-9) -> Float[Tensor, "*batch M"]:
        """The u with g(u) = x, for x in the image; for other x the pre-image of a point of the image near x."""

    @torch.no_grad()
    def certificate(self) -> float:
        """``inverse_lipschitz`` as a number, for reports."""
        return float(self.inverse_lipschitz())
