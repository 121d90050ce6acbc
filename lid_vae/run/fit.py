"""Runs: the seeds of one plan trained, resumed, measured and recorded."""

import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ProgressBar

from lid_vae.check.divisible import check_divisible, check_sizes
from lid_vae.check.recipes import check_recipes
from lid_vae.check.resumable import check_position, check_resumable
from lid_vae.data.base import DataModule
from lid_vae.errors import UserError
from lid_vae.log.beforehand import say_size, say_threshold
from lid_vae.log.loggers import finish_loggers
from lid_vae.map.lift import axes_shared
from lid_vae.run.build import (
    build_callbacks,
    build_data,
    build_described,
    build_hooks,
    build_loggers,
    build_trainer,
    training_array,
)
from lid_vae.run.finish import Outcome, finish, measure, superseded_by
from lid_vae.run.names import current, current_checkpoint
from lid_vae.run.permitted import own_packages
from lid_vae.run.plan import MemberPlan, RunPlan
from lid_vae.run.record import summary
from lid_vae.run.store import FAILURE, check_config, finished_bound
from lid_vae.seed_range import seed_text
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.system.denormals import denormals_flushed
from lid_vae.system.files import read_json, remove_unfinished, write_atomic
from lid_vae.system.interruption import Interruption, interruptible
from lid_vae.system.lightning_defaults import prepare_lightning
from lid_vae.system.lock import Claim, LeftAlone, claim
from lid_vae.system.machine_habits import keep_freed_memory
from lid_vae.system.phases import phase
from lid_vae.system.process_group import ProcessGroup, find_group
from lid_vae.train.ensemble import Ensemble, MemberData
from lid_vae.train.hooks.last_step import LastStep
from lid_vae.train.hooks.stopwatch import Elapsed, Stopwatch
from lid_vae.train.member import Hook, Member
from lid_vae.train.position import Position
from lid_vae.train.step.stack import obstacle

__all__ = ["Outcome", "follow", "train"]

FOLLOW = "lid_vae.run.follow"

PROBE = 4


@denormals_flushed()
def train(plan: RunPlan) -> dict[int, Outcome]:
    """Trains every seed of ``plan``, evaluates its best checkpoint and writes its ``result.json``; what came of each.

    Finished runs are left alone unless ``force``; unfinished ones go on from their ``last.ckpt``. Seeds at the same
    step train together, ``plan.size`` of them at most; where the model does not vectorise, one after the other. An
    error of one is its own: it is that seed's outcome. A signal that asks for the end leaves a ``last.ckpt`` of the
    step that it came in, and passes through.
    """
    keep_freed_memory()
    prepare_lightning()
    group = find_group(plan.devices)
    if group.follows:
        return follow(plan)
    with group.declined_unless_led(), interruptible() as interruption, ExitStack() as locks, axes_shared():
        outcomes: dict[int, Outcome] = {}
        left: list[Entry] = []
        for member in plan.members:
            entry = _enter(plan, member, locks)
            if isinstance(entry, Entry):
                left.append(entry)
            else:
                outcomes[member.seed] = entry
        if left:
            check_recipes(current(plan.options), plan.overrides)
            _say_own_parts(plan)
            with phase("loading the data"):
                data = build_data(plan.data)
            check_sizes(data)
            for entry in [entry for entry in left if entry.member.last.exists() and not plan.force]:
                try:
                    _check_last(plan, entry.member, data)
                except UserError as error:
                    outcomes[entry.member.seed] = error
                    left.remove(entry)
            for entries in _groups(plan, left, data, group):
                started = group.external or group.size == 1
                own = group if started else find_group(plan.devices)  # each run starts its own processes
                outcomes |= _train_fitting(plan, entries, data, interruption, own)
    return {member.seed: outcomes[member.seed] for member in plan.members}


@denormals_flushed()
def follow(plan: RunPlan) -> dict[int, Outcome]:
    """Trains along by ``plan`` in a further process of a run over several devices; the outcome, if it has trained."""
    prepare_lightning()
    group = find_group(plan.devices)
    with interruptible() as interruption, group.follow() as said:
        if said is None:
            return {}
        data = build_data(plan.data)
        (member,) = plan.members
        module = build_described(plan, member, data)
        last = None if said["last"] is None else current_checkpoint(load_checkpoint(said["last"]))
        members = [Member(module, build_hooks(member), checkpoint=last)]
        callbacks = [callback for callback in build_callbacks(plan) if not isinstance(callback, ProgressBar)]
        _fit(plan, members, data, interruption, group, [*callbacks, Stopwatch()], [], last)
        ((_, measures),) = measure(plan, members, data)
    return {member.seed: measures if isinstance(measures, Exception) else float(measures["validation"]["elbo"])}


