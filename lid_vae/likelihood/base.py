"""What a likelihood is."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from lid_vae.map.base import Map
from lid_vae.shapes import Float, Tensor

__all__ = ["Likelihood", "ObservationDistribution"]


class ObservationDistribution(ABC):
    """p(x | w) for a batch of w. ``mean`` is E[x | w], of shape [*batch, D]."""

    mean: Tensor

    @abstractmethod
    def log_prob(self, x: Tensor) -> Float[Tensor, "*batch"]:
        """log p(x | w), nats, for x of shape [B, ...], which broadcasts against the leading axes of w."""

    @abstractmethod
    def sample(self, generator: torch.Generator) -> Tensor:
        """One x for each w."""


class Likelihood(nn.Module, ABC):
    """p(x | w) = EF(x | h(map(w))) with h a bijective link, so that it is injective in w when ``map`` is."""

    map: Map
    binary: bool

    @abstractmethod
    def forward(self, w: Float[Tensor, "*batch M"]) -> ObservationDistribution:
        """p(x | w)."""

    @abstractmethod
    def initialise(self, mean: Float[Tensor, " D"], w: Float[Tensor, "N M"]) -> None:
        """Set the output bias so that over draws ``w`` of the prior the model starts at the data's mean."""
