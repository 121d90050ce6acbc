"""From the library's words to the command line's: arguments become options, classes and functions choices of conf/.

An error of the library names what a Python user has: ``sharpness=-1``, ``ELBO``. Here its traceback says which recipe
of the configuration asked for the call, and so which option the argument is: ``map.sharpness=-1``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

import yaml

from lid_vae.errors import UserError
from lid_vae.run.store import CONF

__all__ = ["in_options"]

# Rooms whose errors name options already.
_OWN_WORDS = ("check", "command_line", "figure", "launch", "log", "picture", "report", "run", "system", "text")
# Groups of conf/ whose choices are named in advice, and whose options have names that no other part shares.
_GROUPS = (
    "data",
    "encoder",
    "family",
    "inference",
    "likelihood",
    "map",
    "model",
    "normalization",
    "objective",
    "prior",
    "schedule",
)
# Arguments that a recipe knows by another name, by the class that takes them.
_OTHER_NAMES = {
    "AdditiveCouplings": {"count": "shears", "width": "shear_width", "bound": "shear_bound"},
    "ComponentCode": {"kind": "code"},
    "DataModule": {"root": "paths.data"},
    "LSTMHistory": {"features": "hidden"},
    "RealNVP": {"dimension": "latent_dimension"},
    "VAEModule": {"evaluation_samples": "validation_samples"},
}
# Classes that a recipe makes by a function.
_MAKERS = {
    "AnchoredMap": "anchored",
    "AutoregressiveLikelihood": "autoregressive_likelihood",
    "BernoulliLikelihood": "bernoulli_likelihood",
    "BrenierMap": "composed_brenier",
    "GaussianLikelihood": "gaussian_likelihood",
    "GradientNetwork": "composed_gradient_network",
    "MLP": "counterpart_mlp",
    "OptimalGaussianLikelihood": "optimal_gaussian_likelihood",
    "RealNVP": "realnvp_family",
}
_SPELLED = {"None": "null", "True": "true", "False": "false"}

_VALUE = r"(?:'[^']*'|None|True|False|-?[\d.]*\d)"
_NAMED = re.compile(rf"(?<![\w./-])([a-z]\w*)=({_VALUE}(?!\w)(?:(?:,? or |, | and ){_VALUE}(?![\w=]))*|'[^']*')?(\w*)")
# A name in prose: one with an underscore, and not in a comparison, as in "needs scale_floor > 0".
_BARE = re.compile(r"(?<![\w./=<>-])(?<![<>] )(?<!= )[a-z]+(?:_[a-z]+)+(?![\w=(.]\w?)(?! [<>])")
_ADVICE = re.compile(r"(?<!\w)[Uu]se .*", re.DOTALL)


def in_options(error: UserError, config: Mapping[str, Any], conf: Path = CONF) -> str:
    """The message of ``error`` with its arguments as options of ``config``, and what it advises as choices of ``conf``.

    A name before ``=``, or with an underscore, becomes the option of the innermost recipe that was called and has it,
    or of the node that is called as a room of the traceback. Before ``=`` a name that none of them has is that of the
    only group of ``conf`` with such an option, unless it is an option at the top. What has no option, or stands for
    several, is left as it is; so are errors of rooms that speak of options.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)][::-1]
    if frames and _room(frames[0]) in _OWN_WORDS:
        return str(error)
    calls = [node for frame in frames for node in _recipes_of(frame, config)]
    rooms = dict.fromkeys(_room(frame) for frame in frames)
    calls += [(room, config[room]) for room in rooms if isinstance(config.get(room), Mapping)]
    renamed = {
        old: new for frame in frames for name in _classes(frame) for old, new in _OTHER_NAMES.get(name, {}).items()
    }
    choices, groups = _read(conf)

    def option(match: re.Match[str]) -> str:
        name, values, rest = match[1], match[2] or "", match[3]
        name = renamed.get(name, name)
        path = next((path for path, recipe in calls if name in recipe), None)
        if path is None and name not in config and "." not in name:
            there = groups.get(name, set())
            path = next(iter(there)) if len(there) == 1 else None
        if path is not None and (choice := choices.get(rest)) and (conf / path / name).is_dir():
            return f"{path}/{name}={choice.partition('=')[2]}"
        return f"{name if path is None else f'{path}.{name}'}={_spelled(values)}{rest}"

    def bare(match: re.Match[str]) -> str:
        path = next((path for path, recipe in calls if match[0] in recipe), None)
        return match[0] if path is None else f"{path}.{match[0]}"

    # A path of the user's may look like a name with its value.
    given = sorted({value for value in _texts(config) if "=" in value}, key=len, reverse=True)
    text = str(error)
    for number, value in enumerate(given):
        text = text.replace(value, f"\x00{number}\x00")
    text = _BARE.sub(bare, _NAMED.sub(option, text))
    for number, value in enumerate(given):
        text = text.replace(f"\x00{number}\x00", value)
    advised = [
        choices[name] for name in re.findall(r"(?<![\w=-])\w+", "".join(_ADVICE.findall(text))) if name in choices
    ]
    return f"{text} (On the command line: {', '.join(dict.fromkeys(advised))}.)" if advised else text


