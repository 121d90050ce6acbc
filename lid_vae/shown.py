"""The numbers that a result holds: where each stands, what it is called, its error, unit and format."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

__all__ = ["BY_DIMENSION", "CORE", "Number", "logged", "numbers_of", "path_names"]

BY_DIMENSION = "kl_by_dimension/"
"""Before the number of a dimension, in the names under which logs hold the KL of each."""


@dataclass(frozen=True)
class Number:
    """One number of ``result.json``, as logs, progress, tables and pictures show it.

    ``key`` names it in tables; ``at`` is where it stands in a result, names joined by dots. ``title`` heads a column
    and ``short`` stands before it on a line of progress (None: not there). ``curve`` is what validation logs it as,
    behind ``valid/`` (None: not logged); ``error`` is where its standard error stands, ``upper`` and ``lower`` where
    bounds do. ``curve_at`` and ``curve_error`` are where a better estimate and its error do, which curves show where
    these are there. ``unit`` is that of the number, ``digits`` how many are shown after the point. ``column``: whether
    a table has it; ``tested``: whether it is compared with the reference there; ``drawn``: whether its curve is. What
    is not ``bounded`` can fall without limit, so that a picture leaves its first values out; an estimate below
    ``least`` is shown as that. ``best`` says which of several a table sets in bold: the highest, the lowest, or none,
    as of a divergence, of which neither more nor less is better by itself. ``of``, where given, computes it from the
    result. ``meaning`` defines it for a reader, in a sentence or two.
    """

    key: str
    at: str
    title: str
    short: str | None = None
    curve: str | None = None
    error: str | None = None
    upper: str | None = None
    lower: str | None = None
    curve_at: str | None = None
    curve_error: str | None = None
    unit: str = ""
    digits: int = 3
    column: bool = True
    tested: bool = False
    drawn: bool = False
    bounded: bool = True
    least: float | None = None
    best: Literal["highest", "lowest"] | None = None
    of: Callable[[Mapping[str, Any]], float | None] | None = None
    meaning: str = ""

    def read(self, result: Mapping[str, Any]) -> float | None:
        """The number in ``result``; None where that has none."""
        return _at(result, self.at) if self.of is None else self.of(result)

    def read_error(self, result: Mapping[str, Any]) -> float | None:
        """Its standard error in ``result``; None where that has none."""
        return None if self.error is None else _at(result, self.error)

    @property
    def label(self) -> str:
        """The title with the unit, for an axis."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


