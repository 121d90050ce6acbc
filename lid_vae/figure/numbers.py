"""The numbers of a figure, each with its exact reference beside it, as text and as CSV."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from math import nan

__all__ = ["Number", "as_csv", "as_text"]

PLACE = ("case", "parameters", "quantity", "method")
COLUMNS = (*PLACE, "at", "value", "exact", "difference", "standard_error", "unit", "exact_source")


@dataclass(frozen=True)
class Number:
    """One number of a figure and what it should be.

    ``quantity`` is what was computed of the data set ``case`` at ``parameters``, by ``method``, in ``unit``. ``at`` is
    the place on a sweep's axis; ``exact`` comes from ``exact_source``, by another way than ``value``;
    ``standard_error`` is that of ``value`` where it is an average over random draws. NaN where there is none.
    """

    case: str
    parameters: str
    quantity: str
    method: str
    value: float
    exact: float = nan
    exact_source: str = ""
    unit: str = "nats"
    standard_error: float = nan
    at: float = nan

    @property
    def difference(self) -> float:
        """``value`` less ``exact``."""
        return self.value - self.exact


def as_csv(numbers: Sequence[Number]) -> str:
    """One line for each of ``numbers``; an empty field where there is none."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in numbers:
        values = (getattr(number, column) for column in COLUMNS)
        writer.writerow(_written(value, ".12g") if isinstance(value, float) else value for value in values)
    return text.getvalue()


def as_text(numbers: Sequence[Number]) -> str:
    """A table of ``numbers`` for the terminal, without the sweeps' points."""
    rows: list[tuple[str, ...]] = [(*PLACE, "value", "exact", "s.e.", "unit")]
    for n in numbers:
        if n.at != n.at:
            shown = (_written(value, ".5g") for value in (n.value, n.exact, n.standard_error))
            rows.append((n.case, n.parameters, n.quantity, n.method, *shown, n.unit))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _written(value: float, form: str) -> str:
    return "" if value != value else format(value, form)
