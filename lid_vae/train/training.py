"""One training of one member or many, as Lightning drives it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lid_vae.data.split import Batch
from lid_vae.data.stream import DrawsAhead, Stream
from lid_vae.inference.base import Group, Informed, Update
from lid_vae.measure.evaluator import Evaluator
from lid_vae.noise import derive_seed
from lid_vae.shapes import Tensor
from lid_vae.shown import BY_DIMENSION, CORE, logged
from lid_vae.system.processes import average, process_place, sharing
from lid_vae.train.curves import Curves
from lid_vae.train.member import BeforeFit, BeforeStep, Member, Settled, Validated
from lid_vae.train.member_checkpoint import member_checkpoint
from lid_vae.train.step.ahead import Ahead
from lid_vae.train.step.captured import Captured, captured_step
from lid_vae.train.step.compiled import compiled
from lid_vae.train.step.seed_measures import SeedMeasures
from lid_vae.train.step.spans import Spans, longest_span
from lid_vae.train.step.stack import Stack
from lid_vae.train.step.take_step import Bound, take_step
from lid_vae.train.step.together import Alone, Together
from lid_vae.train.training_data import TrainingData
from lid_vae.train.training_log import is_logged, training_diverged, validation_diverged

__all__ = ["Training"]

# Of the validation what Lightning itself sees, without errors, and what its progress bar shows.
CURVES = tuple(f"valid/{number.curve}" for number in CORE if number.curve is not None)
PROGRESS = ("train/bound", "valid/bound", "valid/active_units", "valid/mutual_information")


class Training(pl.LightningModule, ABC):
    """Trains every member as it would train alone: own weights, data, noise, clipping, metrics and checkpoints.

    One alone is called plainly, several as one computation. What Lightning's own callbacks and loggers see are means
    over the members. Where there are several, one that fails is left where it is, with its error, and the others do not
    notice; training ends when none lives. Dropout draws from torch's global generator, which is seeded anew at each
    step for its sake. ``compile_mode``, set before training, compiles the bound of a step; unless ``capture`` is false,
    a GPU replays it with its gradient as a CUDA graph, and where ``in_spans`` Lightning sees ``spans`` of steps there.
    """

    together: Together
    _stream: Stream | None

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.step, self.steps = 0, 1
        self.spans, self._stream = Spans(1), None
        self.in_spans, self.capture = False, True
        self.compile_mode: str | None = None
        self._captured: Captured | None = None
        self._ahead: Ahead | None = None

    @property
    @abstractmethod
    def members(self) -> Sequence[Member]:
        """The members, all at one step, in a fixed order."""

    @property
    @abstractmethod
    def data(self) -> TrainingData:
        """What they are trained on and validated by."""

    @abstractmethod
    def extra_batch(self, draw: int) -> Tensor:
        """x of the ``draw``-th extra batch (1, 2, ...) of the present step, of each member's own data."""

    @property
    def living(self) -> list[Member]:
        """Those that train."""
        return [member for member in self.members if member.lives]

    def on_fit_start(self) -> None:
        self.spans, self._stream, self._ahead = Spans(1), None, None
        if self.trainer.ckpt_path is None and self.trainer.global_step == 0:
            self._stand_at(0)  # a fit that goes on from nothing is a training of its own

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Lightning has moved the modules to its device: they are stacked there."""
        modules = [member.module for member in self.members]
        self.together = Alone(modules[0]) if len(modules) == 1 else Stack(modules)
        return self.together.optimizers([member.optimizer_states for member in self.members])

    def cut(self, stream: Stream) -> Spans:
        """How Lightning is to see the steps of an epoch of ``stream``: on a device that replays them in spans.

        Elsewhere, and unless ``in_spans``, one by one.
        """
        size = longest_span(self.trainer, self.members[0].module) if self.in_spans and self.capture else 1
        self._stream, self.spans = stream, Spans(len(stream), size)
        return self.spans

    def on_train_start(self) -> None:
        self.steps = max(int(self.trainer.estimated_stepping_batches), 1)
        if self.spans.size > 1:
            self.steps = self.spans.length * int(self.trainer.max_epochs or 1)
        self._bound: Bound = self.together.forward
        if self.compile_mode:
            self._bound = compiled(self.together.forward, self.compile_mode)
        if self.capture:
            self._captured = captured_step(
                self.together, self._bound, self.trainer, lambda: len(self.living) == len(self.members)
            )
        if self.spans.size > 1 and isinstance(self._stream, DrawsAhead) and self.members[0].module.counts:
            self._ahead = Ahead(self.together, self._stream.x_ahead, alone=len(self.members) == 1)
        optimizers = self.optimizers()
        listed = optimizers if isinstance(optimizers, list) else [optimizers]
        self._optimizers: dict[Group, Any] = dict(zip(self.together.inference.groups, listed, strict=True))
        found = [(m, [hook for hook in m.hooks if isinstance(hook, BeforeStep)]) for m in self.members]
        self._before_step = [(member, hooks) for member, hooks in found if hooks]
        for place, member in enumerate(self.members):
            member.module.steps = self.steps
            member.data, member.together = self.data, len(self.members)
            member.save = lambda path, place=place: self.save_member(place, path)  # type: ignore[misc]
            member.forget = lambda place=place: self.together.forget(place)  # type: ignore[misc]
            with self._apart(member):
                for hook in member.hooks:
                    if isinstance(hook, BeforeFit):
                        hook.before_fit(member)
        self._end_if_none_lives()

    def on_train_end(self) -> None:
        self._captured = self._ahead = self._stream = None  # their memory is the device's, and graphs cannot be copied

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """Takes the steps of a span, of which ``batch`` is the first's."""
        first, taken = self.step, []
        for step in range(first, self.spans.end(first)):
            if self._captured is not None and (step == first or self._before_step):
                self._captured.look()
            taken.append(self._take(batch if step == first and self._ahead is None else None))
        self._tell(first, taken)

    def on_validation_epoch_start(self) -> None:
        loader = self.data.evaluation_loader("valid")
        for member in self.living:
            with self._apart(member):
                member.module.calibrate(self.data)
                place = sharing(len(loader))
                # Of the bound alone, on the whole split: it chooses the best checkpoint.
                member.evaluator = Evaluator(
                    member.module.vae,
                    member.module.infer,
                    member.module.evaluation_samples,
                    with_w=False,
                    inference_samples=member.module.objective.samples,
                    place=place,
                )
                member.curves = Curves(member.module, len(self.data.valid), self._rows_between_validations(), place)
        if len(self.members) > 1:
            assert isinstance(self.together, Stack)
            alive = {place: member for place, member in enumerate(self.members) if member.lives}
            SeedMeasures(self.together, {place: m.evaluator for place, m in alive.items() if m.evaluator is not None})
            curves = {place: m.curves.evaluator for place, m in alive.items() if m.curves is not None}
            SeedMeasures(self.together, curves)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        for member in self.living:
            with self._apart(member):
                assert member.evaluator is not None
                member.evaluator.update(batch.x, batch.y)
        for member in self.living:
            with self._apart(member):
                assert member.curves is not None
                member.curves.update(batch)

    def on_validation_epoch_end(self) -> None:
        information = torch.full((len(self.members),), float("nan"))
        rows = []
        for place, member in enumerate(self.members):
            if not member.lives:
                continue
            with self._apart(member):
                assert member.evaluator is not None
                assert member.curves is not None
                whole = member.evaluator.compute()
                measures = member.curves.compute(whole)
                member.evaluator = member.curves = None  # they hold on to the stack
                if not isfinite(whole["elbo"]):
                    raise validation_diverged(whole["elbo"], self.step)
                metrics = logged(measures, "valid")
                member.log({**metrics, **_by_dimension(measures["latent"])}, self.step - 1, self.current_epoch)
                information[place] = metrics["valid/mutual_information"]
                rows.append({name: metrics[name] for name in CURVES if name in metrics})
        inference = self.together.inference
        if isinstance(inference, Informed):
            alone = len(self.members) == 1
            inference.validated(information.squeeze(0) if alone else information.to(self.device))
        self._show(rows)

    def on_validation_end(self) -> None:
        for member in self.living:
            with self._apart(member):
                for hook in member.hooks:
                    if isinstance(hook, Validated):
                        hook.validated(member)
        for member in self.living:
            with self._apart(member):
                for hook in member.hooks:
                    if isinstance(hook, Settled):
                        hook.settled(member)
        self._end_if_none_lives()

    def save_member(self, place: int, path: Path) -> None:
        """Writes the checkpoint of the member at a ``place`` to ``path``, and what it has logged until then.

        Called in all processes of a run, of which the first writes.
        """
        trainer = self.trainer
        self.members[place].keep()
        if trainer.is_global_zero:
            trainer.strategy.checkpoint_io.save_checkpoint(self.checkpoint(place), path)  # type: ignore[attr-defined]
        trainer.strategy.barrier("lid_vae.save")

    def checkpoint(self, place: int) -> dict[str, Any]:
        """What the member at a ``place`` needs to go on, by itself or with others: a checkpoint of Lightning's form."""
        return member_checkpoint(self.trainer, self.members[place], self.together.optimizer_states(place), self.spans)

    def _rows_between_validations(self) -> int:
        """Of one member, in training."""
        trainer = self.trainer
        batches = self.spans.length if self.spans.size > 1 else trainer.num_training_batches
        batches = float(batches) * float(trainer.check_val_every_n_epoch or 1)
        return int(min(batches, self.steps) * self.data.batch_size)

    def _take(self, batch: Batch | None) -> tuple[Tensor, float]:
        """One step, on ``batch`` or the next one of the stream; each member's bound before it, and the rate."""
        step, lead = self.step, self.members[0].module
        for member, hooks in self._before_step:
            if member.lives:
                with self._apart(member):
                    for hook in hooks:
                        hook.before_step(member)
        self.together.advance(step, self.steps)
        factor = lead.schedule(step, self.steps)
        for optimizer in self._optimizers.values():
            for settings in optimizer.param_groups:
                settings["lr"] = factor * settings["initial_lr"]
        if lead.drops:
            rank = process_place().rank
            torch.manual_seed(derive_seed(lead.seed, "dropout", step, *([rank] if rank else [])))
        x, noise = self._extra(0) if batch is None else (batch.x, self._noise(0, batch.x))
        updates = self.together.inference.updates()
        if self._captured is not None:
            updates = self._captured.following(updates)
        value = take_step(updates, self._captured or self._bound, self._minimise, x, noise, self._extra)
        self._stand_at(step + 1)
        rate = factor * next(iter(self._optimizers.values())).param_groups[0]["initial_lr"]
        return average(value.mean(-1)), rate

    def _stand_at(self, step: int) -> None:
        """``step`` is the next one."""
        self.step = step
        for member in self.living:
            member.module.step = step

    def _noise(self, draw: int, x: Tensor) -> Tensor:
        return self.together.noise(self.step, draw, x.shape[0 if len(self.members) == 1 else 1])

    def _extra(self, draw: int) -> tuple[Tensor, Tensor]:
        if self._ahead is not None:
            return self._ahead(self.step, draw, self.spans.end(self.step))
        x = self.extra_batch(draw)
        noise = self._noise(draw, x)
        return x.to(noise.dtype) if x.is_floating_point() else x, noise

    def _minimise(self, loss: Tensor, update: Update) -> None:
        """One step of the members of ``update``; ``all`` steps every optimiser, under one bound on the gradient."""
        if self._captured is None or not self._captured.take_gradients():
            self.together.differentiate(loss, update.group, self.manual_backward)
        chosen = [True] * len(self.members) if update.members is None else update.members.reshape(-1).tolist()
        self.together.choose([one and member.lives for one, member in zip(chosen, self.members, strict=True)])
        moved = self._captured is not None and self._captured.take_move()
        for optimizer in self._optimizers.values() if update.group == "all" else [self._optimizers[update.group]]:
            if moved:  # Lightning counts the steps of its optimisers
                optimizer._on_before_step()
                optimizer._on_after_step()
            else:
                optimizer.step()

    def _tell(self, first: int, taken: Sequence[tuple[Tensor, float]]) -> None:
        """Whether the bounds of the steps from ``first`` on are finite, and into the logs with them.

        A device that works by itself is waited for once a span, or where something is due.
        """
        interval = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if len(taken) == 1 and self.device.type != "cpu" and first > 0 and not is_logged(first, interval):
            return
        rows: list[dict[str, float]] = []
        bounds = torch.stack([bound.reshape(-1) for bound, _ in taken]).tolist()
        for step, (found, (_, rate)) in enumerate(zip(bounds, taken, strict=True), first):
            due, last = is_logged(step, interval), step == first + len(taken) - 1
            shown = []
            for bound, member in zip(found, self.members, strict=True):
                if not member.lives:
                    continue
                with self._apart(member, step):
                    if not isfinite(bound):
                        raise training_diverged(bound, step, rate)
                    shown.append({"train/bound": bound, "train/learning_rate": rate})
                    if due:
                        member.log(shown[-1], step, self.current_epoch)
            if due or step == 0 or (last and len(taken) > 1):
                rows = shown
        self._show(rows)  # those that are not due for the progress bar alone: Lightning gives them to no logger

    def _show(self, rows: list[dict[str, float]]) -> None:
        """Means over the members, for what Lightning itself calls."""
        for name in rows[0] if rows else ():
            mean = sum(row[name] for row in rows) / len(rows)
            self.log(name, mean, prog_bar=name in PROGRESS)

    @contextmanager
    def _apart(self, member: Member, step: int | None = None) -> Iterator[None]:
        """What is done here for this member alone: where it has siblings, an error ends it and no other.

        ``step`` is the one that it is about (None: the latest).
        """
        try:
            yield
        except Exception as error:
            if len(self.members) == 1:
                raise
            member.error = error
            at = self.step if step is None else step + 1
            print(f"seed {member.module.seed} has failed at step {at}; the others go on", flush=True)
            self._end_if_none_lives()

    def _end_if_none_lives(self) -> None:
        if not self.living:
            self.trainer.should_stop = True


def _by_dimension(latent: Mapping[str, Any]) -> dict[str, float]:
    """KL of each dimension of w, or of z where that is all there is; nothing where it is not measured."""
    values = latent.get("w", latent["z"]).get("kl_by_dimension", ())
    return {f"{BY_DIMENSION}{number:03d}": value for number, value in enumerate(values)}
