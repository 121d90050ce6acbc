"""The mechanics of training: noise by (seed, step), manual optimisation owned by the inference strategy, one ruler."""

from collections.abc import Callable, Iterable
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytorch_lightning as pl
import torch
from torch import nn

from lid_vae.data.base import DataModule
from lid_vae.data.split import Batch
from lid_vae.distribution.approximation import Approximation
from lid_vae.errors import UserError
from lid_vae.inference.base import Bound, Group, Inference
from lid_vae.measure.evaluator import Evaluator
from lid_vae.noise import derive_seed, generator
from lid_vae.objective.base import Objective
from lid_vae.objective.schedule import Schedule
from lid_vae.posterior.base import CalibratedPosterior
from lid_vae.shapes import Bool, Float, Observations, Tensor
from lid_vae.train.compiled import compiled
from lid_vae.train.promise import Promise
from lid_vae.train.training_log import SHOWN, is_logged, training_diverged, validation_diverged, validation_metrics
from lid_vae.vae import VAE
from lid_vae.world import average, sharing, world

__all__ = ["VAEModule"]

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class VAEModule(pl.LightningModule):
    """Trains a ``VAE`` by an ``Objective`` and an ``Inference`` strategy. Abstract: each variant adds its ``promise``.

    Batch ``step`` uses noise from ``generator(seed, "noise", step)``, so a run repeats and resumes exactly. Dropout
    draws from torch's global generator, which is seeded anew at each step for its sake. ``schedule`` multiplies the
    learning rate, by batches. ``gradient_clip`` bounds the gradient (None: not). ``evaluation_samples`` is S
    at validation. ``compile_mode``, set before training, compiles the bound of a step. ``description`` travels in every
    checkpoint, so that it describes itself.
    Raises ``UserError`` if the parts break the variant's promise, and on a loss that is not finite.
    """

    promise: ClassVar[Promise]

    def __init__(
        self,
        vae: VAE,
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
                "Use gradient_clip=null for no bound."
            )
        if evaluation_samples < 2:
            raise UserError(f"Measures need two samples at least, got validation_samples={evaluation_samples}.")
        self.automatic_optimization = False
        self.vae, self.objective, self.inference = vae, objective, inference
        self.make_optimizer, self.schedule = optimizer, schedule
        self.seed, self.gradient_clip = seed, gradient_clip
        self.evaluation_samples, self.labels = evaluation_samples, labels
        self.description = description or {}
        self.step, self.steps = 0, 1
        self.evaluator: Evaluator | None = None
        self.compile_mode: str | None = None
        self._bound: Bound | None = None
        self._drops = any(
            (isinstance(part, nn.Dropout) and part.p > 0) or (isinstance(part, nn.RNNBase) and part.dropout > 0)
            for part in vae.modules()
        )

    def forward(
        self, x: Observations, noise: Float[Tensor, "S K B M"], chosen: Bool[Tensor, ""] | None = None
    ) -> Float[Tensor, " B"]:
        """The objective of each example under the q of the trained strategy, nats; ``chosen`` is for several seeds."""
        return self.objective(self.vae, x, self.inference.posterior(self.vae, self.objective, x, noise), noise)

    def noise(self, step: int, draw: int, batch: int) -> Float[Tensor, "S K B M"]:
        """The noise of the batch of ``step``, or of its ``draw``-th extra one; ``batch`` is this process's share."""
        rng = generator(self.seed, "noise", step, draw, device=self.device)
        rank, size = world()
        noise = self.vae.posterior.draw_noise(self.objective.samples, batch * size, rng)
        return noise if size == 1 else noise[:, :, rank * batch : (rank + 1) * batch]

    def infer(self, x: Observations, noise: Float[Tensor, "S K B M"]) -> Approximation:
        """q for a batch, with the trained inference strategy."""
        with torch.set_grad_enabled(self.inference.needs_gradient):
            return self.inference.posterior(self.vae, self.objective, x, noise)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """The weights of a checkpoint, with the objective as it was then: an annealed one is what SA-VAE refines by."""
        self.load_state_dict(checkpoint["state_dict"])
        step = checkpoint["lid_vae"]["step"]
        self.objective.advance(max(step - 1, 0), checkpoint["lid_vae"].get("steps", max(step, 1)))

    def calibrate(self, data: DataModule) -> None:
        """Lets a posterior that needs it take its statistics for evaluation from the training set."""
        if isinstance(self.vae.posterior, CalibratedPosterior):
            self.vae.posterior.calibrate(batch.x for batch in data.batches("train"))

    def parameter_group(self, group: Group) -> list[nn.Parameter]:
        """The trainable parameters of a group."""
        parameters = {
            "all": list(self.vae.parameters()),
            "model": self.vae.model_parameters(),
            "posterior": self.vae.posterior_parameters(),
        }[group]
        return [parameter for parameter in parameters if parameter.requires_grad]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        for group in self.inference.groups:
            if not self.parameter_group(group):
                raise UserError(
                    f"{type(self.inference).__name__} trains the parameters of the {group} apart, and there are none "
                    "here. Use inference=amortized."
                )
        try:
            return [self.make_optimizer(self.parameter_group(group)) for group in self.inference.groups]
        except (TypeError, ValueError) as error:
            raise UserError(
                f"The optimiser refuses its options: {error}. Correct optimizer.lr and the like."
            ) from error

    def on_train_start(self) -> None:
        self.steps = max(int(self.trainer.estimated_stepping_batches), 1)
        self._bound = compiled(self.forward, self.compile_mode) if self.compile_mode else None
        optimizers = self.optimizers()
        assert isinstance(optimizers, pl.core.optimizer.LightningOptimizer | list)
        listed = optimizers if isinstance(optimizers, list) else [optimizers]
        self._optimizers = dict(zip(self.inference.groups, listed, strict=True))
        self._stepped = {group: self.parameter_group(group) for group in get_args(Group)}
        for optimizer in listed:
            for settings in optimizer.param_groups:
                settings.setdefault("initial_lr", settings["lr"])

    def training_step(self, batch: Batch, batch_index: int) -> None:
        step = self.step
        self.objective.advance(step, self.steps)
        factor = self.schedule(step, self.steps)
        for optimizer in self._optimizers.values():
            for settings in optimizer.param_groups:
                settings["lr"] = factor * settings["initial_lr"]
        if self._drops:
            rank = world().rank
            torch.manual_seed(derive_seed(self.seed, "dropout", step, *([rank] if rank else [])))
        noise = self.noise(step, 0, len(batch.x))
        value = self.inference.update(self._bound or self, batch.x, noise, self._minimise, self._draw)
        self.step = step + 1
        logged = is_logged(step, self.trainer.log_every_n_steps)  # type: ignore[attr-defined]
        if logged or step == 0 or self.device.type == "cpu":
            bound = average(value.mean())
            if not torch.isfinite(bound):
                raise training_diverged(float(bound), step, factor * self._base_rate())
            if logged or step == 0:  # the first for the progress bar alone: Lightning gives it to no logger
                self.log("train/bound", bound, prog_bar=True)
                self.log("train/learning_rate", factor * self._base_rate())

    def on_validation_epoch_start(self) -> None:
        self.calibrate(self.trainer.datamodule)  # type: ignore[attr-defined]
        # Of w beside a z the information takes N^2 densities, and nobody looks at it during training.
        with_w = self.vae.prior.categories is None
        self.evaluator = Evaluator(
            self.vae,
            self.infer,
            self.evaluation_samples,
            self.labels,
            with_w=with_w,
            inference_samples=self.objective.samples,
            world=sharing(len(self.trainer.datamodule.evaluation_loader("valid"))),  # type: ignore[attr-defined]
        )

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        assert self.evaluator is not None
        self.evaluator.update(batch.x, batch.y)

    def on_validation_epoch_end(self) -> None:
        assert self.evaluator is not None
        measures = self.evaluator.compute()
        if not isfinite(measures["elbo"]):
            raise validation_diverged(measures["elbo"], self.step)
        for name, value in validation_metrics(measures).items():
            self.log(name, value, prog_bar=name in SHOWN)
        self.inference.validated(torch.tensor(measures["latent"]["z"]["mi"]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["lid_vae"] = {**self.description, "step": self.step, "steps": self.steps}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.step = checkpoint["lid_vae"]["step"]
        if self._trainer is not None:
            for callback in self._trainer.checkpoint_callbacks:
                _relocate(checkpoint["callbacks"].get(callback.state_key, {}), getattr(callback, "dirpath", None))

    def _draw(self, number: int) -> tuple[Tensor, Tensor]:
        """The ``number``-th extra batch (1, 2, ...) of the present step."""
        stream = self.trainer.datamodule.stream()  # type: ignore[attr-defined]
        x = stream.batch(self.step, draw=number).x
        noise = self.noise(self.step, number, len(x))
        return x.to(noise.dtype) if x.is_floating_point() else x, noise

    def _minimise(self, loss: Tensor, group: Group, chosen: Tensor | None = None) -> None:
        """One step on a group; ``all`` steps every optimiser, under one bound on the whole gradient."""
        assert chosen is None or bool(chosen), "of one run, none is chosen"
        optimizers = list(self._optimizers.values()) if group == "all" else [self._optimizers[group]]
        for optimizer in optimizers:
            optimizer.zero_grad()
        stepped = self._stepped[group]
        # Several processes wait for the gradient of every parameter.
        self.manual_backward(loss, inputs=stepped if world().size == 1 else None)
        if self.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(stepped, self.gradient_clip)
        for optimizer in optimizers:
            optimizer.step()

    def _base_rate(self) -> float:
        return next(iter(self._optimizers.values())).param_groups[0]["initial_lr"]


def _relocate(state: dict[str, Any], folder: str | None) -> None:
    """A checkpoint callback forgets which checkpoint was best when its folder has moved; ``state`` follows the move."""
    old = state.get("dirpath")
    if folder is None or old is None or old == folder:
        return

    def moved(path: str) -> str:
        return str(Path(folder) / Path(path).name) if path else path

    for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
        state[key] = moved(state[key])
    state["best_k_models"] = {moved(path): score for path, score in state["best_k_models"].items()}
    state["dirpath"] = folder
