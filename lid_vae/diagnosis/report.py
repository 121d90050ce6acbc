"""What a diagnosis found: a table in a terminal and in a notebook, a frame, a picture, and a verdict in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from math import erf, sqrt
from typing import TYPE_CHECKING, Any

from lid_vae.diagnosis.estimate import Estimate
from lid_vae.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["Dimension", "LatentReport", "Report"]


@dataclass(frozen=True)
class Dimension:
    """Dimension ``number`` of a latent, from 0 (of a categorical one, one category).

    ``activity`` is Var_x(E_q[z_d | x]), in units of ``prior_variance``, which the rules compare: active from
    ``threshold`` (the relative rule) or, without regard to the prior, from ``threshold`` in absolute units. ``error``
    is the activity's standard error. ``kl`` is the divergence of this dimension alone from the prior, if it is known.
    """

    number: int
    activity: float
    error: float
    prior_variance: float
    threshold: float
    kl: Estimate | None

    @property
    def active(self) -> bool:
        """By the relative rule."""
        return self.activity >= self.threshold

    @property
    def active_absolute(self) -> bool:
        """By the absolute rule."""
        return self.activity * self.prior_variance >= self.threshold

    @property
    def confidence(self) -> float:
        """How surely the activity is on the side of the threshold that it was found on, given its error: 0.5 to 1."""
        return max(self.probability, 1 - self.probability)

    @property
    def probability(self) -> float:
        """Of being active: the normal distribution function at the activity's distance in standard errors."""
        distance = self.activity - self.threshold
        if not self.error > 0:
            return float(distance >= 0)
        return 0.5 * (1 + erf(distance / self.error / sqrt(2)))


@dataclass(frozen=True)
class LatentReport:
    """The measures of the latent block ``name``, ``kind`` continuous or categorical; ``usage``: q(z) of the latter.

    ``au`` and ``au_absolute`` are the shares of active ``dimensions`` by either rule, ``kl`` that from the prior, nats.
    ``mi`` is the lower bound with its upper one in ``mi.upper``; equal where it is exact. ``aggregate`` says of how
    many examples q(z) is the average.
    """

    name: str
    kind: str
    au: Estimate
    au_absolute: Estimate
    kl: Estimate
    mi: Estimate
    dimensions: tuple[Dimension, ...]
    aggregate: int
    usage: tuple[float, ...] | None = None

    @property
    def kl_by_dimension(self) -> tuple[Estimate, ...] | None:
        """Of each dimension alone; None where not even a bound is known."""
        found = tuple(one.kl for one in self.dimensions if one.kl is not None)
        return found or None

    def estimates(self) -> Iterator[tuple[str, Estimate]]:
        """Each figure with its title."""
        yield "active units", self.au
        yield "active units, absolute rule", self.au_absolute
        yield "KL from the prior", self.kl
        yield "mutual information", self.mi
        for one in self.dimensions:
            if one.kl is not None:
                yield f"KL of dimension {one.number}", one.kl


