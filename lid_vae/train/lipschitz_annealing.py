"""The decoder's inverse-Lipschitz constant as a function of the training step."""

from typing import Any

import pytorch_lightning as pl

from lid_vae.errors import UserError
from lid_vae.map.composed import ComposedMap
from lid_vae.objective.schedule import Schedule
from lid_vae.train.vae_module import VAEModule

__all__ = ["LipschitzAnnealing"]


class LipschitzAnnealing(pl.Callback):
    """Before each training step, gives the decoder's map the constant that ``schedule`` has for it.

    IL-LIDVAE with annealing (Kinoshita et al. 2023): begin with a constant under which nothing can collapse, then let
    go of it. The constant lies in the map's buffers, so a checkpoint holds the one it was trained with, and its
    certificate says which. Raises ``UserError`` where the map's constant is learned, or the schedule is not positive.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _given_map(pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, VAEModule)
        _given_map(pl_module).set_inverse_lipschitz(self.schedule(pl_module.step, pl_module.steps))


def _given_map(module: pl.LightningModule) -> ComposedMap:
    if not isinstance(module, VAEModule):
        raise UserError(f"callbacks=lipschitz_annealing needs a single run, got {type(module).__name__}.")
    map_ = module.vae.likelihood.map
    if not isinstance(map_, ComposedMap):
        raise UserError(
            f"callbacks=lipschitz_annealing sets the inverse-Lipschitz constant of a decoder map, and "
            f"{type(map_).__name__} has none. Use model=il_lidvae, or map=brenier with map.inverse_lipschitz=1."
        )
    return map_
