"""Find the option or choice that does not exist, and the nearest that does."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

__all__ = ["find_misspelling"]

_OTHER_CONFIGURATION = ("--config-", "-cp", "-cn", "-cd")


def find_misspelling(kind: str, conf: Path, arguments: Sequence[str]) -> str | None:
    """A sentence on the first override that ``conf/<kind>.yaml`` has no place for, or None where all have one."""
    if any(argument.startswith(_OTHER_CONFIGURATION) for argument in arguments):
        return None  # the user's own configuration, which is not ours to know
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            return _Options(kind).find([a for a in arguments if "=" in a and not a.startswith("-")])
    except (HydraException, OmegaConfBaseException, OSError):
        return None  # the configuration itself is broken: Hydra's own message is the better one


class _Options:
    """What ``conf/<kind>.yaml`` offers: groups with their choices, and keys."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.loader: ConfigLoader = GlobalHydra.instance().config_loader()
        self.groups: Collection[str] = compose(kind, return_hydra_config=True).hydra.runtime.choices

    def find(self, arguments: Sequence[str]) -> str | None:
        overrides = OverridesParser.create(config_loader=self.loader).parse_overrides(list(arguments))
        chosen = []
        for override in overrides:
            if override.get_key_element().lstrip("+~") not in self.groups:
                continue
            for choice in _values(override):
                complaint = self._check_choice(override.key_or_group, choice)
                if complaint:
                    return complaint
            if not override.is_sweep_override():
                chosen.append(str(override.input_line))
        config = OmegaConf.to_container(compose(self.kind, chosen, return_hydra_config=True), resolve=False)
        for override in overrides:
            name = override.key_or_group
            if name in self.groups or override.is_add() or override.is_force_add():
                continue
            if not _exists(config, name.split(".")):
                return self._no_such_option(name, config)
        return None

    def _check_choice(self, group: str, choice: Any) -> str | None:
        choices = self.loader.get_group_options(group)
        if choice is None or not isinstance(choice, str) or choice in choices:
            return None
        near = difflib.get_close_matches(choice, choices, n=1)
        suggestion = f" Did you mean {group}={near[0]}?" if near else ""
        return f"{group}={choice}: there is no {group} called {choice}.{suggestion} Choices: {', '.join(choices)}."

    def _no_such_option(self, name: str, config: Any) -> str:
        keys = [key for key in _keys(config) if not key.startswith("hydra.") or name.startswith("hydra.")]
        keys += [group for group in self.groups if not group.startswith("hydra/")]
        last_part = [key for key in keys if key.rpartition(".")[2] == name]
        near = last_part or difflib.get_close_matches(name, keys, n=1)
        suggestion = f" Did you mean {near[0]}?" if near else ""
        return f"{self.kind}.py has no option {name}.{suggestion} {self.kind}.py --help lists the options."


def _values(override: Override) -> list[Any]:
    value = override._value
    elements: list[Any] = value.list if isinstance(value, ChoiceSweep) else [value]
    return [element.text if isinstance(element, QuotedString) else element for element in elements]


def _exists(config: Any, path: Sequence[str]) -> bool:
    for part in path:
        if isinstance(config, str) and "${" in config:
            return True  # an interpolation to another node
        if isinstance(config, list):
            return True
        if not isinstance(config, dict) or part not in config:
            return False
        config = config[part]
    return True


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(config, dict):
        for key, value in config.items():
            yield f"{prefix}{key}"
            yield from _keys(value, f"{prefix}{key}.")
