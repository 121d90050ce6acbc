"""Find what is wrong on the command line: an option or choice that does not exist, text where a number belongs."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lid_vae.command_line.arguments import is_multirun, split
from lid_vae.run.store import own_presets

__all__ = ["find_mistake", "find_odd_value"]

_OTHER_CONFIGURATION = ("--config-path", "--config-name", "-cp", "-cn")
_FURTHER_CONFIGURATION = ("--config-dir", "-cd")


def find_mistake(kind: str, conf: Path, arguments: Sequence[str]) -> str | None:
    """A paragraph on the first argument that ``conf/<kind>.yaml`` has no place for, or None where all have one.

    To be called after Hydra has refused the arguments, and outside its own run.
    """
    flags, overrides = split(arguments)
    if any(flag.startswith(_OTHER_CONFIGURATION) for flag in flags):
        return None  # the user's own configuration, which is not ours to know
    try:
        with _composing(conf, _further(flags)):
            return _Options(kind).find_mistake(overrides, is_multirun(flags, overrides))
    except (HydraException, OmegaConfBaseException, OSError):
        return None  # the configuration itself is broken: Hydra's own message is the better one


def _further(flags: Sequence[str]) -> Path | None:
    """The folder of a user's own choices, beside this program's."""
    for flag, following in zip(flags, [*flags, ""][1:], strict=True):
        name, equals, value = flag.partition("=")
        if name in _FURTHER_CONFIGURATION:
            return Path(value if equals else following)
    return None


@contextmanager
def _composing(conf: Path, further: Path | None) -> Iterator[None]:
    """Hydra ready to compose what lies in ``conf`` and, where it is given, in a ``further`` folder."""
    with initialize_config_dir(str(conf), version_base="1.3"):
        if further is not None:
            hydra = GlobalHydra.instance()
            path = create_config_search_path(str(conf))
            path.prepend("command-line", f"file://{further.absolute()}", anchor="schema")
            hydra.clear()
            Hydra.create_main_hydra2("app", path)
        yield


def find_odd_value(kind: str, overrides: Sequence[str]) -> str | None:
    """A paragraph on the first of ``overrides`` that has a value of the wrong kind: text for a number, say.

    To be called after a run has failed, in any process: text may be right, as in trainer.devices=auto.
    """
    running = GlobalHydra.instance()
    loader = running.config_loader() if running.is_initialized() else own_presets().loader
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        groups = loader.load_configuration(kind, [], RunMode.RUN).hydra.runtime.choices
        chosen = [str(override.input_line) for override in parsed if override.key_or_group in groups]
        defaults = loader.load_configuration(kind, chosen, RunMode.RUN)
    except (HydraException, OmegaConfBaseException):
        return None  # another configuration than ours, as by --config-name
    for override in parsed:
        name = override.key_or_group
        value: Any = override.value()
        usual = None if name in groups else OmegaConf.select(defaults, name)
        if several := _several(override, usual):
            return several
        if isinstance(value, float) and isinstance(usual, int) and not isinstance(usual, bool):
            return f"{name}={value} is no whole number, as stands there by default. Write one, as in {name}={usual}."
        if not isinstance(value, str) or "${" in value:
            continue
        if isinstance(usual, bool):
            return f"{name}={value} is neither true nor false. Write {name}=true or {name}=false."
        if isinstance(usual, int | float):
            return f"{name}={value} is not a number, which is what belongs there. Write one, as in {name}={usual}."
    return None


class _Options:
    """What ``conf/<kind>.yaml`` offers: groups with their choices, and keys."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.loader: ConfigLoader = GlobalHydra.instance().config_loader()
        self.groups: Collection[str] = compose(kind, return_hydra_config=True).hydra.runtime.choices

    def find_mistake(self, arguments: Sequence[str], multirun: bool) -> str | None:
        overrides = []
        for argument in arguments:
            override = self._parse(argument)
            if isinstance(override, str):
                return override
            overrides.append(override)
        for override in overrides:
            mistake = self._wrong_choice(override) if override.key_or_group in self.groups else None
            if mistake:
                return mistake
            if override.is_sweep_override() and not multirun:
                return _needs_multirun(override, may_be_text=override.key_or_group not in self.groups)
        chosen = [o.input_line for o in overrides if o.key_or_group in self.groups and not o.is_sweep_override()]
        config = self._compose([text for text in chosen if text is not None])
        tree = OmegaConf.create(config)
        for override in overrides:
            name = override.key_or_group
            added = override.is_add() or override.is_force_add()
            if name not in self.groups and not added and not _exists(config, name.split(".")):
                return self._no_such_option(name, config)
            several = None if name in self.groups or added else _several(override, OmegaConf.select(tree, name))
            if several:
                return several
        return None

    def _parse(self, argument: str) -> Override | str:
        """The parsed override, or what is wrong with it."""
        if "=" not in argument and not argument.startswith("~"):
            owners = [group for group in self._own_groups() if argument in self.loader.get_group_options(group)]
            example = f"{owners[0]}={argument}" if owners else f"{argument}=<value>"
            return f"{argument} is not an option with a value. Write {example}, with no spaces around the equals sign."
        try:
            return OverridesParser.create(config_loader=self.loader).parse_overrides([argument])[0]
        except OverrideParseException:
            key, _, value = argument.partition("=")
            return (
                f"The value of {key} cannot be read: {value} holds characters that have a meaning for Hydra. "
                f"Quote it so that the shell leaves the inner quotes: \"{key}='...'\"."
            )

    def _wrong_choice(self, override: Override) -> str | None:
        group = override.key_or_group
        choices = self.loader.get_group_options(group)
        for choice in _values(override):
            several = choice if isinstance(choice, list) else [choice]
            if not override.is_delete() and not all(isinstance(one, str | QuotedString) for one in several):
                spelled = "null" if choice is None else choice
                return (
                    f"{group}={spelled} is no choice. Leave {group} out, or name one of {group}: {', '.join(choices)}."
                )
            if isinstance(choice, str) and choice not in choices:
                near = difflib.get_close_matches(choice, choices, n=1)
                hint = f" Did you mean {group}={near[0]}?" if near else ""
                return f"There is no {group} called {choice}.{hint} Choices of {group}: {', '.join(choices)}."
        return None

    def _no_such_option(self, name: str, config: Any) -> str:
        keys = [key for key in _keys(config) if name.startswith("hydra") or not key.startswith("hydra.")]
        keys += self._own_groups()
        same_end = [key for key in keys if key.rpartition(".")[2] == name]
        near = same_end or difflib.get_close_matches(name, keys, n=1, cutoff=0.75)
        owners = self._choices_with(name)
        if owners:
            *others, last = owners
            owning = f"{', '.join(others)} and {last}" if others else last
            return f"There is no option {name} with these choices. It belongs to {owning}."
        hint = f"Did you mean {near[0]}?" if near else "--help lists the common options, --cfg job all of them."
        return f"There is no option {name}. {hint}"

    def _choices_with(self, name: str) -> list[str]:
        """Choices of the group ``name`` starts with that have this option, such as data=pinwheel for data.radial."""
        group, *rest = name.split(".")
        if group not in self.groups or not rest:
            return []
        candidates = [f"{group}={choice}" for choice in self.loader.get_group_options(group)]
        return [text for text in candidates if _exists(self._compose([text]), name.split("."))]

    def _own_groups(self) -> list[str]:
        return [group for group in self.groups if not group.startswith("hydra/")]

    def _compose(self, overrides: list[str]) -> Any:
        return OmegaConf.to_container(compose(self.kind, overrides, return_hydra_config=True), resolve=False)


