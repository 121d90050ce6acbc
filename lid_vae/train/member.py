"""A member of a training: one seed's module, and what it does apart from its siblings."""

import time
from collections.abc import Callable, Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from pytorch_lightning.loggers import Logger

from lid_vae.measure.evaluator import Evaluator
from lid_vae.shapes import Tensor
from lid_vae.train.curves import Curves
from lid_vae.train.training_data import TrainingData
from lid_vae.train.vae_module import VAEModule

__all__ = ["BeforeFit", "BeforeStep", "Hook", "Member", "Settled", "Stateful", "Validated"]

EVERY = 5.0
"""Seconds after which what is logged goes to disk, where no checkpoint comes before."""


class Member:
    """One seed: its module, hooks and loggers, its metrics, and how it fares.

    ``checkpoint`` is what it resumes from. ``metrics`` are the last logged ones, in single precision. A member lives
    until it fails (``error`` says why) or is ``stopped`` by a hook; one that does not is left as it is. ``together`` is
    how many train; ``picture``, where it is being drawn elsewhere, waits for it. What a hook may ask of the training is
    here too, while that is on: ``data``, ``save(path)``, which writes a checkpoint, and ``forget()``, which clears the
    moments of its optimisers.
    """

    data: TrainingData
    save: Callable[[Path], None]
    forget: Callable[[], None]

    def __init__(
        self,
        module: VAEModule,
        hooks: Iterable["Hook"] = (),
        loggers: Sequence[Logger] = (),
        checkpoint: dict[str, Any] | None = None,
    ) -> None:
        self.module, self.hooks, self.loggers = module, list(hooks), list(loggers)
        self.metrics: dict[str, Tensor] = {}
        self.kept = -inf
        self.error: Exception | None = None
        self.stopped = False
        self.evaluator: Evaluator | None = None
        self.curves: Curves | None = None
        self.together = 1
        self.picture: Callable[[], Path] | None = None
        self.optimizer_states: list[dict[str, Any]] | None = None
        if checkpoint is not None:
            module.restore(checkpoint)
            module.step = checkpoint["lid_vae"]["step"]
            self.optimizer_states = checkpoint["optimizer_states"]
            for hook in self.hooks:
                if isinstance(hook, Stateful) and hook.key in checkpoint["callbacks"]:
                    hook.load_state_dict(checkpoint["callbacks"][hook.key])

    @property
    def lives(self) -> bool:
        """Neither failed nor stopped."""
        return self.error is None and not self.stopped

    def log(self, metrics: dict[str, float], step: int, epoch: int) -> None:
        """``metrics`` by name, for the hooks, and into the member's logs at a ``step`` of an ``epoch``.

        In single precision, as Lightning logs numbers.
        """
        tensors = {name: torch.tensor(float(value)) for name, value in metrics.items()}
        self.metrics.update(tensors)
        values = {name: value.item() for name, value in tensors.items()}
        for logger in self.loggers:
            logger.log_metrics(metrics={**values, "epoch": epoch}, step=step)
        if time.monotonic() - self.kept >= EVERY:
            self.keep()

    def keep(self) -> None:
        """What was logged goes to disk: the first of it, some each few seconds, and all before each checkpoint."""
        for logger in self.loggers:
            logger.save()
        self.kept = time.monotonic()

    def states(self) -> dict[str, Any]:
        """What its hooks want to find again in a checkpoint."""
        states = {hook.key: hook.state_dict() for hook in self.hooks if isinstance(hook, Stateful)}
        return {key: state for key, state in states.items() if state}


@runtime_checkable
class BeforeFit(Protocol):
    """A hook that is called before the first step of a fit, resumed or not."""

    def before_fit(self, member: Member) -> None:
        """What it does to ``member``."""


@runtime_checkable
class BeforeStep(Protocol):
    """A hook that is called before each step, whose number is ``member.module.step``."""

    def before_step(self, member: Member) -> None:
        """What it does to ``member``."""


@runtime_checkable
class Validated(Protocol):
    """A hook that is called after each validation, whose metrics are in ``member.metrics``."""

    def validated(self, member: Member) -> None:
        """What it does to ``member``."""


@runtime_checkable
class Settled(Protocol):
    """A hook that is called again after each validation, once ``validated`` has been called for all members."""

    def settled(self, member: Member) -> None:
        """What it does to ``member`` then, as with what was begun for all of them before."""


@runtime_checkable
class Stateful(Protocol):
    """A hook with a state that travels in checkpoints, under its ``key``."""

    key: str

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back the ``state`` that ``state_dict`` gave."""


Hook = BeforeFit | BeforeStep | Validated | Settled | Stateful
"""What a member does apart, at one or more of these occasions. An error in it ends its own member."""
