"""Runs: trained, resumed, measured and evaluated, and the record that each leaves."""

import json
import platform
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from lid_vae import __version__
from lid_vae.build import (
    build_callbacks,
    build_data,
    build_loggers,
    build_module,
    build_trainer,
    check_options,
    check_whole,
)
from lid_vae.checkpoint import check_targets, load_checkpoint
from lid_vae.data.base import DataModule, Part
from lid_vae.data.text_data_module import TextDataModule
from lid_vae.errors import UserError
from lid_vae.files import read_json, write_atomic, write_json_atomic
from lid_vae.interruption import Interruption, interruptible
from lid_vae.map.base import InjectiveMap
from lid_vae.memory import keep_freed_memory
from lid_vae.module.evaluator import Evaluator
from lid_vae.module.last_step import LastStep
from lid_vae.module.loggers import finish_loggers, finished_on_error
from lid_vae.module.stopwatch import Stopwatch
from lid_vae.module.text_measures import text_measures
from lid_vae.module.text_request import TextRequest, text_request
from lid_vae.module.texts import Texts, likelihood_of, take_texts
from lid_vae.module.vae_module import VAEModule
from lid_vae.noise import derive_seed
from lid_vae.quiet import quiet_lightning
from lid_vae.sweep.lock import Claim, LeftAlone, claim
from lid_vae.sweep.run_folder import FAILURE, is_finished, place

__all__ = [
    "Measured",
    "Run",
    "evaluate",
    "evaluate_split",
    "fit",
    "load_run",
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
        module.compile_step = bool(self.cfg.trainer.compile)
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
        write_atomic(self.folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(self.stored)))
        return _resumable(self.last, self.digest) if self.last.exists() else None

    def measure(
        self, module: VAEModule, data: DataModule, device: torch.device, stopwatch: Stopwatch, together: int = 1
    ) -> "Measured":
        """Evaluates the best checkpoint, draws the picture, writes ``result.json``, and of text ``texts.txt``.

        ``together``: how many seeds shared the time that ``stopwatch`` has measured.
        """
        seconds = stopwatch.elapsed()
        module.restore(load_checkpoint(self.best))
        module.to(device, torch.get_default_dtype())
        result = _record(self.cfg, module, data, self.digest)
        result |= {"steps": module.step, "seconds": round(seconds, 1), "seeds_together": together}
        result["seconds_per_step"] = stopwatch.seconds_per_step()
        result |= evaluate_split(module, data, "test", self.cfg.samples)
        result["validation"] = evaluate_split(module, data, "valid", self.cfg.samples)
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
    folder, digest = place(cfg)
    with open_dict(cfg):
        cfg.paths.run = str(folder)
    stored = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(stored, dict)
    return Run(cfg, folder, digest, {str(key): value for key, value in stored.items()})


def train(cfg: DictConfig) -> float:
    """Train ``cfg``, evaluate its best checkpoint, write ``result.json``; the validation bound, nats per example.

    A finished run is left alone unless ``force``; an unfinished one goes on from ``last.ckpt``. A signal that asks for
    the end leaves a ``last.ckpt`` of the step that it came in. Raises ``LeftAlone`` for a run that another process
    trains, and for one that ``retry=failed`` does not concern.
    """
    quiet_lightning()
    run = open_run(cfg)
    before = run.finished()
    if before is None:
        with interruptible() as interruption, run.claim() as claim:
            before = run.finished()  # meanwhile, by another process
            if before is None:
                return train_claimed(run, claim, interruption)
    return float(before["validation"]["elbo"])


