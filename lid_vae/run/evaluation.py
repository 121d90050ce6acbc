"""evaluate.py: a checkpoint measured again, and the sentences or pictures that are asked of it."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf

from lid_vae.check.kinds import check_kinds, spelled
from lid_vae.data.base import DataModule, Part
from lid_vae.data.text.own_text import MeasuredText
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.errors import UserError
from lid_vae.log.beforehand import long_evaluation
from lid_vae.machine_memory import check_room
from lid_vae.noise import derive_seed
from lid_vae.picture.answer import draw_answer
from lid_vae.run.build import build_data, build_measures, check_measures
from lid_vae.run.load import load_model
from lid_vae.run.plan import check_whole, labels_of
from lid_vae.run.record import describe_run, evaluate_split, summary
from lid_vae.run.store import CONF, without_hydra
from lid_vae.system.denormals import denormals_flushed
from lid_vae.system.files import expanded, write_atomic, write_json_atomic
from lid_vae.system.lightning_defaults import prepare_lightning
from lid_vae.system.machine_habits import keep_freed_memory
from lid_vae.system.phases import is_screen, phase
from lid_vae.text.measures import text_measures
from lid_vae.text.request import TextRequest, text_request
from lid_vae.train.vae_module import VAEModule

__all__ = ["EvaluationPlan", "Loaded", "evaluate", "load_run", "plan_evaluation"]

DATA_RULES = ("eval_batch_size", "max_length", "long", "empty")


@dataclass(frozen=True)
class EvaluationPlan:
    """What to measure of a checkpoint, and what to ask of it.

    ``ckpt`` is measured on ``split`` if ``measure``, its data found below ``data_root``, on the device that
    ``accelerator`` names. ``samples``: None for as many as the run itself used. ``measures`` are the recipes of further
    ones, by name. ``text``: a file measured in place of the run's own data, by ``rules`` for its lines where they
    differ from the run's. ``request``: sentences that are wanted; ``beside``: another checkpoint of which they are
    wanted too. ``trust`` names packages beside this one whose parts
    the checkpoint may ask for. ``overrides`` are what the user gave, to find fault
    with.
    """

    ckpt: Path
    split: Part
    samples: int | None
    measure: bool
    measures: Mapping[str, Any]
    text: str | None
    rules: Mapping[str, Any]
    request: TextRequest | None
    data_root: str
    accelerator: str
    trust: tuple[str, ...] = ()
    beside: Path | None = None
    overrides: tuple[str, ...] = ()

    @property
    def options(self) -> Mapping[str, Any]:
        """What was asked for, as far as errors may speak of it: in these words they are told."""
        return {"measures": self.measures, "data": self.rules, "text": self.text, "paths": {"data": self.data_root}}

    @property
    def root(self) -> Path:
        """Where an engine may put files of its own."""
        return self.ckpt.parent


def plan_evaluation(cfg: DictConfig, overrides: Sequence[str] = ()) -> EvaluationPlan:
    """What ``cfg`` asks for; ``overrides`` are what the user gave. Raises ``UserError`` for options out of range."""
    check_kinds(OmegaConf.to_container(without_hydra(cfg), resolve=True), CONF, "evaluate")  # type: ignore[arg-type]
    if not isinstance(cfg.ckpt, str) or not cfg.ckpt:
        raise UserError(
            f"ckpt={spelled(cfg.ckpt)} is no checkpoint. Name the file: ckpt=runs/.../checkpoints/best.ckpt."
        )
    if cfg.samples is not None:
        check_whole("samples", cfg.samples, 2)
    if cfg.split not in ("train", "valid", "test"):
        raise UserError(f"split={cfg.split} is not known. Use train, valid or test.")
    return EvaluationPlan(
        ckpt=Path(cfg.ckpt),
        split=cfg.split,
        samples=cfg.samples,
        measure=bool(cfg.measure),
        measures=dict(OmegaConf.to_object(cfg.measures) or {}),  # type: ignore[arg-type]
        text=cfg.text,
        rules=_line_rules(cfg),
        request=_request(cfg),
        data_root=cfg.paths.data,
        accelerator=cfg.accelerator,
        trust=_packages(cfg.trust),
        beside=_beside(cfg),
        overrides=tuple(overrides),
    )


@denormals_flushed()
def evaluate(plan: EvaluationPlan) -> float | None:
    """Measure the checkpoint of ``plan`` and write the result beside its own; the log-likelihood, nats per example.

    Of a model of text, the sentences that are asked for are printed and written there before; where nothing is to be
    measured these alone, and the value is None.
    """
    prepare_lightning()
    path = plan.ckpt
    loaded = load_run(path, plan.data_root, plan.accelerator, plan.text, plan.rules, plan.trust)
    module, data, config = loaded.module, loaded.data, loaded.config
    further = build_measures(plan.measures)
    check_measures(further, module.vae)
    folder = path.resolve().parent.parent if path.resolve().parent.name == "checkpoints" else path.resolve().parent
    if plan.request is not None:
        _answer(plan, module, data, folder)
    if not plan.measure:
        return None
    result = describe_run(labels_of(config), module.seed, loaded.description["config_hash"], module, data)
    result |= {"checkpoint": str(path), "steps": loaded.description["step"]}
    samples = config["samples"] if plan.samples is None else plan.samples
    notice = long_evaluation(data, [plan.split], samples)
    result |= evaluate_split(module, data, plan.split, samples, further, folder, notice)
    if isinstance(data, TextDataModule):
        with phase("decoding sentences"):
            result["text"] = text_measures(module, data, plan.split)
    if plan.text is not None:
        result |= {"data": Path(plan.text).name, "train_size": None, "corpus": plan.text}
    key = (path.name, samples) if plan.text is None else (path.name, samples, plan.text, *_written(plan.rules))
    key += tuple(sorted(plan.measures))
    target = folder / f"evaluation-{plan.split}-{derive_seed(*key) & 0xFFFFFFFF:08x}.json"
    write_json_atomic(target, result)
    print(f"result      {target}\n{summary(result)}", flush=True)
    return float(result["ll"]["mean"])


def _packages(trust: object) -> tuple[str, ...]:
    """``trust=a`` or ``trust=[a,b]``."""
    names = [trust] if isinstance(trust, str) else list(trust or ())  # type: ignore[call-overload]
    for name in names:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise UserError(f"trust={name} is no package. Name one as Python imports it: trust=mypackage.")
    return tuple(names)


def _request(cfg: DictConfig) -> TextRequest | None:
    """The sentences that ``cfg`` asks for, its options checked."""
    if cfg.sample is not None:
        check_whole("sample", cfg.sample, 1)
    if cfg.reconstruct is not None:
        check_whole("reconstruct", cfg.reconstruct, 1)
    check_whole("beam.width", cfg.beam.width, 1)
    request = text_request(
        cfg.sample,
        cfg.interpolate,
        cfg.interpolate_file,
        cfg.decode,
        cfg.reconstruct,
        width=cfg.beam.width,
        length_penalty=cfg.beam.length_penalty,
        p=cfg.nucleus.p,
        temperature=cfg.nucleus.temperature,
    )
    if request is None and not cfg.measure:
        raise UserError(
            "measure=false leaves nothing to do. Ask for sentences with sample=20, reconstruct=10 or interpolate=, "
            "or leave it out."
        )
    return request


def _beside(cfg: DictConfig) -> Path | None:
    if cfg.beside is None:
        return None
    if cfg.sample is None and cfg.reconstruct is None and cfg.interpolate is None and cfg.interpolate_file is None:
        raise UserError(
            f"beside={cfg.beside} is about sentences, and none are asked for. Say which: reconstruct=10, sample=20 or "
            "interpolate=."
        )
    return Path(cfg.beside)


def _line_rules(cfg: DictConfig) -> dict[str, Any]:
    """What ``cfg`` says of the lines of ``text``, where it differs from the run's."""
    rules = {str(name): value for name, value in cfg.data.items() if value is not None}
    if rules and cfg.text is None:
        raise UserError(
            f"data.{next(iter(rules))} is about the lines of text=, which is not given: a run's own data are read as "
            "in its training. Leave it out."
        )
    return rules


