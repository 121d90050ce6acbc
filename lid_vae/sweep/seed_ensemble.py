"""Runs that differ in their seed alone, trained together; each leaves what it would leave alone."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ProgressBar

from lid_vae.checkpoint import AtomicCheckpointIO, load_checkpoint
from lid_vae.data.base import DataModule
from lid_vae.denormals import denormals_flushed
from lid_vae.errors import UserError
from lid_vae.interruption import Interruption, interruptible
from lid_vae.lightning import prepare_lightning
from lid_vae.module.loggers import finish_loggers
from lid_vae.process_group import find_group
from lid_vae.run.build import build_callbacks, build_data, build_loggers, build_trainer
from lid_vae.run.fit import Run, fit, open_run, train_claimed
from lid_vae.sweep.ensemble_module import EnsembleModule
from lid_vae.sweep.lock import Claim
from lid_vae.sweep.seed_callbacks import SeedCallbacks
from lid_vae.sweep.seed_measures import Outcome, finish_seeds
from lid_vae.sweep.seed_range import seed_text
from lid_vae.sweep.seed_trainer import Member, SeedTrainer
from lid_vae.train.last_step import LastStep
from lid_vae.train.seed_data import SeedData
from lid_vae.train.stack import obstacle
from lid_vae.train.stopwatch import Stopwatch
from lid_vae.train.vae_module import VAEModule

__all__ = ["Outcome", "train_seeds"]

PROBE = 4


@denormals_flushed()
def train_seeds(cfgs: Sequence[DictConfig]) -> list[Outcome]:
    """Trains configurations that are equal but for their seed; the outcome of each, in their order.

    Finished runs are left alone and unfinished ones go on, as in ``train``. Seeds at the same step train as one stack,
    ``ensemble.size`` of them at most; a model that does not vectorise is trained seed after seed, and says why.
    """
    prepare_lightning()
    runs = [open_run(cfg) for cfg in cfgs]
    with interruptible() as interruption, ExitStack() as locks:
        entries = [_enter(run, interruption, locks) for run in runs]
        outcomes = {number: entry for number, entry in enumerate(entries) if not isinstance(entry, Entry)}
        left = {number: entry for number, entry in enumerate(entries) if isinstance(entry, Entry)}
        if len(left) > 1:
            first = next(iter(left.values())).run
            data = build_data(first.cfg)
            devices = find_group(first.cfg).size
            reason = _obstacle(first, data) if devices == 1 else f"each takes {devices} devices"
            if reason is None:
                for numbers in _stacks(runs, list(left)):
                    if len(numbers) > 1:
                        outcomes |= zip(numbers, _train_fitting([left[k] for k in numbers], data), strict=True)
            else:
                print(f"Seeds {_seeds(left.values())} train one after the other: {reason}.", flush=True)
        for number, entry in left.items():
            if number not in outcomes:
                outcomes[number] = _guarded(entry.train)
    return [outcomes[number] for number in range(len(runs))]


@dataclass(frozen=True)
class Entry:
    """A run to train, with its lock and with what signals ask of all."""

    run: Run
    claim: Claim
    interruption: Interruption

    def train(self) -> float:
        """By itself."""
        return train_claimed(self.run, self.claim, self.interruption)


def _enter(run: Run, interruption: Interruption, locks: ExitStack) -> Entry | Outcome:
    """The run, locked; or its outcome, if it is finished, or left alone."""
    before = run.finished()
    if before is None:
        try:
            claim = locks.enter_context(run.claim())
        except UserError as error:
            return error
        before = run.finished()
        if before is None:
            return Entry(run, claim, interruption)
    return float(before["validation"]["elbo"])


def _train_fitting(entries: Sequence[Entry], data: DataModule) -> list[Outcome]:
    """As one stack, or where memory does not suffice as two of half the size."""
    if len(entries) == 1:
        return [_guarded(entries[0].train)]
    try:
        return _train_stack(entries, data)
    except torch.OutOfMemoryError:
        half = len(entries) // 2
        print(f"The memory does not suffice for {len(entries)} seeds together: {half} at a time.", flush=True)
    return [*_train_fitting(entries[:half], data), *_train_fitting(entries[half:], data)]


def _train_stack(entries: Sequence[Entry], data: DataModule) -> list[Outcome]:
    """Seeds at one step, as one computation."""
    runs = [entry.run for entry in entries]
    seeds = [int(run.cfg.seed) for run in runs]
    print(f"Seeds {seed_text(seeds)} train together (hydra/launcher=basic: one after the other).", flush=True)
    members, progress = _members(runs, data)
    module = EnsembleModule(members)
    interruption = entries[0].interruption

    def save(_: object) -> None:
        for run, member in zip(runs, members, strict=True):
            if member.training:
                member.trainer.save_checkpoint(run.last)

    def check() -> None:
        for entry in entries:
            entry.claim.check()

    unfinished = dict(enumerate(members))
    try:
        first = members[0].checkpoint
        trainer = build_trainer(
            runs[0].cfg,
            [],
            runs[0].folder,
            [*progress, SeedCallbacks(members), LastStep(interruption, save, check)],
            enable_checkpointing=False,
            checkpoint_io=_SharedCheckpoint(first),
        )
        fit(trainer, module, SeedData(data, seeds), None if first is None else runs[0].folder)
        interruption.obey()
        outcomes = {}
        for place, outcome in finish_seeds(runs, members, data):
            outcomes[place] = outcome
            del unfinished[place]
    except BaseException:
        for member in unfinished.values():
            if member.error is None:
                finish_loggers(member.trainer.loggers, None)
        raise
    return [outcomes[place] for place in range(len(runs))]


def _members(runs: Sequence[Run], data: DataModule) -> tuple[list[Member], list[Callback]]:
    """Every seed's module, loggers and callbacks; and the progress bar, one for all."""
    members: list[Member] = []
    progress: list[Callback] = []
    for run in runs:
        module = run.build(data)
        last = run.begin()
        callbacks = [*build_callbacks(run.cfg), Stopwatch()]
        progress = progress or [callback for callback in callbacks if isinstance(callback, ProgressBar)]
        own = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
        trainer = SeedTrainer(module, data, own, build_loggers(run.cfg), run.folder)
        members.append(Member(module, trainer, None if last is None else load_checkpoint(last)))
    return members, progress


