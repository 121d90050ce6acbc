"""One training step: the updates that an inference strategy asks for, one after the other."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from lid_vae.inference.base import Update, Updates
from lid_vae.shapes import Bool, Float, Tensor

__all__ = ["Bound", "Extra", "Minimise", "take_step"]

Extra = Callable[[int], tuple[Tensor, Tensor]]
"""The j-th extra batch of a step, with its noise: x of shape [*seeds, B, ...] and noise [*seeds, S, K, B, M]."""
Minimise = Callable[[Tensor, Update], None]
"""One optimiser step on a loss [*seeds], for the group and the members of an update."""


@runtime_checkable
class Bound(Protocol):
    """The objective of each example under the strategy's own q.

    Of several seeds, only those ``chosen`` (None: all) need be computed; what stands for the others means nothing.
    """

    def __call__(
        self, x: Tensor, noise: Tensor, chosen: Bool[Tensor, "*seeds"] | None = None
    ) -> Float[Tensor, "*seeds B"]: ...


def take_step(
    updates: Updates, bound: Bound, minimise: Minimise, x: Tensor, noise: Tensor, extra: Extra
) -> Float[Tensor, "*seeds B"]:
    """Takes the ``updates`` of a step; the objective of its own batch before it, detached, nats per example.

    ``bound`` gives the objective of a batch ``x`` with its ``noise``, or of the further ones that ``extra`` makes, and
    ``minimise`` takes an optimiser's step on its loss.
    """
    value: Tensor | None = None
    update = next(updates)
    while True:
        found = bound(*((x, noise) if update.draw == 0 else extra(update.draw)), update.members)
        minimise(-found.mean(-1), update)
        found = found.detach()
        if update.draw == 0:
            if value is None or update.members is None:
                value = found
            else:
                value = torch.where(update.members.unsqueeze(-1), found, value)
        try:
            update = updates.send(found)
        except StopIteration:
            assert value is not None, "a step makes use of its own batch"
            return value
