"""A run that is asked to stop, or whose lock is gone, ends after a step, with a checkpoint of it."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from lid_vae.system.interruption import Interruption

__all__ = ["LastStep"]


class LastStep(pl.Callback):
    """Obeys ``interruption`` between two steps, having called ``save``. ``check()`` raises where a run may not go on.

    Not after the last step of an epoch: its validation belongs to it, and a checkpoint in between would lose it. The
    run then ends after the first step of the next epoch, or after the training.

    ``agree`` makes of this process's signal (None: none) the one that all processes of a run obey.
    """

    def __init__(
        self,
        interruption: Interruption,
        save: Callable[[pl.Trainer], None],
        check: Callable[[], None] = lambda: None,
        agree: Callable[[int | None], int | None] = lambda signum: signum,
    ) -> None:
        self.interruption, self.save, self.check, self.agree = interruption, save, check, agree
        self.saved = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning has set its own handlers by now, and puts ours back at the end."""
        self.interruption.install()
        self.interruption.stepping = True

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Only here, as Lightning logs a step after ``on_train_batch_end``."""
        if self.saved:
            self.saved = False
            self.interruption.obey()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.check()
        agreed = self.agree(self.interruption.pending)
        if agreed is None:  # a signal that has come while the processes agreed waits for the next step
            return
        self.interruption.pending = agreed
        if not trainer.is_last_batch:
            self.save(trainer)
            self.saved = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.interruption.stepping = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.interruption.stepping = False