def train_claimed(run: Run, claim: Claim, interruption: Interruption) -> float:
    """The rest of ``train``, for a run whose lock is held."""
    cfg = run.cfg
    data = build_data(cfg)
    module = run.build(data)
    last = run.begin()
    stopwatch = Stopwatch()
    loggers = build_loggers(cfg)

    def save(trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(run.last, weights_only=False)

    with finished_on_error(loggers):
        trainer = build_trainer(
            cfg, loggers, run.folder, [*build_callbacks(cfg), stopwatch, LastStep(interruption, save, claim.check)]
        )
        fit(trainer, module, data, last)
        interruption.obey()
        measured = run.measure(module, data, trainer.strategy.root_device, stopwatch)
    finish_loggers(loggers, *measured)
    return run.close(measured)


def evaluate(cfg: DictConfig) -> float | None:
    """Measure the checkpoint ``cfg.ckpt`` on ``cfg.split`` and write the result beside its own; the log-likelihood.

    Before, of a model of text, the sentences that ``cfg`` asks for are printed and written there too; without
    ``cfg.measure`` these alone, and the value is None.
    """
    quiet_lightning()
    if cfg.samples is not None:
        check_whole("samples", cfg.samples, 2)
    path = Path(cfg.ckpt)
    if cfg.split not in ("train", "valid", "test"):
        raise UserError(f"split={cfg.split} is not known. Use train, valid or test.")
    request = _request(cfg)
    module, data, run_cfg, description = load_run(path, cfg.paths.data, cfg.accelerator)
    folder = path.resolve().parent.parent if path.resolve().parent.name == "checkpoints" else path.resolve().parent
    if request is not None:
        _answer(request, module, data, folder / f"texts-{path.stem}-{request.digest()}.txt")
    if not cfg.measure:
        return None
    result = _record(run_cfg, module, data, description["config_hash"])
    result |= {"checkpoint": str(path), "steps": description["step"]}
    samples = run_cfg.samples if cfg.samples is None else cfg.samples
    result |= evaluate_split(module, data, cfg.split, samples)
    if isinstance(data, TextDataModule):
        result["text"] = text_measures(module, data, cfg.split)
    target = folder / f"evaluation-{cfg.split}-{derive_seed(path.name, samples) & 0xFFFFFFFF:08x}.json"
    write_json_atomic(target, result)
    print(f"result      {target}\n{summary(result)}", flush=True)
    return float(result["ll"]["mean"])


def _request(cfg: DictConfig) -> TextRequest | None:
    """The sentences that ``cfg`` asks for, its options checked."""
    if cfg.sample is not None:
        check_whole("sample", cfg.sample, 1)
    check_whole("beam.width", cfg.beam.width, 1)
    request = text_request(
        cfg.sample,
        cfg.interpolate,
        cfg.interpolate_file,
        cfg.decode,
        width=cfg.beam.width,
        length_penalty=cfg.beam.length_penalty,
        p=cfg.nucleus.p,
        temperature=cfg.nucleus.temperature,
    )
    if request is None and not cfg.measure:
        raise UserError(
            "measure=false leaves nothing to do. Ask for sentences with sample=20 or interpolate=, or leave it out."
        )
    return request


def _answer(request: TextRequest, module: VAEModule, data: DataModule, path: Path) -> None:
    likelihood_of(module)
    assert isinstance(data, TextDataModule)
    page = request.answer(module.eval(), data).page()
    write_atomic(path, page)
    print(f"{page}\ntexts       {path}", flush=True)


def load_run(
    path: Path, data_root: str, accelerator: str = "auto"
) -> tuple[VAEModule, DataModule, DictConfig, dict[str, Any]]:
    """A checkpoint's model and data on the device, its configuration, and what else the checkpoint says of itself.

    Raises ``UserError`` for a checkpoint that is damaged or foreign, and for other data than it was trained on.
    """
    keep_freed_memory()
    device = _device(accelerator)
    checkpoint = load_checkpoint(path)
    description = checkpoint["lid_vae"]
    run_cfg = OmegaConf.create(check_targets(description["config"], path))
    run_cfg.paths.data = data_root
    run_cfg.data.root = data_root
    module = build_module(run_cfg, None, description["shape"], description["labels"])
    try:
        module.restore(checkpoint)
    except RuntimeError as error:
        raise UserError(
            f"The weights in {path} do not fit its description (written by version {description.get('version')}, "
            f"this is {__version__}). Use the version that wrote it, or train the run again."
        ) from error
    module.to(device)
    data = build_data(run_cfg)
    data.to_device(device)
    if isinstance(data, TextDataModule):
        data.check_vocabulary(description["vocabulary"])
    if data.checksum != description["checksum"]:
        raise UserError(
            f"The data in {data_root} is not what {path} was trained on (checksum {data.checksum[:12]}, "
            f"then {description['checksum'][:12]}). Give the folder of the same files with paths.data=."
        )
    return module, data, run_cfg, description


def _device(accelerator: str) -> torch.device:
    available = torch.cuda.is_available()
    if accelerator not in ("auto", "cpu", "gpu", "cuda") or (accelerator in ("gpu", "cuda") and not available):
        known = "auto, cpu or gpu" if available else "auto or cpu; PyTorch finds no GPU here"
        raise UserError(f"accelerator={accelerator} is not there. Use {known}.")
    return torch.device("cuda" if accelerator != "cpu" and available else "cpu")


def evaluate_split(module: VAEModule, data: DataModule, split: Part, samples: int) -> dict[str, Any]:
    """All measures of a split, by ``Evaluator``; the same for the end of training and for ``evaluate.py``."""
    module.eval()
    data.to_device(module.device)
    evaluator = Evaluator(
        module.vae,
        module.infer,
        samples,
        data.label_count,
        inference_samples=module.objective.samples,
        by_dimension=True,
    )
    for batch in data.batches(split):
        evaluator.update(batch.x, batch.y)
    return {"split": split, **evaluator.compute()}


def summary(result: dict[str, Any]) -> str:
    """One line with AU, KL, MI and LL."""
    z = result["latent"]["z"]
    accuracy = result.get("accuracy")
    parts = [
        f"AU {z['au']:.2f}",
        f"KL {z['kl']:.3f}",
        f"MI {z['mi']:.3f}",
        f"LL {result['ll']['mean']:.3f} +- {result['ll']['se']:.3f} ({result['ll']['samples']} samples)",
    ]
    if accuracy is not None:
        parts.append(f"accuracy {accuracy:.3f}")
    if "w" in result["latent"]:
        w = result["latent"]["w"]
        parts.append(f"[w: AU {w['au']:.2f}, KL {w['kl']:.2f}]")
    return f"{result['model']} on {result['data']}, {result['split']}, nats: " + "  ".join(parts)


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


def _record(cfg: DictConfig, module: VAEModule, data: DataModule, digest: str) -> dict[str, Any]:
    """What a result says of its run besides the measures."""
    map_ = module.vae.likelihood.map
    separation = module.vae.prior.separation()
    return {
        "model": cfg.choices.model,
        "base_model": module.promise.variant.lower(),
        "experiment": cfg.experiment_name or cfg.choices.experiment or "default",
        "data": cfg.choices.data,
        "family": cfg.choices.family,
        "mixture": cfg.family.get("mixture"),
        "map": cfg.choices.map,
        "depth": cfg.map.get("depth"),
        "objective": cfg.choices.objective,
        "inference": cfg.choices.inference,
        "posterior": cfg.choices.get("posterior"),
        "seed": cfg.seed,
        "train_size": len(data.train),
        "batch_size": cfg.data.batch_size,
        "scale": cfg.data.get("scale"),
        "learning_rate": cfg.optimizer.get("lr"),
        "width": cfg.width,
        "hidden_layers": cfg.map.get("hidden_layers"),
        "config_hash": digest,
        "version": __version__,
        "torch": torch.__version__,
        "device": _device_name(module.device),
        "command": shlex.join(["python", *sys.argv]),
        "parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "inverse_lipschitz": map_.certificate() if isinstance(map_, InjectiveMap) else None,
        "separation": separation,
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def _draw(folder: Path, module: VAEModule, data: DataModule) -> Path:
    from lid_vae.module.pictures import draw_run  # matplotlib takes a second to import

    return draw_run(module, data, folder / "latents.png")
