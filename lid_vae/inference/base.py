"""What an inference strategy is."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from torch import nn

from lid_vae.distribution.approximation import Approximation
from lid_vae.objective.base import Objective
from lid_vae.shapes import Bool, Float, Observations, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["Group", "Inference", "Informed", "Update", "Updates"]

Group = Literal["all", "model", "posterior"]


class Update(NamedTuple):
    """One optimiser step: on ``group``, of ``members``, by the ``draw``-th extra batch (0: the step's own)."""

    group: Group
    members: Bool[Tensor, "*seeds"] | None = None
    """Of several seeds those that step (None: all); what the objective says of the others means nothing."""
    draw: int = 0


Updates = Generator[Update, Float[Tensor, "*seeds B"], None]
"""The updates of a training step: each is told, detached, what the objective was before it, and says the next."""


class Inference(nn.Module, ABC):
    """Finds q(. | x), the same way in training and evaluation, and says which updates make a training step.

    One run and several seeds side by side are one case: in ``updates`` every tensor, the strategy's own buffers
    included, has the leading axes ``*seeds``, which for a single run are none. ``posterior`` sees one run.
    ``needs_gradient``: evaluation must run with gradients enabled. ``groups``: those with an optimiser of their own.
    """

    needs_gradient: bool
    groups: tuple[Group, ...]

    @abstractmethod
    def posterior(
        self, vae: Autoencoder, objective: Objective, x: Observations, noise: Float[Tensor, "S K B M"]
    ) -> Approximation:
        """q for a batch ``x`` of ``vae``.

        ``objective`` is what a strategy that refines q ascends, ``noise`` the standard draws that it may use for that;
        they are those by which q is sampled afterwards.
        """

    @abstractmethod
    def updates(self) -> Updates:
        """The updates of one training step, one after the other; nothing is called back."""


@runtime_checkable
class Informed(Protocol):
    """A strategy whose training depends on how much z tells of x."""

    def validated(self, information: Float[Tensor, "*seeds"]) -> None:
        """Told, after each validation, the ``information`` of z on x in the validation set, nats."""
