"""What a table's columns show: the numbers of results, those of further measures, and times."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from lid_vae.run.store import CONF
from lid_vae.shown import CORE, Number, numbers_of

__all__ = ["SEARCHED", "columns", "seconds"]


@lru_cache(maxsize=1)
def columns() -> tuple[Number, ...]:
    """Those of a table: what every result has, what ``conf/measures`` adds, and the time of a step."""
    further = [yaml.safe_load(path.read_text()) for path in sorted((CONF / "measures").glob("*.yaml"))]
    numbers = (*CORE, *(number for recipes in further for number in numbers_of(recipes)))
    return (*(number for number in numbers if number.column), _STEP)


def seconds(result: Mapping[str, Any]) -> float | None:
    """Of training one seed of ``result``: seeds that were trained together share their time."""
    return None if result.get("seconds") is None else float(result["seconds"]) / int(result.get("seeds_together") or 1)


def _milliseconds(result: Mapping[str, Any]) -> float | None:
    """Of one seed's step; with validations where the run does not tell them apart."""
    if result.get("seconds_per_step") is not None:
        return 1000 * float(result["seconds_per_step"]) / int(result.get("seeds_together") or 1)
    whole = seconds(result)
    return 1000 * whole / float(result["steps"]) if whole is not None and result.get("steps") else None


_STEP = Number(
    "ms",
    "seconds_per_step",
    "ms/step",
    digits=1,
    of=_milliseconds,
    meaning="Wall-clock time of a training step of one seed, in milliseconds.",
)
_BOUND = Number(
    "bound",
    "validation.elbo",
    "validation bound",
    meaning="The evidence lower bound on the validation split, by which settings are chosen.",
)
SEARCHED = (_BOUND, _STEP)
