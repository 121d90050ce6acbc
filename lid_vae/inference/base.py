"""What an inference strategy is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

from torch import nn

from lid_vae.distribution.approximation import Approximation
from lid_vae.objective.base import Objective
from lid_vae.shapes import Bool, Float, Observations, Tensor
from lid_vae.vae import VAE

__all__ = ["Bound", "Draw", "Group", "Inference", "Minimise"]

Group = Literal["all", "model", "posterior"]
Draw = Callable[[int], tuple[Tensor, Tensor]]
"""The j-th extra batch of this step, with its noise: x of shape [*seeds, B, D] and noise [*seeds, S, K, B, M]."""


@runtime_checkable
class Bound(Protocol):
    """The objective of each example under the strategy's own q.

    Of several seeds, only those ``chosen`` (None: all) need be computed; what stands for the others means nothing.
    """

    def __call__(
        self, x: Tensor, noise: Tensor, chosen: Bool[Tensor, "*seeds"] | None = None
    ) -> Float[Tensor, "*seeds B"]: ...


@runtime_checkable
class Minimise(Protocol):
    """Takes one optimiser step on a loss for a group of parameters (clipping included).

    Of several seeds, only those ``chosen`` (None: all) step; the parameters and moments of the others stay.
    """

    def __call__(
        self, loss: Float[Tensor, "*seeds"], group: Group, chosen: Bool[Tensor, "*seeds"] | None = None
    ) -> None: ...


class Inference(nn.Module, ABC):
    """Finds q(. | x), the same way in training and evaluation, and owns the steps of one update.

    One run and several seeds side by side are one case: in ``update`` and ``validated`` every tensor, the strategy's
    own buffers included, has the leading axes ``*seeds``, which for a single run are none. ``posterior`` sees one run.
    ``needs_gradient``: evaluation must run with gradients enabled. ``groups``: the optimisers it steps.
    """

    needs_gradient: bool
    groups: tuple[Group, ...]

    @abstractmethod
    def posterior(
        self, vae: VAE, objective: Objective, x: Observations, noise: Float[Tensor, "S K B M"]
    ) -> Approximation:
        """q for a batch."""

    @abstractmethod
    def update(
        self, bound: Bound, x: Tensor, noise: Tensor, minimise: Minimise, draw: Draw
    ) -> Float[Tensor, "*seeds B"]:
        """One training step; returns the objective of the batch before it, detached."""

    @abstractmethod
    def validated(self, information: Float[Tensor, "*seeds"]) -> None:
        """Told the validation set's mutual information of z (nats) after each validation."""
