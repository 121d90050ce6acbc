"""What one member of a training is: a VAE, how it is trained, and the seed of its noise."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import nn

from lid_vae.distribution.approximation import Approximation
from lid_vae.errors import UserError
from lid_vae.inference.base import Group, Inference
from lid_vae.likelihood.base import CalibratedLikelihood
from lid_vae.noise import Counted, Rng, counted_on, generator
from lid_vae.objective.base import Objective, Scheduled
from lid_vae.objective.schedule import Schedule
from lid_vae.posterior.base import CalibratedPosterior
from lid_vae.shapes import Bool, Float, Observations, Tensor
from lid_vae.system.processes import process_place
from lid_vae.train.promise import Promise
from lid_vae.train.training_data import TrainingData
from lid_vae.vae import Autoencoder

__all__ = ["VAEModule"]

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]

_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class VAEModule(pl.LightningModule):
    """``vae`` with its ``objective`` and ``inference``, for Lightning. Abstract: each variant adds its ``promise``.

    The noise of batch ``step`` follows from the key (seed, "noise", step), so a run repeats and resumes exactly.
    ``optimizer`` makes one of parameters; ``schedule`` multiplies the learning rate, by batches. ``gradient_clip``
    bounds the gradient (None: not). ``evaluation_samples`` is S at validation, ``labels`` the number of classes.
    ``description`` travels in every checkpoint, so that it describes itself. ``step`` is the number of the next of
    ``steps`` training steps. ``drops``: whether a step draws from torch's global generator, for dropout.
    Raises ``UserError`` if the parts break the variant's promise, and for options out of range.
    """

    promise: ClassVar[Promise]

    def __init__(
        self,
        vae: Autoencoder,
        objective: Objective,
        inference: Inference,
        optimizer: MakeOptimizer,
        schedule: Schedule,
        *,
        seed: int,
        gradient_clip: float | None = None,
        evaluation_samples: int = 2,
        labels: int | None = None,
        description: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.promise.check(vae)
        if gradient_clip is not None and not gradient_clip > 0:
            raise UserError(
                f"gradient_clip={gradient_clip} must be above zero: a negative norm would turn every step round. "
                "Use gradient_clip=None for no bound."
            )
        if evaluation_samples < 2:
            raise UserError(f"Measures need two samples at least, got evaluation_samples={evaluation_samples}.")
        self.vae, self.objective, self.inference = vae, objective, inference
        self.make_optimizer, self.schedule = optimizer, schedule
        self.seed, self.gradient_clip = seed, gradient_clip
        self.evaluation_samples, self.labels = evaluation_samples, labels
        self.description = description or {}
        self.step, self.steps = 0, 1
        self.drops = any(map(_drops, vae.modules()))

    def forward(
        self, x: Observations, noise: Float[Tensor, "S K B M"], chosen: Bool[Tensor, ""] | None = None
    ) -> Float[Tensor, " B"]:
        """The objective of each example under the q of the trained strategy, nats; ``chosen`` is for several seeds."""
        return self.objective(self.vae, x, self.inference.posterior(self.vae, self.objective, x, noise), noise)

    def noise(self, step: int, draw: int, batch: int) -> Float[Tensor, "S K B M"]:
        """The noise of the batch of ``step``, or of its ``draw``-th extra one; ``batch`` is this process's share."""
        rank, size = process_place()
        rng: Rng
        if self.counts:
            rng = Counted.of([self.seed], "noise", [(step, draw)], self.device)[0][0]
        else:
            rng = generator(self.seed, "noise", step, draw, device=self.device)
        noise = self.vae.posterior.draw_noise(self.objective.samples, batch * size, rng)
        return noise if size == 1 else noise[:, :, rank * batch : (rank + 1) * batch]

    @property
    def counts(self) -> bool:
        """Whether its noise is ``Counted``, not drawn by a generator: on a GPU, if its posterior can."""
        return counted_on(self.device) and self.vae.posterior.counts

    def infer(self, x: Observations, noise: Float[Tensor, "S K B M"]) -> Approximation:
        """q for a batch ``x``, with the trained inference strategy, from ``noise`` of its own."""
        with torch.set_grad_enabled(self.inference.needs_gradient):
            return self.inference.posterior(self.vae, self.objective, x, noise)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """The weights of a checkpoint, with the objective as it was then: an annealed one is what SA-VAE refines by."""
        self.load_state_dict(checkpoint["state_dict"])
        step = checkpoint["lid_vae"]["step"]
        if isinstance(self.objective, Scheduled):
            self.objective.advance(max(step - 1, 0), checkpoint["lid_vae"].get("steps", max(step, 1)))

    def calibrate(self, data: TrainingData) -> None:
        """From the training set of ``data``, the statistics that a posterior or likelihood needs for evaluation."""
        if isinstance(self.vae.posterior, CalibratedPosterior):
            self.vae.posterior.calibrate(batch.x for batch in data.batches("train"))
        if isinstance(self.vae.likelihood, CalibratedLikelihood):
            self.vae.likelihood.calibrate(self._draws(data))

    def _draws(self, data: TrainingData) -> Iterator[tuple[Observations, Float[Tensor, "B M"]]]:
        """All of the training set, with one draw of w from each q that the strategy finds; the same every time."""
        for number, (x, _, _) in enumerate(data.batches("train")):
            rng = generator("calibrate", number, device=x.device)
            q = self.infer(x, self.vae.posterior.draw_noise(self.objective.samples, len(x), rng))
            with torch.no_grad():
                yield x, q.sample(self.vae.posterior.draw_noise(1, len(x), rng)).w[0, 0]

    def parameter_group(self, group: Group) -> list[nn.Parameter]:
        """The trainable parameters of a group."""
        parameters = {
            "all": list(self.vae.parameters()),
            "model": self.vae.model_parameters(),
            "posterior": self.vae.posterior_parameters(),
        }[group]
        return [parameter for parameter in parameters if parameter.requires_grad]

    def make_optimizers(self, states: Sequence[dict[str, Any]] | None = None) -> list[torch.optim.Optimizer]:
        """One for each group of the inference strategy, with the ``states`` of a checkpoint where they are given."""
        for group in self.inference.groups:
            if not self.parameter_group(group):
                raise UserError(
                    f"{type(self.inference).__name__} trains the parameters of the {group} apart, and there are none "
                    "here. Use Amortized."
                )
        try:
            made = [self.make_optimizer(self.parameter_group(group)) for group in self.inference.groups]
        except (TypeError, ValueError) as error:
            raise UserError(f"The optimiser refuses its options: {error}. Correct lr= and the like.") from error
        for optimizer, state in zip(made, states or [{}] * len(made), strict=True):
            if state:
                optimizer.load_state_dict(state)
            for settings in optimizer.param_groups:
                settings.setdefault("initial_lr", settings["lr"])
        return made

    def describe(self) -> dict[str, Any]:
        """What a checkpoint says of the model."""
        return {**self.description, "step": self.step, "steps": self.steps}


def _drops(part: nn.Module) -> bool:
    """Whether ``part`` is dropout, or has some within what it computes."""
    return (isinstance(part, _DROPOUT) and part.p > 0) or (
        isinstance(part, nn.RNNBase | nn.MultiheadAttention) and part.dropout > 0
    )
