"""What a table's columns show, and where it stands in a result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MEASURES", "SEARCHED", "Measure", "seconds"]


@dataclass(frozen=True)
class Measure:
    """A column: ``read(result)`` gives the number, or None where the run has none.

    ``key`` is its name in files, ``title`` its heading, ``digits`` how many are shown after the point. ``tested``:
    compared with the reference.
    """

    key: str
    title: str
    read: Callable[[Mapping[str, Any]], float | None]
    digits: int = 3
    tested: bool = False


def _at(*path: str) -> Callable[[Mapping[str, Any]], float | None]:
    """What stands in a result under these names, one within the other."""

    def read(result: Any) -> float | None:
        for name in path:
            result = (result or {}).get(name)
        return result

    return read


def seconds(result: Mapping[str, Any]) -> float | None:
    """Of training one seed of ``result``: seeds that were trained together share their time."""
    return None if result.get("seconds") is None else float(result["seconds"]) / int(result.get("seeds_together", 1))


def _milliseconds(result: Mapping[str, Any]) -> float | None:
    """Of one seed's step; with validations where the run does not tell them apart."""
    if result.get("seconds_per_step") is not None:
        return 1000 * float(result["seconds_per_step"]) / int(result.get("seeds_together", 1))
    whole = seconds(result)
    return 1000 * whole / float(result["steps"]) if whole is not None and result.get("steps") else None


_STEP = Measure("ms", "ms/step", _milliseconds, 1)
MEASURES = (
    Measure("au", "AU(z)", _at("latent", "z", "au"), 2, tested=True),
    Measure("kl", "KL(z)", _at("latent", "z", "kl"), tested=True),
    Measure("mi", "MI(z)", _at("latent", "z", "mi"), tested=True),
    Measure("ll", "LL", _at("ll", "mean"), tested=True),
    Measure("elbo", "ELBO", _at("elbo")),
    Measure("perplexity", "perplexity", _at("perplexity"), 2, tested=True),
    Measure("accuracy", "accuracy", _at("accuracy"), tested=True),
    Measure("majority", "majority", _at("accuracy_majority")),
    Measure("au_w", "AU(w)", _at("latent", "w", "au"), 2),
    Measure("bleu", "BLEU", _at("text", "reconstruction", "bleu"), tested=True),
    Measure("distinct", "distinct", _at("text", "prior", "distinct"), 1),
    Measure("probe", "probe", _at("text", "probe", "accuracy")),
    _STEP,
)
SEARCHED = (Measure("bound", "validation bound", _at("validation", "elbo")), _STEP)
