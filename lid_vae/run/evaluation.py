"""evaluate.py: a checkpoint measured again, and the sentences that are asked of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from lid_vae import __version__
from lid_vae.checkpoint import check_targets, load_checkpoint
from lid_vae.data.base import DataModule
from lid_vae.data.text import MeasuredText
from lid_vae.data.text_data_module import TextDataModule
from lid_vae.denormals import denormals_flushed
from lid_vae.errors import UserError
from lid_vae.files import write_atomic, write_json_atomic
from lid_vae.lightning import prepare_lightning
from lid_vae.memory import keep_freed_memory
from lid_vae.module.text_measures import text_measures
from lid_vae.module.text_request import TextRequest, text_request
from lid_vae.module.texts import likelihood_of
from lid_vae.noise import derive_seed
from lid_vae.run.build import build_data, build_module, check_whole
from lid_vae.run.names import current
from lid_vae.run.record import describe_run, evaluate_split, summary
from lid_vae.train.vae_module import VAEModule

__all__ = ["evaluate", "load_run"]


@denormals_flushed()
def evaluate(cfg: DictConfig) -> float | None:
    """Measure the checkpoint ``cfg.ckpt`` on ``cfg.split`` and write the result beside its own; the log-likelihood.

    Of a model of text, the sentences that ``cfg`` asks for are printed and written there before; without
    ``cfg.measure`` these alone, and the value is None. With ``cfg.text`` it is measured on that file's sentences.
    """
    prepare_lightning()
    if cfg.samples is not None:
        check_whole("samples", cfg.samples, 2)
    path = Path(cfg.ckpt)
    if cfg.split not in ("train", "valid", "test"):
        raise UserError(f"split={cfg.split} is not known. Use train, valid or test.")
    request, rules = _request(cfg), _line_rules(cfg)
    module, data, run_cfg, description = load_run(path, cfg.paths.data, cfg.accelerator, cfg.text, rules)
    folder = path.resolve().parent.parent if path.resolve().parent.name == "checkpoints" else path.resolve().parent
    if request is not None:
        _answer(request, module, data, folder / f"texts-{path.stem}-{request.digest()}.txt")
    if not cfg.measure:
        return None
    result = describe_run(run_cfg, module, data, description["config_hash"])
    result |= {"checkpoint": str(path), "steps": description["step"]}
    samples = run_cfg.samples if cfg.samples is None else cfg.samples
    result |= evaluate_split(module, data, cfg.split, samples)
    if isinstance(data, TextDataModule):
        result["text"] = text_measures(module, data, cfg.split)
    if cfg.text is not None:
        result |= {"data": Path(cfg.text).name, "train_size": None, "corpus": cfg.text}
    key = (path.name, samples) if cfg.text is None else (path.name, samples, cfg.text, *_written(rules))
    target = folder / f"evaluation-{cfg.split}-{derive_seed(*key) & 0xFFFFFFFF:08x}.json"
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


def _line_rules(cfg: DictConfig) -> dict[str, Any]:
    """What ``cfg`` says of the lines of ``text``, where it differs from the run's."""
    rules = {str(name): value for name, value in cfg.data.items() if value is not None}
    if rules and cfg.text is None:
        raise UserError(
            f"data.{next(iter(rules))} is about the lines of text=, which is not given: a run's own data are read as "
            "in its training. Leave it out."
        )
    return rules


def _written(rules: dict[str, Any]) -> list[str]:
    return sorted(f"{name}={value}" for name, value in rules.items())


def _answer(request: TextRequest, module: VAEModule, data: DataModule, path: Path) -> None:
    likelihood_of(module)
    assert isinstance(data, TextDataModule)
    page = request.answer(module.eval(), data).page()
    write_atomic(path, page)
    print(f"{page}\ntexts       {path}", flush=True)


def load_run(
    path: Path,
    data_root: str,
    accelerator: str = "auto",
    text: str | None = None,
    rules: Mapping[str, Any] | None = None,
) -> tuple[VAEModule, DataModule, DictConfig, dict[str, Any]]:
    """A checkpoint's model and data on the device, its configuration, and what else the checkpoint says of itself.

    With ``text`` the data are the sentences of that file, every split all of them; ``rules`` for its lines go before
    the run's.
    Raises ``UserError`` for a checkpoint that is damaged or foreign, and for other data than it was trained on, or
    ``text`` that is mostly of other words.
    """
    keep_freed_memory()
    device = _device(accelerator)
    checkpoint = load_checkpoint(path)
    description = checkpoint["lid_vae"]
    run_cfg = OmegaConf.create(check_targets(current(description["config"]), path))
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
    if text is None:
        data = _data_of(run_cfg, path, description)
    else:
        data = _other_text(text, run_cfg, path, description, rules or {})
    data.to_device(device)
    return module, data, run_cfg, description


def _data_of(run_cfg: DictConfig, path: Path, description: dict[str, Any]) -> DataModule:
    """What the checkpoint was trained on."""
    if run_cfg.data.get("vocabulary_file") is not None:
        run_cfg.data.vocabulary_file = str(path)  # the same words, and the list need not be there any more
    data = build_data(run_cfg)
    if isinstance(data, TextDataModule):
        data.check_vocabulary(description["vocabulary"])
    if data.checksum != description["checksum"]:
        raise UserError(
            f"The data in {run_cfg.data.root} is not what {path} was trained on (checksum {data.checksum[:12]}, "
            f"then {description['checksum'][:12]}). Give the folder of the same files with paths.data=."
        )
    return data


def _other_text(
    text: str, run_cfg: DictConfig, path: Path, description: dict[str, Any], rules: Mapping[str, Any]
) -> DataModule:
    """The sentences of a file, by the checkpoint's vocabulary and, where ``rules`` are silent, the run's for lines."""
    if description.get("vocabulary") is None:
        raise UserError(f"text={text} is for a model of text, and {path} is one of vectors. Leave text= out.")
    file = Path(text).expanduser().absolute()
    if not file.is_file():
        raise UserError(f"text={text} is no file: it is to hold one sentence a line, words apart by spaces.")
    own = {name: run_cfg.data[name] for name in ("eval_batch_size", "max_length", "long", "empty")}
    labels = run_cfg.data.get("labels", False)
    data = MeasuredText(file, **{"labels": labels, **own, **rules}, vocabulary_file=str(path.absolute()))
    data.setup()
    return data


def _device(accelerator: str) -> torch.device:
    available = torch.cuda.is_available()
    if accelerator not in ("auto", "cpu", "gpu", "cuda") or (accelerator in ("gpu", "cuda") and not available):
        known = "auto, cpu or gpu" if available else "auto or cpu; PyTorch finds no GPU here"
        raise UserError(f"accelerator={accelerator} is not there. Use {known}.")
    return torch.device("cuda" if accelerator != "cpu" and available else "cpu")