def _spelled(values: str) -> str:
    """As one types them: no quotation marks, and YAML's words."""
    return re.sub(r"'([^']*)'|None|True|False", lambda match: _SPELLED.get(match[0], match[1] or ""), values)


def _room(frame: FrameType) -> str:
    return (str(frame.f_globals.get("__name__")) + ".").removeprefix("lid_vae.").partition(".")[0]


def _classes(frame: FrameType) -> Sequence[str]:
    """The class whose method runs in a frame, and its bases."""
    return [kind.__name__ for kind in type(frame.f_locals.get("self")).__mro__]


def _recipes_of(frame: FrameType, config: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The recipes, with their places, that ask for what runs in a frame; of several, one nearer the top first."""
    names = {(str(frame.f_globals.get("__name__")), frame.f_code.co_qualname.partition(".")[0])}
    names |= {(kind.__module__, kind.__name__) for kind in type(frame.f_locals.get("self")).__mro__}
    found = []
    for path, node in _recipes(config):
        room, _, name = str(node["_target_"]).rpartition(".")
        if any(name == called and f"{module}.".startswith(f"{room}.") for module, called in names):
            found.append((path, node))
    return sorted(found, key=lambda pair: pair[0].count("."))


def _recipes(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "_target_" in node:
        yield path, node
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _recipes(value, f"{path}.{key}" if path else str(key))


def _texts(node: Any) -> Iterator[str]:
    """All values of a configuration that are texts."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping | list | tuple):
        for value in node.values() if isinstance(node, Mapping) else node:
            yield from _texts(value)


@lru_cache
def _read(conf: Path) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Of ``conf``: the choice that makes each class or function, and the groups that have an option of each name."""
    made: dict[str, list[str]] = {}
    groups: dict[str, set[str]] = {"lr": {"optimizer"}}
    for group in _GROUPS:
        for file in sorted((conf / group).rglob("*.yaml")):
            text = file.read_text()
            node = yaml.safe_load(text) or {}
            node = node.get(group) or {} if "@package _global_" in text else node
            target = str(node.get("_target_", "$"))
            if "$" not in target:
                choice = f"{file.parent.relative_to(conf).as_posix()}={file.stem}"
                made.setdefault(target.rpartition(".")[2], []).append(choice)
            for name in set(node) - {"_target_", "_partial_", "defaults"}:
                groups.setdefault(str(name), set()).add(group)
    choices = {name: max(found, key=lambda choice: _likeness(choice, name)) for name, found in made.items()}
    return choices | {name: choices[maker] for name, maker in _MAKERS.items() if maker in choices}, groups


def _likeness(choice: str, name: str) -> float:
    """How like a choice's name is to what it makes: of those of ``ELBO``, ``objective=elbo`` is the likest."""
    return SequenceMatcher(None, choice.partition("=")[2].replace("_", ""), name.lower().replace("_", "")).ratio()
