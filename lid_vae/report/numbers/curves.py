"""Learning curves of a table's runs, from what validation logged."""

from contextlib import suppress

import numpy as np

from lid_vae.errors import UserError
from lid_vae.log.metrics_file import read_metrics
from lid_vae.report.numbers.analysis import Analysed, Line
from lid_vae.report.study.study import Row
from lid_vae.shown import CORE

__all__ = ["LOGGED", "Curves", "drawn", "read_curves"]

# Rows of one table that are drawn: more cannot be told apart.
MOST = 10
LOGGED = {f"valid/{number.curve}": number for number in CORE if number.drawn or number.key == "kl"}
Curves = dict[str, tuple[np.ndarray, np.ndarray]]
"""By the name in ``metrics.csv``: the steps [T] and the values [T, N] of N runs."""


def drawn(item: Analysed) -> list[Line]:
    """The lines of the table ``item`` that pictures and curves show: those with results, and not too many."""
    return [line for line in item.lines if line.row.results][:MOST]


def read_curves(item: Analysed) -> list[Curves]:
    """The curves ``LOGGED`` of each drawn line of the table ``item``, at the steps that all the line's runs have."""
    return [_read(line.row) for line in drawn(item)]


def _read(row: Row) -> Curves:
    runs: list[dict[str, dict[int, float]]] = []
    for seed in row.seeds:
        path = row.run_folder(seed) / "metrics.csv"
        if path.is_file():
            with suppress(UserError):  # a damaged one has no curve
                written = read_metrics(path)
                runs.append(
                    {name: {step: line[name] for step, line in written.items() if name in line} for name in LOGGED}
                )
    found = {}
    for name in LOGGED:
        having = [run[name] for run in runs if run[name]]
        steps = sorted(set.intersection(*map(set, having))) if having else []
        if len(steps) > 1:
            found[name] = np.array(steps), np.array([[run[step] for run in having] for step in steps])
    return found
