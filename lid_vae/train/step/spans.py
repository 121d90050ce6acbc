"""Steps that Lightning takes for one batch: what it does around a batch takes as long as a captured step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from lid_vae.train.step.captured import RECORDS, not_captured
from lid_vae.train.vae_module import VAEModule

__all__ = ["Spans", "longest_span"]

MOST = 100
"""Steps of a span, however seldom is logged: so long a signal waits at most."""


@dataclass(frozen=True)
class Spans:
    """Epochs of ``length`` steps, of which Lightning sees spans of ``size`` steps, the last one as long as it comes.

    Where a span ends follows from its place in the epoch, wherever it begins: a training may go on inside of one.
    """

    length: int
    size: int = 1

    def __len__(self) -> int:
        """Spans of an epoch."""
        return -(-self.length // self.size)

    def end(self, step: int) -> int:
        """The first step after the span that ``step`` is in."""
        epoch, place = divmod(step, self.length)
        return epoch * self.length + min((place // self.size + 1) * self.size, self.length)

    def as_steps(self, loop: dict[str, Any]) -> dict[str, Any]:
        """The state of Lightning's ``fit_loop``, which counts spans, as that of one that counts steps."""
        return self._counted(loop, len(self), self.length, lambda spans: min(spans * self.size, self.length))

    def as_spans(self, loop: dict[str, Any]) -> dict[str, Any]:
        """The state of a ``fit_loop`` that counts steps, as Lightning is to go on from it."""
        whole = self.length
        return self._counted(loop, whole, len(self), lambda steps: len(self) if steps >= whole else steps // self.size)

    def _counted(self, loop: dict[str, Any], of: int, to: int, count: Callable[[int], int]) -> dict[str, Any]:
        """With ``count`` of the batches of its epoch, of which there are now ``of`` and then ``to``.

        What Lightning has begun and not ended at that moment stays as many batches behind.
        """
        if self.size == 1:
            return loop
        progress, state = loop["epoch_loop.batch_progress"], loop["epoch_loop.state_dict"]
        here, ever = progress["current"]["ready"], progress["total"]["ready"]
        epochs = (ever - here) // of
        moved = {"current": count(here) - here, "total": epochs * to + count(here) - ever}
        counts = {
            name: {key: value + moved[name] for key, value in progress[name].items()} for name in ("current", "total")
        }
        stepped = state["_batches_that_stepped"] + moved["total"]
        return {
            **loop,
            "epoch_loop.batch_progress": {**progress, **counts},
            "epoch_loop.state_dict": {**state, "_batches_that_stepped": stepped},
        }


def longest_span(trainer: pl.Trainer, module: VAEModule) -> int:
    """Steps of ``module`` after which ``trainer`` has to see to something, at the latest.

    1 where they are not replayed, and where it counts batches for its user.
    """
    if trainer.strategy.root_device.type not in RECORDS or not_captured(module, trainer) is not None:
        return 1
    whole = trainer.limit_train_batches == 1.0 and trainer.val_check_interval == 1.0
    counts = trainer.max_steps != -1 or trainer.fast_dev_run or trainer.overfit_batches  # type: ignore[attr-defined]
    if counts or not whole or (trainer.max_epochs or 0) < 1:
        return 1
    return min(trainer.log_every_n_steps or MOST, MOST)  # type: ignore[attr-defined]
