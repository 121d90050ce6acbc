"""The jobs of a sweep in this process, or where it may use several GPUs in one process for each of them."""

from collections.abc import Sequence
from functools import partial

from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from lid_vae.sweep import launcher
from lid_vae.sweep.chunk import launch_chunks
from lid_vae.sweep.joblib_pool import run_joblib, visible_devices

__all__ = ["launch"]


def launch(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    jobs: Sequence[Sequence[str]],
    first: int,
) -> list[JobReturn]:
    """What each job returned, in the order of ``jobs``, of which the first has the number ``first`` in the sweep.

    On several GPUs the seeds of each model are divided evenly, each part one stack on one of them, and models wait for
    their turn. Runs that take several devices themselves (``trainer.devices``) follow one another.
    """
    devices = _devices(context, task, config, jobs)
    if devices < 2:
        return launcher.launch(context, task, config, jobs, range(first, first + len(jobs)))
    print(f"The sweep is spread over {devices} GPUs (CUDA_VISIBLE_DEVICES chooses among them).", flush=True)
    run = partial(run_joblib, workers=None, threads=None)
    return launch_chunks(context, task, config, jobs, first, run, devices)


def _devices(context: HydraContext, task: TaskFunction, config: DictConfig, jobs: Sequence[Sequence[str]]) -> int:
    """How many GPUs the jobs may be spread over."""
    if len(jobs) < 2 or not isinstance(task, launcher.SeedJob) or task.kind != "train":
        return 1
    cfg = context.config_loader.load_sweep_config(config, list(jobs[0]))
    if OmegaConf.select(cfg, "trainer.devices") != 1 or OmegaConf.select(cfg, "trainer.num_nodes", default=1) != 1:
        return 1
    return len(visible_devices(str(cfg.trainer.accelerator)))
