"""What one batch shows of a model, whatever its make."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["REFUSALS", "ExponentialDraws", "GenericDraws", "LatentBatch", "Seen", "Subject", "refused"]

REFUSALS = (RuntimeError, ValueError, TypeError, IndexError)
"""What code of the user's raises when tensors do not fit."""


@dataclass(frozen=True)
class ExponentialDraws:
    """One draw for each example from a q(z | x) of an exponential family, as ``MutualInformation.update`` takes it.

    ``statistic`` is T(z) of the draw, ``natural`` and ``normaliser`` are of each example's q, and ``log_category`` has
    the weights of its K components where q is a mixture.
    """

    statistic: Float[Tensor, "B P"]
    natural: Float[Tensor, "K B P"]
    normaliser: Float[Tensor, "K B"]
    log_category: Float[Tensor, "K B"] | None = None

    def size(self) -> int:
        """Bytes, in double precision."""
        return 8 * (self.statistic.numel() + self.natural.numel() + self.normaliser.numel())


@dataclass(frozen=True)
class GenericDraws:
    """One draw ``z`` for each example from any ``q``, q(z | x) of the whole batch, and its density."""

    z: Float[Tensor, "B *event"]
    q: Any
    log_prob: Callable[[Any, Tensor], Tensor]
    """(q, z [S, 1, ...]) -> log q(z | x) of every pair, [S, B]."""

    def size(self) -> int:
        """Bytes, in double precision, were the parameters of q as many as those of a Gaussian."""
        return 8 * 3 * self.z.numel()


@dataclass(frozen=True)
class LatentBatch:
    """What a batch shows of one latent block.

    ``kl`` is nats, for each example. ``mean``: E[z | x] twice, or averages over two halves of the draws. ``draws`` are
    for the information of a continuous block, with ``surplus``, log q(z | x) / p(z) at the draw less its expectation,
    where that is known. ``kl_by_dimension`` is of each dimension alone, nats, if it is known. ``category`` is q(z | x)
    of a categorical one: exact (S = 1), or averages over two halves.
    """

    kl: Float[Tensor, " B"] | None
    mean: tuple[Float[Tensor, "B L"], Float[Tensor, "B L"]]
    kl_by_dimension: Float[Tensor, "B L"] | None = None
    draws: ExponentialDraws | GenericDraws | None = None
    surplus: Float[Tensor, " B"] | None = None
    category: Float[Tensor, "S B K"] | None = None


@dataclass(frozen=True)
class Seen:
    """What a batch shows: of each ``latent`` block, by name and outermost first, and of each example, in nats.

    ``log_likelihood`` and ``elbo`` are None without a likelihood, ``joint_kl`` where there is one block alone.
    """

    latent: dict[str, LatentBatch]
    log_likelihood: Float[Tensor, " B"] | None = None
    elbo: Float[Tensor, " B"] | None = None
    joint_kl: Float[Tensor, " B"] | None = None


@dataclass
class About:
    """What holds of a latent block for every batch; known when the first was seen.

    ``prior_variance`` [L]; ``prior`` [K] of categories. The words say how each figure is found, and ``*_samples`` from
    how many draws (None: in closed form).
    """

    kind: str
    prior_variance: Float[Tensor, " L"]
    prior: Float[Tensor, " K"] | None = None
    kl_samples: int | None = None
    mean_samples: int | None = None
    dimension_samples: int | None = None
    dimension_bounds: bool = False
    words: dict[str, str] = field(default_factory=dict)


def refused(name: str, x: Tensor, error: Exception) -> UserError:
    """How it is reported that the model ``name`` refuses the batch ``x`` by ``error``."""
    return UserError(
        f"{name} refuses a batch of shape {list(x.shape)} and type {x.dtype}: {error}. Give data as "
        "the model takes them, the batch first."
    )


class Subject(ABC):
    """A model that can be diagnosed."""

    name: str
    samples: int
    likelihood_words: str
    likelihood_samples: int | None
    about: dict[str, About]

    @abstractmethod
    def see(self, x: Tensor, number: int) -> Seen:
        """What ``x``, batch ``number``, shows; what is random in it is a function of the number and of the seed."""
