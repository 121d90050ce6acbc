"""What of a run's configuration one groups, sorts and filters by: a dozen names and no tree."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

__all__ = ["CONFIG", "described"]

CONFIG = "config.yaml"
_NAMES = (
    "choices.model", "choices.data", "choices.family", "choices.map", "choices.prior", "choices.objective",
    "choices.inference", "seed", "latent_dimension", "categories", "width", "depth", "data.train_size",
    "data.batch_size", "optimizer.lr", "trainer.max_epochs",
)  # fmt: skip


def described(folder: Path) -> dict[str, Any]:
    """Of the run in ``folder`` the model, data and sizes, each by the last part of its option's name, as far as set."""
    path = folder / CONFIG
    if not path.exists():
        return {}
    whole = OmegaConf.load(path)
    found = {name.rpartition(".")[2]: OmegaConf.select(whole, name) for name in _NAMES}
    return {name: value for name, value in found.items() if value is not None}
