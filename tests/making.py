"""Small models of every kind, on small data of every kind, and short training runs of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from lid_vae.data.array.array_data_module import ArrayDataModule, Corpus
from lid_vae.data.split import Split
from lid_vae.noise import generator
from lid_vae.run.build import build_data, build_module
from lid_vae.run.plan import Parts
from lid_vae.system.lightning_defaults import prepare_lightning
from lid_vae.train.ensemble import Ensemble, MemberData
from lid_vae.train.member import Hook, Member
from lid_vae.train.vae_module import VAEModule

__all__ = ["Table", "make", "recipe", "run"]

CONF = str(Path(__file__).parents[1] / "conf")
SIZES = {
    "pinwheel": ["data.per_class=60", "data.valid_size=40", "data.test_size=50", "data.batch_size=64"],
    "digits": ["data.train_size=120", "data.batch_size=64"],
    "synthetic_text": [
        "data.sentences=150",
        "data.valid_size=40",
        "data.test_size=50",
        "data.words=30",
        "data.length=5",
        "data.batch_size=50",
        "likelihood.hidden=8",
    ],
}


def recipe(cfg: DictConfig) -> tuple[Parts, int]:
    """What ``build_module`` takes first: the parts of a composed configuration, and its seed."""
    return Parts.of(OmegaConf.to_container(cfg, resolve=True)), int(cfg.seed)


Made = tuple[VAEModule, ArrayDataModule]


class Table(ArrayDataModule):
    """Real vectors without labels, which are no images."""

    name = "table"

    def __init__(self, features: int) -> None:
        super().__init__(batch_size=32, eval_batch_size=50)
        self.width = features

    def load(self) -> Corpus:
        x = torch.randn(300, self.width, generator=generator("table"))
        return Corpus(Split(x[:200]), Split(x[200:250]), Split(x[250:]))


@pytest.fixture
def make() -> Callable[..., Made]:
    """``make("data=pinwheel", "model=vae", ...)``; ``table=D`` puts a ``Table`` in the data's place."""

    def build(*overrides: str, table: int | None = None) -> Made:
        sizes = [size for name, chosen in SIZES.items() if f"data={name}" in overrides for size in chosen]
        with initialize_config_dir(CONF, version_base="1.3"):
            cfg = compose("train", ["choices=null", "width=16", *sizes, *overrides])
        if table is None:
            data = build_data(cfg.data)
        else:
            data = Table(table)
            data.setup()
        return build_module(*recipe(cfg), data, data.shape, data.label_count), data

    return build


@pytest.fixture
def run() -> Callable[..., pl.Trainer]:
    """Trains for some epochs with callbacks, nothing else written; with hooks or loggers as a member of a run."""

    def fit(
        made: Made,
        epochs: int = 2,
        bar: bool = True,
        ckpt_path: Path | None = None,
        hooks: Sequence[Hook] = (),
        loggers: Sequence[Logger] = (),
        **options: object,
    ) -> pl.Trainer:
        prepare_lightning()
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            num_sanity_val_steps=0,
            enable_model_summary=False,
            enable_checkpointing=False,
            enable_progress_bar=bar,
            inference_mode=False,
            **options,
        )
        if hooks or loggers:
            training = Ensemble([Member(made[0], hooks, loggers)], made[1])
            trainer.fit(training, MemberData(made[1], [made[0].seed]), ckpt_path=ckpt_path)
        else:
            trainer.fit(made[0], datamodule=made[1], ckpt_path=ckpt_path)
        return trainer

    return fit
