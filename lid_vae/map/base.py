"""What a decoder map is, and what an injective one promises besides."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NoReturn, Protocol, runtime_checkable

import torch
from torch import nn

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = [
    "AdjustableMap",
    "Aligned",
    "DimensionError",
    "InjectiveMap",
    "MakeMap",
    "Map",
    "check_constant",
    "check_features",
    "refuse_learned",
    "refuse_unaligned",
]


class DimensionError(UserError):
    """An injective map was to go from more dimensions to fewer."""


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
        """Set the constant that is added to the output to ``bias``, for instance the mean of the data."""


@runtime_checkable
class Aligned(Protocol):
    """A map that takes something from the training data before training, such as the directions of its lift."""

    def align(self, data: Float[Tensor, "N D"] | None) -> None:
        """Take it from ``data``, the training split; None, of data that are no vectors, leaves it random."""


MakeMap = Callable[..., Map]
"""(in_features=, out_features=) -> map."""


class InjectiveMap(Map, ABC):
    """A map with |g(a) - g(b)| >= m |a' - b'| for a certified m > 0, and hence injective.

    a' and b' are the first ``injective_features`` numbers of a and b, all of them where that is None: in those it is
    injective, whatever the others are.
    """

    injective_features: int | None = None

    def injective_in(self, features: int) -> bool:
        """Whether it is injective in its first ``features`` inputs."""
        return features <= (self.in_features if self.injective_features is None else self.injective_features)

    @abstractmethod
    def inverse_lipschitz(self) -> Float[Tensor, ""]:
        """The certified constant m > 0."""

    @abstractmethod
    def inverse(self, x: Float[Tensor, "*batch D"], tolerance: float = 1e-9) -> Float[Tensor, "*batch M"]:
        """The u with g(u) = x, for x in the image; for other x the pre-image of a point of the image near x.

        Of u the first ``injective_features`` numbers, where those are not all. ``tolerance`` bounds |g(u) - x| / (1 +
        |x|) of maps that are inverted by search.
        """

    @torch.no_grad()
    def certificate(self) -> float:
        """``inverse_lipschitz`` as a number, for reports."""
        return float(self.inverse_lipschitz())


class AdjustableMap(InjectiveMap, ABC):
    """An injective map whose constant can be given instead of learned (IL-LIDVAE, Kinoshita et al. 2023)."""

    @abstractmethod
    def set_inverse_lipschitz(self, value: float) -> None:
        """Give the whole the constant ``value`` in place of its own, between two training steps.

        Raises ``UserError`` where it is not positive, or where the constant is learned.
        """


def check_features(u: Float[Tensor, "*batch M"], features: int, where: str) -> None:
    """Refuses by ``UserError`` vectors ``u`` that do not have so many ``features``, ``where`` a map takes them."""
    if u.shape[-1] != features:
        raise UserError(
            f"{where} takes vectors of {features} numbers along the last axis, and got the shape {list(u.shape)}."
        )


def refuse_unaligned(kind: str) -> None:
    """Raises ``UserError`` for a map of that ``kind`` whose lift has not seen the data that it is to follow."""
    raise UserError(
        f'The {kind} has lift="pca", whose directions come from the training data: call align(x) with x [N, D] before '
        'the map is used, or build it with lift="random", "spread" or "pad".'
    )


def check_constant(value: float) -> float:
    """An inverse-Lipschitz constant that is given, ``value``. Raises ``UserError`` unless it is above zero."""
    if not value > 0:
        raise UserError(
            f"An inverse-Lipschitz constant must be above zero, or the map need not be injective, got "
            f"inverse_lipschitz={value}. Use inverse_lipschitz=1, or None to learn it."
        )
    return value


def refuse_learned() -> NoReturn:
    """Raises the ``UserError`` for setting a constant that is learned."""
    raise UserError(
        "The inverse-Lipschitz constant of this map is learned, and only a given one can be set. Start it with "
        "inverse_lipschitz=1."
    )
