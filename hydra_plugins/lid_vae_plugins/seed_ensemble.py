"""``hydra/launcher: seed_ensemble``: the runs of a sweep that differ in their seed alone train together."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

__all__ = ["SeedEnsembleLauncher", "SeedEnsembleLauncherConfig"]


@dataclass
class SeedEnsembleLauncherConfig:
    _target_: str = "hydra_plugins.lid_vae_plugins.seed_ensemble.SeedEnsembleLauncher"


ConfigStore.instance().store(
    group="hydra/launcher", name="seed_ensemble", node=SeedEnsembleLauncherConfig, provider="lid_vae"
)


class SeedEnsembleLauncher(Launcher):
    """Hydra's basic launcher, but for runs of several seeds, and for machines of several GPUs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def cut(self, cfg: DictConfig, seeds: Sequence[int], groups: int) -> Sequence[Sequence[int]]:
        """How the seeds of one of ``groups`` configurations are divided among jobs: enough for every GPU."""
        from lid_vae.launch.launcher import devices_of
        from lid_vae.launch.sweeper import divide

        devices = devices_of(cfg)
        return [seeds] if devices < 2 else divide(seeds, OmegaConf.select(cfg, "ensemble.size"), groups, devices)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from lid_vae.launch import launcher

        return launcher.launch(self.hydra_context, self.task_function, self.config, job_overrides, initial_job_idx)