def _written(rules: Mapping[str, Any]) -> list[str]:
    return sorted(f"{name}={value}" for name, value in rules.items())


def _answer(plan: EvaluationPlan, module: VAEModule, data: DataModule, folder: Path) -> None:
    """Prints the sentences that ``plan`` asks for, or draws the pictures, and writes them into ``folder``."""
    request = plan.request
    assert request is not None
    count = request.sample or 0
    check_room(f"sample={count}", 4 * count * prod(data.shape), "Use a smaller sample.")
    name = f"{plan.ckpt.stem}-{request.digest(*([] if plan.beside is None else [str(plan.beside)]))}"
    if isinstance(data, TextDataModule):
        modules = [module, *([] if plan.beside is None else [_other_model(plan.beside, plan, data)])]
        texts = request.answer([one.eval() for one in modules], data, plan.split)
        path = folder / f"texts-{name}.txt"
        write_atomic(path, texts.page())
        colour = is_screen(sys.stdout) and not os.environ.get("NO_COLOR")
        print(f"{texts.page(colour)}\ntexts       {path}", flush=True)
    elif request.reconstruct or plan.beside is not None:
        raise UserError(
            f"reconstruct= and beside= are of models of text, and {plan.ckpt} is one of vectors: its reconstructions "
            "are in the picture latents.png beside its result. Leave them out."
        )
    else:
        path = draw_answer(module.eval(), data, plan.split, request.sample, request.chains, folder / f"drawn-{name}")
        print(f"drawn       {path}", flush=True)


