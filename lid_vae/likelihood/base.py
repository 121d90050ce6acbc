"""What a likelihood is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from lid_vae.map.base import InjectiveMap, MakeMap, Map
from lid_vae.shapes import Float, Tensor

__all__ = [
    "CalibratedLikelihood",
    "Likelihood",
    "MakeMap",
    "ObservationDistribution",
    "VectorLikelihood",
    "VectorObservation",
]


class ObservationDistribution(ABC):
    """p(x | w) for a batch of w."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Float[Tensor, "*batch"]:
        """log p(x | w), nats, for x of shape [B, ...], which broadcasts against the leading axes of w."""

    @abstractmethod
    def sample(self, generator: torch.Generator) -> Tensor:
        """One x for each w, from ``generator``."""


class VectorObservation(ObservationDistribution, ABC):
    """p(x | w) of vectors. ``mean`` is E[x | w], of shape [*batch, D]."""

    mean: Tensor


class Likelihood(nn.Module, ABC):
    """p(x | w) = EF(x | h(map(...))) with h a bijective link.

    ``latent_dimension`` is that of w. ``binary``: x is a vector of zeros and ones. ``symbols``: V where x is rows of
    symbols, each row a sequence; else None.
    """

    map: Map
    latent_dimension: int
    binary: bool
    symbols: int | None

    @property
    @abstractmethod
    def identifiable(self) -> bool:
        """Whether p(x | w) is injective in w for every parameter value."""

    @abstractmethod
    def count(self, x: Tensor) -> int:
        """How many rows a batch of x gives the map, for each draw of w."""

    @abstractmethod
    def forward(self, w: Float[Tensor, "*batch M"]) -> ObservationDistribution:
        """p(x | w)."""

    def keeping(self, x: Tensor) -> AbstractContextManager[None]:
        """Within it, what p(x | w) takes of this batch x alone is computed once for all w, gradient and all."""
        return nullcontext()

    @abstractmethod
    def initialise(self, mean: Float[Tensor, " D"], w: Float[Tensor, "N M"]) -> None:
        """Set the output bias so that over draws ``w`` of the prior the model starts at the data's mean."""


class VectorLikelihood(Likelihood, ABC):
    """p(x | w) = EF(x | h(map(w))) of vectors x: injective in w when ``map`` is."""

    symbols = None

    def __init__(self, map: Map) -> None:
        super().__init__()
        self.map, self.latent_dimension = map, map.in_features

    @property
    def identifiable(self) -> bool:
        return isinstance(self.map, InjectiveMap) and self.map.injective_in(self.latent_dimension)

    def count(self, x: Float[Tensor, "B D"]) -> int:
        return len(x)

    @abstractmethod
    def forward(self, w: Float[Tensor, "*batch M"]) -> VectorObservation:
        """p(x | w)."""


class CalibratedLikelihood(VectorLikelihood, ABC):
    """A likelihood that takes something from a whole batch in training, and from the training set for evaluation."""

    @abstractmethod
    def calibrate(self, draws: Iterable[tuple[Float[Tensor, "_ D"], Float[Tensor, "_ M"]]]) -> None:
        """Set it from all of the training set; called before each evaluation.

        ``draws`` are pairs: x of a batch, with one draw of the w of each.
        """
