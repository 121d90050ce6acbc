"""The measures that curves show: of enough draws to be true, on few enough examples to be cheap."""

import torch

from lid_vae.data.split import Batch
from lid_vae.measure.evaluator import Evaluator
from lid_vae.noise import generator
from lid_vae.shapes import Bool, Tensor
from lid_vae.system.processes import ALONE, ProcessPlace
from lid_vae.train.vae_module import VAEModule

__all__ = ["EXAMPLES", "SHARE", "Curves", "draws_of"]

EXAMPLES = 1000
SAMPLES = 20
LEAST = 4
# Of the time of training, about, where a training step takes as long as three passes of its rows.
SHARE, PASSES = 0.05, 3


def draws_of(examples: int, rows: int) -> int:
    """How many draws of each of so many examples are made, where ``rows`` are trained on between two validations.

    Twenty, or fewer where these would take more than ``SHARE`` of the training's time; four at least.
    """
    return max(LEAST, min(SAMPLES, int(SHARE * PASSES * rows / max(examples, 1))))


class Curves:
    """Measures a module on a part of the validation split, drawn by a key: ``EXAMPLES`` of its ``size``, at most.

    ``rows`` is how many examples are trained on between two validations, ``place`` this process's among several.
    """

    def __init__(self, module: VAEModule, size: int, rows: int, place: ProcessPlace = ALONE) -> None:
        chosen = torch.randperm(size, generator=generator("curves"))[:EXAMPLES]
        self.chosen: Bool[Tensor, " N"] = torch.zeros(size, dtype=torch.bool)
        self.chosen[chosen] = True
        self.evaluator = Evaluator(
            module.vae,
            module.infer,
            draws_of(len(chosen), rows),
            module.labels,
            # Of w beside a z the information takes N^2 densities, and nobody looks at it during training.
            with_w=module.vae.prior.categories is None,
            inference_samples=module.objective.samples,
            by_dimension=True,
            place=place,
        )

    def update(self, batch: Batch) -> None:
        """One more batch of the split, of which it takes its own."""
        own = self.chosen[batch.index.cpu()].to(batch.x.device)
        if bool(own.any()):
            self.evaluator.update(batch.x[own], None if batch.y is None else batch.y[own])
