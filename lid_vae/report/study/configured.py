"""What the stored configuration of a run says of it, in the words of a result: all there is before it ends."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from lid_vae.result import check_result
from lid_vae.run.names import GAINED, current
from lid_vae.run.plan import labels_of
from lid_vae.run.store import IGNORED
from lid_vae.system.files import read_file

__all__ = ["Config", "differences", "read_config", "same_data", "settings"]

Config = Mapping[str, Any]
# Of the data, what leaves the observations as they are.
NOT_OF_DATA = ("root", "train_seed", "batch_size", "eval_batch_size")
# libyaml is ten times as fast, and not everywhere.
DAMAGE = (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError, yaml.YAMLError)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_config(place: Path) -> Config | None:
    """The ``config.yaml`` of any run of the configuration in ``place``; None where none can be read."""
    for path in sorted(place.glob("seed-*/config.yaml")):
        try:
            config = _completed(current(yaml.load(read_file(path), _Loader)))
            check_result(settings(config))
        except DAMAGE:
            continue
        return config  # type: ignore[no-any-return]
    return None


def _completed(node: Any) -> Any:
    """``node`` with the options that its parts have gained since it was written, at their defaults."""
    if not isinstance(node, Mapping):
        return node
    return {**GAINED.get(node.get("_target_"), {}), **{key: _completed(value) for key, value in node.items()}}


def settings(config: Config) -> dict[str, Any]:
    """What a result of ``config`` would say of it; what the configuration does not have is None."""
    return {**labels_of(config), "samples": config.get("samples")}


def same_data(a: Config, b: Config) -> bool:
    """Whether ``a`` and ``b`` have the same splits of the same data, as far as both configurations speak of them."""
    first, second = a.get("data"), b.get("data")
    if not isinstance(first, dict) or not isinstance(second, dict):
        return True
    return all(first[key] == second[key] for key in {*first} & {*second} - {*NOT_OF_DATA})


def differences(configs: Sequence[Config]) -> list[dict[str, Any]]:
    """For each of ``configs`` the options in which they differ, by name, of those that make a run another run.

    A choice stands for all options of its group, and a class for those that another in its place has not. Of options
    that go together, as ``width`` and all that take it for their own, the shortest name is kept.
    """
    flat = [_flattened(config) for config in configs]
    together: dict[tuple[str, ...], str] = {}
    varied = {key for key in set().union(*flat) if len({str(one.get(key)) for one in flat}) > 1}
    classes = {key for key in varied if key.endswith("._target_")}
    parts = tuple(key.removesuffix("_target_") for key in classes)
    varied -= {key for key in varied - classes if key.startswith(parts) and any(key not in one for one in flat)}
    groups = {key.partition(".")[2] for key in varied if key.startswith("choices.")}
    for key in sorted(varied, key=lambda key: (not key.startswith("choices."), key.count("."), len(key), key)):
        if key.partition(".")[0] not in groups:
            together.setdefault(tuple(str(one.get(key)) for one in flat), key)
    return [{_name(key): _value(key, one.get(key)) for key in together.values()} for one in flat]


def _flattened(node: Config, prefix: str = "") -> dict[str, Any]:
    """Dotted names of the options, less the ``IGNORED``."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        path = f"{prefix}{key}"
        if any(fnmatchcase(path, pattern) for pattern in IGNORED):
            continue
        if isinstance(value, dict):
            found |= _flattened(value, f"{path}.")
        else:
            found[path] = value
    return found


def _name(key: str) -> str:
    return key.removesuffix("._target_").rpartition(".")[2]


def _value(key: str, value: Any) -> Any:
    return str(value).rpartition(".")[2] if key.endswith("_target_") else value
