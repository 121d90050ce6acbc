"""Members at the same step, and what a training step asks of them: one alone, or several as one computation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, get_args

import torch

from lid_vae.inference.base import Group, Inference
from lid_vae.noise import Counted
from lid_vae.objective.base import Scheduled
from lid_vae.shapes import Bool, Float, Tensor
from lid_vae.system.processes import process_place
from lid_vae.train.vae_module import VAEModule

__all__ = ["Alone", "States", "Together"]

States = Sequence[list[dict[str, Any]] | None]
"""Of each member the states of its optimisers, as checkpoints hold them; None: a fresh one."""


class Together(ABC):
    """The modules of N members. Tensors have the leading axes ``*seeds``, [N], which for one alone are none.

    ``inference`` is the strategy whose buffers have these axes too; ``frame`` is a module of their structure, whose
    numbers are those of all; ``groups`` are the trainable parameters, with these axes.
    """

    modules: list[VAEModule]
    frame: VAEModule
    inference: Inference
    groups: Mapping[Group, Sequence[Tensor]]

    def advance(self, step: int, steps: int) -> None:
        """Moves the schedules of every objective to batch ``step`` of ``steps``."""
        for objective in self._scheduled:
            objective.advance(step, steps)

    @cached_property
    def _scheduled(self) -> list[Scheduled]:
        """The objectives that have a schedule, found once: to ask each at every step takes long."""
        objectives = {id(module.objective): module.objective for module in (self.frame, *self.modules)}
        return [objective for objective in objectives.values() if isinstance(objective, Scheduled)]

    @abstractmethod
    def forward(
        self, x: Tensor, noise: Float[Tensor, "*seeds S K B M"], chosen: Bool[Tensor, "*seeds"] | None = None
    ) -> Float[Tensor, "*seeds B"]:
        """The objective of each example of ``x`` for each member, nats, by its ``noise``.

        Of members that are not ``chosen``, anything.
        """

    @abstractmethod
    def tensors(self) -> tuple[list[Tensor], list[Tensor]]:
        """All parameters and all buffers that ``forward`` reads, as it reads them."""

    @abstractmethod
    def noise(self, step: int, draw: int, batch: int) -> Float[Tensor, "*seeds S K B M"]:
        """The noise of ``VAEModule.noise`` for a ``step``, a ``draw`` and the size of a ``batch``."""

    def noise_ahead(self, places: Sequence[tuple[int, int]], batch: int) -> Float[Tensor, "T N S K B M"]:
        """That of T ``places``, (step, draw), at once, each of the N members': of modules whose noise is counted."""
        first = self.modules[0]
        rng = Counted.of([module.seed for module in self.modules], "noise", places, first.device)
        return first.vae.posterior.draw_noise(first.objective.samples, batch, rng)

    @abstractmethod
    def optimizers(self, states: States) -> list[torch.optim.Optimizer]:
        """One for each of the strategy's groups, from ``states``, to be stepped after ``differentiate``."""

    @abstractmethod
    def joint_optimizer(self) -> torch.optim.Optimizer | None:
        """The optimiser of all parameters, where one moves all members, and none is about to begin anew."""

    @abstractmethod
    def differentiate(self, loss: Float[Tensor, "*seeds"], group: Group, backward: Callable[..., None]) -> None:
        """The gradient of each member's own loss in its parameters of ``group``, each under its own bound.

        ``backward`` is what computes gradients of a sum: ``Tensor.backward``, or Lightning's.
        """

    @abstractmethod
    def choose(self, moving: Sequence[bool]) -> None:
        """Says which members, those ``moving``, the next step of an optimiser moves."""

    @abstractmethod
    def optimizer_states(self, place: int) -> list[dict[str, Any]]:
        """The states of the optimisers of the member at a ``place``, as it would have them alone."""

    @abstractmethod
    def forget(self, place: int) -> None:
        """Clears what the optimisers have gathered on the member at a ``place``."""


class Alone(Together):
    """One module, called as it is: vectorising a single one is slower, and differs in the last bits."""

    def __init__(self, module: VAEModule) -> None:
        self.modules, self.frame, self.inference = [module], module, module.inference
        self.groups = {group: module.parameter_group(group) for group in get_args(Group)}

    def forward(
        self, x: Tensor, noise: Float[Tensor, "S K B M"], chosen: Bool[Tensor, ""] | None = None
    ) -> Float[Tensor, " B"]:
        return self.modules[0](x, noise)  # type: ignore[no-any-return]

    def tensors(self) -> tuple[list[Tensor], list[Tensor]]:
        return list(self.frame.parameters()), list(self.frame.buffers())

    def noise(self, step: int, draw: int, batch: int) -> Float[Tensor, "S K B M"]:
        return self.modules[0].noise(step, draw, batch)

    def optimizers(self, states: States) -> list[torch.optim.Optimizer]:
        self.made = self.modules[0].make_optimizers(states[0])
        return self.made

    def joint_optimizer(self) -> torch.optim.Optimizer | None:
        return self.made[0] if self.inference.groups == ("all",) else None

    def differentiate(self, loss: Float[Tensor, ""], group: Group, backward: Callable[..., None]) -> None:
        parameters, limit = self.groups[group], self.modules[0].gradient_clip
        for parameter in parameters:
            parameter.grad = None
        # Several processes wait for the gradient of every parameter.
        backward(loss, inputs=parameters if process_place().size == 1 else None)
        if limit is not None:
            torch.nn.utils.clip_grad_norm_(parameters, limit)

    def choose(self, moving: Sequence[bool]) -> None:
        assert all(moving), "of one member, none is left out"

    def optimizer_states(self, place: int) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self.made]

    def forget(self, place: int) -> None:
        for optimizer in self.made:
            optimizer.state.clear()
