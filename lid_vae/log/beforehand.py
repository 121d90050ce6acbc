"""What is said of a run before it trains."""

import torch

from lid_vae.data.array.array_data_module import ArrayDataModule
from lid_vae.data.base import DataModule
from lid_vae.likelihood.linear_theory import collapse_expected
from lid_vae.train.vae_module import VAEModule

__all__ = ["say_size", "say_threshold"]


def say_size(module: VAEModule, data: DataModule, epochs: int, accelerator: str) -> None:
    """Prints how large a training of ``module`` on ``data`` is, of how many ``epochs``, on what ``accelerator``."""
    parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
    steps = len(data.train_dataloader())
    device = "GPU" if accelerator != "cpu" and torch.cuda.is_available() else "CPU"
    print(
        f"{parameters:,} parameters, {len(data.train):,} training examples, {_count(epochs, 'epoch')} of "
        f"{_count(steps, 'step')}, on the {device}",
        flush=True,
    )


def say_threshold(module: VAEModule, data: DataModule) -> None:
    """Prints whether the noise of ``module`` is one at which a linear model of real-valued ``data`` collapses."""
    if not isinstance(data, ArrayDataModule):
        return
    line = collapse_expected(module.vae.likelihood, data.training_array())
    if line is not None:
        print(line, flush=True)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
