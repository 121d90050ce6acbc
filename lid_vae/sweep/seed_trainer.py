"""What the callbacks and loggers of one seed see of the trainer that it shares with its siblings."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger

from lid_vae.data.base import DataModule
from lid_vae.module.loggers import finish_loggers
from lid_vae.train.vae_module import VAEModule

__all__ = ["Member", "SeedTrainer"]


class SeedTrainer(pl.Trainer):
    """Stands for the trainer of one seed alone: its own callbacks, loggers, metrics, checkpoints and stop flag.

    Everything else (the position in the epoch, the strategy, the flags) is the shared trainer's, once ``attach`` has
    named it. Checkpoints are those that the seed would write alone. It trains nothing itself: a ``pl.Trainer`` only so
    that callbacks take it for what they know, its own constructor is never called.
    """

    def __init__(
        self,
        module: VAEModule,
        data: DataModule,
        callbacks: list[pl.Callback],
        loggers: list[Logger],
        folder: Path,
    ) -> None:
        # Lightning puts those that write checkpoints last, so that they see what the others have done.
        self.callbacks = sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint))
        self._loggers, self._default_root_dir = loggers, str(folder)
        self.module, self.data = module, data
        self.metrics: dict[str, Any] = {}
        self.should_stop = False
        self.steppers: list[torch.optim.Optimizer] = []

    def attach(self, trainer: pl.Trainer) -> None:
        """``trainer`` is what is shared."""
        self.shared = trainer

    def __getattr__(self, name: str) -> Any:
        if name == "shared":
            raise AttributeError("not attached to a trainer yet")
        return getattr(self.shared, name)

    @property
    def lightning_module(self) -> VAEModule:
        return self.module

    @property
    def datamodule(self) -> DataModule:
        return self.data

    @property
    def callback_metrics(self) -> dict[str, Any]:
        return self.metrics

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Into the seed's logs."""
        for logger in self.loggers:
            logger.log_metrics(metrics={**metrics, "epoch": self.shared.current_epoch}, step=step)
            logger.save()

    def save_checkpoint(
        self, filepath: str | Path, weights_only: bool | None = None, storage_options: Any = None
    ) -> None:
        """Writes what ``Trainer.save_checkpoint`` would write for this seed alone."""
        self.shared.strategy.checkpoint_io.save_checkpoint(self._checkpoint(), filepath)  # type: ignore[attr-defined]

    def _checkpoint(self) -> dict[str, Any]:
        shared, module = self.shared, self.module
        checkpoint: dict[str, Any] = {
            "epoch": shared.current_epoch,
            "global_step": shared.global_step,
            "pytorch-lightning_version": pl.__version__,
            # Copies: a view would take the parameters of all seeds into the file.
            "state_dict": {name: value.clone() for name, value in module.state_dict().items()},
            "loops": {
                "fit_loop": shared.fit_loop.state_dict(),
                "validate_loop": shared.validate_loop.state_dict(),
                "test_loop": shared.test_loop.state_dict(),
                "predict_loop": shared.predict_loop.state_dict(),
            },
            "callbacks": {},
            "optimizer_states": [_copied(optimizer.state_dict()) for optimizer in self.steppers],
            "lr_schedulers": [],
        }
        for callback in self.callbacks:
            state = callback.state_dict()
            if state:
                checkpoint["callbacks"][callback.state_key] = state
        precision = shared.precision_plugin
        if precision.state_dict():
            checkpoint[type(precision).__qualname__] = precision.state_dict()
        for callback in self.callbacks:
            callback.on_save_checkpoint(self, module, checkpoint)
        module.on_save_checkpoint(checkpoint)
        return checkpoint


class Member:
    """One seed of an ensemble: its module, what it resumes from, and how it fares."""

    def __init__(self, module: VAEModule, trainer: SeedTrainer, checkpoint: dict[str, Any] | None) -> None:
        self.module, self.trainer, self.checkpoint = module, trainer, checkpoint
        module.trainer = trainer
        if checkpoint is not None:
            module.restore(checkpoint)
            module.on_load_checkpoint(checkpoint)
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Ends this seed's training with its error; its siblings go on."""
        self.error = error
        for callback in self.trainer.callbacks:
            callback.on_exception(self.trainer, self.module, error)
        finish_loggers(self.trainer.loggers, None)
        print(f"seed {self.module.seed} has failed at step {self.module.step}; the others go on", flush=True)

    @contextmanager
    def own(self) -> Iterator[None]:
        """What is done here for this seed alone: an error ends it and no other."""
        try:
            yield
        except Exception as error:
            self.fail(error)

    def log(self, metrics: dict[str, float], step: int) -> None:
        """For the seed's callbacks, and into its logs. In single precision, as Lightning logs numbers."""
        tensors = {name: torch.tensor(float(value)) for name, value in metrics.items()}
        self.trainer.metrics.update(tensors)
        self.trainer.log_metrics({name: value.item() for name, value in tensors.items()}, step)

    @property
    def training(self) -> bool:
        """Neither failed nor stopped by a callback of its own."""
        return self.error is None and not self.trainer.should_stop


def _copied(state: Any) -> Any:
    """A copy of nested dictionaries and lists whose tensors, views of those of all seeds, are copied by themselves."""
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {name: _copied(value) for name, value in state.items()}
    if isinstance(state, list):
        return [_copied(value) for value in state]
    return copy.deepcopy(state)