@dataclass(frozen=True, repr=False)
class Report:
    """Posterior collapse of one ``model``, by its name, on so many ``examples``.

    ``latent`` holds a ``LatentReport`` for each block, outermost first; ``au``, ``au_absolute``, ``kl``, ``mi`` and
    ``kl_by_dimension`` are those of the first. ``ll`` and ``elbo`` are None where no likelihood was given. ``joint_kl``
    is that of a category and the continuous latent below it, together.
    """

    model: str
    examples: int
    latent: dict[str, LatentReport]
    ll: Estimate | None
    elbo: Estimate | None
    joint_kl: Estimate | None = None

    @property
    def first(self) -> LatentReport:
        """The outermost latent."""
        return next(iter(self.latent.values()))

    @property
    def au(self) -> Estimate:
        """Share of active dimensions, by the relative rule."""
        return self.first.au

    @property
    def au_absolute(self) -> Estimate:
        """Share of active dimensions, by the absolute rule."""
        return self.first.au_absolute

    @property
    def kl(self) -> Estimate:
        """E_x KL(q(z | x) || p(z)), nats."""
        return self.first.kl

    @property
    def mi(self) -> Estimate:
        """I_q(x; z), nats."""
        return self.first.mi

    @property
    def kl_by_dimension(self) -> tuple[Estimate, ...] | None:
        """KL of each dimension alone, nats; None where not even a bound is known."""
        return self.first.kl_by_dimension

    def verdict(self) -> str:
        """Which dimensions are collapsed, by which rule, and how surely, in words."""
        from lid_vae.diagnosis.verdict import verdict

        return verdict(self)

    def summary(self) -> dict[str, float]:
        """Plain numbers by name, for loggers: ``au``, ``kl``, ``mi``, ``ll``, ... and ``*_se`` with their errors.

        Of a model with several blocks those of the others follow, as in ``w/kl``.
        """
        found: dict[str, float] = {}
        for number, (name, one) in enumerate(self.latent.items()):
            prefix = f"{name}/" if number else ""
            for key in ("au", "au_absolute", "kl", "mi"):
                found |= _pair(f"{prefix}{key}", getattr(one, key))
        for key, value in (("ll", self.ll), ("elbo", self.elbo), ("joint_kl", self.joint_kl)):
            if value is not None:
                found |= _pair(key, value)
        return found

    def rows(self, dimensions: bool = True) -> list[dict[str, Any]]:
        """One dictionary for each figure: latent, measure, value, error, low, high, unit, samples, examples, how.

        ``dimensions``: whether those of single dimensions are among them. ``low`` and ``high`` are two standard errors
        away, and of what is bounded they enclose both bounds.
        """
        found = [
            _row(name, measure, estimate)
            for name, one in self.latent.items()
            for measure, estimate in one.estimates()
            if dimensions or not measure.startswith("KL of")
        ]
        for measure, value in (
            ("joint KL", self.joint_kl),
            ("log-likelihood", self.ll),
            ("ELBO", self.elbo),
        ):
            if value is not None:
                found.append(_row("", measure, value))
        return found

    def to_frame(self) -> "DataFrame":
        """``rows()`` as a pandas data frame. Raises ``UserError`` where pandas is not installed."""
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise UserError(
                "to_frame() needs pandas, which is not installed: pip install pandas. report.rows() has the same as a "
                "list of dictionaries."
            ) from error
        return DataFrame(self.rows())

    def plot(self) -> "Figure":
        """Activity and KL of each dimension as bars, a panel for either; a matplotlib figure."""
        from lid_vae.diagnosis.picture import plot

        return plot(self)

    def __str__(self) -> str:
        lines = [f"{self.model}: {self.examples:,} examples"]
        table = [(row["latent"], row["measure"], row["shown"], row["how"]) for row in self.rows(dimensions=False)]
        widths = [max(len(line[column]) for line in table) for column in range(3)]
        for latent, measure, shown, how in table:
            lines.append(f"  {latent:<{widths[0]}}  {measure:<{widths[1]}}  {shown:<{widths[2]}}  {how}")
        return "\n".join([*lines, self.verdict()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        head = "".join(f"<th>{title}</th>" for title in ("latent", "measure", "value", "how"))
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(row[key])}</td>" for key in ("latent", "measure", "shown", "how")) + "</tr>"
            for row in self.rows(dimensions=False)
        )
        words = "<br>".join(escape(line) for line in self.verdict().splitlines())
        return (
            f"<p><b>{escape(self.model)}</b>: {self.examples:,} examples</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{words}</p>"
        )


def _pair(name: str, value: Estimate) -> dict[str, float]:
    return {name: value.value, f"{name}_se": value.error}


def _row(latent: str, measure: str, one: Estimate) -> dict[str, Any]:
    low, high = one.interval
    how = one.how if one.samples is None else f"{one.how}, {one.samples} samples"
    return {
        "latent": latent,
        "measure": measure,
        "value": one.value,
        "error": one.error,
        "low": low,
        "high": high,
        "unit": one.unit,
        "samples": one.samples,
        "examples": one.examples,
        "how": how,
        "shown": str(one),
    }
