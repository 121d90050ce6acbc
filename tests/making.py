"""Small models of every kind, on small data of every kind, and short training runs of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from lid_vae.data.array.array_data_module import ArrayDataModule, Corpus
from lid_vae.data.base import DataModule
from lid_vae.data.split import Batch, Split
from lid_vae.inference.base import Update
from lid_vae.noise import generator
from lid_vae.objective.base import Scheduled
from lid_vae.run.build import build_data, build_module
from lid_vae.run.plan import Parts
from lid_vae.run.record import evaluate_split
from lid_vae.system.lightning_defaults import prepare_lightning
from lid_vae.train.ensemble import Ensemble, MemberData
from lid_vae.train.member import Hook, Member
from lid_vae.train.step.take_step import take_step
from lid_vae.train.vae_module import VAEModule

__all__ = ["Recorder", "Table", "make", "recipe", "run", "take_two_steps"]

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


def take_two_steps(module: VAEModule, data: DataModule) -> dict[str, Any]:
    """The test split's measures after two optimiser steps, after which every parameter has moved."""
    batch = data.stream().batch(0)
    noise = module.vae.posterior.draw_noise(module.objective.samples, len(batch.x), generator("test"))
    groups = {group: torch.optim.Adam(module.parameter_group(group), 1e-3) for group in module.inference.groups}
    if isinstance(module.objective, Scheduled):
        module.objective.advance(60, 100)  # where annealing has begun
    with torch.no_grad():  # q away from the prior, so that free bits, which see one draw, do not hide the KL
        for name, parameter in module.vae.posterior.named_parameters():
            if name.endswith("head.bias"):
                parameter += 0.5
    before = [parameter.detach().clone() for parameter in module.parameter_group("all")]

    def minimise(loss: torch.Tensor, update: Update) -> None:
        groups[update.group].zero_grad()
        loss.backward()
        groups[update.group].step()

    def extra(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = data.stream().batch(0, draw=number).x
        return x, module.vae.posterior.draw_noise(module.objective.samples, len(x), generator("test", number))

    with torch.random.fork_rng(devices=[]):  # of dropout
        for _ in range(2):  # the flow's inner weights move from the second step on: its output layer starts at zero
            value = take_step(module.inference.updates(), module, minimise, batch.x, noise, extra)
    assert value.shape == (len(batch.x),)
    assert torch.isfinite(value).all()
    moved = [bool((new != old).any()) for new, old in zip(module.parameter_group("all"), before, strict=True)]
    assert all(moved), "training moves every parameter"
    module.calibrate(data)
    return evaluate_split(module, data, "test", samples=4)


class Recorder(pl.LightningModule):
    """Remembers its training batches."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[Batch] = []

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch)
        return self.weight * batch.x.float().mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None: ...

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)
