"""``hydra/launcher: seed_ensemble``: the runs of a sweep that differ in their seed alone train together."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

__all__ = ["SeedEnsembleLauncher", "SeedEnsembleLauncherConfig"]


@dataclass
class SeedEnsembleLauncherConfig:
    _target_: str = "hydra_plugins.lid_vae_plugins.seed_ensemble.SeedEnsembleLauncher"


ConfigStore.instance().store(
    group="hydra/launcher", name="seed_ensemble", node=SeedEnsembleLauncherConfig, provider="lid_vae"
)


class SeedEnsembleLauncher(Launcher):
    """Hydra's basic launcher, but for runs that share all options except ``seed``, and for machines of several GPUs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from lid_vae.sweep import spread

        return spread.launch(self.hydra_context, self.task_function, self.config, job_overrides, initial_job_idx)
