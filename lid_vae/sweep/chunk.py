"""Runs of a sweep for a process of their own: what is sent there, and what comes back."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from lid_vae.files import read_json
from lid_vae.run.store import is_finished, place
from lid_vae.sweep.launcher import launch, together
from lid_vae.sweep.sweeper import RunFailed

__all__ = [
    "Chunk",
    "Outcomes",
    "Run",
    "default_threads",
    "divide",
    "launch_chunks",
    "lost",
    "set_threads",
    "with_threads",
]

ROOT = Path(__file__).resolve().parents[2]
Outcomes = dict[int, JobReturn]
"""What each job returned, by its number in the sweep."""
Run = Callable[[list["Chunk"], DictConfig], Outcomes]
"""An engine: runs chunks, given the configuration of the first run; where a chunk is lost its jobs have failed."""


@dataclass(frozen=True)
class Chunk:
    """Jobs that differ in their seed alone, to train as one stack in one process, elsewhere."""

    context: HydraContext
    task: TaskFunction
    config: DictConfig
    jobs: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    state: Any
    folder: str
    threads: int | None = None

    def __call__(self) -> Outcomes:
        """Runs the jobs here; a signal that stops them passes through, as ``Stopped`` or ``KeyboardInterrupt``."""
        os.chdir(self.folder)
        # Bars of several processes would write over each other: a line for each validation instead.
        os.environ["TERM"] = "dumb"
        set_threads(self.threads)
        Singleton.set_state(self.state)
        setup_globals()
        returns = launch(self.context, self.task, self.config, self.jobs, self.numbers)
        return {number: _light(result) for number, result in zip(self.numbers, returns, strict=True)}

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
    run: Run,
    devices: int | None = None,
) -> list[JobReturn]:
    """What each job returned, in their order. ``ensemble.size`` seeds make a chunk; null: one, or given ``devices``, as
    many as leave none of them idle.

    What is finished is not sent anywhere. One job is composed for all that differ in their seed.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    # Started by its path and not installed, the program is found by this folder alone.
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    outcomes: Outcomes = {}
    groups: list[tuple[DictConfig, list[int]]] = []
    for positions in together(jobs):
        cfg = context.config_loader.load_sweep_config(config, list(jobs[positions[0]]))
        done = _finished(cfg, jobs, positions)
        outcomes |= {first + position: result for position, result in done.items()}
        if left := [position for position in positions if position not in done]:
            groups.append((cfg, left))
    state, here = Singleton.get_state(), os.getcwd()
    chunks = []
    for cfg, left in groups:
        for part in divide(left, OmegaConf.select(cfg, "ensemble.size"), len(groups), devices):
            chosen = tuple(tuple(jobs[position]) for position in part)
            numbers = tuple(first + position for position in part)
            chunks.append(Chunk(context, task, config, chosen, numbers, state, here))
    if chunks:
        outcomes |= run(chunks, groups[0][0])
    return [outcomes[first + position] for position in range(len(jobs))]


def divide(left: Sequence[int], size: int | None, groups: int, devices: int | None) -> list[Sequence[int]]:
    """The jobs left of one of ``groups``, in chunks: ``size`` in each (None: one), or given ``devices`` and no size,
    evenly, with enough chunks in all groups together for every device.
    """
    if size is None and devices is not None:
        count = min(len(left), -(-devices // groups))
        return [left[k * len(left) // count : (k + 1) * len(left) // count] for k in range(count)]
    return [left[start : start + (size or 1)] for start in range(0, len(left), size or 1)]


def lost(chunk: Chunk, reason: str) -> Outcomes:
    """The outcomes of a chunk whose process has ended without any."""
    error = RunFailed(reason.strip().split("\n")[0])
    return {
        number: JobReturn(overrides=list(job), status=JobStatus.FAILED, _return_value=error)
        for number, job in zip(chunk.numbers, chunk.jobs, strict=True)
    }


def default_threads(processes: int) -> int:
    """Threads for each of some processes on this machine: what ``OMP_NUM_THREADS`` says, else an equal share."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(asked) if asked.isdigit() and int(asked) > 0 else max(1, cores // max(processes, 1))


def set_threads(count: int | None) -> None:
    """Of this process's arithmetic; None: as it is."""
    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)
        import torch

        torch.set_num_threads(count)


def with_threads(chunks: Sequence[Chunk], count: int | None) -> list[Chunk]:
    """The chunks, each to run with so many threads."""
    return [replace(chunk, threads=count) for chunk in chunks]


def _finished(cfg: DictConfig, jobs: Sequence[Sequence[str]], positions: Sequence[int]) -> dict[int, JobReturn]:
    """The outcomes of those jobs whose runs are finished, by their place in ``jobs``."""
    if OmegaConf.select(cfg, "paths.runs") is None or OmegaConf.select(cfg, "choices") is None or cfg.get("force"):
        return {}
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(cfg)
        folder, digest = place(cfg)
    finally:
        HydraConfig.instance().cfg = before
    found = {}
    for position in positions:
        seeds = [part.removeprefix("seed=") for part in jobs[position] if part.startswith("seed=")]
        own = folder.with_name(f"seed-{seeds[-1]}") if seeds else folder
        if is_finished(own, digest):
            bound = read_json(own / "result.json")["validation"]["elbo"]
            found[position] = JobReturn(
                overrides=list(jobs[position]), status=JobStatus.COMPLETED, _return_value=float(bound)
            )
            print(f"Finished before: {own} (force=true does it again)", flush=True)
    return found


def _light(result: JobReturn) -> JobReturn:
    """Less the configurations, which need not travel; an error that cannot be pickled goes as its text."""
    value = result._return_value
    if isinstance(value, BaseException) and not isinstance(value, RunFailed):
        value = RunFailed(f"{type(value).__name__}: {value}")
    return JobReturn(overrides=result.overrides, status=result.status, _return_value=value)
