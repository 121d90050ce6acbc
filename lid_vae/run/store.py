"""The folder of a run, named after its configuration so that different runs never share one.

``<root>/<experiment>/<model>-<data>-<family>[-<8 hex>]/seed-<n>/``; the hash stands there when the configuration
differs from what the named choices alone give.
"""

import copy
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from lid_vae.errors import UserError
from lid_vae.result import read_result
from lid_vae.run.names import canonical
from lid_vae.system.files import explain_os_error, read_file

__all__ = [
    "CONF",
    "FAILURE",
    "IGNORED",
    "Presets",
    "check_config",
    "config_hash",
    "finished_bound",
    "is_finished",
    "locate",
    "own_presets",
    "resolve",
    "run_folder",
    "without_hydra",
]

# Beside the package in a checkout, editable installs included; a wheel has it inside (setup.py).
_INSTALLED = Path(__file__).resolve().parents[1] / "conf"
CONF = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "conf"
# What reading a configuration comes to that is none.
DAMAGE = (
    yaml.YAMLError,
    OmegaConfBaseException,
    AttributeError,
    OSError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
# What a run that failed in a sweep leaves beside its checkpoints, until it is begun again.
FAILURE = "failed.json"
NAMED = ("experiment", "model", "data", "family")

# What may differ between two runs that are the same run: where it runs, what it shows, and the seed, which has a folder
# of its own (with the nodes that follow it). A star stands for any name.
IGNORED = (
    "seed",
    "data.train_seed",
    "paths",
    "data.root",
    "experiment_name",
    "measures",  # what is made of a trained model
    "vector_pictures",
    "learning_rates",  # a table's list for all its models; the one in use is optimizer.lr
    "logger",
    "force",
    "retry",
    "ensemble",
    "hydra",
    "callbacks.*.dirpath",
    "callbacks.panels",
    "callbacks.progress",
    "trainer.accelerator",
    "trainer.capture",
    "trainer.compile",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.log_every_n_steps",
)


def without_hydra(config: DictConfig) -> DictConfig:
    """A copy of ``config`` less Hydra's node, from which ``choices`` are filled in.

    Nothing is left to ask of a running program.
    """
    config = copy.deepcopy(config)
    with read_write(config), open_dict(config):
        chosen = OmegaConf.select(config, "hydra.runtime.choices")
        if chosen is not None and config.get("choices") is not None:
            for name in config.choices:
                config.choices[name] = chosen.get(name)
        config.pop("hydra", None)
    return config


def resolve(config: DictConfig) -> dict[str, Any]:
    """``config`` as plain types, every reference filled in, as the hash wants it: the same for every seed and place.

    References to the seed find 0 and those to a path its name; this is not the configuration to store.
    """
    config = without_hydra(config)
    with read_write(config), open_dict(config):
        if "seed" in config:
            config.seed = 0
        if "paths" in config:
            config.paths = {str(key): str(key) for key in config.paths}
    resolved = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def config_hash(resolved: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of what matters in a resolved configuration: all but ``IGNORED``."""
    text = json.dumps(_plain(canonical(_kept(resolved))), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


@dataclass(frozen=True)
class Presets:
    """Where presets are composed: by whose ``loader``, with which ``overrides`` that say where they lie.

    ``untouched``: what is asked for is such a preset, as it chooses among them and changes nothing.
    """

    loader: ConfigLoader
    overrides: tuple[str, ...] = ()
    untouched: bool = False

    @classmethod
    def of(cls, loader: ConfigLoader, hydra: Any) -> "Presets":
        """Those of a running program, whose ``loader`` and node ``hydra`` these are."""
        places = tuple(text for text in hydra.overrides.hydra if "hydra.searchpath" in text)
        return cls(loader, places, all(_only_chooses(text) for text in hydra.overrides.task))

    def config(self, choices: Mapping[str, Any]) -> dict[str, Any]:
        """The resolved configuration of the ``NAMED`` choices alone, with no other override.

        ``choices`` is Hydra's ``runtime.choices`` or a part of it.
        """
        chosen = [f"{group}={choices[group]}" for group in NAMED if choices.get(group) is not None]
        # The jobs of a sweep ask for the same one, and each would take a tenth of a second.
        places = tuple(str(element.path) for element in self.loader.get_search_path().get_path())
        key = places, tuple(chosen), self.overrides
        if key not in _COMPOSED:
            words = [*chosen, *self.overrides]
            _COMPOSED[key] = resolve(self.loader.load_configuration("train", words, RunMode.RUN))
        return copy.deepcopy(_COMPOSED[key])


def _only_chooses(override: str) -> bool:
    """Whether an ``override`` of the command line is a ``NAMED`` choice, or of a seed or place, which are no matter."""
    name = override.partition("=")[0]
    return name in {*NAMED, "seed"} or name.startswith("paths.")


_COMPOSED: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], dict[str, Any]] = {}
# By where presets lie and what is chosen of them, in this process.


@lru_cache(maxsize=1)
def own_presets(conf: Path = CONF) -> Presets:
    """Those of the folder ``conf``, outside a running program."""
    return Presets(ConfigLoaderImpl(create_config_search_path(str(conf))))


def run_folder(
    root: str | Path, experiment: str, model: str, data: str, family: str, config_hash: str, preset_hash: str, seed: int
) -> Path:
    """The folder for one run; nothing is created.

    It is ``<root>/<experiment>/<model>-<data>-<family>/seed-<seed>``; where ``config_hash`` is not ``preset_hash``,
    that of the presets alone, it joins the name of the configuration.
    """
    name = "-".join(_safe(part) for part in (model, data, family))
    if config_hash != preset_hash:
        name = f"{name}-{config_hash}"
    return Path(root) / _safe(experiment) / name / f"seed-{int(seed)}"


def locate(cfg: DictConfig, seeds: Sequence[int], presets: Presets | None = None) -> tuple[str, dict[int, Path]]:
    """The hash of the configuration that ``cfg`` is, and the folder of the run of each of ``seeds``.

    Nothing is created. Where the folder that the presets name holds another configuration (the presets have changed
    since), the hash joins. What cannot be read there counts as this one: ``check_config`` refuses it.
    """
    resolved = resolve(cfg)
    digest, choices = config_hash(resolved), resolved["choices"]
    presets = presets or own_presets()
    # Composing them takes a fifth of a second, which the first line waits for.
    preset = digest if presets.untouched else config_hash(presets.config(choices))
    name = resolved["experiment_name"] or choices["experiment"] or "default"

    def folder(seed: int, preset_hash: str) -> Path:
        return run_folder(
            cfg.paths.runs, name, choices["model"], choices["data"], choices["family"], digest, preset_hash, seed
        )

    folders = {seed: folder(seed, preset) for seed in seeds}
    for seed, place in folders.items():
        with suppress(UserError):
            if _written_hash(place) not in (digest, None):
                folders[seed] = folder(seed, "")
    return digest, folders


def is_finished(folder: str | Path, config_hash: str) -> bool:
    """Whether ``result.json`` is there in ``folder``, whole, and of a run that has the same ``config_hash``."""
    return _stored_hash(Path(folder)) == config_hash


def finished_bound(folder: str | Path, config_hash: str) -> float | None:
    """The validation bound, nats per example, of the finished run in ``folder``; None of one without a result.

    ``config_hash`` is what ``is_finished`` compares. Raises ``UserError`` where there is a ``result.json`` that is
    damaged, or not of this run.
    """
    path = Path(folder) / "result.json"
    if not os.path.lexists(path):
        return None
    result = read_result(path)
    bound = (result.get("validation") or {}).get("elbo")
    found = result.get("config_hash")
    if found != config_hash or bound is None:
        fault = "has no bound of the validation split" if found == config_hash else f"is of another run ({found})"
        raise UserError(
            f"{path} {fault}: it was edited, or written by another program, and was left alone with its run. Put it "
            "back as it was, or do the run again with force=true."
        )
    return float(bound)


def check_config(folder: Path) -> None:
    """Raises ``UserError`` where the run in ``folder`` has a ``config.yaml`` that is damaged, or none."""
    _written_hash(folder)


def _written_hash(folder: Path) -> str | None:
    """The hash of the configuration of the run in ``folder``; None where none is written. Raises ``UserError``."""
    path = folder / "config.yaml"
    if not os.path.lexists(path):
        return None
    try:
        content = read_file(path)
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    try:
        return _hash_of(content)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{path} is no configuration of a run: it is damaged, or was edited ({reason}), and was left alone with "
            "its run. Put it back as it was, or move the folder away."
        ) from error


@lru_cache(maxsize=128)
def _hash_of(content: bytes) -> str:
    """That of the configuration which a file holds; of ten seeds each is asked for more than once."""
    config = resolve(OmegaConf.load(io.StringIO(content.decode())))  # type: ignore[arg-type]
    if not isinstance(config.get("choices"), dict):
        raise ValueError("it holds no choices")
    return config_hash(config)


def _stored_hash(folder: Path) -> str | None:
    try:
        stored = read_result(folder / "result.json").get("config_hash")
    except UserError:
        return None
    return stored if isinstance(stored, str) else None


def _kept(node: Any, prefix: str = "") -> Any:
    """``node`` less the ``IGNORED`` paths."""
    if not isinstance(node, Mapping):
        return node
    paths = {key: f"{prefix}{key}" for key in node}
    ignored = {key for key, path in paths.items() if any(fnmatchcase(path, pattern) for pattern in IGNORED)}
    return {key: _kept(value, f"{paths[key]}.") for key, value in node.items() if key not in ignored}


def _plain(value: Any) -> Any:
    """``value`` in JSON's types, so that equal settings have equal text: 1 and 1.0, a tuple and a list."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _safe(name: str) -> str:
    """``name`` as a part of a file name: letters, digits, ``.``, ``_`` and ``-``, not beginning with a dot."""
    safe = re.sub(r"[^\w.-]", "_", str(name))
    return re.sub(r"^\.+", "_", safe) or "_"
