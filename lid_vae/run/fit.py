"""Runs: trained, resumed and measured."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger

from lid_vae import __version__
from lid_vae.checkpoint import load_checkpoint
from lid_vae.data.base import DataModule
from lid_vae.data.text_data_module import TextDataModule
from lid_vae.denormals import denormals_flushed
from lid_vae.errors import UserError
from lid_vae.files import read_json, remove_unfinished, write_atomic, write_json_atomic
from lid_vae.interruption import Interruption, interruptible
from lid_vae.lightning import prepare_lightning
from lid_vae.memory import keep_freed_memory
from lid_vae.module.loggers import finish_loggers, finished_on_error
from lid_vae.module.text_measures import text_measures
from lid_vae.module.texts import Texts, take_texts
from lid_vae.posterior.base import CalibratedPosterior
from lid_vae.process_group import ProcessGroup, find_group
from lid_vae.run.build import (
    build_callbacks,
    build_data,
    build_loggers,
    build_module,
    build_trainer,
    check_options,
    compile_mode,
)
from lid_vae.run.record import describe_run, evaluate_split, summary
from lid_vae.run.store import FAILURE, is_finished, place
from lid_vae.sweep.lock import Claim, LeftAlone, claim
from lid_vae.train.last_step import LastStep
from lid_vae.train.stopwatch import Stopwatch
from lid_vae.train.vae_module import VAEModule

__all__ = [
    "Measured",
    "Run",
    "fit",
    "follow",
    "open_run",
    "train",
    "train_claimed",
]


@dataclass(frozen=True)
class Run:
    """A run's place: its folder, the hash of its configuration, and the configuration as it is stored."""

    cfg: DictConfig
    folder: Path
    digest: str
    stored: dict[str, Any]

    def finished(self) -> dict[str, Any] | None:
        """The result of a run that is done and need not be done again."""
        if self.cfg.force or not is_finished(self.folder, self.digest):
            return None
        result = read_json(self.folder / "result.json")
        print(f"Finished before: {self.folder} (force=true does it again)\n{summary(result)}", flush=True)
        return result

    @contextmanager
    def claim(self) -> Iterator[Claim]:
        """Keeps the run for this process. Raises ``LeftAlone`` if it is not to be trained now."""
        if self.cfg.retry == "failed" and not (self.folder / FAILURE).exists():
            raise LeftAlone(f"{self.folder} has not failed: left alone by retry=failed.")
        with claim(self.folder) as held:
            yield held

    def build(self, data: DataModule) -> VAEModule:
        """The module to train, with the description that travels in its checkpoints."""
        shape = data.shape
        module = build_module(self.cfg, data, shape, data.label_count)
        module.compile_mode = compile_mode(self.cfg.trainer.compile)
        module.description = {
            "config": json.loads(json.dumps(self.stored)),
            "config_hash": self.digest,
            "version": __version__,
            "checksum": data.checksum,
            "shape": shape,
            "labels": data.label_count,
            "vocabulary": data.vocabulary if isinstance(data, TextDataModule) else None,
        }
        return module

    def begin(self) -> Path | None:
        """Makes the folder ready; the checkpoint from which to go on, if there is one."""
        if self.cfg.force:
            _set_aside(self.folder, _superseded(self.folder))
        (self.folder / FAILURE).unlink(missing_ok=True)
        remove_unfinished(self.folder)
        write_atomic(self.folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(self.stored)))
        return _resumable(self.last, self.digest) if self.last.exists() else None

    def restore_best(self, module: VAEModule, device: torch.device) -> None:
        """The weights of the best checkpoint, in single precision, whatever training computed in."""
        module.restore(load_checkpoint(self.best))
        module.to(device, torch.get_default_dtype())

    def evaluate(self, module: VAEModule, data: DataModule, device: torch.device) -> dict[str, Any]:
        """The measures of the best checkpoint, which ``module`` then is; all processes of a run take part."""
        self.restore_best(module, device)
        measures = evaluate_split(module, data, "test", self.cfg.samples)
        return measures | {"validation": evaluate_split(module, data, "valid", self.cfg.samples)}

    def record(
        self,
        module: VAEModule,
        data: DataModule,
        measures: dict[str, Any],
        stopwatch: Stopwatch,
        together: int = 1,
        devices: int = 1,
    ) -> "Measured":
        """Draws the picture of the best checkpoint, writes ``result.json``, and of text ``texts.txt``.

        ``together``: how many seeds shared the time that ``stopwatch`` has measured, on ``devices`` devices.
        """
        result = describe_run(self.cfg, module, data, self.digest)
        result |= {"steps": module.step, "seconds": round(stopwatch.elapsed(), 1), "seeds_together": together}
        result |= {"seconds_per_step": stopwatch.seconds_per_step(), "devices": devices, **measures}
        texts = None
        if isinstance(data, TextDataModule):
            result["text"] = text_measures(module, data, "test")
            texts = take_texts(module, data, "test")
            write_atomic(self.texts, texts.page())
        picture = _draw(self.folder, module, data)
        write_json_atomic(self.folder / "result.json", result)
        return Measured(result, picture, texts)

    def close(self, measured: "Measured") -> float:
        """Tells the end of a run, whose value it is to return: the validation bound, nats per example."""
        superseded = _superseded(self.folder)
        if superseded.exists():
            shutil.rmtree(superseded)
        texts = f"texts       {self.texts}\n" if measured.texts is not None else ""
        print(
            f"result      {self.folder / 'result.json'}\npicture     {measured.picture}\n{texts}"
            f"checkpoint  {self.best}\n{summary(measured.result)}",
            flush=True,
        )
        return float(measured.result["validation"]["elbo"])

    @property
    def texts(self) -> Path:
        return self.folder / "texts.txt"

    @property
    def best(self) -> Path:
        return self.folder / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints" / "last.ckpt"


