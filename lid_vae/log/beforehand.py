"""What is said of a run before it trains, and before an evaluation that takes long."""

from collections.abc import Callable, Sequence

import torch

from lid_vae.data.array.array_data_module import ArrayDataModule
from lid_vae.data.base import DataModule, Part
from lid_vae.likelihood.linear_theory import collapse_expected
from lid_vae.system.phases import spoken
from lid_vae.train.vae_module import VAEModule

__all__ = ["long_evaluation", "say_size", "say_threshold"]

LONG = 60.0
"""Seconds from which an evaluation is announced."""
FEW, SMALL = 10, 1000
"""Draws, and examples of the test split, with which a first try is soon evaluated."""


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


def long_evaluation(
    data: DataModule, parts: Sequence[Part], samples: int, rounds: int = 1, sizable: bool = False
) -> Callable[[float], str | None]:
    """What is to be said of an evaluation, by the seconds that its first split may take; None of a short one.

    Args:
        data: what is evaluated.
        parts: its splits; the first is the one that is timed.
        samples: draws for each example.
        rounds: how often all of it is done, as for seeds that are evaluated one after the other.
        sizable: whether ``data.test_size`` can be chosen.
    """
    loaders = {part: data.evaluation_loader(part) for part in parts}

    def notice(seconds: float) -> str | None:
        sizes = [sum(loader.sizes()) for loader in loaders.values()]
        total = rounds * seconds * sum(sizes) / sizes[0]
        if total < LONG:
            return None
        counts = {part: len(loader.split) for part, loader in loaders.items()}
        splits = " and ".join(f"{count:,} {part}" for part, count in counts.items())
        again = f", {rounds} times" if rounds > 1 else ""
        options = [f"samples={FEW}"] if samples > FEW else []
        options += [f"data.test_size={SMALL}"] if sizable and counts.get("test", 0) > SMALL else []
        shorter = f"\n            for a first try less will do: {' or '.join(options)}" if options else ""
        return f"evaluation  about {spoken(total)}: {splits} examples, {samples} draws of each{again}{shorter}"

    return notice


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
