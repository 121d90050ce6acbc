"""The paper's Table 2, on the scales of this library."""

import json
from functools import cache
from math import log
from pathlib import Path
from typing import Any

__all__ = ["name", "source", "value"]

FILE = Path(__file__).with_name("paper_table_2.json")


def source() -> str:
    """Where the numbers stand."""
    return str(_table()["source"])


def name(data: str, model: str) -> str | None:
    """What the paper calls ``model``, where it has it on ``data``."""
    entry = _entry(data, model)
    return None if entry is None else str(entry["name"])


def value(data: str, model: str, measure: str, scale: float | None = None) -> tuple[float, float | None] | None:
    """Mean and standard deviation (None: not given) of ``measure`` of ``model`` on ``data``: au, kl, mi or ll, nats.

    ``scale`` is what our real coordinates were divided by: a density of D of them rises by D log scale on the way from
    the paper's coordinates to ours. None where the paper has no such number.
    """
    entry = _entry(data, model)
    if entry is None or measure not in entry:
        return None
    mean, *rest = entry[measure]
    if measure == "ll" and scale is not None and "scale" in _table()[data]:
        mean += _table()[data]["dimensions"] * log(scale / _table()[data]["scale"])
    return mean, rest[0] if rest else None


def _entry(data: str, model: str) -> dict[str, Any] | None:
    return _table().get(data, {}).get("models", {}).get(model)


@cache
def _table() -> dict[str, Any]:
    return json.loads(FILE.read_text())