def finished_before(plan: RunPlan, member: MemberPlan) -> float | None:
    """The outcome of a run that is done and need not be done again, which is said."""
    bound = None if plan.force else finished_bound(member.folder, plan.digest)
    if bound is not None:
        print(f"Finished before: {member.folder} (force=true does it again)", flush=True)
        print(summary(read_json(member.result)), flush=True)
    return bound


@dataclass(frozen=True)
class Entry:
    """A run to train, whose lock is held; ``step`` is where it stands."""

    member: MemberPlan
    claim: Claim
    step: int


def _enter(plan: RunPlan, member: MemberPlan, locks: ExitStack) -> Entry | Outcome:
    """The run, locked; or its outcome, if it is finished, or left alone."""
    try:
        before = finished_before(plan, member)
        if before is not None:
            return before
        if not plan.force:
            check_config(member.folder)
        if plan.failed_only and not (member.folder / FAILURE).exists():
            raise LeftAlone(f"{member.folder} has not failed: left alone by retry=failed.")
        held = locks.enter_context(claim(member.folder))
        before = finished_before(plan, member)  # meanwhile, by another process
        if before is not None:
            return before
        last = None if plan.force else _last_checkpoint(plan, member)
        return Entry(member, held, 0 if last is None else last["lid_vae"]["step"])
    except UserError as error:
        return error


