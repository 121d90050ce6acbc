"""From a configuration to its objects: data, module, callbacks, loggers and trainer; and its options checked."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.io import CheckpointIO

from lid_vae.checkpoint import AtomicCheckpointIO
from lid_vae.data.base import DataModule
from lid_vae.errors import UserError
from lid_vae.noise import derive_seed, generator
from lid_vae.train.compiled import MODES
from lid_vae.train.vae_module import VAEModule
from lid_vae.vae import VAE

__all__ = [
    "build_callbacks",
    "build_data",
    "build_loggers",
    "build_module",
    "build_trainer",
    "check_options",
    "check_whole",
]

INITIAL_DRAWS = 1000
MATMUL_PRECISIONS = ("highest", "high", "medium")
# Those under ``trainer`` that Lightning does not know.
OWN_TRAINER_OPTIONS = ("matmul_precision", "compile")


def check_options(cfg: DictConfig) -> None:
    """Refuses by ``UserError`` what would be noticed only after training, or never."""
    for name, value, least in (
        ("trainer.max_epochs", cfg.trainer.max_epochs, 1),
        ("trainer.check_val_every_n_epoch", cfg.trainer.check_val_every_n_epoch, 1),
        ("samples", cfg.samples, 2),
        ("width", cfg.width, 1),
        ("latent_dimension", cfg.latent_dimension, 1),
        ("categories", cfg.categories, 1),
    ):
        check_whole(name, value, least)
    if cfg.ensemble.size is not None:
        check_whole("ensemble.size", cfg.ensemble.size, 1)
    if cfg.retry not in (None, "failed"):
        raise UserError(f"retry={cfg.retry} is not known. Use retry=failed, or leave it out to do all that is left.")
    if cfg.trainer.matmul_precision not in MATMUL_PRECISIONS:
        raise UserError(
            f"trainer.matmul_precision={cfg.trainer.matmul_precision} is not known. "
            f"Use one of {', '.join(MATMUL_PRECISIONS)}."
        )
    compile_mode(cfg.trainer.compile)


def compile_mode(value: object) -> str | None:
    """What ``trainer.compile`` asks for: a mode of ``torch.compile``, or None. Raises ``UserError`` on another."""
    if value is True:
        return MODES[0]
    if not value:
        return None
    if value not in MODES:
        raise UserError(f"trainer.compile={value} is not known. Use true, false or one of {', '.join(MODES)}.")
    return str(value)


def check_whole(name: str, value: object, least: int) -> None:
    """Refuses by ``UserError`` what is not a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name}={value} must be a whole number, at least {least}. Use {name}={least} or more.")


def build_data(cfg: DictConfig) -> DataModule:
    """The data module of ``cfg.data``, downloaded where need be, and loaded."""
    data = instantiate(cfg.data)
    data.prepare_data()
    data.setup()
    return data


def build_module(cfg: DictConfig, data: DataModule | None, shape: list[int], labels: int | None) -> VAEModule:
    """The LightningModule of ``cfg``, its weights a function of ``cfg.seed``.

    ``shape`` is that of one example: (D,) or (height, width). With ``data``, what the model takes from the training set
    before training (output bias, directions of ``lift=pca``) is set; without, a checkpoint brings it.
    Raises ``UserError`` where parts do not fit.
    """
    features = 1
    for size in shape:
        features *= size
    if cfg.latent_dimension > features:
        raise UserError(
            f"latent_dimension={cfg.latent_dimension} exceeds the {features} dimensions of the data. "
            f"Use latent_dimension={features} or less."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(int(cfg.seed), "initialise"))
        prior = instantiate(cfg.prior)
        likelihood = instantiate(cfg.likelihood)(instantiate(cfg.map), cfg.latent_dimension, features)
        posterior = instantiate(cfg.family)(shape, prior.latent_dimension, prior.categories, prior.support)
        if cfg.get("posterior") is not None:
            posterior = instantiate(cfg.posterior)(posterior)
        vae = VAE(prior, likelihood, posterior)
    if data is not None:
        _check_data(likelihood.binary, data)
        _check_categories(cfg, prior.categories, data)
        if (array := data.training_array()) is not None:
            likelihood.map.align(array)
        with torch.no_grad():
            w = prior().sample(INITIAL_DRAWS, generator(int(cfg.seed), "initialise bias"))
        likelihood.eval().initialise(data.mean(), w)  # without dropout
        likelihood.train()
    return instantiate(cfg.model)(
        vae=vae,
        objective=instantiate(cfg.objective),
        inference=instantiate(cfg.inference),
        optimizer=instantiate(cfg.optimizer),
        schedule=instantiate(cfg.schedule),
        seed=int(cfg.seed),
        gradient_clip=cfg.gradient_clip,
        labels=labels,
        evaluation_samples=int(cfg.get("validation_samples", 2)),  # older checkpoints do not say
    )


def build_loggers(cfg: DictConfig) -> list[Logger]:
    """Those of ``cfg.logger``."""
    return list((instantiate(cfg.logger) or {}).values())


def build_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """Those of ``cfg.callbacks``."""
    return list(instantiate(cfg.callbacks).values())


def build_trainer(
    cfg: DictConfig,
    loggers: list[Logger],
    folder: Path,
    callbacks: list[pl.Callback],
    checkpoint_io: CheckpointIO | None = None,
    **options: Any,
) -> pl.Trainer:
    """The trainer of ``cfg``; ``options`` are further ones of Lightning's, and win."""
    interval = _validation_interval(cfg.trainer.max_epochs, cfg.trainer.check_val_every_n_epoch)
    settings = {**options, "plugins": [checkpoint_io or AtomicCheckpointIO(), *options.get("plugins", [])]}
    torch.set_float32_matmul_precision(cfg.trainer.matmul_precision)
    node = {key: value for key, value in cfg.trainer.items() if key not in OWN_TRAINER_OPTIONS}
    try:
        return instantiate(node)(
            check_val_every_n_epoch=interval,
            callbacks=callbacks,
            logger=loggers,
            default_root_dir=str(folder),
            **settings,
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"The trainer refuses its options: {error} Correct those under trainer.") from error


def _check_data(binary: bool, data: DataModule) -> None:
    if binary and data.image_shape is None:
        raise UserError(
            f"A Bernoulli likelihood needs values in [0, 1], and {data.name} has real ones. Use likelihood=gaussian."
        )


def _check_categories(cfg: DictConfig, categories: int | None, data: DataModule) -> None:
    if categories is None:
        return
    if categories > len(data.train):
        raise UserError(
            f"categories={categories} are more than the {len(data.train)} training examples of {data.name}, so that "
            f"some would never be used. Use fewer categories, or more data."
        )
    labels = data.label_count
    if labels is not None and categories > labels and not cfg.extra_categories:
        raise UserError(
            f"categories={categories} are more than the {labels} classes of {data.name}. Use categories={labels} or "
            f"fewer, or say that you mean it with extra_categories=true."
        )


def _validation_interval(epochs: int, interval: int) -> int:
    """The largest divisor of ``epochs`` up to ``interval``, so that the last epoch is validated too."""
    return max(k for k in range(1, max(min(epochs, interval), 1) + 1) if epochs % k == 0)