def _stacks(runs: Sequence[Run], numbers: Sequence[int]) -> list[list[int]]:
    """Which runs train together: those at the same step, in stacks of even size up to ``ensemble.size``."""
    by_step: dict[int, list[int]] = {}
    for number in numbers:
        last = runs[number].last
        resumes = last.exists() and not runs[number].cfg.force
        by_step.setdefault(load_checkpoint(last)["lid_vae"]["step"] if resumes else 0, []).append(number)
    stacks = []
    for same in by_step.values():
        size = runs[same[0]].cfg.ensemble.size or len(same)
        count = -(-len(same) // size)
        stacks += [same[k * len(same) // count : (k + 1) * len(same) // count] for k in range(count)]
    return stacks


def _obstacle(run: Run, data: DataModule) -> str | None:
    module: VAEModule = run.build(data)
    batch = next(iter(data.batches("valid", PROBE)))
    return obstacle(module, batch.x)


def _guarded(job: Callable[[], float]) -> Outcome:
    """The end of one run, whose errors are its own."""
    try:
        return job()
    except Exception as error:
        return error


def _seeds(entries: Iterable[Entry]) -> str:
    return seed_text([int(entry.run.cfg.seed) for entry in entries])


class _SharedCheckpoint(AtomicCheckpointIO):
    """Gives Lightning the position in training from the checkpoint of one seed; the members hold the rest."""

    def __init__(self, checkpoint: dict[str, Any] | None) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        assert self.checkpoint is not None
        return {**self.checkpoint, "state_dict": {}, "optimizer_states": [], "callbacks": {}}