class Measured(NamedTuple):
    """What a run ends with; ``texts`` of text alone."""

    result: dict[str, Any]
    picture: Path
    texts: Texts | None


def open_run(cfg: DictConfig) -> Run:
    """The run that ``cfg`` asks for; nothing is written. Raises ``UserError`` for options out of range."""
    keep_freed_memory()
    check_options(cfg)
    find_group(cfg, sweep=HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN)
    folder, digest = place(cfg)
    with open_dict(cfg):
        cfg.paths.run = str(folder)
    stored = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(stored, dict)
    return Run(cfg, folder, digest, {str(key): value for key, value in stored.items()})


@denormals_flushed()
def train(cfg: DictConfig) -> float:
    """Train ``cfg``, evaluate its best checkpoint, write ``result.json``; the validation bound, nats per example.

    A finished run is left alone unless ``force``; an unfinished one goes on from ``last.ckpt``. A signal that asks for
    the end leaves a ``last.ckpt`` of the step that it came in. Raises ``LeftAlone`` for a run that another process
    trains, and for one that ``retry=failed`` does not concern.
    """
    prepare_lightning()
    run = open_run(cfg)
    group = find_group(cfg)
    if group.follows:
        return follow(run)
    with group.declined_unless_led():
        before = run.finished()
        if before is None:
            with interruptible() as interruption, run.claim() as claim:
                before = run.finished()  # meanwhile, by another process
                if before is None:
                    return train_claimed(run, claim, interruption, group)
    return float(before["validation"]["elbo"])