def _other_model(path: Path, plan: EvaluationPlan, data: TextDataModule) -> VAEModule:
    """That of the checkpoint ``path``, on the device. Raises ``UserError`` where it knows other words than ``data``."""
    module, _, description = load_model(path, plan.trust)
    if list(description.get("vocabulary") or ()) != list(data.vocabulary):
        raise UserError(
            f"beside={path} knows other words than ckpt={plan.ckpt}, so that no sentence is the same to both. Name a "
            "checkpoint of a run on the same data."
        )
    return module.to(_device(plan.accelerator))


class Loaded(NamedTuple):
    """What ``load_run`` finds.

    ``module`` and ``data`` are a checkpoint's model and data, on the device, ``config`` its resolved configuration, and
    ``description`` what else it says of itself.
    """

    module: VAEModule
    data: DataModule
    config: dict[str, Any]
    description: dict[str, Any]


def load_run(
    path: Path,
    data_root: str,
    accelerator: str = "auto",
    text: str | None = None,
    rules: Mapping[str, Any] | None = None,
    trust: Sequence[str] = (),
) -> Loaded:
    """The checkpoint ``path``, in evaluation mode on the device ``accelerator``.

    Its data are found below ``data_root``; with ``text`` they are the sentences of that file, every split all of them;
    ``rules`` for its lines go before the run's. ``trust`` is that of ``load_model``. Raises ``UserError`` for a
    checkpoint that is damaged or foreign, and for other data than it was trained on, or ``text`` that is mostly of
    other words.
    """
    keep_freed_memory()
    module, config, description = load_model(path, trust)
    device = _device(accelerator)
    module.to(device).eval()
    recipe = {**config["data"], "root": data_root}
    if text is None:
        data = _data_of(recipe, path, description)
    else:
        data = _other_text(text, recipe, path, description, rules or {})
    data.to_device(device)
    return Loaded(module, data, config, description)


def _data_of(recipe: dict[str, Any], path: Path, description: dict[str, Any]) -> DataModule:
    """What the checkpoint was trained on. Raises ``UserError`` where that was in memory, or is not what lies there."""
    if description.get("in_memory"):
        raise UserError(
            f"{path} was trained in Python on data in memory, which evaluate.py cannot find again. Measure it there: "
            f'lid_vae.load("{path}").diagnose(x).'
        )
    if recipe.get("vocabulary_file") is not None:
        recipe["vocabulary_file"] = str(path)  # the same words, and the list need not be there any more
    data = build_data(recipe)
    if isinstance(data, TextDataModule):
        data.check_vocabulary(description["vocabulary"])
    if data.checksum != description["checksum"]:
        raise UserError(
            f"The data in {recipe['root']} is not what {path} was trained on (checksum {data.checksum[:12]}, "
            f"then {description['checksum'][:12]}). Give the folder of the same files with paths.data=."
        )
    return data


def _other_text(
    text: str, recipe: dict[str, Any], path: Path, description: dict[str, Any], rules: Mapping[str, Any]
) -> DataModule:
    """The sentences of a file, by the checkpoint's vocabulary and, where ``rules`` are silent, the run's for lines."""
    if description.get("vocabulary") is None:
        raise UserError(f"text={text} is for a model of text, and {path} is one of vectors. Leave text= out.")
    file = expanded(text).absolute()
    if not file.is_file():
        raise UserError(f"text={text} is no file: it is to hold one sentence a line, words apart by spaces.")
    own = {name: recipe[name] for name in DATA_RULES}
    labels = recipe.get("labels", False)
    data = MeasuredText(file, **{"labels": labels, **own, **rules}, vocabulary_file=str(path.absolute()))
    data.setup()
    return data


def _device(accelerator: str) -> torch.device:
    available = torch.cuda.is_available()
    if accelerator not in ("auto", "cpu", "gpu", "cuda") or (accelerator in ("gpu", "cuda") and not available):
        known = "auto, cpu or gpu" if available else "auto or cpu; PyTorch finds no GPU here"
        raise UserError(f"accelerator={accelerator} is not there. Use {known}.")
    return torch.device("cuda" if accelerator != "cpu" and available else "cpu")
