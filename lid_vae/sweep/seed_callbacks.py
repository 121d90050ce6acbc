"""Each seed's callbacks, called as in a run of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl

from lid_vae.data.split import Batch
from lid_vae.sweep.seed_trainer import Member

__all__ = ["SeedCallbacks"]

HOOKS = (
    "on_fit_start",
    "on_fit_end",
    "on_train_start",
    "on_train_end",
    "on_train_epoch_start",
    "on_train_epoch_end",
    "on_validation_start",
    "on_validation_end",
    "on_validation_epoch_start",
    "on_validation_epoch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_before_optimizer_step",
)


class SeedCallbacks(pl.Callback):
    """Hands every hook to the callbacks of the seeds that are still training, with their own module and trainer.
    An error in one ends its own seed.

    A callback that asks for training to stop stops its own seed. Training ends when every seed has failed or stopped.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for member in self.members:
            member.trainer.attach(trainer)
        self._each("setup", stage)
        for member in self.members:
            if member.checkpoint is not None:
                states = member.checkpoint["callbacks"]
                for callback in member.trainer.callbacks:
                    callback.on_load_checkpoint(member.trainer, member.module, member.checkpoint)
                    if callback.state_key in states:
                        callback.load_state_dict(states[callback.state_key])

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._each("teardown", stage)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        self._each_batch("on_train_batch_start", batch, index)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self._each_batch("on_train_batch_end", batch, index, outputs)
        self._stop(trainer)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int, loader: int = 0
    ) -> None:
        self._each("on_validation_batch_start", batch, index, loader)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int, loader: int = 0
    ) -> None:
        self._each("on_validation_batch_end", outputs, batch, index, loader)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._each("on_exception", exception)

    def _each(self, hook: str, *arguments: Any) -> None:
        for member in self.members:
            if member.training:
                with member.own():
                    for callback in member.trainer.callbacks:
                        if _overrides(callback, hook):
                            getattr(callback, hook)(member.trainer, member.module, *arguments)

    def _each_batch(self, hook: str, batch: Batch, index: int, *outputs: Any) -> None:
        """With the seed's own part of the batch."""
        for number, member in enumerate(self.members):
            chosen = [callback for callback in member.trainer.callbacks if _overrides(callback, hook)]
            if member.training and chosen:
                own = Batch(batch.x[number], None if batch.y is None else batch.y[number], batch.index[number])
                with member.own():
                    for callback in chosen:
                        getattr(callback, hook)(member.trainer, member.module, *outputs, own, index)

    def _stop(self, trainer: pl.Trainer) -> None:
        if not any(member.training for member in self.members):
            trainer.should_stop = True


def _overrides(callback: pl.Callback, hook: str) -> bool:
    return getattr(type(callback), hook) is not getattr(pl.Callback, hook)


def _forward(hook: str) -> Callable[..., None]:
    def call(self: SeedCallbacks, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:
        self._each(hook, *arguments)
        self._stop(trainer)

    return call


for _hook in HOOKS:
    setattr(SeedCallbacks, _hook, _forward(_hook))