def train_claimed(run: Run, claim: Claim, interruption: Interruption, group: ProcessGroup | None = None) -> float:
    """The rest of ``train``, for a run whose lock is held; ``group`` as ``find_group`` finds it."""
    cfg = run.cfg
    group = group or find_group(cfg)
    data = build_data(cfg)
    module = run.build(data)
    if group.size > 1:
        _check_divisible(module)
    last = run.begin()
    stopwatch = Stopwatch()
    loggers = build_loggers(cfg)
    with finished_on_error(loggers):
        with group.lead({"config": run.stored, "folder": str(run.folder), "digest": run.digest}, last):
            callbacks = [*build_callbacks(cfg), stopwatch]
            measures = _train(run, group, module, data, last, loggers, callbacks, interruption, claim.check)
        measured = run.record(module, data, measures, stopwatch, devices=group.size)
    finish_loggers(loggers, *measured)
    return run.close(measured)


@denormals_flushed()
def follow(run: Run) -> float:
    """Trains along in a further process of a run over several devices; the validation bound, where it has trained."""
    prepare_lightning()
    group = find_group(run.cfg)
    with interruptible() as interruption, group.follow() as said:
        if said is None:
            return nan
        data = build_data(run.cfg)
        module = run.build(data)
        last = None if said["last"] is None else Path(said["last"])
        callbacks = [c for c in build_callbacks(run.cfg) if not isinstance(c, ProgressBar)]
        measures = _train(run, group, module, data, last, [], [*callbacks, Stopwatch()], interruption)
    return float(measures["validation"]["elbo"])


def _train(
    run: Run,
    group: ProcessGroup,
    module: VAEModule,
    data: DataModule,
    last: Path | None,
    loggers: list[Logger],
    callbacks: list[pl.Callback],
    interruption: Interruption,
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """What all processes of a run do together: train it, and measure its best checkpoint."""

    def save(trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(run.last, weights_only=False)

    trainer = build_trainer(
        run.cfg,
        loggers,
        run.folder,
        [*callbacks, LastStep(interruption, save, check, group.agree)],
        **group.trainer_options(run.cfg.trainer.get("strategy", "auto")),
    )
    fit(trainer, module, data, last)
    interruption.obey()
    return run.evaluate(module, data, trainer.strategy.root_device)


def _check_divisible(module: VAEModule) -> None:
    """Refuses by ``UserError`` to divide batches whose examples depend on each other."""
    for part, divisible, fix in (
        (module.vae.posterior, not isinstance(module.vae.posterior, CalibratedPosterior), "posterior=null"),
        (module.objective, module.objective.by_example, "objective=elbo"),
    ):
        if not divisible:
            raise UserError(
                f"{type(part).__name__} takes averages over a batch, and each of several devices would take its own. "
                f"Use trainer.devices=1, or {fix}."
            )


def _superseded(folder: Path) -> Path:
    """Where a finished run waits until the forced one in ``folder`` is finished too."""
    return folder.with_name(folder.name + ".superseded")


def _set_aside(folder: Path, superseded: Path) -> None:
    """Moves a finished run out of the way; an unfinished one, of which nothing is to be kept, is removed."""
    if (folder / "result.json").exists():
        if superseded.exists():
            shutil.rmtree(superseded)
        folder.rename(superseded)
    elif folder.exists():
        shutil.rmtree(folder)


def fit(trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule, last: Path | None) -> None:
    """Ctrl-C in ``trainer.fit`` as KeyboardInterrupt; Lightning would exit with status 1 and ignore later ones."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=None if last is None else str(last))
    except SystemExit as end:
        if not trainer.interrupted or end.code != 1:
            raise
        signal.signal(signal.SIGINT, handler)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _resumable(last: Path, digest: str) -> Path:
    """``last`` if it belongs to this configuration."""
    found = load_checkpoint(last)["lid_vae"]["config_hash"]
    if found != digest:
        raise UserError(
            f"{last} belongs to another configuration ({found}, not {digest}). Move it away, or use force=true."
        )
    print(f"Resuming from {last}", flush=True)
    return last


def _draw(folder: Path, module: VAEModule, data: DataModule) -> Path:
    from lid_vae.module.pictures import draw_run  # matplotlib takes a second to import

    return draw_run(module, data, folder / "latents.png")
