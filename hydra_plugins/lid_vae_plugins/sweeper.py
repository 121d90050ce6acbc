"""``hydra/sweeper: lid_vae``: the basic sweeper with seed ranges, which carries on when a run fails."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

__all__ = ["LidVaeSweeper", "LidVaeSweeperConfig"]


@dataclass
class LidVaeSweeperConfig:
    _target_: str = "hydra_plugins.lid_vae_plugins.sweeper.LidVaeSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = field(default_factory=dict)
    finish: Any = None


ConfigStore.instance().store(group="hydra/sweeper", name="lid_vae", node=LidVaeSweeperConfig, provider="lid_vae")


class LidVaeSweeper(Sweeper):
    """All combinations of the swept options; ``params`` may hold ``seed: 0-9``, and the command line wins over them.

    ``finish()`` is called when all jobs have ended, well or badly; where there is none, the runs are shown in a table.
    """

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        finish: Callable[[], None] | None = None,
    ) -> None:
        self.max_batch_size = max_batch_size
        self.params = params
        self.finish = finish

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
        from hydra.core.override_parser.overrides_parser import OverridesParser

        from lid_vae.launch import sweeper
        from lid_vae.report.sweep_end import print_runs
        from lid_vae.run.store import Presets

        assert self.hydra_context is not None
        assert self.launcher is not None
        loader, config = self.hydra_context.config_loader, self.config
        assert config is not None
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(
            [*sweeper.parameters(self.params), *arguments]
        )
        seeds, others = sweeper.split_seeds(parsed)
        return sweeper.launch_all(
            self.launcher,
            BasicSweeper.split_arguments(others, self.max_batch_size),
            seeds,
            sweeper.Sweep(lambda job: loader.load_sweep_config(config, job), Presets.of(loader, config.hydra)),
            self.finish,
            print_runs,
        )
