"""Several seeds of one model as one LightningModule: a step of all of them is one computation."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import pytorch_lightning as pl
import torch

from lid_vae.data.split import Batch
from lid_vae.inference.base import Group
from lid_vae.shapes import Bool, Float, Tensor
from lid_vae.sweep.seed_optimizer import SeedOptimizer
from lid_vae.sweep.seed_range import seed_text
from lid_vae.sweep.seed_trainer import Member
from lid_vae.train.compiled import compiled
from lid_vae.train.seed_data import SeedData
from lid_vae.train.seed_looks import SeedLooks
from lid_vae.train.stack import Stack
from lid_vae.train.training_log import SHOWN, is_logged, training_diverged, validation_diverged, validation_metrics

__all__ = ["EnsembleModule"]


class EnsembleModule(pl.LightningModule):
    """Trains every member as it would train alone: own weights, data, noise, clipping, metrics and checkpoints.

    A member whose bound is no longer finite is left where it is, with its error; the others do not notice.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__()
        self.automatic_optimization = False
        # Nothing is registered: the members' weights go where ``configure_optimizers`` puts them.
        self.members = list(members)
        self.step, self.steps = self.members[0].module.step, 1
        self.seed = seed_text([member.module.seed for member in self.members])

    def configure_optimizers(self) -> list[SeedOptimizer]:
        """Lightning has moved this module to its device: the members follow, and are stacked there."""
        for member in self.members:
            member.module.to(self.device)
            self.trainer.precision_plugin.convert_module(member.module)
        self.stack = Stack([member.module for member in self.members])
        for member in self.members:
            member.module.eval()  # it trains as a part of the stack
        self.names = {group: self.stack.group(group) for group in ("all", "model", "posterior")}
        for member in self.members:
            member.trainer.steppers = member.module.configure_optimizers()
            for optimizer in member.trainer.steppers:
                for settings in optimizer.param_groups:
                    settings.setdefault("initial_lr", settings["lr"])
            if member.checkpoint is not None:
                states = member.checkpoint["optimizer_states"]
                for optimizer, state in zip(member.trainer.steppers, states, strict=True):
                    optimizer.load_state_dict(state)
        lead = self.members[0].module
        joint = [
            lead.make_optimizer([self.stack.parameters[name] for name in self.names[group]])  # type: ignore[misc]
            for group in self.stack.inference.groups
        ]
        together = zip(*(member.trainer.steppers for member in self.members), strict=True)
        return [SeedOptimizer(optimizers, stacked) for optimizers, stacked in zip(together, joint, strict=True)]

    def on_train_start(self) -> None:
        self.steps = max(int(self.trainer.estimated_stepping_batches), 1)
        for member in self.members:
            member.module.steps = self.steps
        mode = self.members[0].module.compile_mode
        self.bound = compiled(self.stack.forward, mode) if mode else self.stack.forward
        wrapped = self.optimizers()
        listed = wrapped if isinstance(wrapped, list) else [wrapped]
        self._optimizers: dict[Group, Any] = dict(zip(self.stack.inference.groups, listed, strict=True))

    def training_step(self, batch: Batch, batch_index: int) -> None:
        stack, step, lead = self.stack, self.step, self.members[0].module
        stack.advance(step, self.steps)
        factor = lead.schedule(step, self.steps)
        for optimizer in self._optimizers.values():
            for settings in optimizer.param_groups:
                settings["lr"] = factor * settings["initial_lr"]
        noise = self._noise(step, 0, batch.x.shape[1])
        value = stack.inference.update(self.bound, batch.x, noise, self._minimise, self._draw)
        self.step = step + 1
        for member in self.members:
            if member.training:
                member.module.step = self.step
        logged = is_logged(step, self.trainer.log_every_n_steps)  # type: ignore[attr-defined]
        if logged or step == 0 or self.device.type == "cpu":
            self._look(value.mean(-1).tolist(), step, factor, logged)

    def on_validation_epoch_start(self) -> None:
        for member in self.members:
            if member.training:
                with member.own():
                    member.module.on_validation_epoch_start()
        evaluators = {place: member.module.evaluator for place, member in enumerate(self.members) if member.training}
        SeedLooks(self.stack, {place: found for place, found in evaluators.items() if found is not None})

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        for member in self.members:
            if member.training:
                with member.own():
                    member.module.validation_step(batch, batch_index)

    def on_validation_epoch_end(self) -> None:
        information = torch.full((len(self.members),), float("nan"))
        logged = []
        for number, member in enumerate(self.members):
            if not member.training:
                continue
            with member.own():
                assert member.module.evaluator is not None
                measures = member.module.evaluator.compute()
                member.module.evaluator = None  # it holds on to the stack, and a copy of the module would take both
                if not isfinite(measures["elbo"]):
                    raise validation_diverged(measures["elbo"], self.step)
                metrics = validation_metrics(measures)
                member.log(metrics, self.step - 1)
                information[number] = measures["latent"]["z"]["mi"]
                logged.append(metrics)
        self.stack.inference.validated(information.to(self.device))
        self._show(logged)

    def _look(self, bounds: list[float], step: int, factor: float, logged: bool) -> None:
        """Whether the bounds of step ``step`` are finite, and into the logs with them."""
        rows = []
        for bound, member in zip(bounds, self.members, strict=True):
            if not member.training:
                continue
            rate = factor * member.trainer.steppers[0].param_groups[0]["initial_lr"]
            if not isfinite(bound):
                member.fail(training_diverged(bound, step, rate))
                continue
            rows.append({"train/bound": bound, "train/learning_rate": rate})
            if logged:
                with member.own():
                    member.log(rows[-1], step)
        if logged or step == 0:
            self._show(rows)

    def _show(self, rows: list[dict[str, float]]) -> None:
        """Means over the seeds, for the progress bar."""
        for name in rows[0] if rows else ():
            mean = sum(row[name] for row in rows) / len(rows)
            self.log(name, mean, prog_bar=name in (*SHOWN, "train/bound"))

    def _noise(self, step: int, draw: int, batch: int) -> Tensor:
        return torch.stack([member.module.noise(step, draw, batch) for member in self.members])

    def _draw(self, number: int) -> tuple[Tensor, Tensor]:
        """The ``number``-th extra batch of the present step, for every seed."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, SeedData)
        x = data.streams().batch(self.step, draw=number).x
        noise = self._noise(self.step, number, x.shape[1])
        return x.to(noise.dtype), noise

    def _minimise(self, loss: Float[Tensor, " N"], group: Group, chosen: Bool[Tensor, " N"] | None = None) -> None:
        """One step of the chosen seeds on a group, each under its own bound on the gradient's norm."""
        leaves = self.stack.parameters
        for leaf in leaves.values():
            leaf.grad = None
        names = self.names[group]
        # The sum's gradient in a seed's parameters is that of the seed's own loss.
        self.manual_backward(loss.sum(), inputs=[leaves[name] for name in names])
        self._clip([leaves[name].grad for name in names])
        stepping = [True] * len(self.members) if chosen is None else chosen.tolist()
        stepping = [step and member.training for step, member in zip(stepping, self.members, strict=True)]
        groups: tuple[Group, ...] = tuple(self._optimizers) if group == "all" else (group,)
        for chosen_group in groups:
            wrapped = self._optimizers[chosen_group]
            wrapped.optimizer.stepping = stepping
            wrapped.optimizer.over = [not member.training for member in self.members]
            wrapped.step()

    def _clip(self, gradients: list[Tensor | None]) -> None:
        limit = self.members[0].module.gradient_clip
        present = [gradient for gradient in gradients if gradient is not None]
        if limit is None or not present:
            return
        norms = [
            torch.linalg.vector_norm(gradient.flatten(1) if gradient.ndim > 1 else gradient.unsqueeze(1), dim=1)
            for gradient in present
        ]
        factor = (limit / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp_max(1.0)
        for gradient in present:
            gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
