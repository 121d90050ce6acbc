"""An optimiser for each member of a stack, under one ``step``."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from lid_vae.shapes import Tensor

__all__ = ["MemberOptimizers"]


class MemberOptimizers(torch.optim.Optimizer):
    """The ``optimizers`` of N members, each on its own part of the stacked parameters ``leaves``, in the same order.

    Any optimiser trains a member so exactly as it would alone, with moments and step counts of its own, and members may
    step at different times. ``moving``, [N], says which of them the next ``step`` moves.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], leaves: Sequence[Tensor]) -> None:
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        super().__init__([{"params": group["params"]} for group in groups], {})
        self.param_groups = groups  # the same objects: a learning rate set here is set there
        self.optimizers, self.leaves = list(optimizers), list(leaves)
        self.moving: Sequence[bool] = [True] * len(self.optimizers)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Moves the members that are ``moving`` by the gradients, which ``closure`` computes before."""
        result = None if closure is None else closure()
        parameters = [[p for group in o.param_groups for p in group["params"]] for o in self.optimizers]
        for number, leaf in enumerate(self.leaves):
            parts = [None] * len(parameters) if leaf.grad is None else leaf.grad.unbind(0)
            for own, part in zip(parameters, parts, strict=True):
                own[number].grad = part
        for optimizer, moving in zip(self.optimizers, self.moving, strict=True):
            if moving:
                optimizer.step()
        return result
