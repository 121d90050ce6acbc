"""A sweep: each combination of options is one run of all its seeds, cut where a launcher spreads seeds over processes.

A failed run is reported at the end and never hides the others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lid_vae import seed_range
from lid_vae.errors import UserError
from lid_vae.launch import manifest
from lid_vae.run.store import Presets, is_finished, locate, without_hydra

__all__ = [
    "RunFailed",
    "Sweep",
    "SweepFailed",
    "configuration",
    "divide",
    "launch_all",
    "parameters",
    "seeds_of",
    "split_seeds",
]

Job = Sequence[str]
Cut = Callable[[DictConfig, Sequence[int], int], Sequence[Sequence[int]]]
"""How the seeds of a configuration, one of so many in the sweep, are divided among jobs."""


class RunFailed(Exception):
    """A job of a sweep failed and has told why.

    ``headline`` is the first line of its error, ``seeds`` that of each seed that failed by its own.
    """

    def __init__(self, headline: str, seeds: Mapping[int, str] | None = None) -> None:
        super().__init__(headline, seeds)  # all of it, so that it crosses processes
        self.headline, self.seeds = headline, dict(seeds or {})

    def __str__(self) -> str:
        return self.headline


class SweepFailed(UserError):
    """Some runs of a sweep failed: the list of them."""


def parameters(params: Mapping[str, object] | None) -> list[str]:
    """The overrides for ``hydra.sweeper.params``, in which ``seed`` may be a range such as ``0-9``."""
    overrides = []
    for key, value in (params or {}).items():
        text = str(value)
        if key == "seed" and seed_range.is_seed_range(text):
            text = seed_range.sweep_text(seed_range.parse(text))
        overrides.append(f"{key}={text}")
    return overrides


def split_seeds(overrides: Sequence[Override]) -> tuple[list[int], list[Override]]:
    """The seeds that are swept over, and the other overrides; none where the last ``seed`` is no list of numbers."""
    own = [override for override in overrides if override.key_or_group == "seed"]
    if not own:
        return [], list(overrides)
    texts = [job[0].partition("=")[2] for batch in BasicSweeper.split_arguments(own[-1:], None) for job in batch]
    seeds = [int(part) for text in texts for part in text.strip("[]").split(",") if part.strip().isdigit()]
    if not seeds:
        return [], list(overrides)
    return seeds, [override for override in overrides if override not in own]


def divide(seeds: Sequence[int], size: int | None, groups: int, devices: int | None) -> list[Sequence[int]]:
    """The seeds of one of ``groups`` configurations, in parts: ``size`` in each (None: one), or given ``devices`` and
    no size, evenly, with enough parts of all groups together for every device.
    """
    if size is None and devices is not None:
        count = min(len(seeds), -(-devices // groups))
        return [seeds[k * len(seeds) // count : (k + 1) * len(seeds) // count] for k in range(count)]
    return [seeds[start : start + (size or 1)] for start in range(0, len(seeds), size or 1)]


class Composed(list[str]):
    """The ``overrides`` of a job whose ``config`` is composed already."""

    def __init__(self, overrides: Sequence[str], config: DictConfig) -> None:
        super().__init__(overrides)
        self.config = config


def configuration(job: Job, compose: Callable[[list[str]], DictConfig]) -> DictConfig:
    """What the overrides of ``job`` are composed to; ``compose`` is asked where that is not known yet."""
    return job.config if isinstance(job, Composed) else compose(list(job))


@dataclass(frozen=True)
class Sweep:
    """What composes the configuration of a job, ``compose`` of its overrides, and its ``presets``."""

    compose: Callable[[list[str]], DictConfig]
    presets: Presets

    def jobs(self, others: Job, seeds: Sequence[int], groups: int, cut: Cut) -> tuple[list[list[str]], manifest.Found]:
        """The jobs of one combination of options, ``others``, for all ``seeds``, and what their experiment is to hold.

        ``cut`` divides the seeds, knowing that the sweep has so many ``groups``, or combinations.

        Seeds whose runs are finished go with the first job. Raises Hydra's error where the options do not compose.
        """
        whole = [*others, *([_seed_option(seeds)] if seeds else [])]
        cfg = self.compose(whole)
        if OmegaConf.select(cfg, "paths.runs") is None or OmegaConf.select(cfg, "seed") is None:
            return [[*others, f"seed={seed}"] for seed in seeds] or [list(others)], {}  # of another program
        if not seeds and not isinstance(cfg.seed, int):
            return [list(others)], {}
        wanted = list(seeds) or [int(cfg.seed)]
        left, found = wanted, {}
        if not manifest.lost_sweep(cfg.hydra):
            try:
                digest, folders = locate(without_hydra(cfg), wanted, self.presets)
                left = [seed for seed in wanted if cfg.get("force") or not is_finished(folders[seed], digest)]
                found = manifest.found(folders)
            except (OmegaConfBaseException, HydraException, UserError, AttributeError, KeyError):
                pass  # its jobs fail, and say why
        if not seeds:
            return [Composed(whole, cfg)], found
        parts = [list(part) for part in cut(cfg, left or wanted, groups)]
        if left:
            parts[0] = sorted({*wanted} - {*left}) + parts[0]
        jobs = [[*others, _seed_option(part)] for part in parts]
        return [Composed(whole, cfg) if job == whole else job for job in jobs], found


def launch_all(
    launcher: Launcher,
    batches: Sequence[Sequence[Job]],
    seeds: Sequence[int],
    sweep: Sweep,
    finish: Callable[[], None] | None = None,
    show: Callable[[manifest.Found], None] | None = None,
) -> list[Sequence[JobReturn]]:
    """Checks and records all jobs, launches every batch and calls ``finish``; raises ``SweepFailed`` if any failed.

    ``batches`` are combinations of options, each to be done for all ``seeds``; ``sweep`` composes them, and
    ``launcher``, which may have a method ``cut`` that divides seeds, takes the jobs of one batch at a time. Where there
    is no ``finish``, ``show`` is called, with the folders of all runs.
    """
    cut: Cut = getattr(launcher, "cut", lambda cfg, seeds, groups: divide(seeds, None, groups, None))
    groups = sum(len(batch) for batch in batches)
    found: manifest.Found = {}
    divided: list[list[list[str]]] = []
    for batch in batches:
        jobs: list[list[str]] = []
        for others in batch:
            own, expected = sweep.jobs(others, seeds, groups, cut)
            # The first line waits for the first job alone; of many the configurations would fill the memory.
            jobs += own if not (jobs or divided) else [list(job) for job in own]
            manifest.join(found, expected)
        divided.append(jobs)
    manifest.record(found)
    results: list[Sequence[JobReturn]] = []
    done = 0
    for jobs in divided:
        results.append(launcher.launch(jobs, initial_job_idx=done))
        done += len(jobs)
    if finish is not None:
        finish()
    elif show is not None:
        show(found)
    failed = [failure for batch in results for result in batch for failure in _failures(result)]
    runs = sum(len(seeds_of(job)) or 1 for jobs in divided for job in jobs)
    if failed:
        rest = "" if len(failed) == runs else "; the others are finished"
        raise SweepFailed("\n".join([f"{len(failed)} of {runs} runs failed{rest}:", *_list_failures(failed)]))
    return results


def seeds_of(job: Job) -> list[int]:
    """The seeds that a job names."""
    texts = [text.removeprefix("seed=").strip("[]") for text in job if text.startswith("seed=")]
    return [int(part) for part in texts[-1].split(",") if part.strip().isdigit()] if texts else []


def _seed_option(seeds: Sequence[int]) -> str:
    return f"seed={seeds[0]}" if len(seeds) == 1 else f"seed=[{','.join(map(str, seeds))}]"


def _failures(result: JobReturn) -> list[tuple[str, str]]:
    """The options and the reason of each run of a job that has failed."""
    if result.status is not JobStatus.FAILED:
        return []
    # The public `return_value` would raise at the first failure and print over the list.
    error, job = result._return_value, list(result.overrides or ())
    others = [text for text in job if not text.startswith("seed=")]
    if isinstance(error, RunFailed) and error.seeds:
        return [(" ".join([*others, f"seed={seed}"]), reason) for seed, reason in error.seeds.items()]
    text = str(error) if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}"
    reason = text.strip().split("\n")[0]
    return [(" ".join([*others, f"seed={seed}"]), reason) for seed in seeds_of(job)] or [(" ".join(job), reason)]


def _list_failures(failed: Sequence[tuple[str, str]]) -> list[str]:
    """A line for each; neighbours that failed alike share what there is to say, after the last of them."""
    lines = []
    for reason, alike in groupby(failed, key=lambda failure: failure[1]):
        jobs = [f"  {job}" for job, _ in alike]
        lines += [*jobs[:-1], f"{jobs[-1]}: {reason}"]
    return lines
