"""``hydra/launcher: joblib``, ``ray``, ``submitit_local`` and ``submitit_slurm``: configured in conf/hydra/launcher."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

__all__ = ["JoblibLauncher", "RayLauncher", "SubmititLauncher"]


class _ChunkLauncher(Launcher):
    """Runs of a sweep in other processes, ``ensemble.size`` seeds (null: one) as one stack in each."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def cut(self, cfg: DictConfig, seeds: Sequence[int], groups: int) -> Sequence[Sequence[int]]:
        """How the seeds of one of ``groups`` configurations are divided among jobs."""
        from lid_vae.launch.sweeper import divide

        return divide(seeds, OmegaConf.select(cfg, "ensemble.size"), groups, None)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from lid_vae.launch.chunk import launch_chunks

        return launch_chunks(
            self.hydra_context, self.task_function, self.config, job_overrides, initial_job_idx, self.run
        )

    @abstractmethod
    def run(self, chunks: Any) -> Any:
        """The outcomes of the chunks."""


class JoblibLauncher(_ChunkLauncher):
    """Processes of this machine."""

    def run(self, chunks: Any) -> Any:
        from lid_vae.launch.joblib_pool import run_joblib

        return run_joblib(chunks, **self.options)


class RayLauncher(_ChunkLauncher):
    """A Ray cluster."""

    def run(self, chunks: Any) -> Any:
        from lid_vae.launch.ray_cluster import run_ray

        return run_ray(chunks, **self.options)


class SubmititLauncher(_ChunkLauncher):
    """Jobs of a Slurm cluster, or of this machine."""

    def run(self, chunks: Any) -> Any:
        from lid_vae.launch.submitit_queue import run_submitit

        return run_submitit(chunks, **self.options)
