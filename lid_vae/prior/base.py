"""What a prior is, and one that is made of the model's own q."""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from torch import nn

from lid_vae.distribution.approximation import Approximation, Parameters
from lid_vae.distribution.components import Support
from lid_vae.distribution.latent import LatentDistribution
from lid_vae.shapes import Float, Observations, Tensor

__all__ = ["AggregatePrior", "Encodes", "Prior"]


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


@runtime_checkable
class Encodes(Protocol):
    """What makes a q of an x: the two calls of a posterior, which a prior knows by these alone."""

    def encode(self, x: Observations) -> Parameters:
        """Variational parameters of each x."""

    def distribution(self, parameters: Parameters) -> Approximation:
        """q at the given variational parameters."""


class AggregatePrior(Prior, ABC):
    """A prior that averages q(w | x) over some x: it needs the model's posterior, and examples to begin with.

    The ``Autoencoder`` that it becomes a part of gives it the posterior, whose parameters stay the posterior's own and
    are not among the prior's.
    """

    @abstractmethod
    def attach(self, posterior: Encodes, categories: int | None) -> None:
        """Takes the ``posterior`` whose q it averages, which enumerates so many ``categories`` (None: it does not)."""

    @abstractmethod
    def initialise(self, x: Float[Tensor, "N D"], seed: int) -> None:
        """Begins at examples of the training set ``x``, chosen by ``seed``."""
