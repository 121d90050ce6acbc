"""The evaluators of several seeds, which measure each batch together; each accumulates what its own seed shows."""

from collections.abc import Mapping
from functools import partial

import torch

from lid_vae.errors import UserError
from lid_vae.measure.batch import BatchMeasures, Ruler, measure_batch, noise_of, rows_of
from lid_vae.measure.evaluator import Evaluator, MeasureBatch
from lid_vae.shapes import Observations
from lid_vae.train.step.stack import Stack
from lid_vae.vae import Autoencoder

__all__ = ["SeedMeasures", "seeds_at_once"]

# Rows that pass the decoders of all seeds together. A processor computes as fast by the rows of one seed; a GPU, whose
# kernels are started one by one whatever their size, does not.
ROWS_TOGETHER = {"cpu": 10_000, "cuda": 200_000}


def seeds_at_once(ruler: Ruler, vae: Autoencoder, x: Observations) -> int:
    """How many seeds of a ``vae`` measure a batch ``x`` together by ``ruler``.

    As many as their pieces of draws fit into ``ROWS_TOGETHER`` rows.
    """
    rows = rows_of(vae, x)
    return max(1, ROWS_TOGETHER.get(x.device.type, ruler.rows) // (rows * ruler.draws(rows)))


class SeedMeasures:
    """Gives ``evaluators``, by the place of their module in ``stack``, measures of batches that they share.

    The first to ask for a batch measures for its siblings too, as many as memory is meant for; these ask for the same
    batch before any asks for the next. Where the model does not vectorise each measures alone, with equal results.
    """

    def __init__(self, stack: Stack, evaluators: Mapping[int, Evaluator]) -> None:
        self.stack, self.apart = stack, False
        self.number = -1
        self.found: dict[int, tuple[BatchMeasures, torch.Generator]] = {}
        for place, evaluator in evaluators.items():
            evaluator.measure = partial(self._of, place, evaluator, evaluator.measure)

    def _of(
        self, place: int, evaluator: Evaluator, alone: MeasureBatch, x: Observations, number: int
    ) -> tuple[BatchMeasures, torch.Generator]:
        if number != self.number:
            self.found, self.number = {}, number
        size = 1 if self.apart else min(seeds_at_once(evaluator.ruler, evaluator.vae, x), len(self.stack))
        if size > 1 and place not in self.found:
            try:
                self._find(slice(place // size * size, (place // size + 1) * size), x, evaluator.ruler)
            except (RuntimeError, NotImplementedError, ValueError, UserError):
                # No rule for vectorising, or no memory; what is wrong with one seed it will say itself.
                self.apart = True
        return self.found.pop(place, None) or alone(x, number)

    def _find(self, chosen: slice, x: Observations, ruler: Ruler) -> None:
        noise = noise_of(self.number, x.device)
        found = self.stack.measure(lambda module: measure_batch(module.vae, module.infer, x, ruler, noise), chosen)
        state = noise.draws.get_state()
        for place in range(*chosen.indices(len(self.stack))):
            own = {name: value[place - chosen.start] for name, value in found.items()}
            # Each goes on from there by itself.
            self.found[place] = own, torch.Generator(x.device).set_state(state)
