"""What an objective is."""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from torch import nn

from lid_vae.distribution.approximation import Approximation
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["Objective", "Scheduled"]


class Objective(nn.Module, ABC):
    """A bound on log p(x), or a surrogate of one, to be maximised.

    ``samples`` is how many draws of q a training step takes. ``by_example``: whether an example's value depends on that
    example alone, so that the processes of a run may divide a batch.
    """

    samples: int
    by_example: bool = True

    @abstractmethod
    def forward(
        self, vae: Autoencoder, x: Observations, q: Approximation, noise: Float[Tensor, "S K B M"]
    ) -> Float[Tensor, " B"]:
        """The value for each example, nats."""


@runtime_checkable
class Scheduled(Protocol):
    """An objective that changes in the course of training."""

    def advance(self, step: int, steps: int) -> None:
        """Move schedules to batch ``step`` of ``steps``."""
