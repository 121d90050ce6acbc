"""How long training takes: a step without its validations, and the whole across interruptions."""

import time
from typing import Any

import pytorch_lightning as pl
import torch

__all__ = ["Stopwatch"]


class Stopwatch(pl.Callback):
    """Seconds of wall-clock time. Its counts travel in checkpoints, so a resumed run goes on counting.

    A GPU works behind the program's back: the clock waits for it before it is read, twice an epoch.
    """

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.ended: float | None = None
        self.before = 0.0
        self.training, self.steps = 0.0, 0
        self.running: float | None = None

    def elapsed(self) -> float:
        """From the beginning of the run to the end of its training, less what an interruption undid."""
        return self.before + (self.ended or time.perf_counter()) - self.begun

    def seconds_per_step(self) -> float | None:
        """The mean over training steps; None where none was taken."""
        return self.training / self.steps if self.steps else None

    def state_dict(self) -> dict[str, Any]:
        running = 0.0 if self.running is None else time.perf_counter() - self.running
        return {"elapsed": self.elapsed(), "training": self.training + running, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict["elapsed"]
        self.begun = time.perf_counter()
        self.training, self.steps = state_dict["training"], state_dict["steps"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that resumes inside an epoch has no start of it."""
        self.running = self._now(pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.running = self._now(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.ended = self._now(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.steps += 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop(pl_module)

    def _stop(self, pl_module: pl.LightningModule) -> None:
        if self.running is not None:
            self.training += self._now(pl_module) - self.running
            self.running = None

    @staticmethod
    def _now(pl_module: pl.LightningModule) -> float:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        return time.perf_counter()
