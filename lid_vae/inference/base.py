"""What an inference strategy is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

from torch import nn

from lid_vae.distribution.approximation import Approximation
from lid_vae.objective.base import Objective
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import VAE

__all__ = ["Draw", "Group", "Inference", "Minimise"]

Group = Literal["all", "model", "posterior"]
Minimise = Callable[[Tensor, Group], None]
"""Takes one optimiser step on a scalar loss for a group of parameters (clipping included)."""
Draw = Callable[[int], tuple[Tensor, Tensor]]
"""The j-th extra batch of this step, with its noise: x of shape [B, D] and noise of shape [S, K, B, M]."""


class Inference(nn.Module, ABC):
    """Finds q(. | x), the same way in training and evaluation, and owns the steps of one update.

    ``needs_gradient``: evaluation must run with gradients enabled. ``groups``: the optimisers it steps.
    """

    needs_gradient: bool
    groups: tuple[Group, ...]

    @abstractmethod
    def posterior(
        self, vae: VAE, objective: Objective, x: Float[Tensor, "B D"], noise: Float[Tensor, "S K B M"]
    ) -> Approximation:
        """q for a batch."""

    @abstractmethod
    def update(
        self, vae: VAE, objective: Objective, x: Tensor, noise: Tensor, minimise: Minimise, draw: Draw
    ) -> Float[Tensor, " B"]:
        """One training step; returns the objective of the batch before it, detached."""

    @abstractmethod
    def validated(self, information: float) -> None:
        """Told the validation set's mutual information of z (nats) after each validation."""
