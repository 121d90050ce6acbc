"""The measures that curves show: of enough draws to be true, on few enough examples to be cheap."""

from collections.abc import Mapping
from math import log
from typing import Any

import torch

from lid_vae.data.split import Batch
from lid_vae.measure.evaluator import Evaluator
from lid_vae.noise import generator
from lid_vae.shapes import Bool, Tensor
from lid_vae.system.processes import ALONE, ProcessPlace
from lid_vae.train.vae_module import VAEModule

__all__ = ["EXAMPLES", "SHARE", "Curves", "part_of"]

# At most, and of which no cost makes fewer.
EXAMPLES, FEWEST = 1000, 200
SAMPLES, LEAST = 20, 4
# Of the time of training, about, where a training step takes as long as three passes of its rows.
SHARE, PASSES = 0.05, 3


def part_of(size: int, rows: int) -> tuple[int, int]:
    """How many of ``size`` examples are measured, and by how many draws, between which ``rows`` are trained on.

    A thousand by twenty draws, or as many as take about ``SHARE`` of the training's time; 200 by four at least.
    """
    budget = int(SHARE * PASSES * rows)
    examples = max(min(size, EXAMPLES, max(FEWEST, budget // LEAST)), 1)
    return examples, max(LEAST, min(SAMPLES, budget // examples))


class Curves:
    """Measures ``module`` on a part of the validation split of ``size`` examples, drawn by a key.

    ``rows`` is how many examples are trained on between two validations, ``place`` this process's among several.
    """

    def __init__(self, module: VAEModule, size: int, rows: int, place: ProcessPlace = ALONE) -> None:
        examples, draws = part_of(size, rows)
        chosen = torch.randperm(size, generator=generator("curves"))[:examples]
        self.chosen: Bool[Tensor, " N"] = torch.zeros(size, dtype=torch.bool)
        self.chosen[chosen] = True
        self.evaluator = Evaluator(
            module.vae,
            module.infer,
            draws,
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

    def compute(self, whole: Mapping[str, Any]) -> dict[str, Any]:
        """The measures, with the bound of the ``whole`` split.

        The log-likelihood is the part's, moved by how much harder the whole split is than the part by their bounds: a
        regression estimator (Cochran 1977, "Sampling Techniques", chapter 7), whose weight is at most one.
        """
        measures = self.evaluator.compute()
        error, bound_error = measures["ll"]["se"], measures["elbo_se"]
        together = (error**2 + bound_error**2 - float(self.evaluator.slack.standard_error()) ** 2) / 2
        weight = min(max(together / bound_error**2, 0.0), 1.0) if bound_error > 0 else 1.0
        ll = measures["ll"]["mean"] + weight * (whole["elbo"] - measures["elbo"])
        variance = error**2 - 2 * weight * together + weight**2 * (bound_error**2 + whole["elbo_se"] ** 2)
        measures["ll"] |= {"mean": ll, "se": max(variance, 0.0) ** 0.5}
        if "bits_per_dimension" in measures:
            measures["bits_per_dimension"] = -ll / (log(2) * self.evaluator.features)
        return {**measures, "elbo": whole["elbo"], "elbo_se": whole["elbo_se"]}
