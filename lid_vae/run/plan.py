"""From a configuration to the plan of a run: every option checked once, and nothing below takes a configuration."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from lid_vae.check.kinds import check_kinds, spelled
from lid_vae.errors import UserError
from lid_vae.run.names import current
from lid_vae.run.store import CONF, Presets, locate, without_hydra
from lid_vae.seed_range import seed_text
from lid_vae.system.devices import DeviceOptions

__all__ = [
    "COMPILE_MODES",
    "MemberPlan",
    "Parts",
    "RunPlan",
    "check_whole",
    "labels_of",
    "plan_run",
    "select",
]

Node = Mapping[str, Any]
"""A recipe: the ``_target_`` to call, and its arguments."""

MATMUL_PRECISIONS = ("highest", "high", "medium")
# Of ``torch.compile``; the second replays a CUDA graph on a GPU, and on a CPU is the first.
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
# Options that are whole numbers, with the least that each may be.
LEAST = {
    "trainer.max_epochs": 1,
    "trainer.check_val_every_n_epoch": 1,
    "samples": 2,
    "width": 1,
    "latent_dimension": 1,
    "categories": 1,
}
# Where what results say of a configuration stands in it.
LABELS = {
    "model": "choices.model",
    "data": "choices.data",
    "family": "choices.family",
    "mixture": "family.mixture",
    "map": "choices.map",
    "depth": "map.depth",
    "objective": "choices.objective",
    "inference": "choices.inference",
    "posterior": "choices.normalization",
    "batch_size": "data.batch_size",
    "scale": "data.scale",
    "learning_rate": "optimizer.lr",
    "width": "width",
    "hidden_layers": "map.hidden_layers",
}
# Those under ``trainer`` that Lightning is not told.
OWN_TRAINER_OPTIONS = ("matmul_precision", "compile", "capture", "check_val_every_n_epoch")


@dataclass(frozen=True)
class Parts:
    """What a model is built of, but for its seed: recipes, and what they have to agree on.

    Recipes, each a ``_target_`` and its arguments, are ``prior``, ``map``, ``likelihood``, ``family``,
    ``normalization`` (None: none), ``objective``, ``inference``, ``optimizer``, ``schedule`` and ``model``.
    ``latent_dimension`` is M; ``gradient_clip`` the greatest norm of a gradient (None: any); ``validation_samples`` the
    S of the measures during training; ``extra_categories`` says that more categories than labels are meant.
    """

    prior: Node
    map: Node
    likelihood: Node
    family: Node
    normalization: Node | None
    objective: Node
    inference: Node
    optimizer: Node
    schedule: Node
    model: Node
    latent_dimension: int
    gradient_clip: float | None
    validation_samples: int
    extra_categories: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Parts":
        """Those of a resolved ``config``, of today's or as an earlier revision has stored it."""
        known = {"normalization": None, "validation_samples": 2, "extra_categories": False, **current(config)}
        return cls(**{name: known[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class MemberPlan:
    """One ``seed`` of a run: its ``folder``, and its ``config`` as plain values, as it is stored."""

    seed: int
    folder: Path
    config: Mapping[str, Any]

    @property
    def best(self) -> Path:
        return self.folder / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def texts(self) -> Path:
        return self.folder / "texts.txt"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"


@dataclass(frozen=True)
class RunPlan:
    """One configuration, to be trained for every seed of ``members``.

    ``parts``, ``data`` and ``trainer`` are what is built: a model's recipes, the data's recipe, Lightning's options.
    ``digest`` is the hash of what the configuration means, ``labels`` what results say of it. ``size``: how many seeds
    train together at most (None: all). ``interval``: epochs between validations. ``measures`` are the recipes of
    further measures, by name. ``vector_pictures``: whether a run's picture is written as SVG and PDF too.
    ``matmul_precision`` and ``compile_mode`` are PyTorch's (None: not compiled); ``capture``: whether a GPU replays
    steps as a CUDA graph; ``devices`` what a run may use. ``samples`` is the S of the final measures. ``force``:
    finished runs are done again; ``failed_only``: no others than failed ones. ``overrides`` are what the user gave, to
    find fault with.
    """

    members: tuple[MemberPlan, ...]
    digest: str
    labels: Mapping[str, Any]
    parts: Parts
    data: Node
    trainer: Node
    interval: int
    matmul_precision: str
    compile_mode: str | None
    capture: bool
    devices: DeviceOptions
    samples: int
    measures: Mapping[str, Node]
    vector_pictures: bool
    size: int | None
    force: bool
    failed_only: bool
    overrides: tuple[str, ...] = field(default=(), compare=False)

    @property
    def accelerator(self) -> str:
        """On which kind of device."""
        return self.devices.accelerator

    @property
    def options(self) -> Mapping[str, Any]:
        """What was asked for, as it is stored: in these words errors are told."""
        return self.members[0].config

    @property
    def root(self) -> Path:
        """The folder of all runs."""
        return self.members[0].folder.parents[2]

    def headline(self) -> str:
        """What it is, in a line: model, data, family, seeds and folder."""
        first = self.members[0]
        seeds = [member.seed for member in self.members]
        folder = first.folder if len(seeds) == 1 else first.folder.parent
        what = f"{self.labels['model']} on {self.labels['data']}, {self.labels['family']}"
        return f"{what}, seed{'s' if len(seeds) > 1 else ''} {seed_text(seeds)}, into {folder}"

    def of(self, members: Sequence[MemberPlan]) -> "RunPlan":
        """The plan for these ``members`` alone."""
        return replace(self, members=tuple(members))


def plan_run(
    cfg: DictConfig, presets: Presets | None = None, *, sweep: bool = False, overrides: Sequence[str] = ()
) -> RunPlan:
    """What ``cfg`` asks for; nothing is written.

    ``cfg`` is composed by Hydra, with or without its node ``hydra``; ``presets`` are those that its folder is named
    after. ``sweep``: whether it is one of several jobs; ``overrides`` are what the user gave. Raises ``UserError`` for
    options out of range, in words that name the option, the value and the mend.
    """
    cfg = without_hydra(cfg)
    check_options(cfg)
    seeds = seeds_of(cfg)
    digest, folders = locate(cfg, seeds, presets)
    members = tuple(MemberPlan(seed, folders[seed], _stored(cfg, seed, folders[seed])) for seed in seeds)
    config = current(members[0].config)
    trainer = config["trainer"]
    return RunPlan(
        members=members,
        digest=digest,
        labels=labels_of(config),
        parts=Parts.of(config),
        data=config["data"],
        trainer={key: value for key, value in trainer.items() if key not in OWN_TRAINER_OPTIONS},
        interval=validation_interval(trainer["max_epochs"], trainer["check_val_every_n_epoch"]),
        matmul_precision=trainer["matmul_precision"],
        compile_mode=compile_mode(trainer["compile"]),
        capture=trainer.get("capture", "auto") == "auto",
        devices=DeviceOptions(
            trainer["accelerator"],
            trainer["devices"],
            int(trainer.get("num_nodes", 1)),
            trainer.get("strategy", "auto"),
            sweep or len(seeds) > 1,
        ),
        samples=config["samples"],
        measures=config.get("measures") or {},
        vector_pictures=bool(config.get("vector_pictures", True)),
        size=config["ensemble"]["size"],
        force=bool(config["force"]),
        failed_only=config["retry"] == "failed",
        overrides=tuple(overrides),
    )


def labels_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What results say of a resolved ``config``; what it does not have is None."""
    labels = {name: select(config, path) for name, path in LABELS.items()}
    return {**labels, "experiment": config.get("experiment_name") or select(config, "choices.experiment") or "default"}


def select(config: Any, path: str) -> Any:
    """The value of the option ``path`` (``map.depth``) in ``config``; None where there is none."""
    for key in path.split("."):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def seeds_of(cfg: DictConfig) -> list[int]:
    """The seeds that ``seed`` asks for: a whole number, or a list of them."""
    value = OmegaConf.select(cfg, "seed")
    seeds = list(value) if OmegaConf.is_list(value) else [value]
    for seed in seeds:
        check_whole("seed", seed, 0)
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"seed={value} names no seed, or one twice. Write seed=0, or with -m a range: -m seed=0-9.")
    return seeds


def check_options(cfg: DictConfig) -> None:
    """Refuses by ``UserError`` what would be noticed only after training, or never."""
    for name in sorted(OmegaConf.missing_keys(cfg)):
        raise UserError(f"The option {name} has no value. Give it one: {name}=<value>.")
    for name, least in LEAST.items():
        check_whole(name, OmegaConf.select(cfg, name), least)
    seed = OmegaConf.select(cfg, "seed")
    first = seed[0] if OmegaConf.is_list(seed) and len(seed) else seed
    one = _stored(copy.deepcopy(cfg), first, Path())  # what follows the seed too
    check_kinds(one, CONF)
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
    if cfg.trainer.get("capture", "auto") not in ("auto", False):
        raise UserError(f"trainer.capture={cfg.trainer.capture} is not known. Use auto or false.")


def compile_mode(value: object) -> str | None:
    """What ``trainer.compile`` asks for: a mode of ``torch.compile``, or None. Raises ``UserError`` on another."""
    if value is True:
        return COMPILE_MODES[0]
    if not value:
        return None
    if value not in COMPILE_MODES:
        raise UserError(f"trainer.compile={value} is not known. Use true, false or one of {', '.join(COMPILE_MODES)}.")
    return str(value)


def check_whole(name: str, value: object, least: int) -> None:
    """Refuses by ``UserError`` a ``value`` of the option ``name`` that is no whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(
            f"{name}={spelled(value)} must be a whole number, at least {least}. Use {name}={least} or more."
        )


def validation_interval(epochs: int, interval: int) -> int:
    """The largest divisor of ``epochs`` up to ``interval``, so that the last epoch is validated too."""
    return max(k for k in range(1, max(min(epochs, interval), 1) + 1) if epochs % k == 0)


def _stored(cfg: DictConfig, seed: Any, folder: Path) -> dict[str, Any]:
    """The configuration of one seed, as plain values; ``cfg``, a copy of one's own, is then that of this seed."""
    with read_write(cfg), open_dict(cfg):
        cfg.seed = seed
        if cfg.paths is not None:
            cfg.paths.run = str(folder)
    stored = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(stored, dict)
    return {str(key): value for key, value in stored.items()}
