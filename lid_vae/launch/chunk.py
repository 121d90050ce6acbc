"""Jobs of a sweep for a process of their own: what is sent there is a plan, and what comes back its outcome."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from lid_vae.errors import UserError
from lid_vae.launch.sweeper import RunFailed, configuration
from lid_vae.system.invocation import import_environment, prefix
from lid_vae.system.phases import opening

__all__ = [
    "Chunk",
    "Engine",
    "Outcomes",
    "Planned",
    "default_threads",
    "launch_chunks",
    "lost",
    "set_threads",
    "with_threads",
]

Outcomes = dict[int, float | RunFailed | None]
"""What each job returned, or why it failed, by its number in the sweep."""
Engine = Callable[[list["Chunk"]], Outcomes]
"""Runs chunks in processes; where one is lost its job has failed."""


@runtime_checkable
class Planned(Protocol):
    """A task that plans a job here and carries it out anywhere."""

    kind: str

    def plan(self, cfg: DictConfig) -> Any:
        """The plan of ``cfg``, the composed configuration of a job; raises ``RunFailed`` having told why."""

    def finished(self, plan: Any) -> float | None:
        """The value of the job of a ``plan`` of which nothing is left to do, having said so; None of any other."""

    def carry_out(self, plan: Any, sweep: bool) -> float | None:
        """The value of the job of a ``plan``; raises ``RunFailed`` having told why.

        ``sweep``: whether it is one of several, so that others go on where it fails.
        """


@dataclass(frozen=True)
class Chunk:
    """One job of a sweep, to be carried out in another process.

    ``task`` carries out ``plan``, the job of that ``number`` in the sweep, from the working directory ``folder``, its
    arithmetic by so many ``threads`` (None: as many as the process has).
    """

    task: Planned
    plan: Any
    number: int
    folder: str
    threads: int | None = None

    def __call__(self) -> Outcomes:
        """Carries the job out here; a signal that stops it passes through, as ``Stopped`` or ``KeyboardInterrupt``."""
        os.chdir(self.folder)
        # Bars of several processes would write over each other: a line for each validation instead.
        os.environ["TERM"] = "dumb"
        set_threads(self.threads)
        try:
            return {self.number: self.task.carry_out(self.plan, sweep=True)}
        except RunFailed as error:
            return {self.number: error}

    def checkpoint(self) -> Any:
        """What submitit is to start when it puts this job back into its queue: the same, as finished runs are skipped
        and the others go on from their last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def launch_chunks(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    jobs: Sequence[Sequence[str]],
    first: int,
    engine: Engine,
) -> list[JobReturn]:
    """What each job returned, in their order; what is finished is not sent anywhere.

    ``task`` plans each of ``jobs``, lists of overrides of which the first has the number ``first`` in the sweep, as
    Hydra's ``context`` composes them upon ``config``; ``engine`` carries out what is left. Raises ``UserError`` for
    another program's task.
    """
    if not isinstance(task, Planned):
        programs = f"{prefix('train')} and {prefix('evaluate')}"
        raise UserError(f"These launchers run {programs} alone. Use hydra/launcher=basic.")
    opening.close()
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    os.environ.update(import_environment())
    compose = partial(context.config_loader.load_sweep_config, config)
    outcomes: Outcomes = {}
    chunks = []
    for number, job in enumerate(jobs, first):
        try:
            plan = task.plan(configuration(job, compose))
        except RunFailed as error:
            outcomes[number] = error
            continue
        outcomes[number] = task.finished(plan)
        if outcomes[number] is None:
            chunks.append(Chunk(task, plan, number, os.getcwd()))
    if chunks:
        outcomes |= engine(chunks)
    return [_job_return(job, outcomes[number]) for number, job in enumerate(jobs, first)]


def lost(chunk: Chunk, reason: str) -> Outcomes:
    """The outcome of ``chunk``, whose process has ended without any; of ``reason`` the first line is told."""
    return {chunk.number: RunFailed(reason.strip().split("\n")[0])}


def default_threads(processes: int) -> int:
    """Threads for each of some processes on this machine: what ``OMP_NUM_THREADS`` says, else an equal share."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(asked) if asked.isdigit() and int(asked) > 0 else max(1, cores // max(processes, 1))


def set_threads(count: int | None) -> None:
    """This process's arithmetic by ``count`` threads; None: as it is."""
    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)
        import torch

        torch.set_num_threads(count)


def with_threads(chunks: Sequence[Chunk], count: int | None) -> list[Chunk]:
    """The ``chunks``, each to run with ``count`` threads."""
    return [replace(chunk, threads=count) for chunk in chunks]


def _job_return(job: Sequence[str], outcome: float | RunFailed | None) -> JobReturn:
    status = JobStatus.FAILED if isinstance(outcome, RunFailed) else JobStatus.COMPLETED
    return JobReturn(overrides=list(job), status=status, _return_value=outcome)
