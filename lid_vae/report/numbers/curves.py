"""Learning curves of a table's runs, from what validation logged."""

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from lid_vae.errors import UserError
from lid_vae.log.metrics_file import read_metrics
from lid_vae.report.numbers.analysis import Analysed, Line
from lid_vae.report.study.study import Row
from lid_vae.shown import CORE

__all__ = ["LOGGED", "Curve", "Curves", "drawn", "read_curves"]

# Rows of one table that are drawn: more cannot be told apart.
MOST = 10
LOGGED = {f"valid/{number.curve}": number for number in CORE if number.drawn or number.key == "kl"}


class Curve(NamedTuple):
    """The ``steps`` [T] and the ``values`` [T, N] of N runs, of these ``seeds``."""

    steps: np.ndarray
    values: np.ndarray
    seeds: Sequence[int]


Curves = dict[str, Curve]
"""By the name in ``metrics.csv``."""


def drawn(item: Analysed) -> list[Line]:
    """The lines of the table ``item`` that pictures and curves show: those with results, and not too many."""
    return [line for line in item.lines if line.row.results][:MOST]


def read_curves(item: Analysed) -> list[Curves]:
    """The curves ``LOGGED`` of each drawn line of the table ``item``, at the steps that all the line's runs have."""
    return [_read(line.row) for line in drawn(item)]


def _read(row: Row) -> Curves:
    runs: dict[int, dict[str, dict[int, float]]] = {}
    for seed in row.seeds:
        path = row.run_folder(seed) / "metrics.csv"
        if path.is_file():
            with suppress(UserError):  # a damaged one has no curve
                written = read_metrics(path)
                runs[seed] = {
                    name: {step: line[name] for step, line in written.items() if name in line} for name in LOGGED
                }
    found = {}
    for name in LOGGED:
        having = {seed: run[name] for seed, run in runs.items() if run[name]}
        steps = sorted(set.intersection(*map(set, having.values()))) if having else []
        if len(steps) > 1:
            values = np.array([[run[step] for run in having.values()] for step in steps])
            found[name] = Curve(np.array(steps), values, list(having))
    return found
