"""Launch the jobs of a sweep in this process, those that differ in their seed alone together."""

import copy
import importlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

from lid_vae.sweep import seed_range

__all__ = ["SeedJob", "launch", "together"]

log = logging.getLogger(__name__)


@runtime_checkable
class SeedJob(Protocol):
    """A task that can run the jobs of several seeds at once, and tells the error of each."""

    kind: str

    def attempt(self, cfg: DictConfig, run: Callable[[], Any]) -> Any:
        """The value of ``run()``, the run of ``cfg``."""


def together(jobs: Sequence[Sequence[str]]) -> list[list[int]]:
    """The numbers of the jobs whose overrides are equal but for the seed, in the order of their first."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, job in enumerate(jobs):
        groups.setdefault(tuple(part for part in job if not part.startswith("seed=")), []).append(number)
    return list(groups.values())


def launch(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    jobs: Sequence[Sequence[str]],
    numbered: Sequence[int],
) -> list[JobReturn]:
    """What each job returned, in the order of ``jobs``; ``numbered`` are their numbers in the whole sweep."""
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    returns: dict[int, JobReturn] = {}
    for numbers in together(jobs):
        configs = {number: _configure(context, config, jobs[number], numbered[number]) for number in numbers}
        seeds = _Seeds(configs) if len(numbers) > 1 and isinstance(task, SeedJob) and task.kind == "train" else None
        for number in numbers:
            if seeds is None or number == numbers[0]:
                log.info(_announcement(jobs, [number] if seeds is None else numbers, numbered))
            returns[number] = run_job(
                hydra_context=context,
                task_function=task if seeds is None else seeds.task(task, number),  # type: ignore[arg-type]
                config=configs[number],
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
            configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    return [returns[number] for number in range(len(jobs))]


def _announcement(jobs: Sequence[Sequence[str]], numbers: Sequence[int], numbered: Sequence[int]) -> str:
    places = seed_range.seed_text([numbered[number] for number in numbers])
    lines = [" ".join(filter_overrides(jobs[number])) for number in numbers]
    return f"#{places}: {lines[0]}" + (f", to {lines[-1]}" if len(lines) > 1 else "")


def _configure(context: HydraContext, config: DictConfig, job: Sequence[str], number: int) -> DictConfig:
    composed = context.config_loader.load_sweep_config(config, list(job))
    with open_dict(composed):
        composed.hydra.job.id = number
        composed.hydra.job.num = number
    return composed


class _Seeds:
    """Runs all its jobs when the first is asked for, and hands each its own outcome."""

    def __init__(self, configs: dict[int, DictConfig]) -> None:
        self.configs = {number: _without_hydra(config) for number, config in configs.items()}
        self.outcomes: dict[int, Any] | None = None

    def task(self, job: SeedJob, number: int) -> TaskFunction:
        """What Hydra is to call for job ``number``."""
        own = self.configs[number]
        return lambda _: job.attempt(own, lambda: self._outcome(number))

    def _outcome(self, number: int) -> Any:
        if self.outcomes is None:
            # Imported here, because plugins are loaded for --help too, which is not to wait for torch.
            ensemble = importlib.import_module("lid_vae.sweep.seed_ensemble")
            self.outcomes = dict(zip(self.configs, ensemble.train_seeds(list(self.configs.values())), strict=True))
        outcome = self.outcomes[number]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def _without_hydra(config: DictConfig) -> DictConfig:
    config = copy.deepcopy(config)
    with read_write(config), open_dict(config):
        del config["hydra"]
    return config