def _groups(
    plan: RunPlan, entries: Sequence[Entry], data: DataModule, group: ProcessGroup
) -> Iterator[Sequence[Entry]]:
    """Those that train together: at the same step, of even sizes up to ``plan.size``."""
    reason = None
    if len(entries) > 1:
        reason = f"each takes {group.size} devices" if group.size > 1 else _obstacle(plan, entries[0].member, data)
        if reason is not None:
            seeds = seed_text([entry.member.seed for entry in entries])
            print(f"Seeds {seeds} train one after the other: {reason}.", flush=True)
    by_step: dict[int, list[Entry]] = {}
    for entry in entries:
        by_step.setdefault(entry.step, []).append(entry)
    for same in by_step.values():
        size = 1 if reason is not None else plan.size or len(same)
        count = -(-len(same) // size)
        for k in range(count):
            yield same[k * len(same) // count : (k + 1) * len(same) // count]


def _obstacle(plan: RunPlan, member: MemberPlan, data: DataModule) -> str | None:
    with phase("building the model"):
        module = build_described(plan, member, data)
        return obstacle(module, next(iter(data.batches("valid", PROBE))).x)


def _train_fitting(
    plan: RunPlan, entries: Sequence[Entry], data: DataModule, interruption: Interruption, group: ProcessGroup
) -> dict[int, Outcome]:
    """All together, or where memory does not suffice in two halves."""
    try:
        return _train_together(plan.of([entry.member for entry in entries]), entries, data, interruption, group)
    except torch.OutOfMemoryError as error:
        if len(entries) == 1:
            return {entries[0].member.seed: error}
    except Exception as error:
        return {entry.member.seed: error for entry in entries}
    half = len(entries) // 2
    print(f"The memory does not suffice for {len(entries)} seeds together: {half} at a time.", flush=True)
    first, second = entries[:half], entries[half:]
    outcomes = _train_fitting(plan, first, data, interruption, group)
    return outcomes | _train_fitting(plan, second, data, interruption, group)


def _train_together(
    plan: RunPlan, entries: Sequence[Entry], data: DataModule, interruption: Interruption, group: ProcessGroup
) -> dict[int, Outcome]:
    """The members of ``plan``, at one step, by one training; ``entries`` are theirs."""
    if len(entries) > 1:
        seeds = seed_text([member.seed for member in plan.members])
        print(f"Seeds {seeds} train together (hydra/launcher=basic: one after the other).", flush=True)
    watch = Stopwatch()
    callbacks = [*build_callbacks(plan), watch]
    members: list[Member] = []
    outcomes: dict[int, Outcome] = {}
    with _finished_loggers(members):
        array = training_array(data)
        for own in plan.members:
            with phase("building the model"):
                module = build_described(plan, own, data, array)
            if group.size > 1:
                check_divisible(module, data, group.size)
            if not members:
                say_size(module, data, plan.trainer["max_epochs"], plan.accelerator)
                say_threshold(module, data)
            last = _begin(plan, own)  # all stand at one step: there is one for each, or for none
            members.append(Member(module, _hooks(own, watch), build_loggers(own), last))
        del array
        with group.lead(FOLLOW, plan, None if last is None else plan.members[0].last):
            claims = [entry.claim for entry in entries]
            _fit(plan, members, data, interruption, group, callbacks, claims, last)
            measured = measure(plan, members, data)
            if group.size > 1:
                measured = iter(list(measured))  # all processes take part
        for place, measures in measured:
            member = members[place]
            outcomes[plan.members[place].seed] = finish(plan, plan.members[place], member, data, measures, group.size)
            member.loggers = []  # finished
    return outcomes


def _fit(
    plan: RunPlan,
    members: Sequence[Member],
    data: DataModule,
    interruption: Interruption,
    group: ProcessGroup,
    callbacks: Sequence[pl.Callback],
    claims: Sequence[Claim],
    last: dict[str, Any] | None,
) -> None:
    """What all processes of a run do together; ``last`` is a checkpoint to go on from, of any of the members."""
    training = Ensemble(members, data)
    training.compile_mode, training.capture = plan.compile_mode, plan.capture

    def save(_: object) -> None:
        for place, (own, member) in enumerate(zip(plan.members, members, strict=True)):
            if member.lives:
                training.save_member(place, own.last)

    def check() -> None:
        for held in claims:
            held.check()

    options = group.trainer_options(plan.devices.strategy)
    options["plugins"] = [Position(last, training, callbacks), *options.get("plugins", [])]
    callbacks = [*callbacks, LastStep(interruption, save, check, group.agree)]
    trainer = build_trainer(plan, plan.members[0].folder, callbacks, **options)
    resumed = None if last is None else str(plan.members[0].last)
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(training, MemberData(data, [own.seed for own in plan.members]), ckpt_path=resumed)
    except SystemExit as end:
        # Ctrl-C as KeyboardInterrupt; Lightning would exit with status 1 and ignore later ones.
        if not trainer.interrupted or end.code != 1:
            raise
        signal.signal(signal.SIGINT, handler)
    if trainer.interrupted:
        raise KeyboardInterrupt
    interruption.obey()
    for member in members:
        member.module.to(trainer.strategy.root_device)


def _say_own_parts(plan: RunPlan) -> None:
    """Prints, before training, which parts are no part of this program, and what evaluating them takes."""
    for target, package in own_packages(plan.members[0].config).items():
        print(
            f"{target} is a part of your own: to evaluate the checkpoints, say trust={package} "
            f'(in Python lid_vae.load(path, trust=["{package}"])).',
            flush=True,
        )


def _begin(plan: RunPlan, member: MemberPlan) -> dict[str, Any] | None:
    """Makes the folder ready; the checkpoint from which to go on, if there is one."""
    folder = member.folder
    if plan.force:
        superseded = superseded_by(folder)
        if (folder / "result.json").exists():  # waits until the forced run is finished too
            if superseded.exists():
                shutil.rmtree(superseded)
            folder.rename(superseded)
        elif folder.exists():
            shutil.rmtree(folder)
    (folder / FAILURE).unlink(missing_ok=True)
    remove_unfinished(folder)
    write_atomic(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(member.config))))
    checkpoint = _last_checkpoint(plan, member)
    if checkpoint is not None:
        print(f"Resuming from {member.last}", flush=True)
    return checkpoint


def _last_checkpoint(plan: RunPlan, member: MemberPlan) -> dict[str, Any] | None:
    """From which a run goes on, if there is one. Raises ``UserError`` for a damaged one, or of another run."""
    if not member.last.exists():
        return None
    checkpoint = load_checkpoint(member.last)
    found = checkpoint["lid_vae"]["config_hash"]
    if found != plan.digest:
        raise UserError(
            f"{member.last} belongs to another configuration ({found}, not {plan.digest}). Move it away, or use "
            "force=true."
        )
    check_position(member.last, checkpoint)
    return current_checkpoint(checkpoint)


def _hooks(member: MemberPlan, watch: Stopwatch) -> list[Hook]:
    return [Elapsed(watch), *build_hooks(member)]


def _check_last(plan: RunPlan, member: MemberPlan, data: DataModule) -> None:
    """Refuses by ``UserError`` to go on from what does not fit: no other seed, which trains along, notices."""
    last = _last_checkpoint(plan, member)
    if last is not None:
        check_resumable(member.last, last, build_described(plan, member, data), _hooks(member, Stopwatch()))


@contextmanager
def _finished_loggers(members: Sequence[Member]) -> Iterator[None]:
    """Finishes the loggers that are left as those of failed runs, whatever the way out."""
    try:
        yield
    finally:
        for member in members:
            finish_loggers(member.loggers, None)
