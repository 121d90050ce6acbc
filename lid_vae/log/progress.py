"""How far a run is: one line that renews itself on a terminal, one plain line for each validation elsewhere."""

import os
import sys
import time
from collections import deque
from statistics import fmean

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ProgressBar
from tqdm import tqdm

from lid_vae.log.bar import NumbersBar
from lid_vae.shown import CORE
from lid_vae.train.training import Training

__all__ = ["ProgressLine", "ProgressLog", "progress"]

# What a line shows of a validation, by its name in the log: the bound, then the rest as tables have it.
SHOWN = {
    f"valid/{number.curve}": number.short
    for number in sorted(CORE, key=lambda number: number.key != "elbo")
    if number.curve is not None and number.short is not None
}
BOUND = "train/bound"
OFTEN = 1.0
"""Seconds after which a validation that is still at work says how far it is."""
EVERY = 10
"""Steps between two looks at the bound of a training batch."""
WINDOW = 10
"""Looks of which a mean is shown: one batch alone says little."""


def progress(enabled: bool = True) -> Callback:
    """The progress bar that fits standard output; where not ``enabled``, a callback that does nothing."""
    if not enabled:
        return Callback()
    # Terminals without a size (some containers) would show an empty line.
    wide = (
        os.environ.get("TERM") != "dumb"
        and sys.stdout.isatty()
        and os.get_terminal_size(sys.stdout.fileno()).columns > 0
    )
    return ProgressLine() if wide else ProgressLog()


class _Switched(ProgressBar):
    """A progress bar that Lightning can switch off."""

    enabled = True

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True


class ProgressLine(_Switched):
    """``seed 0 epoch 3/40 ███ step 240/3200 [00:12<02:10], bound -2.10 AU 1.00 MI 1.43``, in the terminal's width.

    The bound is a running mean over training batches: every tenth of the last hundred steps, or what of these is
    logged. AU and MI are those of the whole validation split, at the last validation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: NumbersBar | None = None
        self.bounds: deque[float] = deque(maxlen=WINDOW)
        self.told = 0.0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.told = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.bounds.clear()
        self.bar = NumbersBar(
            total=_total_steps(trainer, pl_module),
            initial=_step(pl_module),
            desc=_place(trainer, pl_module),
            disable=not self.enabled,
            dynamic_ncols=True,
            file=sys.stdout,
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.bar is not None:
            self.bar.set_description_str(_place(trainer, pl_module), refresh=False)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        if self.bar is not None:
            step = _step(pl_module)
            if self.bar.n % EVERY == 0 or step > self.bar.n + 1:
                if BOUND in trainer.callback_metrics:
                    self.bounds.append(float(trainer.callback_metrics[BOUND]))
                self._show(trainer)
            self.bar.update(step - self.bar.n)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.bar is not None and time.monotonic() - self.told > OFTEN:
            share = (batch_idx + 1) / trainer.num_val_batches[dataloader_idx]
            self.bar.set_description_str(f"{_place(trainer, pl_module)}, validating: {share:.0%}")
            self.told = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.bar is not None:
            self._show(trainer)
            self.bar.set_description_str(_place(trainer, pl_module))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def print(self, *args: object, sep: str = " ", **kwargs: object) -> None:
        """Above the bar."""
        tqdm.write(sep.join(map(str, args)), file=sys.stdout)

    def _show(self, trainer: pl.Trainer) -> None:
        assert self.bar is not None
        bound = {"bound": fmean(self.bounds)} if self.bounds else {}
        values = bound | _measures(trainer, {name: short for name, short in SHOWN.items() if short in ("AU", "MI")})
        self.bar.numbers = (_told(values, " "), _told(values, " ", brief=True))

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class ProgressLog(_Switched):
    """``seed 0  epoch 3/40  bound -2.104  AU 1.00  KL 1.502  MI 1.433  LL -2.011  accuracy 0.981  12 s``."""

    def __init__(self) -> None:
        super().__init__()
        self.start = time.perf_counter()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not self.enabled:
            return
        seconds = time.perf_counter() - self.start
        print(f"{_place(trainer, pl_module)}  {_told(_measures(trainer, SHOWN), '  ')}  {seconds:.0f} s", flush=True)


def _step(module: pl.LightningModule) -> int:
    """The next one, in steps: a batch of Lightning's may be many."""
    assert isinstance(module, Training)
    return module.step


def _total_steps(trainer: pl.Trainer, module: pl.LightningModule) -> float | None:
    assert isinstance(module, Training)
    epochs, spans = trainer.max_epochs, module.spans
    batches = spans.length if spans.size > 1 else trainer.num_training_batches
    bounds = [epochs * batches] if epochs is not None and epochs >= 0 else []
    bounds += [trainer.max_steps] if trainer.max_steps >= 0 else []
    return min(bounds) if bounds and min(bounds) < float("inf") else None


def _place(trainer: pl.Trainer, module: pl.LightningModule) -> str:
    """The seed, since several may run side by side, and the epoch."""
    seed = getattr(module, "seed", None)
    epochs = str(trainer.max_epochs)
    limit = f"/{epochs}" if epochs.isdigit() else ""
    epoch = f"epoch {trainer.current_epoch + 1:{len(epochs)}}{limit}"
    return epoch if seed is None else f"seed {seed}  {epoch}"


def _measures(trainer: pl.Trainer, names: dict[str, str]) -> dict[str, float]:
    """Those of the logged metrics that are there, by short name."""
    return {
        short: float(trainer.callback_metrics[name])
        for name, short in names.items()
        if name in trainer.callback_metrics
    }


def _told(values: dict[str, float], separator: str, brief: bool = False) -> str:
    return separator.join(f"{short} {_said(short, value, brief)}" for short, value in values.items())


def _said(short: str, value: float, brief: bool = False) -> str:
    """A divergence that its estimate puts below 0 is 0 as far as that can tell; ``brief``: in fewer words."""
    if short in ("MI", "KL") and value < 0:
        return "0.000" if brief else "0.000 (consistent with 0)"
    return f"{value:.{2 if short == 'AU' else 3}f}"