def _several(override: Override, usual: Any) -> str | None:
    """What is wrong with one value for ``usual``, where that is several options."""
    if not OmegaConf.is_dict(usual) or isinstance(override.value(), dict) or override.value() is None:
        return None
    name = override.key_or_group
    below = ", ".join(_keys(OmegaConf.to_container(usual, resolve=False), f"{name}."))
    return f"{name}={override.value()} is one value for several options. Give it to one: {below}."


def _needs_multirun(override: Override, may_be_text: bool) -> str:
    text = f"{override.input_line} asks for several runs. Add -m to run them all"
    if may_be_text:
        text += f", or keep the shell from removing the quotes of one text: \"{override.key_or_group}='a,b'\""
    return text + "."


def _values(override: Override) -> list[Any]:
    value = override._value
    elements: list[Any] = value.list if isinstance(value, ChoiceSweep) else [value]
    return [element.text if isinstance(element, QuotedString) else element for element in elements]


def _exists(config: Any, path: Sequence[str]) -> bool:
    for part in path:
        if isinstance(config, list) or (isinstance(config, str) and "${" in config):
            return True  # an index, or a reference to another node
        if not isinstance(config, dict) or part not in config:
            return False
        config = config[part]
    return True


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(config, dict):
        for key, value in config.items():
            yield f"{prefix}{key}"
            yield from _keys(value, f"{prefix}{key}.")
