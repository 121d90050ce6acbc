"""How long training takes: a step without its validations, and the whole across interruptions."""

import time
from typing import Any

import pytorch_lightning as pl
import torch

__all__ = ["Elapsed", "Stopwatch"]


class Stopwatch(pl.Callback):
    """Seconds of wall-clock time of one fit: of all since it was made, and of training steps without validations.

    A GPU works behind the program's back: the clock waits for it before it is read, twice an epoch.
    """

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.ended: float | None = None
        self.finished, self.steps, self.first = 0.0, 0, 0
        self.running: float | None = None

    @property
    def elapsed(self) -> float:
        """To the end of training, once that has come."""
        return (self.ended or time.perf_counter()) - self.begun

    @property
    def training(self) -> float:
        """In training steps."""
        return self.finished + (0.0 if self.running is None else time.perf_counter() - self.running)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that resumes inside an epoch has no start of it."""
        self.running = self._now(pl_module)
        self.first = self._step(pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.running = self._now(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.ended = self._now(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.steps = self._step(pl_module) - self.first  # a batch of Lightning's may be many

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop(pl_module)

    def _stop(self, pl_module: pl.LightningModule) -> None:
        if self.running is not None:
            self.finished += self._now(pl_module) - self.running
            self.running = None

    @staticmethod
    def _step(pl_module: pl.LightningModule) -> int:
        step = pl_module.step
        assert isinstance(step, int)
        return step

    @staticmethod
    def _now(pl_module: pl.LightningModule) -> float:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        return time.perf_counter()


class Elapsed:
    """What a member's training has taken, across interruptions: earlier fits, less what was undone, and ``watch``."""

    key = "Stopwatch"

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch
        self.before = {"elapsed": 0.0, "training": 0.0, "steps": 0}

    def state_dict(self) -> dict[str, Any]:
        now = {"elapsed": self.watch.elapsed, "training": self.watch.training, "steps": self.watch.steps}
        return {name: self.before[name] + value for name, value in now.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from the times in ``state``."""
        self.before = dict(state)

    def seconds(self) -> float:
        """From the beginning of the run to the end of its training."""
        return float(self.state_dict()["elapsed"])

    def seconds_per_step(self) -> float | None:
        """The mean over training steps; None where none was taken."""
        state = self.state_dict()
        return float(state["training"]) / state["steps"] if state["steps"] else None