NATS = "nats"
_Z, _W, _TEXT = "latent.z.", "latent.w.", "text."
CORE = (
    Number(
        "au", _Z + "au", "AU(z)", "AU", "active_units", digits=2, tested=True, drawn=True, best="highest",
        meaning="Active units: the share of the dimensions of z whose posterior mean moves with x, by at least a "
        "hundredth of the prior variance.",
    ),
    Number(
        "kl", _Z + "kl", "KL(z)", "KL", "kl", _Z + "kl_se", _Z + "kl", _Z + "kl_lower", _Z + "kl_estimate",
        unit=NATS, tested=True, least=0,
        meaning="The divergence KL(q(z|x) || p(z)) of the posterior from the prior, averaged over x. At 0 the "
        "posterior is the prior: z says nothing of x.",
    ),
    Number(
        "mi", _Z + "mi", "MI(z)", "MI", "mutual_information", _Z + "mi_se", _Z + "mi_upper",
        _Z + "mi", _Z + "mi_estimate", _Z + "mi_estimate_se",
        unit=NATS, tested=True, drawn=True, least=0, best="highest",
        meaning="The mutual information of x and z under q: KL(z) less KL(q(z) || p(z)), with q(z) the average of "
        "q(z|x) over the whole set. Never above KL(z).",
    ),
    Number(
        "ll", "ll.mean", "LL", "LL", "log_likelihood", "ll.se",
        unit=NATS, tested=True, drawn=True, bounded=False, best="highest",
        meaning="The log-likelihood log p(x) of an example, by importance sampling with S samples, averaged over the "
        "set.",
    ),
    Number(
        "elbo", "elbo", "ELBO", "bound", "bound", "elbo_se", unit=NATS, drawn=True, bounded=False, best="highest",
        meaning="The evidence lower bound: the expected log-likelihood under q less the KL. Never above log p(x).",
    ),
    Number(
        "perplexity", "perplexity", "perplexity", digits=2, tested=True, best="lowest",
        meaning="exp of the negative log-likelihood of a token; the end of a sentence counts, padding does not.",
    ),
    Number(
        "accuracy", "accuracy", "accuracy", "accuracy", "accuracy", tested=True, drawn=True, best="highest",
        meaning="The share of examples whose most probable category is that of their label, categories and labels "
        "being matched one to one, as well as can be.",
    ),
    Number(
        "majority", "accuracy_majority", "majority",
        meaning="The accuracy where each category stands for the label that most of its examples have.",
    ),
    Number(
        "au_w", _W + "au", "AU(w)", curve="active_units_w", digits=2,
        meaning="Active units of w: as AU(z), of its dimensions.",
    ),
    Number("kl_joint", "latent.joint.kl", "KL(z, w)", None, "kl_joint", "latent.joint.kl_se", unit=NATS, column=False),
    Number("kl_w", _W + "kl", "KL(w)", None, "kl_w", _W + "kl_se", unit=NATS, column=False),
    Number("bits", "bits_per_dimension", "bits per dimension", curve="bits_per_dimension", column=False),
    Number(
        "bleu", _TEXT + "reconstruction.bleu", "BLEU", tested=True, best="highest",
        meaning="BLEU of the reconstructions of sentences against the sentences.",
    ),
    Number(
        "distinct", _TEXT + "prior.distinct", "distinct", digits=1,
        meaning="How many different sentences draws of z from the prior decode to.",
    ),
    Number(
        "probe", _TEXT + "probe.accuracy", "probe",
        meaning="The accuracy of a linear classifier that reads the labels from the posterior means.",
    ),
)  # fmt: skip


def numbers_of(measures: Mapping[str, Any] | None) -> tuple[Number, ...]:
    """What the recipes of further measures (``conf/measures``) show, each under its node ``shown``."""
    return tuple(Number(**shown) for recipe in (measures or {}).values() for shown in recipe.get("shown") or ())


def logged(result: Mapping[str, Any], split: str, numbers: Iterable[Number] = CORE) -> dict[str, float]:
    """What logs hold of a ``result``: each of ``numbers`` that has a curve, as ``<split>/<curve>``.

    Beside it are its standard error, with ``_se``, and its bounds, with ``_upper`` and ``_lower``, as far as the result
    has them.
    """
    found: dict[str, float] = {}
    for number in numbers:
        value = None if number.curve_at is None else _at(result, number.curve_at)
        value = number.read(result) if value is None else value
        if number.curve is None or value is None:
            continue
        name = f"{split}/{number.curve}"
        found[name] = float(value)
        places = {"_se": (number.curve_error, number.error), "_upper": (number.upper,), "_lower": (number.lower,)}
        for ending, alternatives in places.items():
            beside = next((v for place in alternatives if place and (v := _at(result, place)) is not None), None)
            if beside is not None:
                found[name + ending] = float(beside)
    return found


@cache
def path_names(path: str) -> tuple[str, ...]:
    """The names in a dotted ``path``, which tables of thousands of runs ask for millions of times."""
    return tuple(path.split("."))


def _at(result: Any, path: str) -> float | None:
    """Of a number in ``result``, by the names that lead to it; None where that holds something else."""
    for name in path_names(path):
        if result is None:
            return None
        # the built-in first: tables of thousands of runs ask millions of times
        result = result.get(name) if isinstance(result, (dict, Mapping)) else None
    return result if isinstance(result, (float, int)) or not isinstance(result, (str, list, Mapping)) else None
