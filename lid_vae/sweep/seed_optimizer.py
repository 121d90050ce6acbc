"""One optimiser for each seed, on its own part of the stacked parameters, stepped as one."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from lid_vae.shapes import Tensor

__all__ = ["SeedOptimizer"]


class SeedOptimizer(torch.optim.Optimizer):
    """The optimisers of N seeds under one ``step``, so that any optimiser trains each seed exactly as it would alone.

    Each seed's moments, step counts and state dict are its own: seeds step at different times under the aggressive
    loop, and a single run can go on from what a seed left. ``stepping`` says which seeds the next step moves.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        super().__init__([{"params": group["params"]} for group in groups], {})
        self.optimizers = list(optimizers)
        self.param_groups = groups  # the same objects: a learning rate set here is set there
        self.stepping = [True] * len(self.optimizers)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Moves the seeds that are ``stepping``."""
        result = None if closure is None else closure()
        for optimizer, stepping in zip(self.optimizers, self.stepping, strict=True):
            if stepping:
                optimizer.step()
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing to clear: ``hand_out`` replaces every gradient."""

    def hand_out(self, views: Sequence[Sequence[Tensor | None]]) -> None:
        """Gives each parameter of each seed its gradient: ``views[seed][parameter]``."""
        for optimizer, gradients in zip(self.optimizers, views, strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
