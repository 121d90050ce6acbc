"""Recipes that can be called: what they name is there, and what they give it is of the kinds that it takes."""

import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import Parameter, isclass, signature
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra._internal.utils import _locate

from lid_vae.check.kinds import ELSEWHERE, spelled
from lid_vae.errors import UserError

__all__ = ["BUILT", "check_recipes"]

# The nodes of a configuration whose recipes evaluation builds, and those that a run has beside them.
BUILT = (
    "data",
    "prior",
    "map",
    "likelihood",
    "family",
    "normalization",
    "encoder",
    "objective",
    "inference",
    "optimizer",
    "schedule",
)
NODES = (*BUILT, "model", "callbacks", "logger", "measures")
# Options of a recipe that are Hydra's, or the program's.
FLAGS = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_", "shown")
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "null"}


def check_recipes(config: Mapping[str, Any], overrides: Sequence[str] = ()) -> None:
    """Raises ``UserError`` for the first recipe of a resolved ``config`` that cannot be called as it stands.

    That is where its ``_target_`` is not there or no class or function, and, of this package's own, where an argument
    is not of the type that its signature says. ``overrides`` are what the user gave: an option that others refer to is
    named in their place.
    """
    given = {override.partition("=")[0].lstrip("+") for override in overrides}
    for node in NODES:
        for path, recipe in _recipes(config.get(node), node):
            target = recipe["_target_"]
            called = _called(path, target)
            for name in ("_partial_", "_recursive_"):
                if not isinstance(recipe.get(name, False), bool):
                    raise UserError(f"{path}.{name}={recipe[name]} is neither true nor false. Leave it as it is.")
            if str(target).startswith("lid_vae."):
                _check_arguments(path, recipe, called, given)


def _recipes(node: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            if key != "shown":
                yield from _recipes(value, f"{path}.{key}")


def _called(path: str, target: object) -> Callable[..., Any]:
    found: Any = None
    try:
        found = _locate(target) if isinstance(target, str) else None
    except Exception as error:
        reason = re.sub(r"\.? *(Are you sure .*)?$", ".", " ".join(str(error).split()), count=1)
        raise UserError(
            f"{path}._target_={target} cannot be found: {reason} Name a class or a function as Python imports it, or "
            "leave it as its group says."
        ) from error
    if not callable(found):
        raise UserError(
            f"{path}._target_={spelled(target)} is no class and no function. Name one as Python imports it, or leave "
            "it as its group says."
        )
    return found  # type: ignore[no-any-return]


def _check_arguments(path: str, recipe: Mapping[str, Any], called: Callable[..., Any], given: set[str]) -> None:
    hints, closed = _hints(called)
    for name, value in recipe.items():
        option = f"{path}.{name}"
        shown = "{...}" if isinstance(value, Mapping) else spelled(value)
        if value is not None and ELSEWHERE.fullmatch(option):
            continue
        if closed and name not in hints and name not in FLAGS:
            raise UserError(
                f"{option}={shown} is no option of {called.__name__}. Leave it out, or choose another "
                f"{path.partition('.')[0]}, whose option it is: {path.partition('.')[0]}=<choice>."
            )
        if name in hints and name not in FLAGS and not _fits(hints[name], value):
            if option not in given and name in given:
                option = name
            raise UserError(f"{option}={shown} does not fit: {_described(hints[name])} belongs there.")


def _hints(called: Callable[..., Any]) -> tuple[dict[str, Any], bool]:
    """The types of all named arguments, of a class that passes some on to its base those of this as well.

    And whether these are all that there are.
    """
    makers = (
        [vars(kind)["__init__"] for kind in called.__mro__ if "__init__" in vars(kind)] if isclass(called) else [called]
    )
    found: dict[str, Any] = {}
    for maker in makers:
        try:
            parameters, hints = signature(maker).parameters.values(), get_type_hints(maker)
        except (NameError, TypeError, ValueError):
            return found, False  # written in another language, or with names that are imported for type checkers alone
        found = {**{p.name: hints.get(p.name, Any) for p in parameters if p.kind is not Parameter.VAR_KEYWORD}, **found}
        if all(parameter.kind is not Parameter.VAR_KEYWORD for parameter in parameters):
            return found, bool(found)
    return found, False


def _fits(hint: Any, value: Any) -> bool:
    """Whether ``value``, as a configuration holds it, may stand for an argument of type ``hint``; in doubt it may."""
    kinds = _alternatives(hint)
    return any(_is(kind, value) for kind in kinds)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(kind for one in get_args(hint) for kind in _alternatives(one))
    return (hint,)


def _is(kind: Any, value: Any) -> bool:
    origin = get_origin(kind)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is type(None):
        return value is None
    if kind is bool:
        return isinstance(value, bool) or value in (0, 1)
    if kind in (int, float):
        return number
    if kind is str or origin is Literal:
        return isinstance(value, str | bool | int | float)  # which of them the part says in its own words
    if origin in (list, tuple) or (isclass(origin) and issubclass(origin, Sequence)):
        return isinstance(value, list | tuple)
    if isclass(origin) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin is not None and "Callable" in str(origin):
        return isinstance(value, Mapping) and "_target_" in value
    if isclass(kind) and str(kind.__module__).startswith("lid_vae."):
        return isinstance(value, Mapping) and "_target_" in value
    return value is not None or kind is Any or not isclass(kind)


def _described(hint: Any) -> str:
    words = []
    for kind in _alternatives(hint):
        if kind in WORDS:
            words.append(WORDS[kind])
        elif get_origin(kind) is Literal:
            words += [str(choice) for choice in get_args(kind)]
        elif isclass(get_origin(kind)) and issubclass(get_origin(kind), Sequence):  # type: ignore[arg-type]
            words.append("a list")
        elif isclass(get_origin(kind)) and issubclass(get_origin(kind), Mapping):  # type: ignore[arg-type]
            words.append("a mapping")
        else:
            words.append("a part with its _target_")
    return " or ".join(dict.fromkeys(words))
