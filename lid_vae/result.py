"""A ``result.json`` as it is read: whole, and of the kinds of value that this program writes, or refused."""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from lid_vae.errors import UserError
from lid_vae.shown import CORE, path_names
from lid_vae.system.files import explain_os_error, read_file

__all__ = ["check_result", "read_result"]

TEXTS = ("model", "data", "experiment", "split", "checkpoint", "config_hash", "command", "error")
COUNTS = ("seed", "train_size", "examples", "seeds_together", "ll.samples", "steps", "depth", "hidden_layers")
NUMBERS = (
    "learning_rate", "scale", "parameters", "inverse_lipschitz", "separation", "seconds",
    "seconds_per_step", "elbo", "elbo_se", "perplexity", "accuracy", "accuracy_majority", "bits_per_dimension",
)  # fmt: skip
# Where a single number stands, if it is there.
SINGLE = {
    place
    for number in CORE
    for place in (number.at, number.error, number.upper, number.lower, number.curve_at, number.curve_error)
    if place is not None
}
# Nodes of which every other value is a number or a list of numbers, whatever it is called.
NODES = ("ll", "latent.z", "latent.w", "latent.joint")


def read_result(path: Path) -> dict[str, Any]:
    """The result in the file ``path``.

    Raises ``UserError`` for a file that is missing, damaged, or was edited so that its values are of other kinds.
    """
    try:
        return check_result(json.loads(read_file(path)))
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged or was edited ({_reason(error)}), and was left alone with its run. Put it back as it "
            "was; or delete it, and the same command measures the run anew; or train it anew with force=true."
        ) from error


def check_result(result: object) -> dict[str, Any]:
    """``result``; raises ``ValueError``, which says why, where its values cannot be those of a result.

    What it does not have is not asked for, and what is not known here may be anything.
    """
    if not isinstance(result, dict):
        raise ValueError("it holds no result")
    _check(result, "")
    if (validation := result.get("validation")) is not None:
        if not isinstance(validation, dict):
            raise ValueError("validation is no group of values")
        _check(validation, "validation.")
    return result


def _check(result: Mapping[str, Any], prefix: str) -> None:
    for name, value in result.items():
        if value is not None and name in _KINDS:
            _be(value, name, prefix)
    for node in NODES:
        for name, value in (_at(result, node, prefix) or {}).items():
            if (place := f"{node}.{name}") in _KINDS and value is not None:
                _be(value, place, prefix)
            several = isinstance(value, list) and place not in SINGLE
            if not all(map(_number, value)) if several else not _number(value):
                raise ValueError(f"{prefix}{place} is no number")


def _be(value: object, place: str, prefix: str) -> None:
    """Raises ``ValueError`` where ``value`` is not of the kind that stands at that ``place`` of a result."""
    right, kind = _KINDS[place]
    if not right(value):
        raise ValueError(f"{prefix}{place} is no {kind}")


def _at(result: Mapping[str, Any], path: str, prefix: str) -> Any:
    """The value at a dotted ``path``; None where there is none."""
    value: Any = result
    for name in path_names(path):
        value = value.get(name)
        if value is None:
            return None
        if name in ("ll", "latent", "z", "w", "joint") and not isinstance(value, dict):
            raise ValueError(f"{prefix}{name} is no group of values")
    return value


def _text(value: object) -> bool:
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value))


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _number(value: object) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) < 1e300 and isfinite(value))  # type: ignore[operator,arg-type]


# By the name, what holds for a value and what it is then called: each result has most of them.
_KINDS = {
    name: (right, kind)
    for names, right, kind in ((TEXTS, _text, "text"), (COUNTS, _count, "count"), (NUMBERS, _number, "number"))
    for name in names
}


def _reason(error: Exception) -> str:
    return "it is not JSON" if isinstance(error, json.JSONDecodeError | UnicodeError | RecursionError) else str(error)
