"""The folder of a run, named after its configuration so that different runs never share one.

``<root>/<experiment>/<model>-<data>-<family>[-<8 hex>]/seed-<n>/``; the hash stands there when the configuration
differs from what the named choices alone give.
"""

import copy
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from lid_vae.errors import UserError
from lid_vae.files import read_json
from lid_vae.run.names import canonical

__all__ = [
    "CONF",
    "FAILURE",
    "IGNORED",
    "config_hash",
    "describe",
    "is_finished",
    "place",
    "preset_config",
    "resolve",
    "run_folder",
]

CONF = Path(__file__).resolve().parents[2] / "conf"
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
    "trainer.compile",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.log_every_n_steps",
)


def resolve(config: DictConfig) -> dict[str, Any]:
    """``config`` as plain types, every reference filled in, as the hash wants it: the same for every seed and place.

    References to the seed find 0 and those to a path its name; this is not the configuration to store.
    """
    config = copy.deepcopy(config)
    with read_write(config), open_dict(config):
        config.pop("hydra", None)
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


def preset_config(choices: Mapping[str, Any], config_name: str = "train", conf: Path = CONF) -> dict[str, Any]:
    """The resolved configuration of the ``NAMED`` choices alone, with no other override.

    ``choices`` is ``HydraConfig.get().runtime.choices`` or a part of it. Inside a running program its own configuration
    folders are searched, in any process; outside one, ``conf``. Hydra's global state is left as it was.
    """
    running = GlobalHydra.instance().is_initialized()
    overrides = [f"{group}={choices[group]}" for group in NAMED if choices.get(group) is not None]
    if not running or HydraConfig.instance().cfg is None:
        with nullcontext() if running else initialize_config_dir(str(conf), version_base="1.3"):
            return _composed(config_name, overrides)
    overrides += [text for text in HydraConfig.get().overrides.hydra if "hydra.searchpath" in text]
    # The jobs of a sweep ask for the same one, and each would take a tenth of a second.
    return copy.deepcopy(_composed_once(GlobalHydra.instance().hydra, config_name, tuple(overrides)))


@lru_cache(maxsize=8)
def _composed_once(running: object, config_name: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    """``running`` is the program whose folders are searched."""
    return _composed(config_name, overrides)


def _composed(config_name: str, overrides: Sequence[str]) -> dict[str, Any]:
    before = HydraConfig.instance().cfg
    try:
        config = compose(config_name, list(overrides), return_hydra_config=True)
        # For references such as ${hydra:runtime.choices.model}.
        HydraConfig.instance().set_config(config)
        return resolve(config)
    finally:
        HydraConfig.instance().cfg = before


def run_folder(
    root: str | Path, experiment: str, model: str, data: str, family: str, config_hash: str, preset_hash: str, seed: int
) -> Path:
    """The folder for one run; nothing is created."""
    name = "-".join(_safe(part) for part in (model, data, family))
    if config_hash != preset_hash:
        name = f"{name}-{config_hash}"
    return Path(root) / _safe(experiment) / name / f"seed-{int(seed)}"


def place(cfg: DictConfig) -> tuple[Path, str]:
    """The folder of the run that ``cfg`` asks for, and the hash of its configuration; nothing is created.

    Where the folder that the presets name holds another configuration (the presets have changed since), the hash joins.
    """
    digest = config_hash(resolve(cfg))
    choices = cfg.choices
    preset = config_hash(preset_config({k: v for k, v in choices.items() if v is not None}))
    name = cfg.experiment_name or choices.experiment or "default"

    def named(preset_hash: str) -> Path:
        return run_folder(
            cfg.paths.runs, name, choices.model, choices.data, choices.family, digest, preset_hash, cfg.seed
        )

    folder = named(preset)
    config = folder / "config.yaml"
    if config.exists() and config_hash(resolve(OmegaConf.load(config))) != digest:  # type: ignore[arg-type]
        folder = named("")
    return folder, digest


def is_finished(folder: str | Path, config_hash: str) -> bool:
    """Whether ``result.json`` is there, whole, and of a run with the same configuration."""
    return _stored_hash(Path(folder)) == config_hash


def describe(folder: str | Path, config_hash: str) -> str:
    """One sentence on how far the run in ``folder`` is."""
    folder = Path(folder)
    if not (folder / "result.json").exists():
        state = "was begun and is not finished" if folder.exists() else "has not begun"
        return f"The run in {folder} {state}."
    stored = _stored_hash(folder)
    if stored is None:
        return f"The run in {folder} has a damaged result.json and will be done again."
    if stored != config_hash:
        return f"The run in {folder} was done with another configuration ({stored}, not {config_hash})."
    return f"The run in {folder} is finished; force=true does it again."


def _stored_hash(folder: Path) -> str | None:
    try:
        result = read_json(folder / "result.json")
    except UserError:
        return None
    stored = result.get("config_hash") if isinstance(result, dict) else None
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
