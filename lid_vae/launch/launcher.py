"""Launch the jobs of a sweep: in this process, or on a machine of several GPUs in one process for each of them."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from lid_vae.launch.chunk import Planned, launch_chunks
from lid_vae.launch.joblib_pool import run_joblib, visible_devices
from lid_vae.launch.sweeper import configuration, seeds_of
from lid_vae.seed_range import seed_text
from lid_vae.system.phases import opening

__all__ = ["devices_of", "launch"]

log = logging.getLogger(__name__)


def launch(
    context: HydraContext, task: TaskFunction, config: DictConfig, jobs: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """What each job returned, in the order of ``jobs``, of which the first has the number ``first`` in the sweep.

    ``context``, ``task`` and ``config`` are what Hydra gives a launcher in its ``setup``. Runs that take several
    devices themselves (``trainer.devices``) follow one another.
    """
    opening.close()
    compose = partial(context.config_loader.load_sweep_config, config)
    if len(jobs) > 1 and isinstance(task, Planned) and task.kind == "train":
        devices = devices_of(configuration(jobs[0], compose))
        if devices > 1:
            print(f"The sweep is spread over {devices} GPUs (CUDA_VISIBLE_DEVICES chooses among them).", flush=True)
            return launch_chunks(context, task, config, jobs, first, partial(run_joblib, workers=None, threads=None))
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    returns = []
    for number, job in enumerate(jobs, first):
        composed = configuration(job, compose)
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = number
        log.info(f"#{number}: {' '.join(filter_overrides(_shown(job)))}")
        returns.append(
            run_job(
                hydra_context=context,
                task_function=task,
                config=composed,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
        )
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    return returns


def devices_of(cfg: DictConfig) -> int:
    """How many GPUs the jobs of a sweep may be spread over, which are all like ``cfg``."""
    if OmegaConf.select(cfg, "trainer.devices") != 1 or OmegaConf.select(cfg, "trainer.num_nodes", default=1) != 1:
        return 1
    return len(visible_devices(str(cfg.trainer.accelerator)))


def _shown(job: Sequence[str]) -> list[str]:
    """A job's options, its seeds as a range."""
    seeds = seeds_of(job)
    others = [text for text in job if not text.startswith("seed=")]
    return [*others, f"seed={seed_text(seeds)}"] if seeds else list(job)
